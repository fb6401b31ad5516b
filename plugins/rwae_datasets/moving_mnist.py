"""Stochastic moving MNIST: one or two digits that bounce off the walls of the frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

import attrs
import numpy as np
import torch
from attrs import field, frozen
from attrs.validators import and_, ge, in_, le

from rwae_datasets.digit_images import BUNDLED_SHA256, Bytes, DigitImages, Ints, bundled, read_idx_folder, resized
from rwae_datasets.digit_paths import BOUNCES, DIRECTIONS, SPEEDS, STARTS, Paths, draw_paths
from rwae_kit import Clips, DataError, DataInfo, Factor, StoredDataset, did_you_mean
from rwae_kit.data import data_root, new_store, open_store

VERSION = "1"
"""Of the generator: another version draws other bytes."""
SPLITS = ("train", "validation", "test")
PAIRS = tuple((a, b) for a in range(10) for b in range(a, 10))
_DIGITS = tuple(str(digit) for digit in range(10))
_PAIR_OF = np.array([[PAIRS.index((min(a, b), max(a, b))) for b in range(10)] for a in range(10)], dtype=np.int64)


def _even(instance: object, attribute: Any, value: int) -> None:
    if value % 2:
        raise ValueError(f"'{attribute.name}' must be even: {value}")


@final
class MovingMNIST(StoredDataset):
    """One or two handwritten digits that move straight until a wall, and from there at random; scikit-learn's need no build.

    The images are MNIST's where its files were given once (`rwk data build moving_mnist --source DIR`), else the 1797 that
    scikit-learn brings along. Training, validation and test clips show different images of digits. Of two digits the first is the
    smaller one, so that the labels can be told from the frames; where both are on a pixel their values are added, 255 at most.
    Drawing is integer arithmetic, and the draws are the raw stream of PCG64, so the bytes are the same everywhere; every frame size
    shows the same paths.

    Source: R-WAE App. C (one digit), C-DSVAE Sec. 4 (two, T = 15); Denton & Fergus 2018 for a digit of half the frame's width and
    speeds of -4..4 pixels a frame in a frame of 64. Ours: no digit stands still, starts are 4 pixels from the walls or more, and a
    digit leaves every wall that it touches.
    """

    needs_no_build = True

    @frozen(kw_only=True)
    class Config:
        """Which clips to draw."""

        digits: int = field(default=1, validator=and_(ge(1), le(2)), metadata={"help": "digits in a frame: 1 or 2"})
        pixels: int = field(
            default=64, validator=and_(ge(16), le(256), _even), metadata={"help": "height and width of a frame, even"}
        )
        length: int = field(default=8, validator=and_(ge(2), le(1024)), metadata={"help": "frames in a clip, T"})
        train_clips: int = field(default=10_000, validator=ge(1), metadata={"help": "clips to train on"})
        validation_clips: int = field(default=1_000, validator=ge(1), metadata={"help": "clips to validate on"})
        test_clips: int = field(default=10_000, validator=ge(1), metadata={"help": "clips to test on"})
        seed: int = field(default=0, validator=ge(0), metadata={"help": "of all splits; each has its own streams"})
        images: Literal["any", "mnist", "bundled"] = field(
            default="any",
            validator=in_(("any", "mnist", "bundled")),
            metadata={"help": "mnist: from its files; bundled: scikit-learn's; any: mnist where it was built, else bundled"},
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        found = read_idx_folder(source)
        seen = found["train"]
        kept = len(seen.images) - len(seen.images) // 10
        splits = {
            "train": DigitImages(images=seen.images[:kept], digits=seen.digits[:kept]),
            "validation": DigitImages(images=seen.images[kept:], digits=seen.digits[kept:]),
            "test": found["test"],
        }
        shapes = {part.images.shape[1:] for part in splits.values()}
        if len(shapes) != 1 or any(len(part.images) == 0 for part in splits.values()):
            raise DataError(
                f"moving_mnist: {source}: images are of sizes {sorted(shapes)}; one size, and ten or more of each split"
            )
        info = DataInfo(
            name="moving_mnist",
            frame=(1, *shapes.pop()),
            length=1,
            factors={"digit": Factor(classes=_DIGITS, kind="static")},
            source="MNIST, LeCun, Cortes and Burges",
        )
        sizes = {split: len(part.images) for split, part in splits.items()}
        with new_store(target, info=info, splits=sizes, dtype="uint8", scale=1 / 255) as store:
            row = 0
            for part in splits.values():
                store.put(row, part.images[:, None, None], {"digit": part.digits})
                row += len(part.images)

    def info(self) -> DataInfo:
        folder = self._folder()
        options = {key: value for key, value in attrs.asdict(self.config).items() if key != "images"}
        images = BUNDLED_SHA256 if folder is None else open_store(folder).info.hash
        values = json.dumps({"generator": f"moving_mnist {VERSION}", "images": images, **options}, sort_keys=True)
        return DataInfo(
            name="moving_mnist",
            frame=(1, self.config.pixels, self.config.pixels),
            length=self.config.length,
            factors=self._factors(),
            hash=hashlib.sha256(values.encode()).hexdigest(),
            licence="the clips: none, generated; the images: " + ("CC BY 4.0" if folder is None else "CC BY-SA 3.0"),
            source="R-WAE App. C, C-DSVAE Sec. 4, drawn by rwae_datasets; images: "
            + ("UCI optical recognition of handwritten digits, by scikit-learn" if folder is None else "MNIST"),
        )

    def clips(self, split: str) -> Clips:
        if split not in SPLITS:
            raise DataError(f"moving_mnist: unknown split {split!r}. {did_you_mean(split, SPLITS)}")
        pool = self._pool(split)
        n = {"train": self.config.train_clips, "validation": self.config.validation_clips, "test": self.config.test_clips}[split]
        chosen = self._choose(n, split, pool)
        glyphs = resized(pool.images, self.config.pixels // 2)
        frames = np.zeros((n, self.config.length, 1, self.config.pixels, self.config.pixels), np.uint8)
        labels: dict[str, Ints] = {}
        for k in range(self.config.digits):
            paths = draw_paths(n, self.config.length, (SPLITS.index(split), 1 + k), self.config.seed)
            _add(frames[:, :, 0], glyphs, chosen[:, k], paths)
            suffix = f"_{k + 1}" if self.config.digits > 1 else ""
            labels |= {f"digit{suffix}": pool.digits[chosen[:, k]]}
            labels |= {f"{name}{suffix}": values for name, values in paths.labels.items()}
        if self.config.digits > 1:
            labels["pair"] = _PAIR_OF[labels["digit_1"], labels["digit_2"]]
        info = self.info()
        factors = {name: torch.from_numpy(labels[name]) for name in info.factors}
        return Clips(info=info, frames=torch.from_numpy(frames), scale=1 / 255, factors=factors)

    def _choose(self, n: int, split: str, pool: DigitImages) -> Ints:
        """Which images each clip shows, `[n, digits]`, the smaller digit first."""
        key = np.random.SeedSequence(self.config.seed, spawn_key=(SPLITS.index(split), 0))
        raw = np.random.PCG64(key).random_raw(n * 2).reshape(n, 2)[:, : self.config.digits]
        chosen = (raw % np.uint64(len(pool.images))).astype(np.int64)
        order = np.argsort(pool.digits[chosen], axis=1, kind="stable")
        return np.take_along_axis(chosen, order, axis=1)

    def _factors(self) -> Mapping[str, Factor]:
        moving = {"start": STARTS, "direction": DIRECTIONS, "speed": SPEEDS, "bounces": BOUNCES}
        if self.config.digits == 1:
            return {"digit": Factor(classes=_DIGITS, kind="static")} | {
                name: Factor(classes=classes, kind="dynamic") for name, classes in moving.items()
            }
        pairs = tuple(f"{a} and {b}" for a, b in PAIRS)
        return (
            {"pair": Factor(classes=pairs, kind="static")}
            | {f"digit_{k}": Factor(classes=_DIGITS, kind="static") for k in (1, 2)}
            | {f"{name}_{k}": Factor(classes=classes, kind="dynamic") for k in (1, 2) for name, classes in moving.items()}
        )

    def _folder(self) -> Path | None:
        """The store of MNIST's images; None for the bundled ones."""
        folder = data_root() / "moving_mnist"
        if self.config.images == "bundled" or (self.config.images == "any" and not folder.exists()):
            return None
        if not folder.exists():
            raise DataError(
                f"moving_mnist: {folder} is not there. Build it once from MNIST's files: rwk data build moving_mnist --source DIR. "
                "Or take scikit-learn's digits: images = 'bundled'"
            )
        return folder

    def _pool(self, split: str) -> DigitImages:
        folder = self._folder()
        if folder is None:
            return bundled()[split]
        clips = open_store(folder).clips(split)
        return DigitImages(images=clips.frames[:, 0, 0].numpy(), digits=clips.factors["digit"].numpy())


def _add(frames: Bytes, glyphs: Bytes, chosen: Ints, paths: Paths) -> None:
    """Draw each clip's image along its path into frames `[n, t, pixels, pixels]`, all that stand at one place at a time."""
    pixels, side = frames.shape[-1], glyphs.shape[-1]
    corner = (paths.corner * pixels + 32) // 64
    place = (corner[..., 1] * (pixels + 1) + corner[..., 0]).ravel()
    order = np.argsort(place, kind="stable")
    first = np.flatnonzero(np.diff(place[order], prepend=-1))
    flat = frames.reshape(-1, pixels, pixels)
    for members in np.split(order, first[1:]):
        y, x = divmod(int(place[members[0]]), pixels + 1)
        window = flat[members, y : y + side, x : x + side]
        drawn = glyphs[chosen[members // frames.shape[1]]]
        flat[members, y : y + side, x : x + side] = window + np.minimum(drawn, 255 - window)
