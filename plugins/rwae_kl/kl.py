"""KL between diagonal Gaussians, in closed form."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit import Divergence, Latent, RwaeError


class GaussianKL(Divergence):
    """KL(q_i || p_i) = 1/2 sum_d [log p_var - log q_var + (q_var + (q_mean - p_mean)^2) / p_var - 1], averaged over the draws i.

    Reads the parameters, not the draws. The mean is weighted by the posterior's weights; where all of them are 0 the value is 0.

    Shape: `Latent[..., n, d]`, `Latent[..., n, d]` -> `[...]`.

    Raises:
        RwaeError: a latent without a density (ancestral draws of a prior).

    Source: R-WAE App. D (added on the dynamic latent "to stabilize training"); C-DSVAE Eq. 6. In nats.
    """

    paired = True
    needs_density = True

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        if posterior.mean is None or posterior.log_var is None or prior.mean is None or prior.log_var is None:
            whose = "posterior" if posterior.mean is None or posterior.log_var is None else "prior"
            raise RwaeError(
                f"kl: the {whose}'s draws have no density (mean, log_var). Teacher-forced draws have one, ancestral ones none"
            )
        ratio = posterior.log_var - prior.log_var
        distance = (posterior.mean - prior.mean).square() * torch.exp(-prior.log_var)
        each = 0.5 * (torch.exp(ratio) - ratio - 1 + distance).sum(-1)
        if posterior.weight is None:
            return each.mean(-1)
        weight = posterior.weight.to(each)
        total = weight.sum(-1)
        return (weight * each).sum(-1) / torch.where(total > 0, total, torch.ones_like(total))
