"""Clips from NumPy's files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, final

import numpy as np
from attrs import frozen

from rwae_datasets.array_file import ArrayOptions, file_in, write_arrays
from rwae_datasets.array_labels import ArrayFile
from rwae_kit import Clips, DataError, DataInfo, StoredDataset
from rwae_kit.data import open_built


@final
class Arrays(StoredDataset):
    """Clips in an npz or npy file, `[n, t, ...]`: images of bytes or floats, or vectors of floats, with labels by name.

    In an npz file every array `[n]` of whole numbers or words is a factor (`labels` chooses), `train_indices`, `val_indices` and
    `test_indices` are the splits (else they are drawn), and `mask` `[n, t]` is 0 where frames are padding. What `rwk data export`
    writes is read as it was.

    Source: ours; the names of the arrays are those of the MSD benchmark.
    """

    @frozen(kw_only=True)
    class Config(ArrayOptions):
        """Which arrays are what."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        path = file_in("arrays", config, source, (".npz", ".npy"))
        write_arrays("arrays", config, read_numpy(path, config.data), target)

    def info(self) -> DataInfo:
        return open_built("arrays", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("arrays", self.config).clips(split)


def read_numpy(path: Path, data: str) -> ArrayFile:
    """The arrays of a file; the one of an npy file goes by the name `data`. Python objects are never read: they could run code.

    Raises:
        DataError: it cannot be read, or has Python objects.
    """
    where = f"arrays: {path}"
    try:
        if path.suffix.lower() == ".npy":
            return ArrayFile(where=where, arrays={data: np.load(path, allow_pickle=False, mmap_mode="r")}, texts={})
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{where}: it has Python objects, which are not read. Save plain arrays of numbers or words") from error
        raise DataError(f"{where} cannot be read: {error}. It should be what numpy.save or numpy.savez writes") from error
    texts = {name: str(array) for name, array in arrays.items() if array.dtype.kind == "U" and array.ndim == 0}
    return ArrayFile(where=where, arrays={name: array for name, array in arrays.items() if name not in texts}, texts=texts)
