"""Which tiles each Triton program runs with: a table, no autotuning; tests hold that they compile without spills.

Plain data: importing it needs no triton.
"""

from __future__ import annotations

from math import ceil

from attrs import frozen

SMALL_UP_TO = 1024
"""Largest number of draws of a side that one launch takes as they are; more are packed first."""
WHOLE_UP_TO = 128
"""Largest d whose draws a program holds whole; beyond it goes by chunks."""
CHUNK = 64


@frozen
class Tiles:
    """Rows and columns of a tile of pairs, warps of a program, stages of its loop."""

    rows: int
    columns: int
    warps: int
    stages: int

    @property
    def launch(self) -> dict[str, int | bool]:
        """How a program is compiled; what Triton would choose by itself changes from version to version."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}


DIRECT = {1: Tiles(512, 8, 4, 2), 2: Tiles(256, 8, 4, 2), 3: Tiles(256, 8, 4, 2)}
"""By d, up to three coordinates: a multiple of 32 rows for each warp, so that a thread sums alone."""
DIRECT_FEW = {1: Tiles(128, 16, 4, 2), 2: Tiles(128, 8, 4, 2), 3: Tiles(128, 16, 4, 2)}
"""The same for problems whose rows together do not fill a card."""
PACK = Tiles(64, 0, 4, 2)
FLUSH = 64
"""Tiles after which a pull leaves the registers."""

SMALL = {16: Tiles(64, 32, 4, 2), 32: Tiles(16, 64, 4, 2), 64: Tiles(16, 64, 4, 2), 128: Tiles(16, 32, 4, 2)}
"""By padded d. Few rows, so that a training step's few problems make many programs; at 16, 64 cost a program no more than 32 do."""
FILLS = 16384
"""Rows of all problems from which larger blocks of them fill a card."""

# (compute capability's first number, padded d or 0 for chunks, three products instead of one)
ROWS = {
    (8, 16, False): Tiles(128, 64, 4, 3), (8, 16, True): Tiles(128, 64, 8, 3),
    (8, 32, False): Tiles(128, 64, 4, 3), (8, 32, True): Tiles(128, 64, 8, 3),
    (8, 64, False): Tiles(128, 64, 8, 3), (8, 64, True): Tiles(128, 32, 8, 3),
    (8, 128, False): Tiles(64, 64, 4, 2), (8, 128, True): Tiles(32, 64, 4, 2),
    (8, 0, False): Tiles(64, 64, 4, 2), (8, 0, True): Tiles(32, 64, 4, 2),
    (9, 16, False): Tiles(128, 128, 8, 3), (9, 16, True): Tiles(128, 64, 8, 3),
    (9, 32, False): Tiles(128, 128, 8, 3), (9, 32, True): Tiles(128, 64, 8, 3),
    (9, 64, False): Tiles(128, 128, 8, 3), (9, 64, True): Tiles(128, 64, 8, 3),
    (9, 128, False): Tiles(128, 64, 8, 3), (9, 128, True): Tiles(32, 64, 4, 2),
    (9, 0, False): Tiles(128, 64, 8, 2), (9, 0, True): Tiles(64, 64, 4, 2),
}  # fmt: skip
VALUES = {
    (8, 16, False): Tiles(128, 64, 8, 3), (8, 16, True): Tiles(128, 64, 8, 3),
    (8, 32, False): Tiles(128, 64, 8, 3), (8, 32, True): Tiles(128, 64, 4, 3),
    (8, 64, False): Tiles(128, 64, 8, 3), (8, 64, True): Tiles(128, 64, 8, 2),
    (8, 128, False): Tiles(128, 64, 8, 2), (8, 128, True): Tiles(128, 32, 4, 2),
    (8, 0, False): Tiles(64, 64, 4, 2), (8, 0, True): Tiles(64, 64, 4, 2),
    (9, 16, False): Tiles(128, 128, 8, 3), (9, 16, True): Tiles(128, 128, 8, 3),
    (9, 32, False): Tiles(128, 128, 8, 3), (9, 32, True): Tiles(128, 128, 8, 3),
    (9, 64, False): Tiles(128, 128, 8, 3), (9, 64, True): Tiles(128, 128, 8, 3),
    (9, 128, False): Tiles(128, 128, 8, 2), (9, 128, True): Tiles(128, 64, 8, 2),
    (9, 0, False): Tiles(128, 64, 8, 2), (9, 0, True): Tiles(128, 64, 8, 2),
}  # fmt: skip


def padded(d: int) -> tuple[int, int]:
    """The size to which draws of size d are padded, and what of it a program takes at once.

    Example:
        >>> padded(12), padded(79), padded(130)
        ((16, 16), (128, 128), (192, 64))
    """
    if d > WHOLE_UP_TO:
        return CHUNK * ceil(d / CHUNK), CHUNK
    size = max(16, 1 << (d - 1).bit_length())
    return size, size


def family(capability: int) -> int:
    """The part of the table for a card: Hopper has its own; what all others run fits the least shared memory among them (99 KB)."""
    return 9 if capability == 9 else 8


def small_tiles(d: int) -> Tiles:
    """For draws that one launch takes as they are."""
    return SMALL[padded(d)[0]]


def direct_tiles(d: int, rows: int) -> Tiles:
    """For up to three coordinates, and `rows` rows in all problems together."""
    return (DIRECT if rows >= FILLS else DIRECT_FEW)[d]


def large_tiles(capability: int, d: int, *, three: bool, gradient: bool) -> Tiles:
    """For a card, a size of draws, and what is computed."""
    return (ROWS if gradient else VALUES)[family(capability), padded(d)[0] if d <= WHOLE_UP_TO else 0, three]
