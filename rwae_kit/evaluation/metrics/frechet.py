"""Frechet distance between two sets of features: of Gaussians with their means and covariances."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.checks import Floats, numbers


def frechet_distance(one: ArrayLike, other: ArrayLike) -> float:
    """|mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) of the two sets' means and covariances.

    With fewer rows than features the covariances have gaps, and the distance is too large: compare only equal numbers of rows.

    Shape:
        one, other: `[n, d]` and `[m, d]`.

    Raises:
        DataError: fewer than two rows, or different numbers of features.

    Source: Heusel et al. 2017 (FID), unbiased covariances as there. Whose features they are belongs to the name of the score: FID
    means those of one Inception network, and nothing else is comparable with it.
    """
    sets = [numbers(values, f"features of set {place}", 2) for place, values in enumerate((one, other), 1)]
    for place, features in enumerate(sets, 1):
        if len(features) < 2:
            raise DataError(f"features of set {place}: a covariance needs at least 2 rows, but there is {len(features)}")
    if sets[0].shape[1] != sets[1].shape[1]:
        raise DataError(f"features: set 1 has {sets[0].shape[1]}, set 2 has {sets[1].shape[1]}; they should be the same ones")
    moments = [(features.mean(axis=0), np.cov(features, rowvar=False).reshape(2 * (features.shape[1],))) for features in sets]
    return gaussian_frechet(*moments[0], *moments[1])


def gaussian_frechet(mean: ArrayLike, covariance: ArrayLike, other_mean: ArrayLike, other_covariance: ArrayLike) -> float:
    """The same from the moments: means `[d]`, covariances `[d, d]`.

    With S = R R^T for both covariances, tr (S_1 S_2)^(1/2) is the sum of the singular values of R_1^T R_2: no square root is taken
    of a rounded zero, which would turn 1e-16 into 1e-8.

    Raises:
        DataError: moments that do not fit each other, or a covariance that is not symmetric.
    """
    first, second = numbers(mean, "mean", 1), numbers(other_mean, "other_mean", 1)
    root, other_root = (_root(s, d) for s, d in ((covariance, len(first)), (other_covariance, len(second))))
    if len(first) != len(second):
        raise DataError(f"means: one has {len(first)} features, the other {len(second)}")
    spread = np.square(root).sum() + np.square(other_root).sum()  # tr(R R^T)
    shared = np.linalg.svd(root.T @ other_root, compute_uv=False).sum()
    return max(0.0, float(np.square(first - second).sum() + spread - 2 * shared))


def _root(covariance: ArrayLike, d: int) -> Floats:
    """R with R R^T = S."""
    matrix = numbers(covariance, "covariance", 2)
    if matrix.shape != (d, d):
        raise DataError(f"covariance: its shape is {list(matrix.shape)}, but the mean has {d} features")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12 * np.abs(matrix).max()):
        raise DataError("covariance: is not symmetric")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
