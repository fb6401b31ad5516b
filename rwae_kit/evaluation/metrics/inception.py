"""Inception score and the two entropies behind it, from what a judge thinks of generated clips."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.bootstrap import Units, interval
from rwae_kit.evaluation.metrics.checks import Floats, numbers
from rwae_kit.evaluation.results import Score

IDENTITY = 1e-6
"""How far the logarithms of the two sides of IS = exp(H(y) - H(y|x)) may lie apart."""


@frozen(kw_only=True)
class InceptionScores:
    """Inception score, mean entropy of the predictions and entropy of the mean prediction, in nats.

    Raises:
        DataError: values that cannot belong together: IS is exp(H(y) - H(y|x)).
    """

    score: float
    """IS; high is good, at most the number of classes."""
    conditional: float
    """H(y|x): how unsure the judge is of a clip; low is good."""
    marginal: float
    """H(y): how varied the clips are; high is good, at most the logarithm of the number of classes."""

    def __attrs_post_init__(self) -> None:
        if not identity_error(self.score, self.conditional, self.marginal) <= IDENTITY:
            implied = np.exp(self.marginal - self.conditional)
            raise DataError(f"inception scores: IS is {self.score:.6g}, but exp(H(y) - H(y|x)) is {implied:.6g}")


def identity_error(score: float, conditional: float, marginal: float) -> float:
    """|log IS - (H(y) - H(y|x))|: about the relative error of a printed inception score."""
    return float(abs(np.log(score) - (marginal - conditional)))


def inception_scores(probabilities: ArrayLike) -> InceptionScores:
    """IS = exp(mean KL(p(y|x) || p(y))), H(y|x) and H(y); that the three fit is checked each time.

    Shape:
        probabilities: `[n, k]`, each row adds up to 1.

    Raises:
        DataError: rows that are no probabilities.

    Source: Salimans et al. 2016; C-DSVAE, section 5, which prints all three. In one pass over all clips, no splits.
    """
    given = _probabilities(probabilities)
    mean = given.mean(axis=0)
    ratio = np.divide(given, mean, out=np.ones_like(given), where=given > 0)
    divergence = (given * np.log(ratio)).sum(axis=1).mean()
    conditional, marginal = entropy(given).mean(), entropy(mean)
    return InceptionScores(score=float(np.exp(divergence)), conditional=float(conditional), marginal=float(marginal))


def inception_intervals(
    probabilities: ArrayLike, draws: int = 1000, seed: int = 0, groups: ArrayLike | None = None
) -> dict[str, Score]:
    """The scores "IS", "H(y|x)" and "H(y)" with 95 % bootstrap intervals over clips, or over groups of them (see `bootstrap`).

    Shape:
        probabilities: `[n, k]`; or `[n, times, k]`, where something was drawn several times for each of n clips.
        groups: `[n]`.

    H(y) of clips drawn again is a little too low, as that of any finite sample, by about (k - 1) / 2n nats for k classes; of
    u groups whose clips are alike by about (k - 1) / 2u.
    """
    array = np.asarray(probabilities)
    given = _probabilities(array.reshape(-1, array.shape[-1]) if array.ndim == 3 else array)
    n, k = len(array), given.shape[1]
    clips = np.concatenate([given, entropy(given)[:, None]], axis=1).reshape(n, -1, k + 1).mean(axis=1)
    units = Units.of(n, groups)
    sums, means = units.sums(clips), [np.empty((0, k + 1))]
    for index in units.drawn(draws, seed):
        times = np.stack([np.bincount(drawn, minlength=len(units)) for drawn in index])
        means.append(times @ sums / (times @ units.sizes)[:, None])
    drawn = np.concatenate(means)
    conditional, marginal = drawn[:, k], entropy(drawn[:, :k])
    own = inception_scores(given)
    return {
        "IS": interval(own.score, np.exp(marginal - conditional)),
        "H(y|x)": interval(own.conditional, conditional),
        "H(y)": interval(own.marginal, marginal),
    }


def entropy(probabilities: Floats) -> Floats:
    """Of `[..., k]`, in nats: `[...]`; 0 log 0 is 0."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(0.0 - (probabilities * logs).sum(axis=-1))


def _probabilities(values: ArrayLike) -> Floats:
    given = numbers(values, "probabilities", 2)
    if (given < 0).any():
        raise DataError(f"probabilities: the least is {given.min():.3g}, but none may be negative")
    sums = given.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > 1e-3:
        raise DataError(f"probabilities: row {worst} adds up to {sums[worst]:.4g}, not to 1: are these logits?")
    return np.asarray(given / sums[:, None])  # float32 rows add up to 1 to about 1e-7 only
