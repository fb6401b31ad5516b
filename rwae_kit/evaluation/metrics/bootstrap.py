"""How far a score would move with other clips: percentile intervals over clips, or groups of clips, drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from rwae_kit.errors import DataError
from rwae_kit.evaluation.metrics.checks import Floats, Integers
from rwae_kit.evaluation.results import Score

LEVEL = 0.95
AT_ONCE = 2_000_000
"""Clips or groups that are drawn in one piece: bounds the memory."""


@frozen(eq=False)
class Units:
    """What is drawn with replacement: clips, or groups of clips, all of which come when their group is drawn.

    Shape:
        place: `[n]`, the unit of each clip.
        sizes: `[u]`, the clips of each unit.
    """

    place: Integers
    sizes: Integers

    @classmethod
    def of(cls, n: int, groups: ArrayLike | None = None) -> Self:
        """The groups of n clips, in the order of their names `[n]`; without groups each clip is a unit.

        Raises:
            DataError: not one group for each clip.
        """
        if groups is None:
            return cls(np.arange(n), np.ones(n, np.int64))
        names = np.asarray(groups)
        if names.shape != (n,):
            raise DataError(f"groups: should be one group for each of {n} clips, but their shape is {list(names.shape)}")
        _, place, sizes = np.unique(names, return_inverse=True, return_counts=True)
        return cls(place, sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def drawn(self, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Places of units drawn with replacement, u for each draw, in pieces `[k, u]`; the same seed gives the same units.

        Of a single unit there is no draw: it would always be the same.

        Raises:
            DataError: if no draw is asked for.
        """
        if draws < 1:
            raise DataError(f"draws is {draws}, but has to be at least 1")
        generator = np.random.default_rng(seed)
        while draws > 0 and len(self) > 1:
            rows = min(draws, max(1, AT_ONCE // len(self)))
            yield generator.integers(len(self), size=(rows, len(self)))
            draws -= rows

    def clips(self, draws: int, seed: int) -> Iterator[Integers]:
        """The places of all clips of each draw, in the order of their units."""
        order, ends = np.argsort(self.place, kind="stable"), np.cumsum(self.sizes)
        for index in self.drawn(draws, seed):
            for drawn in index:
                sizes = self.sizes[drawn]
                last = np.cumsum(sizes)
                yield order[np.arange(last[-1]) + np.repeat(ends[drawn] - last, sizes)]

    def sums(self, values: Floats) -> Floats:
        """The sums over the clips of each unit: `[n, ...]` to `[u, ...]`."""
        found = np.zeros((len(self), *values.shape[1:]))
        np.add.at(found, self.place, values)
        return found


def bootstrap(
    values: ArrayLike | tuple[Any, ...],
    statistic: Callable[..., Any] | None = None,
    draws: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Score:
    """A statistic of some clips with its 95 % interval: the percentiles of the statistic over clips drawn with replacement.

    Clips that were cut from one recording are not independent, and an interval over clips is too narrow for them. With `groups`,
    groups are drawn with replacement, as many as there are, and all clips of each: the mean of a draw is a ratio of sums.

    Shape:
        values: `[n, ...]`, or a tuple of arrays whose first axes are the same clips, which are drawn together.
        groups: `[n]`, such as the recording of each clip.

    Arguments:
        statistic: of the array, or of the arrays one by one, to a number; the mean if None, which is much faster than a function.

    Raises:
        DataError: no clip, arrays or groups of different lengths, or a value that is not finite.

    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval); groups: Davison & Hinkley 1997, section 3.8 (whole clusters).
    It is a little short for few clips or groups: with 30 draws from a Gaussian, a 95 % interval of the mean holds the truth in
    about 93 to 94 of 100 cases. Of a single one there is none.

    Example:
        >>> bootstrap([1.0, 1.0, 1.0])
        Score(value=1.0, low=1.0, high=1.0)
    """
    arrays = tuple(_clips(array) for array in (values if isinstance(values, tuple) else (values,)))
    if len({len(array) for array in arrays}) != 1:
        raise DataError(f"bootstrap: the arrays have different lengths: {', '.join(str(len(array)) for array in arrays)}")
    units = Units.of(len(arrays[0]), groups)
    if statistic is None:
        if len(arrays) != 1 or arrays[0].ndim != 1:
            raise DataError("bootstrap: the mean is that of one array [n]; say the statistic of several")
        value, sums = float(arrays[0].mean()), units.sums(arrays[0])
        means = [sums[index].sum(axis=1) / units.sizes[index].sum(axis=1) for index in units.drawn(draws, seed)]
        return interval(value, np.concatenate([np.empty(0), *means]))
    found = [statistic(*(array[places] for array in arrays)) for places in units.clips(draws, seed)]
    return interval(float(statistic(*arrays)), np.array(found, dtype=np.float64))


def interval(value: float, found: Floats) -> Score:
    """A score and the middle 95 % of its draws; without a draw it has no interval."""
    if not len(found):
        return Score(value=value)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Score(value=value, low=float(low), high=float(high))


def _clips(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 0 or len(array) == 0:
        raise DataError("bootstrap: there is no clip")
    if array.dtype.kind in "fb":
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise DataError(f"bootstrap: {int((~np.isfinite(array)).sum())} of {array.size} values are not finite")
    return array
