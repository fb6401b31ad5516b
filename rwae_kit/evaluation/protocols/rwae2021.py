"""`rwae2021`: how often a factor of an encoded latent is read wrongly when the other latent is sampled, as R-WAE is scored."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen
from attrs.validators import ge

from rwae_kit.evaluation.protocols.generation import fix_dynamic, fix_static
from rwae_kit.evaluation.protocols.readings import Ints, Mode, Readings, judged_rows, known
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score

LENGTHS = {"moving_mnist": 10}
"""Frames that the paper generates where it is not the length of the data, by data set."""


@frozen(kw_only=True)
class Settings:
    """What the paper leaves open."""

    length: int = field(
        default=0,
        validator=ge(0),
        metadata={"help": "frames of a sampled motion; 0: as in the paper (10 for moving_mnist), else as many as the data have"},
    )
    left_out: tuple[str, ...] = field(default=(), metadata={"help": "factors that the means leave out; the paper's leave out hair"})


def run(subject: Subject, settings: Settings) -> Result:
    """Score both ways.

    Static factors: s encoded (the posterior's mean), the motion drawn from the prior by ancestral sampling; dynamic factors: z
    encoded, s drawn from its prior. The error of a factor is the share of clips in which the judge does not read the source clip's
    class. "static error" and "dynamic error" are the means over the factors of a kind.

    Source: R-WAE (Han et al. 2021), section 5: Sprites, all 296 x 9 test clips, errors of each attribute (hair, at 99.94 %, is not
    in its table); SM-MNIST, one digit, 10,000 test clips of 10 frames. Its judges were not published.
    """
    clips = subject.test
    about = known(subject, "rwae2021", clips)
    t = settings.length or LENGTHS.get(clips.info.name, clips.info.length)
    modes = (
        Mode(name="static", make=lambda model, own, other, seed: fix_static(model, own, seed, t), keeps={"static": "own"}),
        Mode(name="dynamic", make=lambda model, own, other, seed: fix_dynamic(model, own, seed), keeps={"dynamic": "own"}),
    )
    rows: dict[str, dict[str, Score]] = {}
    accuracy: dict[str, float] = {}
    for mode in modes:
        readings, expected = judged_rows(subject, about, clips, mode)
        if not expected:
            continue
        accuracy |= {name: float((readings["real"].read(name) == labels).mean()) for name, labels in expected.items()}
        for row, reading in readings.items():
            rows.setdefault(row, {}).update(_errors(subject, reading, expected, mode.name, settings))
    return subject.result(
        "rwae2021",
        Settings(length=t, left_out=settings.left_out),
        rows,
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy=accuracy,
    )


def _errors(subject: Subject, reading: Readings, expected: Mapping[str, Ints], kind: str, settings: Settings) -> dict[str, Score]:
    wrong = {name: (reading.read(name) != labels).mean(1) for name, labels in expected.items()}
    counted = [values for name, values in wrong.items() if name not in settings.left_out]
    found = {f"{name} error": values for name, values in wrong.items()}
    if len(counted) > 1:
        found[f"{kind} error"] = np.mean(counted, axis=0)
    return {name: subject.bootstrap(values) for name, values in found.items()}


PROTOCOL = Protocol(settings=Settings, run=run, about="one latent encoded, the other sampled: error of each factor (R-WAE)")
