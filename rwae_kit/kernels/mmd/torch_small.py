"""The pass of `torch_ops` for many small problems with as many draws of x as of y and no weights, in as few operations as can be.

A training step is of this kind: one call for all time steps. Its cost is the number of operations, not the arithmetic in them. The
three squares (x, x), (y, y), (x, y) of all problems lie in one tensor, and what is done to all of them is done once.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from rwae_kit.kernels.mmd.mixtures import Mixture
from rwae_kit.kernels.mmd.pointwise import direct, evaluate, length
from rwae_kit.kernels.mmd.problem import Problem, Result, accumulator, equal_totals
from rwae_kit.kernels.mmd.workspace import workspace


def fits(x: Tensor, y: Tensor, problem: Problem, limit: int) -> bool:
    """Whether it is for such a problem."""
    n = x.shape[-2]
    return n == y.shape[-2] and not problem.weighted and 3 * n * n <= limit


def compute(x: Tensor, y: Tensor, problem: Problem, limit: int) -> Result:
    """MMD^2 and the wanted gradients of problems that it `fits`; as many at once as stay within the limit on pairs."""
    g, n, _ = x.shape
    together = max(1, limit // (3 * n * n))
    parts = [_together(x[i : i + together], y[i : i + together], problem, i) for i in range(0, max(g, 1), together)]
    if len(parts) == 1:
        value, gradient = parts[0]
    else:
        value = torch.cat([value for value, _ in parts])
        gradient = torch.cat([part for _, part in parts if part is not None], 1) if parts[0][1] is not None else None
    if gradient is None:
        return value, None, None
    return value, gradient[0] if problem.want_x else None, gradient[1] if problem.want_y else None


def _together(x: Tensor, y: Tensor, problem: Problem, start: int) -> tuple[Tensor, Tensor | None]:
    """The values `[g]`, and both gradients `[2, g, n, d]` if one is wanted."""
    g, n, d = x.shape
    unit: Tensor | float = length(problem.kernel)
    if problem.unit is not None:
        unit = (problem.unit[start : start + g].to(x) * unit)[:, None, None]
    left, right = _operands(x, y, unit)
    wanted = problem.want_x or problem.want_y
    rooms = workspace(x, 3 * g * n * n, 3 if wanted else 2)
    exponent, power = (room.view(3 * g, n, n) for room in rooms[:2])
    slope = rooms[2].view_as(power) if wanted else None
    _distances(left, right, exponent, power, d)
    (exponent if problem.paired else exponent[: 2 * g]).diagonal(dim1=-2, dim2=-1).fill_(-math.inf)
    factors = _factors(problem.kernel, n, problem.unbiased, problem.paired, x.device)
    sums = x.new_empty(len(factors), 3 * g, n)
    into = iter(sums.unbind())
    evaluate(problem.kernel, exponent, power, slope, lambda kernel, _: torch.sum(kernel, -1, out=next(into)))
    wide = accumulator(x)
    value = (sums.sum(-1, dtype=wide).view(-1, 3, g) * factors).sum((0, 1))
    own, cross = equal_totals(problem, n)
    if not problem.unbiased:
        value += 2 * sum(problem.kernel.coefficients) * n * own
    gradient = None if slope is None else _gradient(left, slope, own, cross, d).div_(unit)
    return value.to(x.dtype), gradient


def _operands(x: Tensor, y: Tensor, unit: Tensor | float) -> tuple[Tensor, Tensor]:
    """The centred draws z in the unit, in columns: `[z; a; 1]` and `[z; 1; a]`, a = -|z|^2 / 2; for small d `[z; 1]`.

    Shape: `[2, g, ..., n]`.
    """
    z = torch.stack((x, y)).mT
    z = (z - z.mean((0, 3), keepdim=True)).div_(unit)
    ones = z.new_ones(()).expand(2, len(x), 1, x.shape[1])
    if direct(x.shape[-1]):
        both = torch.cat((z, ones), 2)
        return both, both
    a = z.square().sum(2, keepdim=True).mul_(-0.5)
    return torch.cat((z, a, ones), 2), torch.cat((z, ones, a), 2)


def _distances(left: Tensor, right: Tensor, exponent: Tensor, spare: Tensor, d: int) -> None:
    """-|z_i - z_j|^2 / 2 of (x, x), (y, y), (x, y)."""
    g, n = left.shape[1], left.shape[3]
    if not direct(d):
        torch.bmm(left.flatten(0, 1).mT, right.flatten(0, 1), out=exponent[: 2 * g])
        torch.bmm(left[0].mT, right[1], out=exponent[2 * g :])
        return
    for coordinate in range(d):
        z = left[:, :, coordinate]
        difference = (spare if coordinate else exponent).view(3, g, n, n)
        torch.sub(z.unsqueeze(-1), z.unsqueeze(-2), out=difference[:2])
        torch.sub(z[0].unsqueeze(-1), z[1].unsqueeze(-2), out=difference[2])
        if coordinate:
            exponent.addcmul_(spare, spare)
        else:
            exponent.square_()
    exponent.mul_(-0.5)


def _gradient(left: Tensor, slope: Tensor, own: float, cross: float, d: int) -> Tensor:
    """Of the value in the scaled draws, `[2, g, n, d]`: sum_j c_ij h_ij (z_j - z_i), from one product with `[z; ...; 1]`."""
    g = left.shape[1]
    pull = torch.bmm(left.flatten(0, 1), slope[: 2 * g]).view_as(left)
    pull[0].baddbmm_(left[1], slope[2 * g :].mT, beta=2 * own, alpha=-2 * cross)
    pull[1].baddbmm_(left[0], slope[2 * g :], beta=2 * own, alpha=-2 * cross)
    return torch.addcmul(pull[:, :, :d], pull[:, :, -1:], left[:, :, :d], value=-1).mT.contiguous()


@lru_cache(maxsize=64)
def _factors(kernel: Mixture, n: int, unbiased: bool, paired: bool, device: torch.device) -> Tensor:
    """What the sum of every kernel over each of the three squares counts `[kernels, 3, 1]`, kernels as `evaluate` takes them."""
    own, cross = equal_totals(Problem(kernel=kernel, unbiased=unbiased, paired=paired), n)
    weights: list[float] = []
    empty = torch.empty(1, dtype=torch.float64)
    evaluate(kernel, empty, empty.clone(), None, lambda _, weight: weights.append(weight))
    wide = accumulator(torch.empty(0, device=device))
    sides = torch.tensor([own, own, -2 * cross], dtype=torch.float64)
    return (torch.tensor(weights, dtype=torch.float64)[:, None] * sides).unsqueeze(-1).to(device, wide)
