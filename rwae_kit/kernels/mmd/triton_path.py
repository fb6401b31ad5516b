"""The Triton path: which program a problem goes to, and with what. Nothing here waits for the device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from importlib.util import find_spec
from math import ceil, sqrt

import torch
from torch import Tensor

from rwae_kit.kernels.mmd import triton_table as table
from rwae_kit.kernels.mmd.chains import chains
from rwae_kit.kernels.mmd.mixtures import GaussianMixture, Mixture
from rwae_kit.kernels.mmd.pointwise import direct, length
from rwae_kit.kernels.mmd.problem import Problem, Result, centre, inverse_totals

LEAST_CAPABILITY = (8, 0)
ROW_LIMIT = 2**31
"""Offsets that a program of small problems counts in 32 bits."""


def interpreted() -> bool:
    """Whether Triton runs its programs in Python, on the CPU: slow, and exact enough for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def is_installed() -> bool:
    """Whether triton can be imported."""
    return find_spec("triton") is not None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_there() -> bool:
    """Whether it can run here: triton is installed, and there is a card for it or the interpreter is switched on."""
    return is_installed() and (interpreted() or _has_card())


@lru_cache(maxsize=1)
def _has_card() -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= LEAST_CAPABILITY


@lru_cache(maxsize=64)
def links(kernel: Mixture) -> tuple[tuple[tuple[float, int, float, float], ...], float]:
    """The mixture as programs compile it in (see `triton_kernels.common.mixture`), divided by a strength that they multiply with.

    That the first value is 1, and of a mixture with equal weights every one, saves programs a multiplication.
    """
    if isinstance(kernel, GaussianMixture):
        found = [
            (chain.rate if place == 0 else 0.0, link.squarings, link.weight, link.weight * link.rate)
            for chain in chains(kernel)[1]
            for place, link in enumerate(chain.links)
        ]
    else:
        pairs = zip(kernel.scales, kernel.coefficients, strict=True)
        found = [(scale**2, 0, weight * scale**2, 2 * weight * scale**2) for scale, weight in pairs]
    strength = found[0][2] or 1.0
    return tuple((rate, squarings, value / strength, slope / strength) for rate, squarings, value, slope in found), strength


def scale_of(kernel: Mixture) -> float:
    """What draws are multiplied by, so that the widest Gaussian kernel is 2^(-|z_i - z_j|^2 / 2)."""
    return 1 / length(kernel)


def compute(x: Tensor, y: Tensor, problem: Problem) -> Result:
    """MMD^2 of checked draws `[g, n, d]`, `[g, m, d]`, float32 or half precision, and in float32 the gradients that are wanted."""
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
        return _Call(x.detach(), y.detach(), problem).run()


class _Call:
    """One computation: what all programs are given, and where results go."""

    def __init__(self, x: Tensor, y: Tensor, problem: Problem) -> None:
        self.problem, self.g, self.d = problem, len(x), x.shape[2]
        self.n, self.m = x.shape[1], y.shape[1]
        self.few = direct(self.d)
        self.x, self.y = (z if self.few or _fits(z) else z.contiguous() for z in (x, y))
        self.weights = _weights(problem, x, self.n, self.m)
        self.unit = problem.unit if problem.unit is not None else self.x
        self.capability = _capability(x)
        self.three = problem.precision == "high"
        self.gradients = [
            x.new_empty(z.shape, dtype=torch.float32) if want else None for z, want in ((x, problem.want_x), (y, problem.want_y))
        ]
        found, strength = links(problem.kernel)
        self.at_zero = sum(problem.kernel.coefficients) / strength
        self.static = {
            "LINKS": found,
            "STRENGTH": strength,
            "GAUSSIAN": isinstance(problem.kernel, GaussianMixture),
            "UNBIASED": problem.unbiased,
            "PAIRED": problem.paired,
            "WEIGHTED": problem.weighted,
        }

    def run(self) -> Result:
        if not self.g:
            return self.x.new_zeros(0, dtype=torch.float32), self.gradients[0], self.gradients[1]
        whole = max(self.n, self.m) <= table.SMALL_UP_TO and self.d <= table.WHOLE_UP_TO
        a, b = self.gradients
        return self._one_launch() if self.few or whole else self._packed(), a, b

    def _outputs(self) -> list[Tensor]:
        """Where gradients go; for one that is not wanted the other: programs choose between two places of one type."""
        wanted = [gradient for gradient in self.gradients if gradient is not None] or [self.x]
        return [wanted[-1] if gradient is None else gradient for gradient in self.gradients]

    def _one_launch(self) -> Tensor:
        from rwae_kit.kernels.mmd.triton_kernels.direct import direct as few_coordinates
        from rwae_kit.kernels.mmd.triton_kernels.small import small

        problem, x, y = self.problem, self.x, self.y
        tiles = table.direct_tiles(self.d, self.g * (self.n + self.m)) if self.few else table.small_tiles(self.d)
        blocks = [ceil(size / tiles.rows) for size in (self.n, self.m)]
        value = x.new_empty(self.g, dtype=torch.float32)
        partials = x.new_empty((self.g, sum(blocks)), dtype=torch.float64)
        before = (x, y, *self.weights, self.unit, *self._outputs(), value, partials, _counters(x, self.g, problem.reuse))
        strides = [s for w in self.weights for s in _pair(w)]
        common = {
            **self.static, "HAS_UNIT": problem.unit is not None, "WANT_X": problem.want_x, "WANT_Y": problem.want_y,
            "BM": tiles.rows, "BN": tiles.columns, **tiles.launch,
        }  # fmt: skip
        grid = (self.g * sum(blocks),)
        if self.few:
            few_coordinates[grid](
                *before, self.n, self.m, *x.stride(), *y.stride(), *strides, *blocks, scale_of(problem.kernel) * sqrt(0.5),
                D=self.d, **common,
            )  # fmt: skip
        else:
            small[grid](
                *before, self.n, self.m, self.d, *x.stride()[:2], *y.stride()[:2], *strides, *blocks, scale_of(problem.kernel),
                self.at_zero, D=table.padded(self.d)[0], THREE=self.three, EMULATE=interpreted(), **common,
            )  # fmt: skip
        return value

    def _packed(self) -> Tensor:
        problem = self.problem
        graded = [problem.want_x, problem.want_y]
        tiles = {wanted: table.large_tiles(self.capability, self.d, three=self.three, gradient=wanted) for wanted in set(graded)}
        whole = max(table.PACK.rows, *(edge for t in tiles.values() for edge in (t.rows, t.columns)))
        sizes = [whole * ceil(size / whole) for size in (self.n, self.m)]
        packed = self._pack(sizes)
        partials = []
        for wanted, t in tiles.items():
            sides = [side for side in (0, 1) if graded[side] == wanted]
            first = sizes[0] // t.rows if sides == [1] else 0
            blocks = sum(sizes[side] for side in sides) // t.rows
            partials.append(
                self._rows(packed, sizes, first, blocks, t) if wanted else self._values(packed, sizes, first, blocks, t)
            )
        return torch.cat(partials, 1).sum(1).float() if len(partials) > 1 else partials[0].sum(1).float()

    def _pack(self, sizes: Sequence[int]) -> tuple[Tensor, ...]:
        """Both halves, norms, weights, totals."""
        from rwae_kit.kernels.mmd.triton_kernels.large import pack

        problem, x, y = self.problem, self.x, self.y
        size, chunk = table.padded(self.d)
        shape = (self.g, sum(sizes))
        high = x.new_empty((*shape, size), dtype=torch.bfloat16)
        low = torch.empty_like(high) if self.three else high
        norm = x.new_empty(shape, dtype=torch.float32)
        weight, totals = norm, norm
        if problem.weighted:
            weight = torch.empty_like(norm)
            totals = torch.stack([torch.as_tensor(part) for part in inverse_totals(problem, self.n, self.m)], 1)
        t = table.PACK
        pack[(self.g * sum(sizes) // t.rows,)](
            x, y, *self.weights, _middle(x, y, problem), self.unit, high, low, norm, weight, self.n, self.m, self.d, *sizes,
            *x.stride()[:2], *y.stride()[:2], *(s for w in self.weights for s in _pair(w)), scale_of(problem.kernel),
            WEIGHTED=problem.weighted, HAS_UNIT=problem.unit is not None, THREE=self.three, EMULATE=interpreted(),
            BM=t.rows, C=chunk, D=size, **t.launch,
        )  # fmt: skip
        return high, low, norm, weight, totals

    def _tile_options(self, tiles: table.Tiles) -> dict[str, object]:
        size, chunk = table.padded(self.d)
        return {
            **self.static, "THREE": self.three, "EMULATE": interpreted(), "BM": tiles.rows, "BN": tiles.columns, "C": chunk,
            "D": size, **tiles.launch,
        }  # fmt: skip

    def _rows(self, packed: tuple[Tensor, ...], sizes: Sequence[int], first: int, blocks: int, tiles: table.Tiles) -> Tensor:
        from rwae_kit.kernels.mmd.triton_kernels.large import rows

        size, chunk = table.padded(self.d)
        problem = self.problem
        partials = self.x.new_empty((self.g, blocks), dtype=torch.float64)
        # with one gradient wanted, the rows of one side meet the other side for both
        crosses = 1.0 if problem.want_x and problem.want_y else 2.0
        rows[(self.g * blocks * (size // chunk),)](
            *packed, self.unit, *self._outputs(), partials, self.n, self.m, self.d, *sizes, first, blocks, crosses,
            scale_of(problem.kernel), self.at_zero, HAS_UNIT=problem.unit is not None, FLUSH=table.FLUSH,
            **self._tile_options(tiles),
        )  # fmt: skip
        return partials

    def _values(self, packed: tuple[Tensor, ...], sizes: Sequence[int], first: int, blocks: int, tiles: table.Tiles) -> Tensor:
        from rwae_kit.kernels.mmd.triton_kernels.large import values

        problem = self.problem
        # not so many strips that their sums need memory, not so few that programs are long
        strip = tiles.rows * max(ceil(32 * tiles.columns / tiles.rows), ceil(sum(sizes) / (64 * tiles.rows)))
        strips = ceil(sum(sizes) / strip)
        partials = self.x.new_empty((self.g, blocks * strips), dtype=torch.float64)
        values[(self.g * blocks * strips,)](
            *packed, partials, self.n, self.m, *sizes, first, blocks, strips, strip, self.at_zero,
            CROSS=not (problem.want_x or problem.want_y), **self._tile_options(tiles),
        )  # fmt: skip
        return partials


def _capability(points: Tensor) -> int:
    """The first number of a card's compute capability; Hopper's for the interpreter."""
    return torch.cuda.get_device_capability(points.device)[0] if points.is_cuda else 9


def _fits(points: Tensor) -> bool:
    """Whether programs can read draws where they are: coordinates side by side, rows within reach and not a coordinate apart."""
    step = points.stride(1)
    return points.stride(2) == 1 and step != 1 and step * points.shape[1] < ROW_LIMIT


def _weights(problem: Problem, x: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Both sides' weights in one floating point type; ones where only the other side has some; anything where none has."""
    given = [w for w in (problem.weight_x, problem.weight_y) if w is not None]
    if not given:
        return x, x
    kind = given[0].dtype if all(w.dtype == given[0].dtype and w.is_floating_point() for w in given) else torch.float32
    one = None if len(given) == 2 else x.new_ones(1, dtype=kind)
    w, v = (
        one.expand(len(x), size) if weight is None and one is not None else weight.to(kind)  # type: ignore[union-attr]
        for weight, size in ((problem.weight_x, n), (problem.weight_y, m))
    )
    return w, v


def _pair(weight: Tensor) -> tuple[int, int]:
    return weight.stride(0), weight.stride(1)


def _middle(x: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """The mean of all draws `[g, d]` in float32; of half precision draws too, whose own sums would be coarse."""
    if problem.weighted:
        return centre(x.float(), y.float(), problem.weight_x, problem.weight_y).reshape(len(x), -1)
    return (x.sum(1, dtype=torch.float32) + y.sum(1, dtype=torch.float32)) / (x.shape[1] + y.shape[1])


_KEPT: dict[tuple[torch.device, int], Tensor] = {}


def _counters(x: Tensor, groups: int, reuse: bool) -> Tensor:
    """A zero for each problem. Programs leave zeros behind, so that one stream's calls can share them.

    A CUDA graph gets its own: it may be replayed beside the stream that it was made on.
    """
    if not x.is_cuda or not reuse or torch.cuda.is_current_stream_capturing():
        return torch.zeros(groups, dtype=torch.int32, device=x.device)
    key = (x.device, torch.cuda.current_stream().cuda_stream)
    kept = _KEPT.get(key)
    if kept is None or len(kept) < groups:
        kept = _KEPT[key] = torch.zeros(max(1024, groups), dtype=torch.int32, device=x.device)
    return kept
