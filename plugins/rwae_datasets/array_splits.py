"""Splits from the arrays of a file, or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from rwae_datasets.array_labels import ArrayFile, Labels
from rwae_kit import DataError
from rwae_kit.data import SPLIT_INDICES, split_groups


def are_drawn(file: ArrayFile, options: Any) -> bool:
    """Whether splits are drawn."""
    return options.splits == "draw" or (options.splits == "auto" and file.arrays.keys().isdisjoint(SPLIT_INDICES.values()))


def splits_of(file: ArrayFile, options: Any, labels: Labels, n: int) -> list[str]:
    """The split of each of `n` clips; "" for one that is in none.

    Raises:
        DataError: indices that are missing, out of range or given twice, a split that is empty; too few clips to draw splits.
    """
    if are_drawn(file, options):
        return _drawn(file, options, labels, n)
    split = [""] * n
    for name, key in SPLIT_INDICES.items():
        if key not in file.arrays:
            raise DataError(
                f"{file.where}: there is no array {key!r}, which says what the split {name!r} is. To draw splits: --set splits=draw"
            )
        index = np.asarray(file.arrays[key])
        if index.ndim != 1 or index.dtype.kind not in "iu" or len(index) == 0:
            raise DataError(f"{file.where}: {key!r} should be places of clips, [k] numbers; it is {index.dtype} {index.shape}")
        if not 0 <= int(index.min()) <= int(index.max()) < n:
            raise DataError(f"{file.where}: {key!r} has {index.min()}..{index.max()}, but there are clips 0..{n - 1}")
        for place in index.tolist():
            if split[place]:
                raise DataError(f"{file.where}: clip {place} is in {key!r}, and before that in {SPLIT_INDICES[split[place]]!r}")
            split[place] = name
    return split


def _drawn(file: ArrayFile, options: Any, labels: Labels, n: int) -> list[str]:
    if options.split_by != "clip" and options.split_by not in labels.values:
        raise DataError(
            f"{file.where}: split_by = {options.split_by!r}, but it should be clip or one of {', '.join(labels.values) or 'none'}"
        )
    groups = [str(place) for place in range(n)] if options.split_by == "clip" else [str(v) for v in labels.values[options.split_by]]
    try:
        of = split_groups(groups, {"validation": options.validation, "test": options.test}, options.seed)
    except DataError as error:
        raise DataError(f"{file.where}: split_by = {options.split_by!r}: {error}") from error
    return [of[group] for group in groups]
