"""What both passes of torch operations do to every pair: distances, kernels, slopes; all in place.

Exponentials are powers of two: torch's exp2 takes about a quarter of the time of its exp on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rwae_kit.kernels.mmd.chains import chains
from rwae_kit.kernels.mmd.mixtures import GaussianMixture, InverseMultiquadricMixture, Mixture

DIRECT_UP_TO = 3
"""Largest d for which differences are taken coordinate by coordinate, which is exact, instead of by a matrix product."""

LN_2 = math.log(2)

Take = Callable[[Tensor, float], object]


def direct(d: int) -> bool:
    """Whether differences are taken coordinate by coordinate."""
    return d <= DIRECT_UP_TO


def length(kernel: Mixture) -> float:
    """What distances are measured in: with it the widest Gaussian at S = -|z_i - z_j|^2 / 2 is 2^S."""
    return max(kernel.bandwidths) * math.sqrt(LN_2) if isinstance(kernel, GaussianMixture) else 1.0


def evaluate(kernel: Mixture, exponent: Tensor, power: Tensor, slope: Tensor | None, take: Take) -> None:
    """Hand every kernel of the mixture at S = `exponent` to `take`, and add up dk/dS in `slope`. Overwrites all three.

    S is that of points in units of `length`.
    """
    if isinstance(kernel, InverseMultiquadricMixture):
        _inverse_multiquadric(kernel, exponent, power, slope, take)
        return
    _, found = chains(kernel)
    first = True
    for chain in found:
        if chain.rate == 1:
            torch.exp2(exponent, out=power)
        else:
            torch.mul(exponent, chain.rate, out=power).exp2_()
        for link in chain.links:
            for _ in range(link.squarings):
                power.square_()
            take(power, link.weight)
            steepness = LN_2 * link.weight * link.rate
            if slope is not None and first:
                torch.mul(power, steepness, out=slope)
                first = False
            elif slope is not None:
                slope.add_(power, alpha=steepness)


def _inverse_multiquadric(
    kernel: InverseMultiquadricMixture, exponent: Tensor, power: Tensor, slope: Tensor | None, take: Take
) -> None:
    squared = exponent.mul_(-2).clamp_min_(0)
    if slope is not None:
        slope.zero_()
    for scale, weight in zip(kernel.scales, kernel.coefficients, strict=True):
        torch.add(squared, scale**2, out=power).reciprocal_()
        take(power, weight * scale**2)
        if slope is not None:
            slope.addcmul_(power, power, value=2 * weight * scale**2)


def direct_distances(a: Tensor, b: Tensor, d: int, out: Tensor, spare: Tensor) -> None:
    """-|z_i - z_j|^2 / 2 of few coordinates; draws in columns, `[g, d, n]`."""
    torch.sub(a[:, 0].unsqueeze(-1), b[:, 0].unsqueeze(-2), out=out).square_()
    for coordinate in range(1, d):
        torch.sub(a[:, coordinate].unsqueeze(-1), b[:, coordinate].unsqueeze(-2), out=spare)
        out.addcmul_(spare, spare)
    out.mul_(-0.5)
