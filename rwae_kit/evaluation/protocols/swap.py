"""`swap`: what a judge reads when test clips exchange their latents two by two."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from rwae_kit.evaluation.metrics import bootstrap
from rwae_kit.evaluation.protocols.readings import Mode, judged_rows, known
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score


@frozen(kw_only=True)
class Settings:
    """There is nothing to choose."""


def run(subject: Subject, settings: Settings) -> Result:
    """Score swaps: the static latent of each test clip with the dynamic one of its partner, a random cycle through all clips.

    Static factors should be read as the clip's own, dynamic ones as the partner's; "all factors" is the share of clips in which
    every one is. "real" and "reconstruction" are asked for the clip's own labels. Each draw pairs the clips anew.
    """
    clips = subject.test
    about = known(subject, "swap", clips)
    mode = Mode(
        name="swap",
        make=lambda model, own, other, seed: model.swap(own.x, other.x, static_mask=own.mask, dynamic_mask=other.mask),
        keeps={"static": "own", "dynamic": "partner"},
    )
    readings, expected = judged_rows(subject, about, clips, mode)
    labels = {name: clips.factors[name].cpu().numpy()[:, None] for name in about.classes}
    rows: dict[str, dict[str, Score]] = {}
    for row, reading in readings.items():
        wanted = labels if row in ("real", "reconstruction") else expected
        right = {name: reading.read(name) == wanted[name] for name in about.classes}
        right["all factors"] = np.all(list(right.values()), axis=0)
        rows[row] = {name: bootstrap(values.mean(1), draws=subject.resamples, seed=subject.seed) for name, values in right.items()}
    return subject.result(
        "swap",
        settings,
        rows,
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy={name: rows["real"][name].value for name in about.classes},
    )


PROTOCOL = Protocol(settings=Settings, run=run, about="latents exchanged between two test clips: every factor read")
