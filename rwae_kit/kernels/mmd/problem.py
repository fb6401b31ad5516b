"""What is to be computed, as plain data that every path reads; and the total weights of the pairs that its means divide by."""

from __future__ import annotations

from collections.abc import Callable

import torch
from attrs import define
from torch import Tensor

from rwae_kit.kernels.mmd.mixtures import Mixture


@define(eq=False, kw_only=True, slots=False)
class Problem:
    """Everything about an MMD^2 but the draws. Tensors have one leading axis, the independent problems: `[g, n]`, `[g, m]`, `[g]`.

    Not frozen, because torch.compile does not see through how attrs freezes; nothing changes it.
    """

    kernel: Mixture
    weight_x: Tensor | None = None
    weight_y: Tensor | None = None
    unit: Tensor | None = None
    unbiased: bool = True
    paired: bool = False
    want_x: bool = False
    want_y: bool = False
    precision: str = "high"
    reuse: bool = True
    """Whether a path may keep scratch memory on a device from call to call."""

    @property
    def weighted(self) -> bool:
        """Whether any draw has a weight of its own."""
        return self.weight_x is not None or self.weight_y is not None


Result = tuple[Tensor, Tensor | None, Tensor | None]
"""The value `[g]`, and its gradients like x and like y where they are wanted."""
Engine = Callable[[Tensor, Tensor, Problem], Result]
"""Computes a problem of the draws `[g, n, d]`, `[g, m, d]` without recording a graph."""


def inverse_totals(problem: Problem, n: int, m: int) -> tuple[float, float, float] | tuple[Tensor, Tensor, Tensor]:
    """1 / the total weight of the pairs (x, x'), (y, y'), (x, y): three numbers, or with weights three float64 tensors `[g]`.

    All three are 0 where one of the totals is, so that value and gradient are.
    """
    if not problem.weighted:
        return 1 / (n * (n - problem.unbiased)), 1 / (m * (m - problem.unbiased)), 1 / (n * (m - problem.paired))
    some = problem.weight_x if problem.weight_x is not None else problem.weight_y
    assert some is not None
    wide = accumulator(some)
    w, v = (
        some.new_ones((len(some), size), dtype=wide) if weight is None else weight.to(wide)
        for weight, size in ((problem.weight_x, n), (problem.weight_y, m))
    )
    totals = [
        w.sum(-1).square() - (w.square().sum(-1) if problem.unbiased else 0),
        v.sum(-1).square() - (v.square().sum(-1) if problem.unbiased else 0),
        w.sum(-1) * v.sum(-1) - ((w * v).sum(-1) if problem.paired else 0),
    ]
    enough = (totals[0] > 0) & (totals[1] > 0) & (totals[2] > 0)
    a, b, c = (torch.where(enough, 1 / torch.where(enough, total, 1.0), 0.0) for total in totals)
    return a, b, c


def equal_totals(problem: Problem, n: int) -> tuple[float, float]:
    """The same without weights where n = m: of (x, x') or (y, y'), and of (x, y)."""
    return 1 / (n * (n - problem.unbiased)), 1 / (n * (n - problem.paired))


def centre(x: Tensor, y: Tensor, weight_x: Tensor | None, weight_y: Tensor | None) -> Tensor:
    """The mean of all draws `[..., 1, d]`, without gradient; draws of weight 0 (padding) do not move it."""
    x, y = x.detach(), y.detach()
    if weight_x is None and weight_y is None:
        return (x.sum(-2, keepdim=True) + y.sum(-2, keepdim=True)) / (x.shape[-2] + y.shape[-2])
    ones = x.new_ones(())
    w, v = (
        ones.expand(p.shape[:-1]).unsqueeze(-1) if weight is None else weight.detach().to(p).unsqueeze(-1)
        for p, weight in ((x, weight_x), (y, weight_y))
    )
    total = w.sum(-2, keepdim=True) + v.sum(-2, keepdim=True)
    return ((w * x).sum(-2, keepdim=True) + (v * y).sum(-2, keepdim=True)) / total.clamp_min(torch.finfo(x.dtype).tiny)


def accumulator(like: Tensor) -> torch.dtype:
    """The widest floating point type of a tensor's device."""
    return torch.float32 if like.device.type == "mps" else torch.float64
