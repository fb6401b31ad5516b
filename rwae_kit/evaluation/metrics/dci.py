"""Disentanglement, completeness, informativeness: does each part of a code hold one factor, and each factor sit in one part?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.checks import Floats, numbers
from rwae_kit.evaluation.metrics.importances import Importances, Trees, importances
from rwae_kit.evaluation.metrics.inception import entropy


@frozen(kw_only=True)
class Dci:
    """The three scores, 0 to 1, and what they were computed from."""

    disentanglement: float
    completeness: float
    informativeness: float
    importances: Importances


def dci(
    codes: ArrayLike,
    factors: Mapping[str, ArrayLike],
    held_out: ArrayLike,
    held_out_factors: Mapping[str, ArrayLike],
    trees: Trees = "forest",
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Dci:
    """Disentanglement and completeness of what trees lean on to read the factors, and how well they read held-out codes.

    Shape:
        codes, held_out: `[n, d]` and `[m, d]`; factors: `[n]` and `[m]` each.
        groups: `[d]`, which features are one dimension, such as one dynamic dimension at all times; None: each is its own.

    Raises:
        DataError: fewer than two factors, or arrays that do not fit.
        RwaeError: if scikit-learn is not installed.

    Source: Eastwood & Williams 2018, section 3. Informativeness is the mean accuracy on held-out clips, the paper's is an error of
    regression; the trees are not tuned, the paper tunes their depth.
    """
    if len(factors) < 2:
        raise DataError(f"disentanglement needs at least 2 factors, but there is {len(factors)}")
    found = importances(codes, factors, held_out, held_out_factors, trees, groups, seed)
    return Dci(
        disentanglement=disentanglement(found.matrix),
        completeness=completeness(found.matrix),
        informativeness=float(found.accuracy.mean()),
        importances=found,
    )


def disentanglement(matrix: ArrayLike) -> float:
    """The mean over the code's dimensions of 1 - H(P_i) / log k, P_i the shares of the k factors in row i of the importances.

    Each dimension counts by its share of all importance, so one that holds nothing counts nothing. Shape: `[d, k]`, k > 1.
    """
    values = _importance(matrix)
    if values.shape[1] < 2:
        raise DataError("disentanglement needs at least 2 factors")
    totals = values.sum(axis=1)
    if not totals.sum():
        return 0.0
    return float((totals / totals.sum()) @ (1 - _spread(values)))


def completeness(matrix: ArrayLike) -> float:
    """The mean over the factors of 1 - H(P_j) / log d, P_j the shares of the d dimensions in column j of the importances.

    A factor of which nothing is held has 0; with a single dimension every factor that is held has 1. Shape: `[d, k]`.
    """
    values = _importance(matrix).T
    held = values.sum(axis=1) > 0
    return float(np.mean(held * (1 - _spread(values))))


def _spread(rows: Floats) -> Floats:
    """The entropy of each row's shares over its largest possible value: 0 in one place, 1 evenly everywhere; 0 for an empty row."""
    totals = rows.sum(axis=1, keepdims=True)
    shares = np.divide(rows, totals, out=np.zeros_like(rows), where=totals > 0)
    return np.asarray(entropy(shares) / np.log(max(rows.shape[1], 2)))


def _importance(matrix: ArrayLike) -> Floats:
    values = numbers(matrix, "importances", 2)
    if (values < 0).any():
        raise DataError(f"importances: the least is {values.min():.3g}, but none may be negative")
    return values
