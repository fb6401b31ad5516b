"""A data set's clips as one HDF5 or npz file that other programs read.

The layout is that of the MSD benchmark: `data` `[N, T, ...]` (channels first), `labels` `[N, L]`, `train_indices`, `val_indices`,
`test_indices`, and `classes`, JSON that gives each factor its column, its kind and its classes. `mask` `[N, T]` and `about`, JSON
with value range, scale, frames a second, licence and source, are ours. In HDF5 `classes` and `about` are attributes of the file.
"""

from __future__ import annotations

import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwae_kit.data.clips import Clips, DataInfo
from rwae_kit.data.progress import tracked
from rwae_kit.errors import DataError

SPLIT_INDICES = {"train": "train_indices", "validation": "val_indices", "test": "test_indices"}
"""The arrays that hold the places of each split's clips."""
ABOUT = ("name", "value_range", "mean", "std", "fps", "licence", "source")
"""What `about` says of a `DataInfo`, beside the scale of the values."""
_CHUNK = 256
Array = NDArray[Any]


def export_clips(splits: Mapping[str, Clips], path: Path, form: Literal["hdf5", "npz"]) -> None:
    """Write all splits into one file; it appears at `path` whole, or not at all.

    Raises:
        DataError: something is at `path`, the splits differ in form, h5py is not installed, or the disk refuses.
    """
    if path.exists():
        raise DataError(f"{path}: there is something already. Remove it, or choose another name")
    first = next(iter(splits.values()))
    forms = {(one.scale, one.frames.dtype, one.mask is None) for one in splits.values()}
    if len(forms) > 1:
        raise DataError(f"{path}: the splits differ in scale, type or mask")
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (_Hdf5 if form == "hdf5" else _Npz)(partial) as file:
            _write(file, splits, first)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if partial.is_file():
            partial.unlink()


def _write(file: _File, splits: Mapping[str, Clips], first: Clips) -> None:
    total = sum(map(len, splits.values()))
    shape = (total, first.info.length, *first.info.frame)
    dtype = first.frames[:1].numpy().dtype
    file.stream("data", shape, dtype, _pieces([clips.frames for clips in splits.values()]))
    names = list(first.info.factors)
    columns = [torch.cat([clips.factors[name].cpu() for clips in splits.values()]).numpy() for name in names]
    file.array("labels", np.stack(columns, 1).astype(np.int64) if names else np.zeros((total, 0), np.int64))
    start = 0
    for split, clips in splits.items():
        file.array(SPLIT_INDICES.get(split, f"{split}_indices"), np.arange(start, start + len(clips)))
        start += len(clips)
    if first.mask is not None:
        masks = [clips.mask for clips in splits.values() if clips.mask is not None]
        file.array("mask", torch.cat([mask.cpu() for mask in masks]).numpy())
    file.text("classes", json.dumps(classes_of(first.info)))
    file.text("about", json.dumps({"scale": first.scale} | {key: getattr(first.info, key) for key in ABOUT}))


def classes_of(info: DataInfo) -> dict[str, dict[str, Any]]:
    """What `classes` says: of each factor its column, its kind, how many classes it has, and their numbers by name."""
    return {
        name: {
            "index": column,
            "type": factor.kind,
            "n_classes": len(factor.classes),
            "values": {word: number for number, word in enumerate(factor.classes)},
            "ignore": False,
        }
        for column, (name, factor) in enumerate(info.factors.items())
    }


def _pieces(frames: list[Tensor]) -> Iterator[Array]:
    places = [(part, start) for part in frames for start in range(0, len(part), _CHUNK)]
    for part, start in tracked(places, "writing"):
        yield np.ascontiguousarray(part[start : start + _CHUNK].cpu().numpy())


class _File(ABC):
    """A file that takes arrays by name, and closes when it is left."""

    @abstractmethod
    def stream(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], pieces: Iterator[Array]) -> None: ...

    @abstractmethod
    def array(self, name: str, values: Array) -> None: ...

    @abstractmethod
    def text(self, name: str, words: str) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @final
    def __enter__(self) -> _File:
        return self

    @final
    def __exit__(self, *_: object) -> None:
        self.close()


@final
class _Npz(_File):
    """What `numpy.load` reads; an array is written piece by piece."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def stream(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], pieces: Iterator[Array]) -> None:
        with self._file.open(f"{name}.npy", "w", force_zip64=True) as file:
            descr = np.lib.format.dtype_to_descr(dtype)
            np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
            for piece in pieces:
                file.write(piece.tobytes())

    def array(self, name: str, values: Array) -> None:
        self.stream(name, values.shape, values.dtype, iter([np.ascontiguousarray(values)]))

    def text(self, name: str, words: str) -> None:
        self.array(name, np.array(words))

    def close(self) -> None:
        self._file.close()


@final
class _Hdf5(_File):
    """By h5py; texts are attributes."""

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise DataError("HDF5 files are written by h5py, which is not installed: pip install 'rwae-kit[hdf5]'") from error
        self._file = h5py.File(path, "w")

    def stream(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], pieces: Iterator[Array]) -> None:
        data, row = self._file.create_dataset(name, shape, dtype), 0
        for piece in pieces:
            data[row : row + len(piece)] = piece
            row += len(piece)

    def array(self, name: str, values: Array) -> None:
        self._file.create_dataset(name, data=values)

    def text(self, name: str, words: str) -> None:
        self._file.attrs[name] = words

    def close(self) -> None:
        self._file.close()
