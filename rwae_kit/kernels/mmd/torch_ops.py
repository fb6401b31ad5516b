"""MMD^2 and its gradient in one pass of fused torch operations, block by block and in place: O((n + m) d) memory, no compiler.

With z the centred draws in units of the widest bandwidth, S_ij = -|z_i - z_j|^2 / 2 comes from one matrix product, the mixture's
value k(S) and slope h = k'(S) from one exponential for each chain of bandwidths, and the gradient from one more product: with the
coefficients c_ij of the pairs it is sum_j c_ij h_ij (z_j - z_i). Draws stand in columns, `[g, d + 2, n]`: a product with few rows
and many columns takes less time than its transpose.

Rows are summed in the draws' own precision, their totals in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rwae_kit.kernels.mmd import torch_small
from rwae_kit.kernels.mmd.blocks import Block, plan
from rwae_kit.kernels.mmd.pointwise import direct, direct_distances, evaluate, length
from rwae_kit.kernels.mmd.problem import Problem, Result, accumulator, centre, inverse_totals
from rwae_kit.kernels.mmd.workspace import workspace

CPU_LIMIT, DEVICE_LIMIT = 2**18, 2**24
"""Pairs in one batch: on a CPU what its cache holds, elsewhere what makes a kernel launch worth while."""


def compute(x: Tensor, y: Tensor, problem: Problem) -> Result:
    """MMD^2 of checked draws `[g, n, d]`, `[g, m, d]`, and the gradients that the problem wants."""
    limit = CPU_LIMIT if x.device.type == "cpu" else DEVICE_LIMIT
    if torch_small.fits(x, y, problem, limit):
        return torch_small.compute(x, y, problem, limit)
    return _Pass(x, y, problem).run(limit)


class _Pass:
    """One computation: the operands, and what has been summed so far."""

    def __init__(self, x: Tensor, y: Tensor, problem: Problem) -> None:
        self.problem, self.d = problem, x.shape[-1]
        self.n, self.m = x.shape[-2], y.shape[-2]
        self.unit: Tensor | float = length(problem.kernel)
        if problem.unit is not None:
            self.unit = (problem.unit.to(x) * self.unit)[:, None, None]
        self.direct = direct(self.d)
        middle = centre(x, y, problem.weight_x, problem.weight_y)
        self.points = {"x": self._operand(x, middle), "y": self._operand(y, middle)}
        self.mirrored = self.points if self.direct else {side: _swap_last(z) for side, z in self.points.items()}
        self.weights = {"x": problem.weight_x, "y": problem.weight_y}
        inverse = inverse_totals(problem, self.n, self.m)
        self.factors = dict(zip(("xx", "yy", "xy"), (inverse[0], inverse[1], -2 * inverse[2]), strict=True))
        self.value = x.new_zeros(len(x), dtype=accumulator(x))
        wanted = {"x": problem.want_x, "y": problem.want_y}
        self.gradient = {side: torch.zeros_like(z) for side, z in self.points.items() if wanted[side]}

    def _operand(self, points: Tensor, middle: Tensor) -> Tensor:
        """`[z; -|z|^2 / 2; 1]`, or for few coordinates `[z; 1]`, a draw in each column."""
        g, n, d = points.shape
        operand = points.new_empty(g, d + (1 if self.direct else 2), n)
        z = operand[:, :d]
        torch.sub(points.mT, middle.mT, out=z)
        z /= self.unit
        if not self.direct:
            torch.sum(z.square(), 1, out=operand[:, d]).mul_(-0.5)
        operand[:, -1] = 1
        return operand

    def run(self, limit: int) -> Result:
        g = len(self.value)
        batches = plan(g, self.n, self.m, limit)
        for batch in batches:
            self._add(batch, workspace(self.points["x"], sum(block.size for block in batch), 3))
        if not self.problem.unbiased:
            self._add_diagonals()
        dtype = self.points["x"].dtype
        return self.value.to(dtype), self._finish("x"), self._finish("y")

    def _add(self, batch: tuple[Block, ...], room: tuple[Tensor, ...]) -> None:
        exponent, power, slope = room
        views = [view.view(block.shape) for view, block in zip(torch.split(exponent, [b.size for b in batch]), batch, strict=True)]
        self._distances(batch, views, power)
        sums = _RowSums(batch, [self._slice(self.weights, b.sides[1], b.groups, b.columns) for b in batch], exponent)
        wanted = any(side in self.gradient for block in batch for side in block.sides)
        evaluate(self.problem.kernel, exponent, power, slope if wanted else None, sums.take)
        for block, total in zip(batch, sums.totals(), strict=True):
            g0, g1 = block.groups
            rows = self._slice(self.weights, block.sides[0], block.groups, block.rows)
            total = (total if rows is None else total * rows).sum(-1)
            self.value[g0:g1] += total * (self._factor(block) * (2 if block.mirrored else 1))
        if wanted:
            for block, h in zip(batch, torch.split(slope, [b.size for b in batch]), strict=True):
                self._pull(block, h.view(block.shape))

    def _distances(self, batch: tuple[Block, ...], views: list[Tensor], spare: Tensor) -> None:
        """-|z_i - z_j|^2 / 2 into the views; -inf, at which every kernel is 0, where i = j is left out or added at the end."""
        for block, view in zip(batch, views, strict=True):
            a = self._slice(self.points, block.sides[0], block.groups, block.rows)
            b = self._slice(self.mirrored, block.sides[1], block.groups, block.columns)
            assert a is not None
            assert b is not None
            if self.direct:
                direct_distances(a, b, self.d, view, spare[: block.size].view(block.shape))
            else:
                torch.bmm(a.mT, b, out=view)
            if block.on_diagonal and (block.sides != "xy" or self.problem.paired):
                view.diagonal(dim1=-2, dim2=-1).fill_(-math.inf)

    def _pull(self, block: Block, h: Tensor) -> None:
        """Add what the pairs of a block pull at the points at their two ends."""
        first, second = block.sides[0], block.sides[1]
        if first in self.gradient:
            self._pull_one(block, h.mT, (first, block.rows), (second, block.columns))
        if second in self.gradient and (block.mirrored or first != second):
            self._pull_one(block, h, (second, block.columns), (first, block.rows))

    def _pull_one(self, block: Block, h: Tensor, to: tuple[str, tuple[int, int]], by: tuple[str, tuple[int, int]]) -> None:
        target = self._slice(self.gradient, to[0], block.groups, to[1])
        points = self._slice(self.points, by[0], block.groups, by[1])
        assert target is not None
        assert points is not None
        factor = self._factor(block) * (1 if block.sides == "xy" else 2)  # every pair (x, x') is counted from both its ends
        if isinstance(factor, float):
            target.baddbmm_(points, h, alpha=factor)
            return
        weight = self._slice(self.weights, by[0], block.groups, by[1])
        scale = factor.unsqueeze(-1) if weight is None else weight * factor.unsqueeze(-1)
        target.baddbmm_(points * scale.to(points).unsqueeze(1), h)

    def _factor(self, block: Block) -> float | Tensor:
        factor = self.factors[block.sides]
        return factor if isinstance(factor, float) else factor[slice(*block.groups)]

    @staticmethod
    def _slice(
        of: dict[str, Tensor] | dict[str, Tensor | None], side: str, groups: tuple[int, int], rows: tuple[int, int]
    ) -> Tensor | None:
        whole = of[side]
        return None if whole is None else whole[groups[0] : groups[1], ..., rows[0] : rows[1]]

    def _add_diagonals(self) -> None:
        """k(0) for every draw with itself."""
        at_zero = sum(self.problem.kernel.coefficients)
        for side, size in (("x", self.n), ("y", self.m)):
            weight = self.weights[side]
            self.value += self.factors[side * 2] * at_zero * (size if weight is None else weight.to(self.value).square().sum(-1))

    def _finish(self, side: str) -> Tensor | None:
        if side not in self.gradient:
            return None
        summed, z = self.gradient[side], self.points[side][:, : self.d]
        gradient = torch.addcmul(summed[:, : self.d], summed[:, -1:], z, value=-1)
        gradient /= self.unit
        weight = self.weights[side]
        if weight is not None:
            gradient *= weight.to(z).unsqueeze(1)
        return gradient.mT.contiguous()


class _RowSums:
    """The weighted sums of a batch's rows, of all kernels together."""

    def __init__(self, batch: tuple[Block, ...], weights: list[Tensor | None], like: Tensor) -> None:
        self.batch, self.weights = batch, weights
        self.sizes = [b.size for b in batch]
        self.rows = [b.shape[0] * b.shape[1] for b in batch]
        self.alike = all(w is None for w in weights) and len({b.shape[2] for b in batch}) == 1
        self.sums: list[Tensor] = []
        self.factors: list[float] = []
        self.wide = accumulator(like)

    def take(self, kernel: Tensor, factor: float) -> None:
        """Add a kernel, times a factor."""
        self.factors.append(factor)
        if self.alike:
            self.sums.append(kernel.view(-1, self.batch[0].shape[2]).sum(-1))
            return
        parts = []
        for values, block, weight in zip(torch.split(kernel, self.sizes), self.batch, self.weights, strict=True):
            square = values.view(block.shape)
            parts.append((square.sum(-1) if weight is None else (square @ weight.to(square).unsqueeze(-1)).squeeze(-1)).reshape(-1))
        self.sums.append(torch.cat(parts))

    def totals(self) -> list[Tensor]:
        """For every block, the sums `[problems, rows]`."""
        total = sum(
            (one.to(self.wide) * factor for one, factor in zip(self.sums, self.factors, strict=True)), start=torch.zeros(())
        )
        assert isinstance(total, Tensor)
        return [part.view(block.shape[:2]) for part, block in zip(torch.split(total, self.rows), self.batch, strict=True)]


def _swap_last(operand: Tensor) -> Tensor:
    """`[z; a; 1]` to `[z; 1; a]`."""
    swapped = operand.clone()
    swapped[:, -2], swapped[:, -1] = operand[:, -1], operand[:, -2]
    return swapped
