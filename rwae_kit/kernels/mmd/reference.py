"""The formula of MMD^2 in plain torch, differentiable any number of times. O(n m) memory for each kernel of the mixture."""

from __future__ import annotations

import torch
from torch import Tensor

from rwae_kit.kernels.mmd.mixtures import GaussianMixture, Mixture
from rwae_kit.kernels.mmd.problem import Problem, accumulator, centre

DIRECT_UP_TO = 3
"""Largest d for which differences are taken coordinate by coordinate, which is exact, instead of by a matrix product."""


def compute(x: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """MMD^2 of checked inputs; see `rwae_kit.kernels.mmd.mmd2`."""
    kernel, weight_x, weight_y = problem.kernel, problem.weight_x, problem.weight_y
    # the products of points lose digits far from the origin; a common shift changes no distance, so its gradient is 0
    middle = centre(x, y, weight_x, weight_y)
    unit = 1 if problem.unit is None else problem.unit[..., None, None]
    x, y = (x - middle) / unit, (y - middle) / unit
    terms = (
        _mean(evaluate(kernel, squared_distances(x, x)), weight_x, weight_x, problem.unbiased),
        _mean(evaluate(kernel, squared_distances(y, y)), weight_y, weight_y, problem.unbiased),
        _mean(evaluate(kernel, squared_distances(x, y)), weight_x, weight_y, problem.paired),
    )
    value = terms[0][0] + terms[1][0] - 2 * terms[2][0]
    if problem.weighted:
        enough = (terms[0][1] > 0) & (terms[1][1] > 0) & (terms[2][1] > 0)
        value = torch.where(enough, value, torch.zeros_like(value))
    return value.to(x.dtype)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2: `[..., n, d]`, `[..., m, d]` -> `[..., n, m]`, not negative."""
    if x.shape[-1] <= DIRECT_UP_TO:
        columns = zip(x.unbind(-1), y.unbind(-1), strict=True)
        return torch.stack([(a.unsqueeze(-1) - b.unsqueeze(-2)).square() for a, b in columns]).sum(0)
    norm_x, norm_y = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
    return (norm_x + norm_y.mT - 2 * (x @ y.mT)).clamp_min(0)


def evaluate(kernel: Mixture, squared: Tensor) -> Tensor:
    """The kernel at squared distances, elementwise."""
    total = torch.zeros_like(squared)
    if isinstance(kernel, GaussianMixture):
        for bandwidth, weight in zip(kernel.bandwidths, kernel.coefficients, strict=True):
            total = torch.add(total, torch.exp(squared * (-0.5 / bandwidth**2)), alpha=weight)
    else:
        for scale, weight in zip(kernel.scales, kernel.coefficients, strict=True):
            total = torch.add(total, scale**2 / (scale**2 + squared), alpha=weight)
    return total


def _mean(k: Tensor, weight_x: Tensor | None, weight_y: Tensor | None, leave_out: bool) -> tuple[Tensor, Tensor]:
    """Weighted mean of `k` `[..., n, m]` over pairs, without i = j if `leave_out`; and the pairs' total weight.

    Rows are summed in k's own precision, their totals in float64 where the device has it.
    """
    n, m = k.shape[-2:]
    wide = accumulator(k)
    if leave_out:
        k = k.masked_fill(torch.eye(n, dtype=torch.bool, device=k.device), 0)
    ones = k.new_ones(())
    w = ones.expand(n) if weight_x is None else weight_x.detach().to(k)
    v = ones.expand(m) if weight_y is None else weight_y.detach().to(k)
    rows = k.sum(-1) if weight_y is None else (k @ v.unsqueeze(-1)).squeeze(-1)
    w, v = w.to(wide), v.to(wide)
    total = w.sum(-1) * v.sum(-1) - ((w * v).sum(-1) if leave_out else 0)
    return (rows.to(wide) * w).sum(-1) / torch.where(total > 0, total, torch.ones_like(total)), total
