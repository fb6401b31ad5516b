"""What can be said of codes alone, without a decoder: probes, leaks, equal error rates and DCI, also of trivial codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rwae_kit.data import Factor
from rwae_kit.evaluation.codes import Array, Codes
from rwae_kit.evaluation.metrics import bootstrap, dci, equal_error_rate, equal_error_score, latent_vectors, trivial_codes
from rwae_kit.evaluation.probes import CODES, PROBES, probe_readings, read_code
from rwae_kit.evaluation.results import Score

Rows = dict[str, dict[str, Score]]

TRAIN_CLIPS = {"probe": 4000, "dci": 1000}
"""Probes and trees are trained on at most this many clips."""
PAIRED_CLIPS = 500
"""Equal error rates are those of at most this many clips: 124,750 pairs."""


def rows_of(
    score: Callable[..., dict[str, Score]], train: Codes, test: Codes, factors: Mapping[str, Factor], draws: int, seed: int
) -> Rows:
    """The scores of the codes ("model"), and of trivial codes for the same clips without intervals.

    Arguments:
        score: one of the functions below.
    """
    rows = {"model": score(train, test, factors, draws, seed)}
    trained, tested = (trivial_codes(codes, factors, seed + place) for place, codes in enumerate((train, test)))
    return rows | {name: score(trained[name], tested[name], factors, 0, seed) for name in tested}


def probe_scores(train: Codes, test: Codes, factors: Mapping[str, Factor], draws: int, seed: int) -> dict[str, Score]:
    """Accuracies "FACTOR from CODE, PROBE", each factor's "chance of FACTOR", and "leak of FACTOR".

    Chance is the share of the most frequent class. The leak is the best probe's accuracy over chance on any code where the factor
    has no business, and its interval that probe's: of a static factor on the dynamic codes, averaged over time or not, for a code
    whose mean says nothing may tell the speaker by its course. A factor none of whose held-out classes was seen in training is left
    out.
    """
    train, found = some_codes(train, TRAIN_CLIPS["probe"], seed), {}
    for name, factor in factors.items():
        labels = test.factors[name]
        if not np.isin(labels, train.factors[name]).any():
            continue
        chance = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
        found[f"chance of {name}"] = Score(value=chance)
        leaks = []
        for code in CODES:
            for probe in PROBES:
                read = probe_readings(probe, read_code(train, code), train.factors[name], read_code(test, code), seed)
                score = _mean(read == labels, draws, seed, test.recordings)
                found[f"{name} from {code}, {probe}"] = score
                if (factor.kind == "static") != (code == "static"):
                    leaks.append(score)
        found[f"leak of {name}"] = _over(max(leaks, key=lambda score: score.value), chance)
    return found


def eer_scores(train: Codes, test: Codes, factors: Mapping[str, Factor], draws: int, seed: int) -> dict[str, Score]:
    """Equal error rates "static EER of FACTOR" and "dynamic EER of FACTOR" of each static factor that makes pairs of both kinds.

    The dynamic code is averaged over time. A good static code has a low rate and a good dynamic code a high one, up to one half:
    but a constant dynamic code has one half as well, and says nothing.
    """
    test, found = some_codes(test, PAIRED_CLIPS, seed), {}
    for name, factor in factors.items():
        counts = np.unique(test.factors[name], return_counts=True)[1]
        if factor.kind != "static" or len(counts) < 2 or counts.max() < 2:
            continue
        for kind, code in (("static", test.static), ("dynamic", test.dynamic_mean())):
            labels = test.factors[name]
            found[f"{kind} EER of {name}"] = (
                equal_error_score(code, labels, draws, seed, test.recordings)
                if draws
                else Score(value=equal_error_rate(code, labels))
            )
    return found


def dci_scores(train: Codes, test: Codes, factors: Mapping[str, Factor], draws: int, seed: int) -> dict[str, Score]:
    """Scores "disentanglement", "completeness", "informativeness" of the whole latent, a dynamic dimension being one at all times.

    Without intervals: for each draw all trees would have to be trained anew. Factors that are the same for all training clips are
    left out; with fewer than two others there is no score.
    """
    train = some_codes(train, TRAIN_CLIPS["dci"], seed)
    names = [name for name in factors if len(np.unique(train.factors[name])) > 1]
    if len(names) < 2:
        return {}
    (codes, groups), (held_out, _) = latent_vectors(train), latent_vectors(test)
    labels, held_out_labels = ({name: part.factors[name] for name in names} for part in (train, test))
    found = dci(codes, labels, held_out, held_out_labels, groups=groups, seed=seed)
    return {
        "disentanglement": Score(value=found.disentanglement),
        "completeness": Score(value=found.completeness),
        "informativeness": Score(value=found.informativeness),
    }


CODE_SCORES: Mapping[str, Callable[..., dict[str, Score]]] = {"probe": probe_scores, "eer": eer_scores, "dci": dci_scores}


def some_codes(codes: Codes, most: int, seed: int) -> Codes:
    """At most `most` of the clips, drawn without replacement; all of them, in order, where there are no more."""
    if len(codes) <= most:
        return codes
    return take(codes, np.sort(np.random.default_rng(seed).choice(len(codes), most, replace=False)))


def take(codes: Codes, places: Any) -> Codes:
    """The clips at these places."""
    return Codes(
        static=codes.static[places],
        dynamic=codes.dynamic[places],
        factors={name: labels[places] for name, labels in codes.factors.items()},
        mask=None if codes.mask is None else codes.mask[places],
        recordings=None if codes.recordings is None else codes.recordings[places],
    )


def _mean(right: Any, draws: int, seed: int, groups: Array | None) -> Score:
    return bootstrap(right, draws=draws, seed=seed, groups=groups) if draws else Score(value=float(np.mean(right)))


def _over(score: Score, chance: float) -> Score:
    low, high = (None if end is None else end - chance for end in (score.low, score.high))
    return Score(value=score.value - chance, low=low, high=high)
