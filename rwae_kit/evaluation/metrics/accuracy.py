"""How often a reading is right: over all clips, class by class, and which class is taken for which."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.checks import Floats, Integers, whole


@frozen(kw_only=True, eq=False)
class Accuracies:
    """What was read of some clips, beside what is true.

    Shape:
        confusion: `[k, k]`, the number of clips of the row's class that were read as the column's.
    """

    confusion: Integers

    @property
    def accuracy(self) -> float:
        """The share of all clips that was read rightly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def per_class(self) -> Floats:
        """The share of each class's clips that was read rightly, `[k]`; nan for a class without a clip."""
        totals = self.confusion.sum(axis=1)
        return np.asarray(np.divide(np.diag(self.confusion), totals, out=np.full(len(totals), np.nan), where=totals > 0))

    @property
    def balanced(self) -> float:
        """The mean over the classes that there are: a rare class counts as much as a frequent one."""
        return float(np.nanmean(self.per_class))

    @property
    def chance(self) -> float:
        """The share of the most frequent class: what reading always the same gives."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())


def accuracies(labels: ArrayLike, read: ArrayLike, classes: int | None = None) -> Accuracies:
    """Compare true classes with what was read.

    Shape:
        labels, read: `[n]`.

    Arguments:
        classes: how many there are; None for those that occur.

    Raises:
        DataError: no clip, different lengths, or a class out of range.

    Example:
        >>> found = accuracies([0, 0, 0, 1], [0, 0, 1, 1])
        >>> found.accuracy, found.balanced
        (0.75, 0.8333333333333333)
    """
    true = whole(labels, "labels")
    if not len(true):
        raise DataError("labels: there is no clip")
    given = whole(read, "read", len(true))
    highest = int(max(true.max(), given.max()))
    k = highest + 1 if classes is None else classes
    if highest >= k:
        raise DataError(f"class {highest} is out of range: there are {k}, 0 to {k - 1}")
    return Accuracies(confusion=np.bincount(true * k + given, minlength=k * k).reshape(k, k).astype(np.int64))
