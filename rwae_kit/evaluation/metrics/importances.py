"""Which parts of a code a classifier of trees leans on, and how well it reads a factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError, RwaeError
from rwae_kit.evaluation.metrics.checks import Floats, numbers, whole

Trees = Literal["forest", "boosting"]
"""`forest`: 100 random trees, each split seeing all of the code. `boosting`: 100 steps of gradient boosting, depth 3; slower."""


@frozen(kw_only=True, eq=False)
class Importances:
    """What reading each factor from the training codes leans on.

    Shape:
        matrix: `[d, k]`, not negative; each column adds up to 1, or is 0 where nothing can be read.
        accuracy: `[k]`, on the held-out codes (on the training codes, where none are given).
    """

    factors: tuple[str, ...]
    matrix: Floats
    accuracy: Floats


def importances(
    codes: ArrayLike,
    factors: Mapping[str, ArrayLike],
    held_out: ArrayLike | None = None,
    held_out_factors: Mapping[str, ArrayLike] | None = None,
    trees: Trees = "forest",
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Importances:
    """Train one classifier for each factor, and read what it leans on: the mean decrease of impurity.

    Shape:
        codes, held_out: `[n, d]`, `[m, d]`; factors: `[n]`, `[m]` each.
        groups: `[d]`, the row of the matrix that each feature counts for, such as one for all times of a dynamic dimension.

    Raises:
        DataError: arrays that do not fit, or a factor that is the same for all clips.
        RwaeError: if scikit-learn is not installed.
    """
    features = numbers(codes, "codes", 2)
    others = features if held_out is None else numbers(held_out, "held-out codes", 2)
    if others.shape[1] != features.shape[1]:
        raise DataError(f"held-out codes: {others.shape[1]} features, but the codes have {features.shape[1]}")
    rows = np.arange(features.shape[1]) if groups is None else whole(groups, "groups", features.shape[1])
    tests = factors if held_out_factors is None else held_out_factors
    matrix, accuracy = np.zeros((int(rows.max()) + 1, len(factors))), np.zeros(len(factors))
    for column, (name, classes) in enumerate(factors.items()):
        labels = whole(classes, f"factor {name!r}", len(features))
        if name not in tests:
            raise DataError(f"factor {name!r} is missing in the held-out clips")
        if len(np.unique(labels)) < 2:
            raise DataError(f"factor {name!r}: all {len(labels)} clips have the class {labels[0]}; leave it out")
        classifier = _classifier(trees, seed).fit(features, labels)
        found = np.bincount(rows, weights=np.nan_to_num(classifier.feature_importances_), minlength=len(matrix))
        matrix[:, column] = found / found.sum() if found.sum() > 0 else 0.0
        expected = whole(tests[name], f"held-out factor {name!r}", len(others))
        accuracy[column] = np.mean(classifier.predict(others) == expected)
    return Importances(factors=tuple(factors), matrix=matrix, accuracy=accuracy)


def _classifier(trees: Trees, seed: int) -> Any:
    try:
        from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    except ImportError as error:
        raise RwaeError("importances need scikit-learn, which is not installed: pip install 'rwae-kit[eval]'") from error
    match trees:
        case "forest":
            return RandomForestClassifier(n_estimators=100, max_features=None, min_samples_leaf=2, random_state=seed)
        case "boosting":
            return GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=seed)
    raise RwaeError(f"trees: {trees!r} should be 'forest' or 'boosting'")
