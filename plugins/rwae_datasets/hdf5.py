"""Clips from HDF5 files in the layout of the MSD benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, final

from attrs import field, frozen
from attrs.validators import in_

from rwae_datasets.array_file import ArrayOptions, file_in, write_arrays
from rwae_datasets.array_labels import ArrayFile
from rwae_kit import Clips, DataError, DataInfo, StoredDataset
from rwae_kit.data import BUILDS, open_built


@final
class Hdf5(StoredDataset):
    """Clips in an HDF5 file as the MSD benchmark has them: `data`, `labels` `[N, L]`, indices of the splits, and `classes`.

    `data` is `[N, T, ...]`, bytes or floats, channels first or last. The attribute `classes` is JSON that says of each factor its
    column (`index`), `type` (static or dynamic), `n_classes`, `values` (name to number), and perhaps `ignore`, which leaves it out.

    Source: the MSD benchmark (Multi-factor Sequential Disentanglement) for the layout; `mask` and `about` are ours, as
    `rwk data export` writes them.
    """

    @frozen(kw_only=True)
    class Config(ArrayOptions):
        """Which arrays are what."""

        splits: Literal["auto", "given", "draw"] = field(
            default="given",
            validator=in_(("auto", "given", "draw")),
            metadata={
                "help": "given: train_indices, val_indices, test_indices; draw: at random; auto: given where they are",
                **BUILDS,
            },
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise DataError("hdf5: files are read by h5py, which is not installed: pip install 'rwae-kit[hdf5]'") from error
        path = file_in("hdf5", config, source, (".h5", ".hdf5", ".hdf"))
        try:
            with h5py.File(path, "r") as file:
                arrays = {name: value for name, value in file.items() if isinstance(value, h5py.Dataset)}
                texts = {name: _text(value) for name, value in file.attrs.items() if isinstance(value, str | bytes)}
                if "classes" not in texts and not config.labels and "labels" in arrays:
                    raise DataError(f"hdf5: {path}: there is no attribute 'classes', which says what the columns of 'labels' are")
                write_arrays("hdf5", config, ArrayFile(where=f"hdf5: {path}", arrays=arrays, texts=texts), target)
        except OSError as error:
            raise DataError(f"hdf5: {path} cannot be read: {error}") from error

    def info(self) -> DataInfo:
        return open_built("hdf5", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("hdf5", self.config).clips(split)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
