"""Looks through a data set: what there is of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor

from rwae_kit.data.clips import Clips, DataInfo
from rwae_kit.data.progress import tracked
from rwae_kit.data.store import Store, open_store
from rwae_kit.errors import DataError

Array = NDArray[Any]
_CHUNK = 256
_NAMED = 10
_SLACK = 1e-5
"""Share of the range by which rounding may leave it."""


@frozen(kw_only=True)
class Summary:
    """What there is in a split. `shortest` and `longest` are clips in frames without padding, `counts` clips by class."""

    clips: int
    frames: int
    shortest: int
    longest: int
    low: float
    high: float
    mean: float
    counts: Mapping[str, tuple[int, ...]] = field(factory=dict)


def summarise(clips: Clips) -> Summary:
    """Look through all clips of a split. Values are those of real frames."""
    lengths = torch.full((len(clips),), clips.info.length) if clips.mask is None else clips.mask.gt(0).sum(1)
    low, high, total, count = torch.inf, -torch.inf, 0.0, 0
    for x, _ in _pieces(clips):
        low, high = min(low, float(x.min())), max(high, float(x.max()))
        total += float(x.sum(dtype=torch.float64))
        count += x.numel()
    return Summary(
        clips=len(clips),
        frames=int(lengths.sum()),
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        low=low,
        high=high,
        mean=total / max(count, 1),
        counts={
            name: tuple(torch.bincount(labels.cpu(), minlength=len(clips.info.factors[name].classes)).tolist())
            for name, labels in clips.factors.items()
        },
    )


def check_clips(split: str, clips: Clips) -> list[str]:
    """What is wrong with the clips of a split: values that are not finite or outside the range, labels, masks."""
    found = []
    low, high = clips.info.value_range
    slack = _SLACK * (high - low)
    for x, start in _pieces(clips, whole=True):
        if not bool(torch.isfinite(x).all()):
            place = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0])
            found.append(f"{split}: clip {start + place} has values that are not finite")
            break
        if not low - slack <= float(x.min()) <= float(x.max()) <= high + slack:
            found.append(
                f"{split}: clips from {start} on have values {float(x.min()):g}..{float(x.max()):g}, outside {low:g}..{high:g}"
            )
            break
    found += _labels(split, clips.info, {name: labels.cpu().numpy() for name, labels in clips.factors.items()})
    return found + ([] if clips.mask is None else _mask(split, clips.mask))


def check_store(folder: Path) -> tuple[Store, list[str]]:
    """The store, its hashes verified, and what is wrong with its splits, labels and recordings.

    Raises:
        DataError: no store is there, or an array is damaged.
    """
    store = open_store(folder, verify=True)
    n, found = len(store.data), []
    ends = sorted(store.splits.values())
    starts = [0, *(stop for _, stop in ends)]
    if any(start != begin or stop <= start for (start, stop), begin in zip(ends, starts, strict=False)) or starts[-1] != n:
        found.append(f"the splits are {dict(store.splits)}, which do not lie one behind the other in {n} clips")
    found += _labels("the store", store.info, store.factors)
    if store.recordings is not None:
        found += _shared("recording", store, store.recordings, store.recording_names)
    if store.split_by in store.info.factors:
        found += _shared(store.split_by, store, store.factors[store.split_by], store.info.factors[store.split_by].classes)
    return store, found


def refuse(where: str, problems: Sequence[str]) -> None:
    """Raise `DataError` if there are problems; it names the first ten."""
    if problems:
        more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
        raise DataError(f"{where} is damaged: " + "; ".join([*problems[:_NAMED], *more]) + ". Build the data set again")


def _pieces(clips: Clips, whole: bool = False) -> Iterator[tuple[Tensor, int]]:
    """Values of some clips at a time, and where they begin; `whole`: padding too."""
    for start in tracked(range(0, len(clips), _CHUNK), "looking through"):
        batch = clips.batch(torch.arange(start, min(start + _CHUNK, len(clips))))
        yield batch.x if whole or batch.mask is None else batch.x[batch.mask > 0], start


def _labels(where: str, info: DataInfo, factors: Mapping[str, Array]) -> list[str]:
    found = []
    for name, labels in factors.items():
        classes = len(info.factors[name].classes)
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            place = int(np.argmax(wrong))
            found.append(f"{where}: clip {place} has the label {name} = {labels[place]}; its classes are 0..{classes - 1}")
    return found


def _mask(split: str, mask: Tensor) -> list[str]:
    fine = ((mask == 0) | (mask == 1)).all(1) & (mask[:, 1:] <= mask[:, :-1]).all(1) & (mask[:, 0] == 1)
    if bool(fine.all()):
        return []
    return [f"{split}: the mask of clip {int((~fine).nonzero()[0])} should be 1 for real frames, one or more, and 0 behind them"]


def _shared(what: str, store: Store, of_clip: Array, names: Sequence[str]) -> list[str]:
    owner: dict[int, str] = {}
    found = []
    for split, (start, stop) in store.splits.items():
        for one in np.unique(of_clip[start:stop]).tolist():
            name = names[one] if 0 <= one < len(names) else f"number {one}, which has no name,"
            if one in owner or not 0 <= one < len(names):
                found.append(f"{what} {name} is in {split}" + (f" and in {owner[one]}" if one in owner else ""))
            owner.setdefault(one, split)
    return found
