"""`cdsvae2021`: accuracy, inception score and entropies of clips with one latent kept and the other sampled, as in C-DSVAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from attrs import evolve, field, frozen
from attrs.validators import ge, in_

from rwae_kit.data import Clips
from rwae_kit.errors import DataError, did_you_mean
from rwae_kit.evaluation.metrics import frechet_distance, inception_intervals
from rwae_kit.evaluation.protocols.generation import fix_dynamic, fix_static
from rwae_kit.evaluation.protocols.readings import Ints, Mode, Readings, judged_rows, known
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score

MODES = ("fix-dynamic", "fix-static")
_LATENTS = in_(("means", "draws"))


@frozen(kw_only=True)
class Settings:
    """Where the published code goes its own way, or leaves something open."""

    encoded: Literal["means", "draws"] = field(
        default="means", validator=_LATENTS, metadata={"help": "the latent that is kept: posterior means, or draws"}
    )
    prior: Literal["means", "draws"] = field(
        default="means",
        validator=_LATENTS,
        metadata={"help": "sampled motion: the prior's means along a sampled trajectory, as published, or the trajectory itself"},
    )
    drop_last: int = field(
        default=0,
        validator=ge(0),
        metadata={"help": "0: all clips; N: whole batches of N alone, what is left is dropped, as in the published code"},
    )
    balance: str = field(
        default="", metadata={"help": "a factor: of each of its classes the first n clips, n the size of the smallest; empty: all"}
    )


def run(subject: Subject, settings: Settings) -> Result:
    """Score both modes.

    fix-dynamic: z = posterior means, s ~ p(s) anew for each clip; fix-static: s = posterior mean, z from the prior. Of each:
    the accuracy of every factor that is kept; IS, H(y|x) and H(y) of every dynamic factor; the share of clips in which all factors
    that should be new are read as those of the source clip, "unchanged" (of a model that hands clips back: all); and the Frechet
    distance of the judge's features of single frames to those of the real clips, where the judge has features.

    Source: C-DSVAE (Bai et al. 2021), section 5, and its published code. That code drops the last batch; ours scores all clips
    unless told. "unchanged" and the distance are ours.
    """
    clips = chosen(subject.test, settings)
    subject = evolve(subject, test=clips)
    about = known(subject, "cdsvae2021", clips)
    t = clips.info.length
    modes = (
        Mode(
            name=MODES[0],
            make=lambda model, own, other, seed: fix_dynamic(model, own, seed, settings.encoded),
            keeps={"dynamic": "own"},
        ),
        Mode(
            name=MODES[1],
            make=lambda model, own, other, seed: fix_static(model, own, seed, t, settings.encoded, settings.prior),
            keeps={"static": "own"},
        ),
    )
    rows: dict[str, dict[str, Score]] = {}
    accuracy: dict[str, float] = {}
    for mode in modes:
        readings, expected = judged_rows(subject, about, clips, mode)
        real = readings["real"]
        accuracy |= {name: float((real.read(name) == labels).mean()) for name, labels in expected.items()}
        for row, reading in readings.items():
            scores = _scores(subject, clips, reading, expected, real, row)
            rows.setdefault(row, {}).update({f"{mode.name}: {name}": score for name, score in scores.items()})
    return subject.result(
        "cdsvae2021",
        settings,
        rows,
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy=accuracy,
    )


def chosen(clips: Clips, settings: Settings) -> Clips:
    """The clips that are scored: all, unless the settings leave some out."""
    places = np.arange(len(clips))
    if settings.balance:
        if settings.balance not in clips.factors:
            raise DataError(f"cdsvae2021: balance: no factor {settings.balance!r}. {did_you_mean(settings.balance, clips.factors)}")
        labels = clips.factors[settings.balance].cpu().numpy()
        each = [np.flatnonzero(labels == value) for value in np.unique(labels)]
        places = np.sort(np.concatenate([one[: min(map(len, each))] for one in each]))
    if settings.drop_last:
        places = places[: len(places) // settings.drop_last * settings.drop_last]
    if len(places) < 2:
        raise DataError(f"cdsvae2021: {len(places)} clips are left of {len(clips)}: drop_last = {settings.drop_last} is too large")
    return clips if len(places) == len(clips) else clips.subset(torch.from_numpy(places).to(clips.frames.device))


def _scores(
    subject: Subject, clips: Clips, reading: Readings, expected: Mapping[str, Ints], real: Readings, row: str
) -> dict[str, Score]:
    found: dict[str, Score] = {}
    for name, labels in expected.items():
        right = (reading.read(name) == labels).mean(1)
        found[f"{name} accuracy"] = subject.bootstrap(right)
    for name, probabilities in reading.probabilities.items():
        if clips.info.factors[name].kind == "dynamic":
            intervals = inception_intervals(probabilities, subject.resamples, subject.seed, subject.recordings())
            found |= {f"{name} {score}": value for score, value in intervals.items()}
    new = [name for name in reading.probabilities if name not in expected]
    if new and row not in ("real", "reconstruction"):
        same = np.all([reading.read(name) == clips.factors[name].cpu().numpy()[:, None] for name in new], axis=0)
        found["unchanged"] = subject.bootstrap(same.mean(1))
    if reading.features is not None and real.features is not None and reading is not real:
        found["FID (judge features)"] = Score(value=frechet_distance(reading.features, real.features))
    return found


PROTOCOL = Protocol(
    settings=Settings, run=run, about="one latent kept, the other sampled: accuracy, inception score, entropies (C-DSVAE)"
)
