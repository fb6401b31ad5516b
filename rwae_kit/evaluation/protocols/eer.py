"""`eer`: equal error rates of telling speakers (or other static factors) by the static and by the dynamic code."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from rwae_kit.data import Clips
from rwae_kit.errors import DataError, did_you_mean
from rwae_kit.evaluation.code_scores import PAIRED_CLIPS, eer_scores, rows_of, some_codes
from rwae_kit.evaluation.codes import Array, Codes, encode_clips
from rwae_kit.evaluation.protocols.subject import Protocol, Subject
from rwae_kit.evaluation.results import Result

UTTERANCE, CLIPS = "utterance", "clips"


@frozen(kw_only=True)
class Settings:
    """What is compared."""

    unit: str = field(
        default=UTTERANCE,
        metadata={
            "help": "utterance: all clips of a recording are averaged first, where the data know recordings; a factor: all clips "
            "of one of its classes; clips: every clip for itself"
        },
    )


def run(subject: Subject, settings: Settings) -> Result:
    """Cosines of all pairs of utterances: at which error rate are as many same pairs rejected as different ones accepted?

    The code of an utterance is the mean of the posterior means of its clips, the dynamic one averaged over time too; of data
    without utterances each clip is one. Same pairs share the class of a static factor. Rows: the model, the same model untrained,
    and trivial codes. At most 500 utterances are paired, drawn at random; TIMIT's core test has 192. Intervals are over the
    recordings of what is paired, where these are known (of a class of clips, that of its first clip), so over utterances as a rule.

    Raises:
        DataError: no static factor gives pairs of both kinds.

    Source: R-WAE, Table 5; C-DSVAE, Table 4.
    """
    test = subject.test
    unit, groups = grouped(test, settings.unit)
    factors = {name: test.info.factors[name] for name in test.factors if name != unit and test.info.factors[name].kind == "static"}
    codes = {row: pooled(encode_clips(model, test, subject.batch_size), groups) for row, model in subject.models().items()}
    own = codes["model"]
    rows = rows_of(eer_scores, own, own, factors, subject.resamples, subject.seed)
    if not rows["model"]:
        raise DataError(f"eer: no static factor of {test.info.name} has two test {unit} of one class and two of different ones")
    if "untrained" in codes:
        other = eer_scores(codes["untrained"], codes["untrained"], factors, subject.resamples, subject.seed)
        rows = {"model": rows.pop("model"), "untrained": other, **rows}
    paired = some_codes(own, PAIRED_CLIPS, subject.seed)
    recordings = None if paired.recordings is None else len(np.unique(paired.recordings))
    return subject.result("eer", Settings(unit=unit), rows, clips=len(paired), recordings=recordings)


def grouped(clips: Clips, unit: str) -> tuple[str, Array | None]:
    """What is averaged, and which of them each clip belongs to, `[n]`; None for every clip for itself.

    Raises:
        DataError: no such factor.
    """
    if unit in clips.factors:
        return unit, clips.factors[unit].cpu().numpy()
    if unit == UTTERANCE and clips.recordings is not None:
        return unit, clips.recordings.cpu().numpy()
    if unit not in (UTTERANCE, CLIPS):
        raise DataError(f"eer: unit: the clips have no factor {unit!r}. {did_you_mean(unit, [*clips.factors, UTTERANCE, CLIPS])}")
    return CLIPS, None


def pooled(codes: Codes, groups: Array | None) -> Codes:
    """Codes with one entry for each group of clips: means over them, and over time; labels and recording are the first clip's."""
    if groups is None:
        return codes
    _, first, place, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    mask = np.ones(codes.dynamic.shape[:2], np.float32) if codes.mask is None else codes.mask
    static = np.zeros((len(first), codes.static.shape[1]))
    dynamic, frames = np.zeros((len(first), codes.dynamic.shape[2])), np.zeros(len(first))
    np.add.at(static, place, codes.static)
    np.add.at(dynamic, place, (codes.dynamic * mask[..., None]).sum(1))
    np.add.at(frames, place, mask.sum(1))
    return Codes(
        static=(static / counts[:, None]).astype(np.float32),
        dynamic=(dynamic / np.maximum(frames, 1)[:, None]).astype(np.float32)[:, None],
        factors={name: labels[first] for name, labels in codes.factors.items()},
        recordings=None if codes.recordings is None else codes.recordings[first],
    )


PROTOCOL = Protocol(
    settings=Settings, run=run, about="equal error rates by the static and by the dynamic code", draws=False, judged=False
)
