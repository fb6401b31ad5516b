"""The paths of bouncing squares in integer arithmetic, so that every machine draws the same."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ROOM = 32
"""A frame is 64 units wide and a digit 32, so its corner is at 0..32."""
FASTEST = 4
"""Units that a digit moves in a frame along an axis, at most."""
DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
SPEEDS = ("slow", "medium", "fast")
"""At the start: up to 2, up to 3, and up to 4 units a frame along the faster axis."""
BOUNCES = ("0", "1", "2", "3 or more")
STARTS = tuple(f"{row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "centre", "right"))

_WIDTH = ROOM - 2 * FASTEST + 1
"""Of the range of starts."""
_VELOCITIES = np.array([(x, y) for y in range(-4, 5) for x in range(-4, 5) if (x, y) != (0, 0)], dtype=np.int64)


@frozen(kw_only=True, eq=False)
class Paths:
    """Corners `[n, t, 2]` as (x, y) in units, y down, and what is labelled of each path, `[n]`."""

    corner: Ints
    labels: dict[str, Ints]


def draw_paths(n: int, length: int, key: tuple[int, ...], seed: int) -> Paths:
    """Paths at constant velocity until they touch a wall; there a new velocity is drawn that leads away from it.

    They start so far from the walls that the first step is whole. The draws of the start and those of each time are streams of
    their own: more paths leave the first ones as they were, and longer ones begin as shorter ones.
    """
    start = _raw(n, (*key, 0), seed, 2)
    corner = np.empty((n, length, 2), np.int64)
    corner[:, 0] = FASTEST + np.stack([start[:, 0] % _WIDTH, start[:, 0] // _WIDTH % _WIDTH], 1)
    first = _VELOCITIES[start[:, 1] % len(_VELOCITIES)]
    velocity, bounces = first.copy(), np.zeros(n, np.int64)
    for t in range(1, length):
        moved = corner[:, t - 1] + velocity
        corner[:, t] = moved.clip(0, ROOM)
        away = np.where((moved <= 0) & (velocity < 0), 1, np.where((moved >= ROOM) & (velocity > 0), -1, 0))
        hit = np.any(away != 0, axis=1)
        raw = _raw(n, (*key, t), seed, 2)
        fresh = np.where(away != 0, away * (1 + raw % FASTEST), raw % (2 * FASTEST + 1) - FASTEST)
        velocity = np.where(hit[:, np.newaxis], fresh, velocity)
        bounces += hit
    place = (corner[:, 0] - FASTEST) * 3 // _WIDTH
    labels = {
        "start": place[:, 1] * 3 + place[:, 0],
        "direction": _direction(first),
        "speed": np.maximum(abs(first).max(1), 2) - 2,
        "bounces": np.minimum(bounces, len(BOUNCES) - 1),
    }
    return Paths(corner=corner, labels=labels)


def _direction(velocity: Ints) -> Ints:
    """The place among `DIRECTIONS` that is nearest, of velocities `[n, 2]`.

    Between two of them lies tan 22.5 degrees = 0.414; the sides of a velocity have a ratio of up to 1/3, or from 1/2 on.
    """
    size = abs(velocity)
    way = np.where(5 * size > 2 * size.max(1, keepdims=True), np.sign(velocity), 0)
    turns = np.array([[5, 6, 7], [4, 0, 0], [3, 2, 1]])  # by the way down and the way right, each from -1 to 1
    return np.asarray(turns[way[:, 1] + 1, way[:, 0] + 1], dtype=np.int64)


def _raw(n: int, key: tuple[int, ...], seed: int, numbers: int) -> Ints:
    """Numbers `[n, numbers]` of 0..2^63-1 from the raw stream of PCG64, which NumPy keeps (NEP 19)."""
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))
    return (stream.random_raw(n * numbers) >> np.uint64(1)).astype(np.int64).reshape(n, numbers)
