"""Labels from the arrays of a file: as `classes` tells, as the MSD benchmark has them, or arrays by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from rwae_kit import DataError, Factor
from rwae_kit.data import SPLIT_INDICES

_RESERVED = ("mask", *SPLIT_INDICES.values())


@frozen(kw_only=True, eq=False)
class ArrayFile:
    """The arrays of a file by name, as they are read on demand, and its texts."""

    where: str
    """Begins every error: the data set and the file."""
    arrays: Mapping[str, Any]
    texts: Mapping[str, str]


@frozen(kw_only=True, eq=False)
class Labels:
    """Factors, and the class of every clip `[n]` by factor."""

    factors: dict[str, Factor] = field(factory=dict)
    values: dict[str, NDArray[np.int64]] = field(factory=dict)


def labels_of(file: ArrayFile, options: Any, n: int) -> Labels:
    """The labels of `n` clips.

    Raises:
        DataError: labels that are missing, of another number, or out of range; an option that names none.
    """
    where, arrays, classes = file.where, file.arrays, file.texts.get("classes")
    told = classes is not None and not options.labels
    found = _by_classes(where, arrays, classes or "", n) if told else _by_name(where, arrays, options, n)
    if unknown := [name for name in options.dynamic if name not in found.factors]:
        raise DataError(f"{where}: dynamic names {', '.join(unknown)}, but the factors are {', '.join(found.factors) or 'none'}")
    return found


def _by_classes(where: str, arrays: Mapping[str, Any], classes: str, n: int) -> Labels:
    """`labels` `[n, L]`, and of each factor: index, type, n_classes, values (name to number), and perhaps ignore."""
    if "labels" not in arrays:
        raise DataError(f"{where}: 'classes' tells of factors, but there is no array 'labels' with them")
    labels = np.asarray(arrays["labels"])
    if labels.ndim != 2 or len(labels) != n or labels.dtype.kind not in "iu":
        raise DataError(f"{where}: 'labels' is {labels.dtype} {labels.shape}; it should be whole numbers, [{n}, factors]")
    factors, values = {}, {}
    try:
        for name, about in json.loads(classes).items():
            if about.get("ignore", False):
                continue
            column, count = int(about["index"]), int(about["n_classes"])
            if not 0 <= column < labels.shape[1]:
                raise DataError(f"{where}: 'classes' puts {name!r} in column {column} of 'labels', which has {labels.shape[1]}")
            if about["type"] not in ("static", "dynamic"):
                raise DataError(f"{where}: 'classes' calls {name!r} {about['type']!r}; a factor is static or dynamic")
            words = {int(number): str(word) for word, number in about.get("values", {}).items()}
            values[name] = _in_range(where, name, labels[:, column], count)
            factors[name] = Factor(classes=tuple(words.get(i, str(i)) for i in range(count)), kind=about["type"])
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(
            f"{where}: 'classes' should be JSON, of each factor index, type, n_classes and values: {type(error).__name__}: {error}"
        ) from error
    return Labels(factors=factors, values=values)


def _by_name(where: str, arrays: Mapping[str, Any], options: Any, n: int) -> Labels:
    """Arrays `[n]` of whole numbers, which are classes, or of words."""
    usual = [
        name
        for name, values in arrays.items()
        if name not in (options.data, *_RESERVED) and values.shape == (n,) and values.dtype.kind in "iuU"
    ]
    factors, found = {}, {}
    for name in options.labels or usual:
        if name not in arrays:
            raise DataError(f"{where}: labels names {name!r}, but the arrays are {', '.join(sorted(arrays))}")
        values = np.asarray(arrays[name])
        if values.shape != (n,) or values.dtype.kind not in "iuU":
            raise DataError(
                f"{where}: labels {name!r} are {values.dtype} {values.shape}; they should be [{n}], whole numbers or words"
            )
        if values.dtype.kind == "U":
            words, numbers = np.unique(values, return_inverse=True)
            classes, labels = tuple(str(word) for word in words), numbers.reshape(-1).astype(np.int64)
        else:
            labels = _in_range(where, name, values, None)
            classes = tuple(str(i) for i in range(int(labels.max()) + 1))
        found[name] = labels
        factors[name] = Factor(classes=classes, kind="dynamic" if name in options.dynamic else "static")
    return Labels(factors=factors, values=found)


def _in_range(where: str, name: str, labels: NDArray[Any], count: int | None) -> NDArray[np.int64]:
    wrong = (labels < 0) | (labels >= count) if count is not None else labels < 0
    if wrong.any():
        place = int(np.argmax(wrong))
        wanted = f"0..{count - 1}" if count is not None else "from 0 on"
        raise DataError(f"{where}: clip {place} has the label {name} = {labels[place]}; its classes are {wanted}")
    return labels.astype(np.int64)
