"""How much two latents depend on each other, by kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from attrs import field, frozen
from attrs.validators import gt, in_
from torch import Tensor

from rwae_kit import Encoded, Latent, LatentTerm, Spec
from rwae_kit.kernels.mmd import median_bandwidth

Pays = Literal["static", "dynamic", "both"]
PAYS = ("static", "dynamic", "both")
FEWEST = 4
"""Draws that the estimate needs."""


class HSIC(LatentTerm):
    """How far the static latent depends on the dynamic one: HSIC(s, z) / sqrt(HSIC(s, s) HSIC(z, z)), 0 if not at all, at most 1.

    HSIC(s, z) is the squared MMD between q(s, z) and q(s) q(z) with the kernel k(s, s') l(z, z'). With K and L the kernel matrices
    of n clips, their diagonals set to 0:

        HSIC = [tr(K L) + 1'K1 1'L1 / ((n - 1) (n - 2)) - 2 / (n - 2) 1'K L 1] / (n (n - 3))

    k and l are Gaussian, on the draws of s and on those of the whole trajectory, padding as 0, each with a bandwidth in units of
    its median distance. A fact that both latents tell can be let go of by either: the latent that `pays` alone has a gradient, so
    that the other one keeps what it tells. Minibatch estimates of I(s; z) are about log n as soon as each latent tells every clip
    of a batch from the others; this one grows with what they share then too.

    The estimate may be a little below 0. Of fewer than four clips, or where all draws are the same, it is 0.

    Shape: `Latent[b, d]` and `Latent[b, t, d]` of the clips -> `[]`. Memory is O(b^2 + b t d).

    Source: HSIC of Gretton et al. 2005, its unbiased estimate of Song et al. 2012 (Eq. 4), normalised as centred kernel alignment
    (Cortes et al. 2012). As a loss on these latents, with one of them that pays: ours. R-WAE has nothing in its place, C-DSVAE
    I(s; z) (Eq. 6).
    """

    @frozen(kw_only=True)
    class Config:
        """Who gives way, and the kernels."""

        pays: Pays = field(
            default="static",
            validator=in_(PAYS),
            metadata={"help": "the latent that lets go of what both tell: static, dynamic, or both"},
        )
        bandwidth: float = field(
            default=0.7, validator=gt(0), metadata={"help": "of both Gaussian kernels, in units of the median distance"}
        )

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.settings = config

    def forward(self, views: Mapping[str, Encoded]) -> Tensor:
        posterior = views["clip"].posterior
        dtype, device = posterior.static.sample.dtype, posterior.static.sample.device
        with torch.autocast(device.type, enabled=False):
            if len(posterior.static.sample) < FEWEST:
                return 0 * posterior.static.sample.sum()
            one, two = self._kernel("static", posterior.static), self._kernel("dynamic", posterior.dynamic)
            square = _hsic(one, one) * _hsic(two, two)
            there = square > torch.finfo(square.dtype).eps ** 2
            scale = torch.where(there, square, torch.ones_like(square)).sqrt()
            return torch.where(there, _hsic(one, two) / scale, 0 * scale).to(dtype)

    def _kernel(self, name: str, latent: Latent) -> Tensor:
        """The kernel's matrix `[b, b]` without its diagonal, in double precision: it is summed with both signs."""
        draws = latent.sample if latent.weight is None else latent.sample * latent.weight.to(latent.sample).unsqueeze(-1)
        x = draws.flatten(1).to(torch.float32 if draws.device.type == "mps" else torch.float64)
        if self.settings.pays not in (name, "both"):
            x = x.detach()
        square = x.square().sum(1)
        distance = (square[:, None] + square[None] - 2 * x @ x.mT).clamp_min(0)
        width = self.settings.bandwidth * median_bandwidth(x, x[:0])
        return torch.exp(-distance / (2 * width**2)).masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0)


def _hsic(one: Tensor, two: Tensor) -> Tensor:
    n = len(one)
    apart = one.sum() * two.sum() / ((n - 1) * (n - 2))
    return ((one * two).sum() + apart - 2 / (n - 2) * (one.sum(0) @ two.sum(0))) / (n * (n - 3))
