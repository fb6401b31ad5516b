"""The native store: a folder with a data set's arrays, their description and their hashes.

- `data.npy`: clips `[n, t, ...]`, uint8 or float, read through a memory map.
- `factors.npy`: labels `[n, factors]`, in the order of the description; `mask.npy`: `[n, t]`, only where clips are padded.
- `recordings.npy`: `[n]`, which recording a clip was cut from, where that is known; their names are in the description.
- `left_out.txt`: the files that gave no clip, each with the reason, where there are any.
- `dataset.json`: a `DataInfo`, the splits as ranges of rows, the scale, where the channels stand, size and sha256 of every array.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import attrs
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from rwae_kit.data.clips import Clips, DataInfo
from rwae_kit.errors import DataError, did_you_mean

FORMAT = 1
_DESCRIPTION = "dataset.json"
_ARRAYS = ("data.npy", "factors.npy", "mask.npy", "recordings.npy")
LEFT_OUT = "left_out.txt"
"""In a store: files that gave no clip."""
Array = NDArray[Any]


def data_root() -> Path:
    """The folder of built stores: the environment's `RWAE_DATA`, or `rwae_kit` in the user's cache folder."""
    if chosen := os.environ.get("RWAE_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "rwae_kit" / "data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rwae_kit" / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rwae_kit" / "data"


@frozen(kw_only=True, eq=False)
class Store:
    """An open store. `data` `[n, t, ...]` lies on the disk; `factors` per name `[n]`, `mask` `[n, t]`, `recordings` `[n]` do not.

    `recordings` are places in `recording_names`. No two splits share a recording, nor a class of the factor `split_by`, if any.
    """

    folder: Path
    info: DataInfo
    splits: Mapping[str, tuple[int, int]]
    scale: float
    channels: Literal["first", "last"]
    data: Array
    factors: Mapping[str, Array]
    mask: Array | None
    recordings: Array | None = None
    recording_names: tuple[str, ...] = ()
    split_by: str = ""

    def clips(self, split: str) -> Clips:
        """The clips of a split, channel first; their frames stay on the disk until they are read.

        Raises:
            DataError: the split is unknown.
        """
        if split not in self.splits:
            raise DataError(f"{self.folder}: unknown split {split!r}. {did_you_mean(split, self.splits)}")
        rows = slice(*self.splits[split])
        frames = torch.from_numpy(self.data[rows])
        return Clips(
            info=self.info,
            frames=frames.movedim(-1, 2) if self.channels == "last" else frames,
            scale=self.scale,
            factors={name: torch.from_numpy(labels[rows]) for name, labels in self.factors.items()},
            mask=None if self.mask is None else torch.from_numpy(self.mask[rows]),
            recordings=None if self.recordings is None else torch.from_numpy(self.recordings[rows]),
        )


class StoreWriter:
    """Takes clips in any order, row by row; `new_store` makes one."""

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        factors: tuple[str, ...],
        masked: bool,
        recorded: bool,
    ) -> None:
        self._file, self._shape, self._dtype = file, shape, dtype
        np.lib.format.write_array_header_1_0(
            file, {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(dtype)}
        )
        self._start = file.tell()
        self._written = np.zeros(shape[0], bool)
        self.factors = {name: np.full(shape[0], -1, np.int64) for name in factors}
        self.mask = np.zeros(shape[:2], np.float32) if masked else None
        self.recordings = np.full(shape[0], -1, np.int64) if recorded else None

    def put(
        self, row: int, clips: Array, factors: Mapping[str, Any], mask: Array | None = None, recording: int | None = None
    ) -> None:
        """Write clips `[k, t, ...]` to the rows from `row` on; a factor is `[k]`, or one class for all of them.

        Arguments:
            recording: place among the names of the recordings, where the store has them.

        Raises:
            DataError: another shape or type than declared, or factors that are not the declared ones.
        """
        rows = slice(row, row + len(clips))
        if clips.shape[1:] != self._shape[1:] or clips.dtype != self._dtype or not 0 <= row <= rows.stop <= self._shape[0]:
            raise DataError(f"rows {row}..{rows.stop - 1}: {clips.dtype} {clips.shape} do not fit {self._dtype} {self._shape}")
        given = (set(factors), mask is None, recording is None)
        if given != (set(self.factors), self.mask is None, self.recordings is None):
            raise DataError(
                f"rows {row}..{rows.stop - 1}: factors {sorted(factors)}, mask and recording are not those declared: "
                f"{sorted(self.factors)}"
            )
        self._file.seek(self._start + row * int(np.prod(self._shape[1:])) * self._dtype.itemsize)
        self._file.write(np.ascontiguousarray(clips).tobytes())
        for name, labels in factors.items():
            self.factors[name][rows] = labels
        if self.mask is not None:
            self.mask[rows] = mask
        if self.recordings is not None and recording is not None:
            self.recordings[rows] = recording
        self._written[rows] = True

    def check(self) -> None:
        """Raise `DataError` where a row was never written."""
        if not self._written.all():
            raise DataError(f"row {int(np.argmin(self._written))} of {len(self._written)} was never written")


@contextmanager
def new_store(
    target: Path,
    *,
    info: DataInfo,
    splits: Mapping[str, int],
    dtype: str,
    scale: float,
    channels: Literal["first", "last"] = "first",
    masked: bool = False,
    recordings: Sequence[str] = (),
    split_by: str = "",
    left_out: Sequence[str] = (),
) -> Iterator[StoreWriter]:
    """Write a store; it appears at `target` whole, or not at all.

    Plain writes, not a memory map: a full disk is then an error that can be told, not a SIGBUS. It is written beside `target`, in a
    folder that goes if anything fails; what a killed build of this machine left there is removed first.

    Arguments:
        info: its hash is replaced by that of the arrays.
        splits: names to numbers of clips, in the order of the rows.
        recordings: names of what clips were cut from; no two splits may share one.
        split_by: a factor of which no class is in two splits, if any.
        left_out: a line for each file that gave no clip.

    Raises:
        DataError: something is at `target` already, rows are missing, or the disk refuses.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target}: there is something already. Remove it to build the data set anew")
    frame = (*info.frame[1:], info.frame[0]) if channels == "last" else info.frame
    shape = (sum(splits.values()), info.length, *frame)
    partial = target.with_name(f".{target.name}.partial-{_machine()}-{os.getpid()}")
    try:
        remove_abandoned(target)
        partial.mkdir(parents=True)
        with (partial / "data.npy").open("wb") as file:
            writer = StoreWriter(file, shape, np.dtype(dtype), tuple(info.factors), masked, bool(recordings))
            yield writer
            writer.check()
            _settle(file)
        if left_out:
            (partial / LEFT_OUT).write_text("\n".join([*left_out, ""]), encoding="utf-8")
        groups = {"recordings": list(recordings), "split_by": split_by}
        _finish(partial, writer, info, splits, {"scale": scale, "channels": channels, **groups})
        if target.is_dir():
            target.rmdir()
        partial.replace(target)
    except OSError as error:
        raise DataError(f"{target}: cannot write the store: {error.strerror or error}") from error
    finally:
        if partial.exists():
            shutil.rmtree(partial)


def remove_abandoned(target: Path) -> None:
    """Remove what builds of `target` left behind that were killed on this machine; those that still run are left alone."""
    for path in target.parent.glob(f".{target.name}.partial-*"):
        machine, _, process = path.name.rpartition("partial-")[2].rpartition("-")
        if machine == _machine() and process.isdigit() and not _runs(int(process)):
            shutil.rmtree(path)


def _machine() -> str:
    return socket.gethostname()


def _runs(process: int) -> bool:
    if sys.platform == "win32":  # there a signal of 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_store(folder: Path, splits: Mapping[str, Clips]) -> None:
    """Write the splits of one data set into a store.

    Raises:
        DataError: as `new_store`; or splits that differ in information, scale, type or mask.
    """
    first = next(iter(splits.values()))
    for name, clips in splits.items():
        if (clips.info, clips.scale, clips.frames.dtype, clips.mask is None) != (
            first.info,
            first.scale,
            first.frames.dtype,
            first.mask is None,
        ):
            raise DataError(f"{folder}: split {name!r} differs from the first one in information, scale, type or mask")
    sizes = {name: len(clips) for name, clips in splits.items()}
    dtype = str(first.frames.dtype).removeprefix("torch.")
    with new_store(folder, info=first.info, splits=sizes, dtype=dtype, scale=first.scale, masked=first.mask is not None) as store:
        row = 0
        for clips in splits.values():
            mask = None if clips.mask is None else clips.mask.cpu().numpy()
            factors = {name: labels.cpu().numpy() for name, labels in clips.factors.items()}
            store.put(row, clips.frames.cpu().numpy(), factors, mask)
            row += len(clips)


def open_store(folder: Path, *, verify: bool = False) -> Store:
    """Open a store; the size of every array is checked at once, its hash where `verify` asks for it (a second per gigabyte).

    Raises:
        DataError: no store is there, or it is damaged.
    """
    description = folder / _DESCRIPTION
    try:
        values = json.loads(description.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no data store is there ({_DESCRIPTION} is missing)") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{description}: cannot be read: {error}. Build the data set again") from error
    try:
        if values["format"] != FORMAT:
            raise DataError(
                f"{description}: format {values['format']!r}, but this version reads format {FORMAT}. Build the data set again"
            )
        arrays = {name: _open_array(folder / name, about, verify) for name, about in values["arrays"].items()}
        info = DataInfo.from_dict(values["info"])
        labels = arrays["factors.npy"]
        return Store(
            folder=folder,
            info=info,
            splits={name: (int(start), int(stop)) for name, (start, stop) in values["splits"].items()},
            scale=float(values["scale"]),
            channels=values["channels"],
            data=arrays["data.npy"],
            factors={name: np.ascontiguousarray(labels[:, i]) for i, name in enumerate(info.factors)},
            mask=arrays.get("mask.npy"),
            recordings=arrays.get("recordings.npy"),
            recording_names=tuple(values.get("recordings", ())),
            split_by=values.get("split_by", ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{description}: {type(error).__name__}: {error}. It is damaged: build the data set again") from error


def _open_array(path: Path, about: Mapping[str, Any], verify: bool) -> Array:
    if path.name not in _ARRAYS:
        raise ValueError(f"unknown array {path.name!r}")
    size = path.stat().st_size if path.is_file() else 0
    if size != about["bytes"]:
        raise DataError(f"{path}: {size} bytes, but {_DESCRIPTION} says {about['bytes']}. It is damaged: build the data set again")
    if verify and (found := _sha256(path)) != about["sha256"]:
        raise DataError(
            f"{path}: sha256 is {found}, but {_DESCRIPTION} says {about['sha256']}. It is damaged: build the data set again"
        )
    array: Array = np.load(path, mmap_mode="c")  # copy on write: the file stays as it is
    if [*array.shape] != about["shape"] or str(array.dtype) != about["dtype"]:
        raise DataError(f"{path}: {array.dtype} {array.shape}, but {_DESCRIPTION} says {about['dtype']} {about['shape']}")
    return array if path.name == "data.npy" else np.array(array)


def _finish(folder: Path, writer: StoreWriter, info: DataInfo, splits: Mapping[str, int], more: Mapping[str, Any]) -> None:
    """Write what stands beside the data: labels, mask, recordings and, last, the description."""
    rows = len(writer._written)
    _save(folder / "factors.npy", np.stack(list(writer.factors.values()), 1) if writer.factors else np.zeros((rows, 0), np.int64))
    if writer.mask is not None:
        _save(folder / "mask.npy", writer.mask)
    if writer.recordings is not None:
        _save(folder / "recordings.npy", writer.recordings)
    arrays = {}
    for path in sorted(folder.glob("*.npy")):
        array = np.load(path, mmap_mode="r")
        about = {"shape": [*array.shape], "dtype": str(array.dtype), "bytes": path.stat().st_size, "sha256": _sha256(path)}
        arrays[path.name] = about
    hashed = hashlib.sha256("".join(str(about["sha256"]) for about in arrays.values()).encode()).hexdigest()
    ends = np.cumsum([0, *splits.values()]).tolist()
    values = {
        "format": FORMAT,
        "info": attrs.evolve(info, hash=hashed).to_dict(),
        "splits": {name: [start, stop] for name, start, stop in zip(splits, ends[:-1], ends[1:], strict=True)},
        **more,
        "arrays": arrays,
    }
    with (folder / _DESCRIPTION).open("wb") as file:
        file.write(json.dumps(values, indent=1).encode())
        _settle(file)


def _save(path: Path, array: Array) -> None:
    with path.open("wb") as file:
        np.save(file, array)
        _settle(file)


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
