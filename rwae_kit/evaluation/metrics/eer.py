"""Equal error rate: how well the cosine of two codes tells whether their clips share a label."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.bootstrap import Units, interval
from rwae_kit.evaluation.metrics.checks import Floats, Integers, numbers, whole
from rwae_kit.evaluation.results import Score

DECIMALS = 12
"""Cosines that agree to this many decimals are ties: equal codes give cosines that differ in the last bits."""


class Roc(NamedTuple):
    """Error rates at every threshold, from the strictest to the laxest: `[k + 1]` each for k different scores.

    The first point accepts nothing; its threshold is infinite. Straight lines between the points are right: inside a group of equal
    scores, every order is as likely as every other.
    """

    thresholds: Floats
    false_accept: Floats
    """Share of different pairs whose score is at least the threshold."""
    false_reject: Floats
    """Share of same pairs whose score is below the threshold."""


def roc(scores: ArrayLike, same: ArrayLike) -> Roc:
    """The error rates of accepting the pairs whose score is at least a threshold.

    Shape:
        scores, same: `[n]`; `same` is true where a pair should be accepted.

    Raises:
        DataError: if there is no pair of one of the two kinds.
    """
    values = numbers(scores, "scores", 1)
    wanted = np.asarray(same, dtype=bool)
    if wanted.shape != values.shape:
        raise DataError(f"same: its shape is {list(wanted.shape)}, that of the scores {list(values.shape)}")
    order, last = _sorted(values)
    accepted, seen = np.cumsum(wanted[order]), np.arange(1, len(values) + 1)
    right, wrong = int(accepted[-1]), len(values) - int(accepted[-1])
    if not right or not wrong:
        raise DataError("same: there should be pairs of both kinds, some to be accepted and some to be rejected")
    rates = ((seen - accepted)[last] / wrong, 1 - accepted[last] / right)
    return Roc(*(np.append(first, values) for first, values in zip((np.inf, 0, 1), (values[order][last], *rates), strict=True)))


def equal_error_rate(codes: ArrayLike, labels: ArrayLike) -> float:
    """The error rate at the threshold where as large a share of different pairs is accepted as of same pairs is rejected.

    Every pair of clips is scored with the cosine of their codes (0 where a code is zero). Where no threshold gives equal rates, the
    crossing lies on the line between the two nearest points of the ROC, so a constant code has 0.5.

    Shape:
        codes: `[n, d]`; a dynamic code is averaged over time first.
        labels: `[n]`, such as the speaker.

    Raises:
        DataError: if there are no two clips with the same label, or none with different ones.

    Source: R-WAE, Table 1; C-DSVAE, Table 4; Hsu et al. 2017. None says how ties and crossings between points are dealt with.

    Example:
        >>> equal_error_rate([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], [0, 0, 1, 1])
        0.0
    """
    scores, same, _, _ = _pairs(codes, labels)
    order, last = _sorted(scores)
    return _crossing(same[order], last, np.ones(len(order), dtype=np.int64))


def equal_error_score(
    codes: ArrayLike, labels: ArrayLike, draws: int = 1000, seed: int = 0, groups: ArrayLike | None = None
) -> Score:
    """The equal error rate with its 95 % bootstrap interval over clips, or over groups `[n]` of them (see `bootstrap`).

    A clip that is drawn twice is no pair with itself: a pair counts as often as the product of how often its two clips were drawn.
    """
    scores, same, first, second = _pairs(codes, labels)
    order, last = _sorted(scores)
    same, first, second = same[order], first[order], second[order]
    units = Units.of(len(np.asarray(labels)), groups)
    rates = []
    for index in units.drawn(draws, seed):
        for drawn in index:
            times = np.bincount(drawn, minlength=len(units))[units.place]
            rates.append(_crossing(same, last, times[first] * times[second]))
    found = np.asarray(rates)
    return interval(_crossing(same, last, np.ones(len(order), dtype=np.int64)), found[np.isfinite(found)])


def _pairs(codes: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_], Integers, Integers]:
    """The cosine of each pair i < j, whether it shares its label, i and j: `[n (n - 1) / 2]` each."""
    vectors = numbers(codes, "codes", 2)
    classes = whole(labels, "labels", len(vectors))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    first, second = np.triu_indices(len(vectors), 1)
    same = classes[first] == classes[second]
    if not same.any() or same.all():
        missing = "share a label" if not same.any() else "differ in their label"
        raise DataError(f"labels: no two of the {len(vectors)} clips {missing}, so there is no equal error rate")
    return np.round((vectors @ vectors.T)[first, second], DECIMALS), same, first, second


def _sorted(scores: Floats) -> tuple[Integers, Integers]:
    """The order from the highest score to the lowest, and the places in it where a group of equal scores ends."""
    order = np.argsort(-scores)
    descending = scores[order]
    return order, np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(scores) - 1)


def _crossing(same: NDArray[np.bool_], last: Integers, weight: Integers) -> float:
    """Where the ROC of sorted pairs, each of which counts `weight` times, has equal rates; nan without pairs of both kinds."""
    accepted, seen = np.cumsum(same * weight), np.cumsum(weight)
    right, wrong = int(accepted[-1]), int(seen[-1] - accepted[-1])
    if not right or not wrong:
        return float("nan")

    def rates(groups: int) -> tuple[float, float]:
        """False accepts and false rejects after so many groups of equal scores."""
        taken, all_taken = (int(sums[last[groups - 1]]) if groups else 0 for sums in (accepted, seen))
        return (all_taken - taken) / wrong, 1 - taken / right

    def difference(groups: int) -> float:
        """Rises from -1 to 1."""
        false_accept, false_reject = rates(groups)
        return false_accept - false_reject

    after = bisect_left(range(len(last) + 1), 0.0, key=difference)
    share = -difference(after - 1) / (difference(after) - difference(after - 1))
    start, end = rates(after - 1)[0], rates(after)[0]
    return start + share * (end - start)
