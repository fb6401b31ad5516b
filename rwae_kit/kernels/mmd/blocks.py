"""Which pairs are computed together: the squares (x, x), (y, y), (x, y) of every problem, cut into blocks that fit a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil, isqrt

from attrs import frozen


@frozen
class Block:
    """Pairs of rows of one side and columns of another, of some problems. Rows and columns count from the side's first draw."""

    sides: str
    groups: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Problems, rows, columns."""
        return self.groups[1] - self.groups[0], self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def size(self) -> int:
        """Pairs."""
        g, r, c = self.shape
        return g * r * c

    @property
    def on_diagonal(self) -> bool:
        """Whether it holds pairs i = j."""
        return self.rows == self.columns

    @property
    def mirrored(self) -> bool:
        """Whether it also stands for its mirror image, which is not in the plan."""
        return self.sides != "xy" and not self.on_diagonal


def plan(g: int, n: int, m: int, limit: int) -> Iterator[tuple[Block, ...]]:
    """Batches of blocks of at most `limit` pairs; (x, x) and (y, y) without what lies below their diagonal blocks.

    Small problems come whole and many at once; large ones in square blocks, one at a time.
    """
    pairs = n * n + m * m + n * m
    if pairs <= limit:
        together = max(1, limit // pairs)
        for start in range(0, g, together):
            groups = (start, min(g, start + together))
            yield tuple(Block(s, groups, (0, r), (0, c)) for s, r, c in (("xx", n, n), ("yy", m, m), ("xy", n, m)))
        return
    edge = isqrt(limit)
    for group in range(g):
        for sides, r, c in (("xx", n, n), ("yy", m, m), ("xy", n, m)):
            columns = cuts(c, edge)
            for i, rows in enumerate(cuts(r, edge)):
                for j in range(0 if sides == "xy" else i, len(columns)):
                    yield (Block(sides, (group, group + 1), rows, columns[j]),)


def cuts(n: int, longest: int) -> list[tuple[int, int]]:
    """Cut 0 .. n into pieces of nearly equal length, none longer than `longest`."""
    pieces = ceil(n / longest)
    places = [n * piece // pieces for piece in range(pieces + 1)]
    return list(pairwise(places))
