"""The drawing of moving shapes: paths and anti-aliased templates in integer arithmetic, so that every machine draws the same bytes.

Lengths are in units of 1/16 pixel and are stated for 32 pixels; they grow with the frame. y points down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

UNIT = 16
"""Units in a pixel."""
SUBSAMPLES = 4
"""Sample points along each side of a pixel: coverage is 0..16."""
BASE = 32
"""The frame size for which lengths and speeds are stated."""
RADII = (80, 120)
"""5 and 7.5 pixels."""
MOTION_TYPES = ("straight", "diagonal", "zig-zag")
DIRECTIONS = ("right", "down", "left", "up")
MOTIONS = tuple(f"{kind} {direction}" for kind in MOTION_TYPES for direction in DIRECTIONS)

_HEADINGS = np.array([(256, 0), (181, 181), (0, 256), (-181, 181), (-256, 0), (-181, -181), (0, -256), (181, -181)], dtype=np.int64)
"""Unit vectors (x, y) in 1/256, clockwise by 45 degrees; 181/256 stands for the root of 1/2."""

Inside = Callable[[Ints, Ints, int], NDArray[np.bool_]]
INSIDE: Mapping[str, Inside] = {
    "square": lambda x, y, r: np.maximum(abs(x), abs(y)) * 8 <= 7 * r,
    "ring": lambda x, y, r: (x * x + y * y <= r * r) & ((x * x + y * y) * 25 >= 9 * r * r),
    "triangle": lambda x, y, r: (2 * y <= r) & (443 * abs(x) <= 256 * (y + r)),
    "thin cross": lambda x, y, r: (np.minimum(abs(x), abs(y)) * 5 <= r) & (np.maximum(abs(x), abs(y)) <= r),
    "circle": lambda x, y, r: x * x + y * y <= r * r,
    "fat cross": lambda x, y, r: (np.minimum(abs(x), abs(y)) * 20 <= 9 * r) & (np.maximum(abs(x), abs(y)) <= r),
    "diamond": lambda x, y, r: abs(x) + abs(y) <= r,
}
"""Whether a point lies in the shape of radius r around the origin; none reaches further than r along either axis.

443/256 stands for the root of 3: the triangle is equilateral, and the origin is its centroid."""


def radius(size: int, pixels: int) -> int:
    """The radius of a size class in units."""
    return RADII[size] * pixels // BASE


def paths(length: int) -> Ints:
    """Where each motion leads at unit speed, less its mean over time: `[12, t, 2]` as (x, y), in 1/(256 * length) of a step.

    A zig-zag's heading is turned by +45 and -45 degrees in turn, four times in a clip (every 2 frames of 8).
    """
    step = np.arange(length - 1)
    zigzag = np.where(step // max(2, length // 4) % 2 == 0, 1, -1)
    turns = np.stack([0 * step, 0 * step + 1, zigzag])  # in 45 degrees
    heading = (turns[:, None] + 2 * np.arange(4)[None, :, None]) % 8
    walked: Ints = np.zeros((len(MOTIONS), length, 2), np.int64)
    np.cumsum(_HEADINGS[heading.reshape(len(MOTIONS), -1)], axis=1, out=walked[:, 1:])
    mean: Ints = walked.sum(axis=1, keepdims=True)  # times length
    return walked * length - mean


def offsets(motion: Ints, speed: Ints, length: int, pixels: int) -> Ints:
    """Positions around a path's centre in units: motions `[n]` at speeds `[n]` in 1/256 pixel a frame to `[n, t, 2]`.

    Speeds are stated for 8 frames of 32 pixels; a path is as long, relative to the frame, at any length and size.
    """
    numerator = paths(length)[motion] * (speed[:, None, None] * pixels * UNIT * 7)
    denominator = 256 * length * 256 * BASE * (length - 1)
    return (numerator + denominator // 2) // denominator


def reach(speed: int, length: int, pixels: int) -> int:
    """The largest distance from the centre along an axis, in units, over all motions at that speed."""
    return int(abs(offsets(np.arange(12), np.full(12, speed), length, pixels)).max())


def templates(shape: str, size: int, pixels: int) -> Bytes:
    """Coverage 0..16 of a shape for each phase of its centre within a pixel: `[16, 16, w, w]` with phases (y, x).

    At phase (i, j) the centre lies i / 16 and j / 16 pixel below and right of the upper left corner of pixel (w // 2, w // 2).
    """
    r = radius(size, pixels)
    half = r // UNIT + 2
    at = np.arange(2 * half * SUBSAMPLES, dtype=np.int64) * (UNIT // SUBSAMPLES) + UNIT // SUBSAMPLES // 2 - half * UNIT
    phase = np.arange(UNIT)
    drawn = np.empty((UNIT, UNIT, 2 * half, 2 * half), np.uint8)
    x = at[None, None, :] - phase[:, None, None]  # [phase x, 1, w * 4]
    for i in range(UNIT):
        inside = INSIDE[shape](x, at[None, :, None] - i, r).reshape(UNIT, 2 * half, SUBSAMPLES, 2 * half, SUBSAMPLES)
        drawn[i] = inside.sum(axis=(2, 4), dtype=np.uint8)
    return drawn


@frozen(kw_only=True, eq=False)
class Template:
    """The templates of one shape and size, and the window's half width."""

    drawn: Bytes
    half: int


def template_table(shapes: Sequence[str], pixels: int) -> list[Template]:
    """Templates of every shape and size, at the place `shape * 2 + size`."""
    drawn = [templates(shape, size, pixels) for shape in shapes for size in range(len(RADII))]
    return [Template(drawn=d, half=d.shape[-1] // 2) for d in drawn]


def coverage(template: Template, position: Ints, pixels: int) -> Bytes:
    """Coverage 0..16 of a shape at positions `[n, t, 2]` (x, y) in units: `[n, t, pixels, pixels]`."""
    n, t, _ = position.shape
    half, margin = template.half, template.half
    canvas = np.zeros((n, t, pixels + 2 * margin, pixels + 2 * margin), np.uint8)
    corner, phase = position // UNIT + margin - half, position % UNIT
    window = np.arange(2 * half)
    rows = corner[..., 1, None, None] + window[:, None]
    columns = corner[..., 0, None, None] + window
    clip, frame = np.arange(n)[:, None, None, None], np.arange(t)[:, None, None]
    canvas[clip, frame, rows, columns] = template.drawn[phase[..., 1], phase[..., 0]]
    return canvas[..., margin:-margin, margin:-margin]
