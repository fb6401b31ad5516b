"""Moving shapes: generated clips of a coloured shape on black, with every factor labelled and independent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal, final

import attrs
import numpy as np
import torch
from attrs import field, frozen
from attrs.validators import and_, ge, in_, le

from rwae_datasets.shapes_drawing import (
    DIRECTIONS,
    MOTION_TYPES,
    MOTIONS,
    RADII,
    UNIT,
    Bytes,
    Ints,
    coverage,
    offsets,
    radius,
    reach,
    template_table,
)
from rwae_datasets.shapes_judge import ShapesJudge
from rwae_kit import Clips, DataError, DataInfo, Factor, Judge, JudgedDataset, did_you_mean

VERSION = "1"
"""Of the generator: another version draws other bytes."""
SPLITS = ("train", "validation", "test")
_CHUNK = 2**24
"""Pixels that are drawn at a time."""


@frozen(kw_only=True)
class Variant:
    """What tells the easy set from the hard one."""

    shapes: tuple[str, ...]
    colours: Mapping[str, tuple[int, int, int]]
    speeds: Mapping[str, tuple[int, int]]
    """Classes of speed, each from and to in 1/256 pixel a frame (at 32 pixels, 8 frames)."""


_COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}
VARIANTS: Mapping[str, Variant] = {
    "easy": Variant(
        shapes=("square", "ring", "triangle", "thin cross"),
        colours=_COLOURS,
        speeds={"medium": (307, 410)},  # 1.2 to 1.6
    ),
    "hard": Variant(
        shapes=("square", "circle", "triangle", "fat cross", "diamond"),
        colours={**_COLOURS, "white": (255, 255, 255), "orange": (255, 128, 0), "lime": (128, 255, 0), "violet": (128, 0, 255)},
        speeds={"slow": (179, 231), "medium": (294, 346), "fast": (409, 461)},  # 0.7 to 0.9, 1.15 to 1.35, 1.6 to 1.8
    ),
}


@final
class MovingShapes(JudgedDataset):
    """A shape of one size and colour that moves straight, diagonally or in a zig-zag, in one of four directions.

    Every factor is drawn uniformly and independently of the others, as are the speed and the centre of the path. The centre comes
    from one range for all motions, sizes and speeds, so the mean position does not tell the motion; the shape is inside the frame
    all the time. Drawing is integer arithmetic, and the draws are the raw stream of PCG64, which NumPy keeps (NEP 19), so the bytes
    are the same everywhere.

    Source: R-WAE App. I and Balaji et al. 2018 name the factors; sizes, colours, speeds and the drawing are ours. Diagonal motions
    are the four directions turned clockwise by 45 degrees. `hard` (ours) has shapes that look alike, more colours, and speeds that
    are labelled.
    """

    @frozen(kw_only=True)
    class Config:
        """Which clips to draw."""

        pixels: int = field(default=32, validator=and_(ge(32), le(256)), metadata={"help": "height and width of a frame"})
        length: int = field(default=8, validator=and_(ge(8), le(256)), metadata={"help": "frames in a clip, T"})
        train_clips: int = field(default=4096, validator=ge(1), metadata={"help": "clips to train on"})
        validation_clips: int = field(default=512, validator=ge(1), metadata={"help": "clips to validate on"})
        test_clips: int = field(default=1024, validator=ge(1), metadata={"help": "clips to test on"})
        seed: int = field(default=0, validator=ge(0), metadata={"help": "of all splits; each has its own stream"})
        variant: Literal["easy", "hard"] = field(
            default="easy", validator=in_(("easy", "hard")), metadata={"help": "hard: look-alike shapes, more colours and speeds"}
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.variant = VARIANTS[config.variant]

    def info(self) -> DataInfo:
        values = json.dumps({"generator": f"moving_shapes {VERSION}", **attrs.asdict(self.config)}, sort_keys=True)
        classes = {
            "shape": self.variant.shapes,
            "size": tuple(f"radius {r / UNIT:g}" for r in RADII),
            "colour": tuple(self.variant.colours),
            "motion": MOTIONS,
            "motion_type": MOTION_TYPES,
            "direction": DIRECTIONS,
            "speed": tuple(self.variant.speeds),
        }
        static = ("shape", "size", "colour")
        return DataInfo(
            name="moving_shapes",
            frame=(3, self.config.pixels, self.config.pixels),
            length=self.config.length,
            factors={
                name: Factor(classes=names, kind="static" if name in static else "dynamic")
                for name, names in classes.items()
                if len(names) > 1
            },
            hash=hashlib.sha256(values.encode()).hexdigest(),
            licence="none: generated",
            source="R-WAE App. I, after Balaji et al. 2018; drawn by rwae_datasets",
        )

    def clips(self, split: str) -> Clips:
        if split not in SPLITS:
            raise DataError(f"moving_shapes: unknown split {split!r}. {did_you_mean(split, SPLITS)}")
        labels, speed, centre = self._draw(split)
        position = centre[:, None] + offsets(labels["motion"], speed, self.config.length, self.config.pixels)
        frames = self._render(labels, position)
        info = self.info()
        factors = {name: torch.from_numpy(labels[name]) for name in info.factors}
        return Clips(info=info, frames=torch.from_numpy(frames), scale=1 / 255, factors=factors)

    def judge(self) -> Judge:
        return ShapesJudge(
            shapes=self.variant.shapes,
            colours=tuple(self.variant.colours.values()),
            speeds=tuple(self.variant.speeds.values()),
            pixels=self.config.pixels,
            length=self.config.length,
        )

    def _draw(self, split: str) -> tuple[dict[str, Ints], Ints, Ints]:
        """The labels, the speeds `[n]` and the centres `[n, 2]` of a split; more clips leave the first ones as they were."""
        n = {"train": self.config.train_clips, "validation": self.config.validation_clips, "test": self.config.test_clips}[split]
        stream = np.random.PCG64(np.random.SeedSequence(self.config.seed, spawn_key=(SPLITS.index(split),)))
        raw = stream.random_raw(n * 9).reshape(n, 9)
        counts = (len(self.variant.shapes), len(RADII), len(self.variant.colours), 3, 4, len(self.variant.speeds))
        names = ("shape", "size", "colour", "motion_type", "direction", "speed")
        drawn = (raw[:, :6] % np.array(counts, dtype=np.uint64)).astype(np.int64)
        labels = dict(zip(names, np.ascontiguousarray(drawn.T), strict=True))
        labels["motion"] = labels["motion_type"] * 4 + labels["direction"]
        ranges = np.array(list(self.variant.speeds.values()), dtype=np.uint64)[labels["speed"]]
        speed = (ranges[:, 0] + raw[:, 6] % (ranges[:, 1] - ranges[:, 0] + np.uint64(1))).astype(np.int64)
        middle = self.config.pixels * UNIT // 2
        room = middle - radius(1, self.config.pixels) - reach(int(ranges.max()), self.config.length, self.config.pixels)
        centre = middle - room + (raw[:, 7:] % np.uint64(2 * room + 1)).astype(np.int64)
        return labels, speed, centre

    def _render(self, labels: Mapping[str, Ints], position: Ints) -> Bytes:
        """Frames `[n, t, 3, pixels, pixels]` of shapes at positions `[n, t, 2]`."""
        n, t, pixels = len(position), self.config.length, self.config.pixels
        frames = np.empty((n, t, 3, pixels, pixels), np.uint8)
        palette = np.array(list(self.variant.colours.values()), dtype=np.uint16)[labels["colour"]]
        table = template_table(self.variant.shapes, pixels)
        kind = labels["shape"] * len(RADII) + labels["size"]
        chunk = max(1, _CHUNK // (t * pixels * pixels))
        for k, template in enumerate(table):
            for places in _pieces(np.flatnonzero(kind == k), chunk):
                drawn = coverage(template, position[places], pixels).astype(np.uint16)
                frames[places] = (drawn[:, :, None] * palette[places][:, None, :, None, None] + 8) >> 4
        return frames


def _pieces(places: Ints, size: int) -> list[Ints]:
    return [places[i : i + size] for i in range(0, len(places), size)]
