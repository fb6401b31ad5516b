"""A store from the arrays of one file, in the layout of the MSD benchmark or with labels by name: `arrays` and `hdf5` share it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import field, frozen
from attrs.validators import and_, ge, gt, in_, lt
from numpy.typing import NDArray

from rwae_datasets.array_labels import ArrayFile, labels_of
from rwae_datasets.array_splits import are_drawn, splits_of
from rwae_kit import DataError, DataInfo
from rwae_kit.data import BUILDS, in_order, new_store, tracked

Array = NDArray[Any]
_CHUNK = 256


def _range(instance: object, attribute: Any, value: tuple[float, ...]) -> None:
    if value and (len(value) != 2 or not value[0] < value[1]):
        raise ValueError(f"'{attribute.name}' must be empty or (low, high) with low < high: {list(value)}")


@frozen(kw_only=True)
class ArrayOptions:
    """Which arrays are what."""

    file: str = field(default="", metadata={"help": "the file's name in the source folder", **BUILDS})
    data: str = field(default="data", metadata={"help": "the array of the clips, [n, t, ...]", **BUILDS})
    channels: Literal["auto", "first", "last"] = field(
        default="auto",
        validator=in_(("auto", "first", "last")),
        metadata={"help": "where images have their channels; auto: where there are 1, 3 or 4 of them", **BUILDS},
    )
    labels: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "arrays [n] that are factors; empty: what `classes` tells, or all of whole numbers or words",
            **BUILDS,
        },
    )
    dynamic: tuple[str, ...] = field(
        default=(), metadata={"help": "factors that change within a clip, where `classes` does not tell", **BUILDS}
    )
    value_range: tuple[float, ...] = field(
        default=(), validator=_range, metadata={"help": "of values that are no bytes; empty: as found", **BUILDS}
    )
    splits: Literal["auto", "given", "draw"] = field(
        default="auto",
        validator=in_(("auto", "given", "draw")),
        metadata={"help": "given: train_indices, val_indices, test_indices; draw: at random; auto: given where they are", **BUILDS},
    )
    split_by: str = field(default="clip", metadata={"help": "draw: clip, or a label that no two splits share", **BUILDS})
    test: float = field(default=0.2, validator=and_(gt(0.0), lt(0.9)), metadata={"help": "draw: share that tests", **BUILDS})
    validation: float = field(
        default=0.1, validator=and_(gt(0.0), lt(0.5)), metadata={"help": "draw: share that validates", **BUILDS}
    )
    seed: int = field(default=0, validator=ge(0), metadata={"help": "draw: of the splits", **BUILDS})


def file_in(name: str, options: ArrayOptions, source: Path, endings: tuple[str, ...]) -> Path:
    """The file that is meant.

    Raises:
        DataError: none is named and there is not exactly one, or it is not there.
    """
    found = sorted(path.name for path in source.iterdir() if path.suffix.lower() in endings)
    if not options.file:
        listed = f"there are {', '.join(found[:10])}" if found else f"there is no {' or '.join(endings)} in {source}"
        raise DataError(f"{name}: which file is meant? Name it, --set file=NAME; {listed}")
    path = source / options.file
    if not path.is_file():
        raise DataError(f"{name}: {path} is not there" + (f"; there are {', '.join(found[:10])}" if found else ""))
    return path


def write_arrays(name: str, options: ArrayOptions, file: ArrayFile, target: Path) -> None:
    """Write the store.

    Raises:
        DataError: arrays that are missing or do not fit, values that are not finite, labels out of range, or empty splits.
    """
    data = _array(file, options.data)
    n, about = data.shape[0], _about(file)
    form = _form(file, options, data)
    labels = labels_of(file, options, n)
    split = splits_of(file, options, labels, n)
    rows = [row for row in range(n) if split[row]]
    order, sizes = in_order([split[row] for row in rows])
    mask = _mask(file, data.shape[:2])
    as_bytes = data.dtype == np.uint8
    info = DataInfo(
        name=name,
        frame=form.frame,
        length=data.shape[1],
        value_range=_value_range(file, options, about.value_range, data),
        mean=about.mean,
        std=about.std,
        factors=labels.factors,
        fps=about.fps,
        licence=about.licence,
        source=about.source,
    )
    place = {rows[k]: row for row, k in enumerate(order)}
    scale = about.scale if as_bytes else 1.0
    dtype = "uint8" if as_bytes else "float32"
    split_by = options.split_by if options.split_by in labels.factors and are_drawn(file, options) else ""
    with new_store(
        target,
        info=info,
        splits=sizes,
        dtype=dtype,
        scale=scale,
        channels=form.channels,
        masked=mask is not None,
        split_by=split_by,
    ) as store:
        for start in tracked(range(0, n, _CHUNK), "writing"):
            clips = _clips(data, start, form)
            for row in range(start, start + len(clips)):
                if row in place:
                    own = {factor: values[row] for factor, values in labels.values.items()}
                    store.put(place[row], clips[row - start][None], own, None if mask is None else mask[row][None])


@frozen(kw_only=True)
class _About:
    value_range: tuple[float, ...] = field(validator=_range)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = field(validator=gt(0))
    fps: float = field(validator=gt(0))
    licence: str
    source: str


@frozen(kw_only=True)
class _Form:
    frame: tuple[int, ...]
    channels: Literal["first", "last"]
    added: bool
    """An axis for the one channel is missing."""


def _array(file: ArrayFile, name: str) -> Any:
    if name not in file.arrays:
        raise DataError(f"{file.where}: there is no array {name!r}; there are {', '.join(sorted(file.arrays)) or 'none'}")
    data = file.arrays[name]
    if len(data.shape) not in (3, 4, 5) or 0 in data.shape:
        raise DataError(
            f"{file.where}: {name!r} is {tuple(data.shape)}; clips are [n, t, features], or images, [n, t, height, width] or with "
            f"channels"
        )
    if data.dtype != np.bool_ and data.dtype != np.uint8 and data.dtype.kind != "f":
        raise DataError(f"{file.where}: {name!r} is of type {data.dtype}, which has no known range. It should be uint8 or floats")
    return data


def _form(file: ArrayFile, options: ArrayOptions, data: Any) -> _Form:
    shape = tuple(int(size) for size in data.shape[2:])
    if len(shape) == 1:
        return _Form(frame=shape, channels="first", added=False)
    if len(shape) == 2:
        return _Form(frame=(1, *shape), channels="first", added=True)
    first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
    if options.channels == "auto" and first == last:
        raise DataError(
            f"{file.where}: frames are {shape}, which does not tell where their channels are: --set channels=first, or last"
        )
    if options.channels == "first" or (options.channels == "auto" and first):
        return _Form(frame=shape, channels="first", added=False)
    return _Form(frame=(shape[2], *shape[:2]), channels="last", added=False)


def _clips(data: Any, start: int, form: _Form) -> Array:
    """Some clips from `start` on, as they are stored."""
    clips = np.asarray(data[start : start + _CHUNK])
    if clips.dtype != np.uint8:
        clips = clips.astype(np.float32)
    return clips[:, :, None] if form.added else clips


def _about(file: ArrayFile) -> _About:
    """What the file says of itself, beyond the layout.

    Raises:
        DataError: it cannot be read.
    """
    try:
        told = json.loads(file.texts.get("about", "{}"))
        return _About(
            value_range=tuple(float(value) for value in told.get("value_range", ())),
            mean=tuple(float(value) for value in told.get("mean", ())),
            std=tuple(float(value) for value in told.get("std", ())),
            scale=float(told.get("scale", 1 / 255)),
            fps=float(told.get("fps", 8.0)),
            licence=str(told.get("licence", "the user's")),
            source=str(told.get("source", "the user's")),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file.where}: 'about' is damaged: {error}") from error


def _value_range(file: ArrayFile, options: ArrayOptions, told: tuple[float, ...], data: Any) -> tuple[float, float]:
    """Of bytes (0, 1); else what is asked for or told, else (0, 1) or (-1, 1) where the values fit, else their own.

    Raises:
        DataError: values that are not finite, outside the range, or all the same.
    """
    if data.dtype == np.uint8:
        return (0.0, 1.0)
    low, high = _bounds(file, options, data)
    if wanted := options.value_range or told:
        if not wanted[0] <= low <= high <= wanted[1]:
            raise DataError(f"{file.where}: value_range is {wanted}, but the values of {options.data!r} are {low:g}..{high:g}")
        return wanted[0], wanted[1]
    usual = [one for one in ((0.0, 1.0), (-1.0, 1.0)) if one[0] <= low and high <= one[1]]
    if not usual and low == high:
        raise DataError(f"{file.where}: every value of {options.data!r} is {low:g}; there is nothing to learn")
    return usual[0] if usual else (low, high)


def _bounds(file: ArrayFile, options: ArrayOptions, data: Any) -> tuple[float, float]:
    """The least and the greatest value."""
    low, high = math.inf, -math.inf
    for start in tracked(range(0, data.shape[0], _CHUNK), "looking at values"):
        values = np.asarray(data[start : start + _CHUNK]).astype(np.float32)
        if not (finite := np.isfinite(values)).all():
            place = [int(i) for i in np.argwhere(~finite)[0]]
            where = f"clip {start + place[0]}, frame {place[1]}, at {tuple(place[2:])}"
            raise DataError(f"{file.where}: {options.data!r} has {values[tuple(place)]} in {where}. All values must be finite")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def _mask(file: ArrayFile, shape: tuple[int, ...]) -> Array | None:
    if "mask" not in file.arrays:
        return None
    mask = np.asarray(file.arrays["mask"], dtype=np.float32)
    if mask.shape != tuple(shape) or not np.isin(mask, (0, 1)).all() or (np.diff(mask, axis=1) > 0).any() or not mask[:, 0].all():
        raise DataError(
            f"{file.where}: 'mask' should be {tuple(shape)}, of each clip 1 for its real frames, one or more, and 0 behind them"
        )
    return mask
