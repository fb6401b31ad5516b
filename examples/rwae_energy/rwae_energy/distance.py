"""The energy distance between the draws of posterior and prior."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit import Divergence, Latent


class EnergyDistance(Divergence):
    """2 E|x - y| - E|x - x'| - E|y - y'|, over all pairs of draws: never negative. Source: Székely and Rizzo 2013."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        return 2 * distance(posterior, prior) - distance(posterior, posterior) - distance(prior, prior)


def distance(one: Latent, two: Latent) -> Tensor:
    """The mean distance of a draw of `one` `[..., n, d]` to one of `two` `[..., m, d]`, under their weights: `[...]`."""
    v, w = (torch.ones_like(x.sample[..., 0]) if x.weight is None else x.weight.to(x.sample) for x in (one, two))
    pairs = v.unsqueeze(-1) * w.unsqueeze(-2)
    apart = torch.cdist(one.sample, two.sample, compute_mode="donot_use_mm_for_euclid_dist")
    return (pairs * apart).sum((-2, -1)) / pairs.sum((-2, -1)).clamp_min(1e-12)
