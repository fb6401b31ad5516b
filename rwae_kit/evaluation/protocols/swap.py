"""`swap`: what a judge reads when test clips exchange their latents two by two."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from rwae_kit.evaluation.protocols.readings import Ints, Mode, judged_rows, known, partners
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score


@frozen(kw_only=True)
class Settings:
    """There is nothing to choose."""


def run(subject: Subject, settings: Settings) -> Result:
    """Score swaps: the static latent of each test clip with the dynamic one of its partner, a random cycle through all clips.

    Static factors should be read as the clip's own, dynamic ones as the partner's; "all factors" is the share of clips in which
    every one is. "real" and "reconstruction" are asked for the clip's own labels. Each draw pairs the clips anew.

    Where recordings are known, intervals of dynamic factors are over the recordings of the partners, whose motion is read; all
    others, that of "all factors" too, are over the recordings of the clips whose static latent was taken.
    """
    clips = subject.test
    about = known(subject, "swap", clips)
    mode = Mode(
        name="swap",
        make=lambda model, own, other, seed: model.swap(own.x, other.x, static_mask=own.mask, dynamic_mask=other.mask),
        keeps={"static": "own", "dynamic": "partner"},
    )
    readings, expected = judged_rows(subject, about, clips, mode)
    partner = partners(subject, len(clips))
    labels = {name: clips.factors[name].cpu().numpy()[:, None] for name in about.classes}
    rows: dict[str, dict[str, Score]] = {}
    for row, reading in readings.items():
        alone = row in ("real", "reconstruction")
        wanted = labels if alone else expected
        right = {name: reading.read(name) == wanted[name] for name in about.classes}
        right["all factors"] = np.all(list(right.values()), axis=0)
        if not alone and clips.recordings is not None:
            lent = [name for name in about.classes if clips.info.factors[name].kind == "dynamic"]
            right |= {name: _by_partner(right[name], partner) for name in lent}
        rows[row] = {name: subject.bootstrap(values.mean(1)) for name, values in right.items()}
    return subject.result(
        "swap",
        settings,
        rows,
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy={name: rows["real"][name].value for name in about.classes},
    )


def _by_partner(values: NDArray[np.bool_], partner: Ints) -> NDArray[np.bool_]:
    """Values of pairs `[n, draws]`, put where the partner is instead of where the clip is."""
    found = np.empty_like(values)
    np.put_along_axis(found, partner, values, 0)
    return found


PROTOCOL = Protocol(settings=Settings, run=run, about="latents exchanged between two test clips: every factor read")
