"""`probe`: what classifiers read from the codes of test clips, and what they should not be able to read there."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.validators import ge

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.code_scores import TRAIN_CLIPS, probe_scores, rows_of
from rwae_kit.evaluation.codes import encode_clips, some
from rwae_kit.evaluation.protocols.subject import Protocol, Subject
from rwae_kit.evaluation.results import Result


@frozen(kw_only=True)
class Settings:
    """How much the probes are given."""

    train_clips: int = field(
        default=TRAIN_CLIPS["probe"], validator=ge(2), metadata={"help": "training clips that probes are fitted on, at most"}
    )


def run(subject: Subject, settings: Settings) -> Result:
    """Fit linear and MLP probes on codes of training clips, for every factor from every code, and read the codes of the test clips.

    The names of the scores are those of `probe_scores`; leaks are both ways: static factors from the dynamic code averaged over
    time, dynamic ones from the static code. Rows: the model, the same model untrained, and trivial codes.

    Raises:
        DataError: there are no labels.
        RwaeError: scikit-learn is not installed.
    """
    train, test = _labelled(subject, "train", settings.train_clips), _labelled(subject, "test", 0)
    factors = {name: test.info.factors[name] for name in test.factors if name in train.factors}
    codes = {
        row: (encode_clips(model, train, subject.batch_size), encode_clips(model, test, subject.batch_size))
        for row, model in subject.models().items()
    }
    rows = rows_of(probe_scores, *codes["model"], factors, subject.resamples, subject.seed)
    if "untrained" in codes:
        untrained = probe_scores(*codes["untrained"], factors, subject.resamples, subject.seed)
        rows = {"model": rows.pop("model"), "untrained": untrained, **rows}
    return subject.result("probe", settings, rows)


def _labelled(subject: Subject, split: Literal["train", "test"], most: int) -> Clips:
    clips = subject.train if split == "train" else subject.test
    if clips is None or not clips.factors:
        raise DataError(f"probe: the {split} clips of {subject.test.info.name} have no labels")
    return some(clips, most, subject.seed) if most else clips


PROTOCOL = Protocol(
    settings=Settings, run=run, about="probes of every code for every factor, and leaks both ways", draws=False, judged=False
)
