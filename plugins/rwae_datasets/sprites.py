"""Sprites: characters of the Liberated Pixel Cup in nine actions, built from the layer sheets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import attrs
import numpy as np
import torch
from attrs import field, frozen
from attrs.validators import and_, ge, in_, le
from numpy.typing import NDArray
from PIL import Image

from rwae_kit import Clips, DataError, DataInfo, Factor, StoredDataset, did_you_mean
from rwae_kit.data import Store, data_root, new_store, open_store

LAYERS = ("body", "bottomwear", "topwear", "hair")
"""From below to above; shoes come last. A character's code has one digit to the base 6 for each, body first."""
SHEET = (832, 1344)
"""Width and height of a layer sheet: 13 x 21 cells of 64 pixels."""
CHARACTERS, TRAIN = 6**4, 1000
CELLS: Mapping[str, Sequence[int]] = {
    "walk front": (138, 131, 132, 133, 134, 135, 136, 137),
    "walk left": (125, 118, 119, 120, 121, 122, 123, 124),
    "walk right": (151, 144, 145, 146, 147, 148, 149, 150),
    "spellcard front": (26, 27, 28, 29, 30, 31, 30, 32),
    "spellcard left": (13, 14, 15, 16, 17, 18, 17, 19),
    "spellcard right": (39, 40, 41, 42, 43, 44, 43, 45),
    "slash front": (182, 183, 184, 185, 186, 187, 186, 182),
    "slash left": (169, 170, 171, 172, 173, 174, 173, 169),
    "slash right": (195, 196, 197, 198, 199, 200, 199, 195),
}
"""Of each action, in the order of its classes, the cells (13 * row + column) of its eight frames."""
SPLITS = ("train", "validation", "test")
_CHUNK = 256
Bytes = NDArray[np.uint8]


@final
class Sprites(StoredDataset):
    """1296 characters, told by skin, pants, top and hair, who walk, cast a spell or slash, seen from the front, left or right.

    The store holds uint8 `[11664, 8, 64, 64, 3]`: first 9000 clips of 1000 characters to train on, then 2664 of the other 296 to
    test on. A pixel's value is `byte / 256`, as published. Rows are in the order of the published files, one for each action: all
    characters of "walk front", then all of "walk left", and so on; the characters in the published (permuted) order. The published
    loader shuffles the training clips when it reads them; that order is no property of the files and is left out.

    Opened, the split "validation" is the last `validation_characters` of the training characters, and "train" the others.

    Source: Li & Mandt 2018 and github.com/YingzhenLi/Sprites. The validation split and the smaller frames (means over blocks of
    pixels, rounded) are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """How to open the store."""

        pixels: Literal[64, 32, 16] = field(
            default=64, validator=in_((64, 32, 16)), metadata={"help": "height and width: 64, 32 or 16"}
        )
        validation_characters: int = field(
            default=100,
            validator=and_(ge(1), le(999)),
            metadata={"help": "characters taken out of the training set to validate on"},
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        order = np.random.RandomState(423).permutation(CHARACTERS)
        write_characters(source, target, train=order[:TRAIN].tolist(), test=order[TRAIN:].tolist())

    def info(self) -> DataInfo:
        return self._info(self._store())

    def clips(self, split: str) -> Clips:
        if split not in SPLITS:
            raise DataError(f"sprites: unknown split {split!r}. {did_you_mean(split, SPLITS)}")
        store = self._store()
        rows = self._rows(store, split)
        return Clips(
            info=self._info(store),
            frames=_frames(store.data, rows, self.config.pixels),
            scale=store.scale,
            factors={name: torch.from_numpy(labels[rows]) for name, labels in store.factors.items()},
        )

    def _store(self) -> Store:
        folder = data_root() / "sprites"
        if not folder.is_dir():
            raise DataError(f"sprites: not built yet ({folder} is not there). Build it once: rwk data build sprites --source DIR")
        return open_store(folder)

    def _info(self, store: Store) -> DataInfo:
        options = f"{store.info.hash} {self.config.pixels} {self.config.validation_characters}"
        frame = (3, self.config.pixels, self.config.pixels)
        return attrs.evolve(store.info, frame=frame, hash=hashlib.sha256(options.encode()).hexdigest())

    def _rows(self, store: Store, split: str) -> NDArray[np.int64]:
        start, stop = store.splits["test" if split == "test" else "train"]
        rows = np.arange(start, stop).reshape(len(CELLS), -1)
        if split == "test":
            return rows.ravel()
        kept = rows.shape[1] - self.config.validation_characters
        if kept < 1:
            raise DataError(
                f"sprites: validation_characters = {self.config.validation_characters}, but the store has {rows.shape[1]}"
            )
        return (rows[:, :kept] if split == "train" else rows[:, kept:]).ravel()


def write_characters(source: Path, target: Path, *, train: Sequence[int], test: Sequence[int]) -> None:
    """Write the clips of the characters with these codes into a store.

    Raises:
        DataError: a sheet is missing or damaged, or the store cannot be written.
    """
    layers = read_layers(source)
    classes = {"action": tuple(CELLS)} | {name: tuple(f"{name} {i}" for i in range(6)) for name in ("skin", "pants", "top", "hair")}
    info = DataInfo(
        name="sprites",
        frame=(3, 64, 64),
        length=8,
        factors={name: Factor(classes=c, kind="dynamic" if name == "action" else "static") for name, c in classes.items()},
        licence="CC-BY-SA 3.0 or GPL 3.0 (Liberated Pixel Cup)",
        source="github.com/YingzhenLi/Sprites",
    )
    sizes = {"train": len(train) * len(CELLS), "test": len(test) * len(CELLS)}
    with new_store(target, info=info, splits=sizes, dtype="uint8", scale=1 / 256, channels="last") as store:
        first = 0
        for codes in (train, test):
            for i, code in enumerate(codes):
                digits = [code // 6**k % 6 for k in (3, 2, 1, 0)]
                labels = dict(zip(("skin", "pants", "top", "hair"), digits, strict=True))
                for action, clip in enumerate(compose(layers, digits)):
                    store.put(first + action * len(codes) + i, clip[None], {"action": action, **labels})
            first += len(codes) * len(CELLS)


def read_layers(source: Path) -> dict[str, Image.Image]:
    """The cells that are used of every layer, by "folder/number": RGBA images of 72 cells, one below the other.

    Raises:
        DataError: a sheet is missing, cannot be read or has another size.
    """
    names = [f"{layer}/{i}" for layer in LAYERS for i in range(6)] + ["shoes/1"]
    missing = [f"{name}.png" for name in names if not (source / f"{name}.png").is_file()]
    if missing:
        raise DataError(
            f"sprites: {source} lacks {', '.join(missing)}. It needs body, bottomwear, topwear and hair, each with 0.png to 5.png, "
            "and shoes/1.png, as in the folder of the LPC layer sheets"
        )
    return {name: _read_sheet(source / f"{name}.png") for name in names}


def compose(layers: Mapping[str, Image.Image], digits: Sequence[int]) -> Bytes:
    """The nine clips `[9, 8, 64, 64, 3]` of a character: its layers, composed on opaque black."""
    parts = [f"{layer}/{digit}" for layer, digit in zip(LAYERS, digits, strict=True)] + ["shoes/1"]
    image = Image.new("RGBA", layers[parts[0]].size, (0, 0, 0, 255))
    for part in parts:
        image.alpha_composite(layers[part])
    return np.asarray(image.convert("RGB"), dtype=np.uint8).reshape(len(CELLS), 8, 64, 64, 3)


def _read_sheet(path: Path) -> Image.Image:
    wanted = f"It should be a PNG image of {SHEET[0]} x {SHEET[1]} pixels"
    try:
        with Image.open(path) as opened:
            sheet = opened.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"sprites: {path} cannot be read: {error}. {wanted}") from error
    if sheet.size != SHEET:
        raise DataError(f"sprites: {path} is {sheet.size[0]} x {sheet.size[1]} pixels. {wanted}")
    cells = [cell for action in CELLS.values() for cell in action]
    strip = Image.new("RGBA", (64, 64 * len(cells)))
    for i, cell in enumerate(cells):
        row, column = divmod(cell, 13)
        strip.paste(sheet.crop((64 * column, 64 * row, 64 * column + 64, 64 * row + 64)), (0, 64 * i))
    return strip


def _frames(data: Bytes, rows: NDArray[np.int64], pixels: int) -> torch.Tensor:
    """Rows of `[n, 8, 64, 64, 3]` as `[k, 8, 3, pixels, pixels]`, in chunks."""
    frames = np.empty((len(rows), 8, 3, pixels, pixels), np.uint8)
    side = 64 // pixels
    for start in range(0, len(rows), _CHUNK):
        clips: NDArray[Any] = data[rows[start : start + _CHUNK]]
        total = _block_sums(_block_sums(clips, 2, side), 3, side)
        clips = ((total + side * side // 2) // (side * side)).astype(np.uint8)
        frames[start : start + _CHUNK] = np.moveaxis(clips, -1, 2)
    return torch.from_numpy(frames)


def _block_sums(clips: NDArray[Any], axis: int, side: int) -> NDArray[np.uint16]:
    """Sums over blocks of `side` along an axis; 16 bytes at most, so 16 bits are enough."""
    blocks = np.moveaxis(clips, axis, 0)
    total = blocks[::side].astype(np.uint16)
    for i in range(1, side):
        total += blocks[i::side]
    return np.moveaxis(total, 0, axis)
