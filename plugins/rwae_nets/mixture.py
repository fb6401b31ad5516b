"""A mixture of Gaussians that a chain may begin from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rwae_kit import distributed
from rwae_nets.layers import bounded, unbounded

PACE = 0.003
"""How far the shares move towards those of a batch."""
LOST = 0.1
"""A component with less than this part of an even share begins again."""


class Mixture(nn.Module):
    """`modes` Gaussians over `d` features, their means drawn from N(0, I), and the share of each.

    Which component a latent is of is drawn from the responsibilities r_k = p(k | latent), so that a divergence to the Gaussian of
    that one has, on average, the gradient of its mean over all, with weights r_k. Means and variances are learned by it; the shares
    are counted: in train mode every batch moves them towards its mean responsibilities. With KL(q || p) as the divergence,

        KL(q || sum_k share_k N_k) <= sum_k r_k (KL(q || N_k) + log(r_k / share_k))

    goes down, but for the second part, at most log(1 / share_k), which as in EM has no gradient and is not in the value.

    A component that has lost its share begins again, with an even one, at the first latent of a batch, as wide as the component
    that this one is of: the two then divide what was one's. One does so in a batch, none while the mixture's weights are held.

    Source: ours; the bound is convexity, assignments are drawn as in stochastic EM (Celeux and Diebolt 1985).
    """

    share: Tensor

    def __init__(self, modes: int, d: int, *, initial: float, bounds: tuple[float, float] | None) -> None:
        super().__init__()
        self.bounds = bounds
        self.mean = nn.Parameter(torch.randn(modes, d))
        self.log_var = nn.Parameter(torch.full((modes, d), unbounded(initial, *bounds) if bounds else initial))
        self.register_buffer("share", torch.full((modes,), 1 / modes))

    def forward(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of components `[b]`: `[b, 1, d]` each."""
        return self.mean[which].unsqueeze(1), self._log_vars()[which].unsqueeze(1)

    @torch.no_grad()
    def of(self, z: Tensor, uniform: Tensor | None) -> Tensor:
        """The components that latents `[b, d]` are of, by draws of U(0, 1) `[b]`; without these the likeliest ones: `[b]`."""
        log_var = self._log_vars()
        apart = (z.unsqueeze(1) - self.mean).square() / log_var.exp()
        responsibility = (self.share.log() - 0.5 * (apart + log_var).sum(-1)).softmax(1)
        if self.training:
            self.share.lerp_(distributed.mean(responsibility.mean(0)), PACE)
            if self.mean.requires_grad:
                self._begin_again(*(distributed.gather(first) for first in (z[:1], responsibility[:1])))
        return responsibility.argmax(1) if uniform is None else _drawn(responsibility, uniform)

    def drawn(self, uniform: Tensor) -> Tensor:
        """Components by their shares from draws of U(0, 1): `[b]`."""
        return _drawn(self.share.expand(len(uniform), -1), uniform)

    def _begin_again(self, z: Tensor, responsibility: Tensor) -> None:
        """Put the component with the least share at the first of latents `[n, d]`, if it is lost; without reading a number."""
        least = self.share.argmin()
        lost = self.share[least] < LOST / len(self.share)
        for old, new in ((self.mean, z[0]), (self.log_var, self.log_var[responsibility[0].argmax()])):
            old[least] = torch.where(lost, new, old[least])
        even = self.share.index_fill(0, least, 1 / len(self.share))
        self.share.copy_(torch.where(lost, even / even.sum(), self.share))

    def _log_vars(self) -> Tensor:
        return bounded(self.log_var, *self.bounds) if self.bounds else self.log_var


def _drawn(weights: Tensor, uniform: Tensor) -> Tensor:
    edges = weights.cumsum(1)
    return torch.searchsorted(edges, uniform.unsqueeze(1) * edges[:, -1:]).squeeze(1).clamp(max=weights.shape[1] - 1)
