"""Arrays as the metrics take them: float64 and whole-numbered, with an error that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rwae_kit.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def numbers(values: ArrayLike, what: str, dims: int) -> Floats:
    """As float64.

    Raises:
        DataError: another number of axes, no clip, or a value that is not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}: should be numbers, not {array.dtype}")
    if array.ndim != dims:
        raise DataError(f"{what}: should have {dims} axes, but its shape is {list(array.shape)}")
    if array.size == 0:
        raise DataError(f"{what}: is empty, its shape is {list(array.shape)}")
    array = array.astype(np.float64)
    if bad := int((~np.isfinite(array)).sum()):
        raise DataError(f"{what}: {bad} of {array.size} values are not finite")
    return array


def whole(labels: ArrayLike, what: str, n: int | None = None) -> Integers:
    """Classes `[n]` as int64.

    Raises:
        DataError: not one axis, another length than `n`, or not whole numbers from 0 up.
    """
    array: NDArray[Any] = np.asarray(labels)
    if array.ndim != 1:
        raise DataError(f"{what}: should be one class for each clip, [n], but its shape is {list(array.shape)}")
    if n is not None and len(array) != n:
        raise DataError(f"{what}: {len(array)} classes for {n} clips")
    if array.dtype.kind not in "iub":
        raise DataError(f"{what}: classes should be whole numbers, not {array.dtype}")
    if array.size and int(array.min()) < 0:
        raise DataError(f"{what}: classes should be 0, 1, ..., but there is {int(array.min())}")
    return array.astype(np.int64)
