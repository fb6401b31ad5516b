"""MMD on a learned scalar feature, scaled by the feature's slope."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, in_
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import AdversarialDivergence, Latent
from rwae_kit.kernels.mmd import GaussianMixture
from rwae_mmd.mmd import ESTIMATORS, Estimator, estimate

Normalisation = Literal["learned", "unit", "none"]
SLOPE = 0.2
"""Of the leaky ReLU on its negative side."""


class ScaledMMD(AdversarialDivergence):
    """max over f of MMD^2(f(posterior), f(prior)) / (1 + 10 E_prior |grad f|^2), with a Gaussian kernel on the scalar f.

    f is an MLP with spectral parametrization, W = g W' / |W'| with learned g. `forward` is what the encoder minimises: it holds
    f and its slope fixed. `critic_loss` is its negative, summed over the independent problems, as a function of f alone.

    Shape: `Latent[..., n, d]`, `Latent[..., m, d]` -> `[...]`; reads the draws and their weights.

    Source: R-WAE App. D, Eq. 22 (the factor of the cross term mended to 2), after Arbel et al. 2018; MLP 256-256-128-1 of App. G;
    sigma 1. Ours: leaky ReLU 0.2 (the paper gives none); the expectation of |grad f|^2 over the prior's draws (the paper writes
    P^); the estimator "auto" of `MMD`; g starts at 1. The largest singular value is followed by one power iteration each time
    `critic_loss` is computed in train mode, from the exact one at the start; it is not touched otherwise.
    """

    saturates_at = 0.9

    @frozen(kw_only=True)
    class Config:
        """Critic, kernel and scale."""

        hidden: tuple[int, ...] = field(
            default=(256, 256, 128), validator=deep_iterable(ge(1)), metadata={"help": "sizes of the critic's hidden layers"}
        )
        normalisation: Normalisation = field(
            default="learned",
            validator=in_(("learned", "unit", "none")),
            metadata={
                "help": "spectral norm of the critic's matrices: learned, unit (each 1, so |grad f| <= 1), none (not normalised)"
            },
        )
        gradient_weight: float = field(default=10.0, validator=ge(0), metadata={"help": "weight of E|grad f|^2 in the scale"})
        bandwidth: float = field(default=1.0, validator=gt(0), metadata={"help": "sigma of the Gaussian kernel on f"})
        estimator: Estimator = field(
            default="auto",
            validator=in_(ESTIMATORS),
            metadata={"help": "auto (unbiased, also for teacher-forced draws), unbiased (all pairs in the cross term), biased"},
        )

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)
        sizes = (d, *config.hidden, 1)
        layers = [SpectralLinear(a, b, config.normalisation) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        self.kernel = GaussianMixture((config.bandwidth,))
        self.settings = config

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        # autocast would round the critic to half precision
        with torch.autocast(posterior.sample.device.type, enabled=False):
            return self._scaled(posterior, prior, [(weight.detach(), bias.detach()) for weight, bias in self.matrices()])

    def critic_loss(self, posterior: Latent, prior: Latent) -> Tensor:
        with torch.autocast(posterior.sample.device.type, enabled=False):
            if self.training:
                for layer in self._linear():
                    layer.follow()
            fixed = [Latent(sample=latent.sample.detach(), weight=latent.weight) for latent in (posterior, prior)]
            return -self._scaled(fixed[0], fixed[1], self.matrices()).sum()

    def matrices(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of every layer, normalised."""
        return [(layer.matrix(), layer.bias) for layer in self._linear()]

    def _linear(self) -> list[SpectralLinear]:
        return [layer for layer in self.layers if isinstance(layer, SpectralLinear)]

    def _scaled(self, posterior: Latent, prior: Latent, matrices: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        posterior_feature, _ = feature(matrices, posterior.sample)
        prior_feature, slope = feature(matrices, prior.sample)
        value = estimate(posterior_feature, prior_feature, posterior, prior, self.kernel, self.settings.estimator)
        return value / (1 + self.settings.gradient_weight * _weighted_mean(slope, prior.weight))


class SpectralLinear(nn.Module):
    """A linear layer whose matrix has spectral norm g: W = g W' / |W'|, with |W'| followed by power iteration.

    Source: Miyato et al. 2018 for the power iteration; Arbel et al. 2018 for the learned g.
    """

    left: Tensor
    right: Tensor

    def __init__(self, d_in: int, d_out: int, normalisation: Normalisation) -> None:
        super().__init__()
        linear = nn.Linear(d_in, d_out)
        self.weight, self.bias = linear.weight, linear.bias
        self.gain = nn.Parameter(torch.ones(())) if normalisation == "learned" else None
        self.normalised = normalisation != "none"
        u, _, v = torch.linalg.svd(self.weight.detach(), full_matrices=False)
        self.register_buffer("left", u[:, 0].clone())
        self.register_buffer("right", v[0].clone())

    def matrix(self) -> Tensor:
        """The normalised matrix `[d_out, d_in]`, differentiable in W' and g."""
        if not self.normalised:
            return self.weight
        unit = self.weight / (self.left @ self.weight @ self.right)
        return unit if self.gain is None else self.gain * unit

    @torch.no_grad()
    def follow(self) -> None:
        """One power iteration."""
        self.right = functional.normalize(self.left @ self.weight, dim=0)
        self.left = functional.normalize(self.weight @ self.right, dim=0)


def feature(matrices: Sequence[tuple[Tensor, Tensor]], z: Tensor) -> tuple[Tensor, Tensor]:
    """An MLP's scalar output `[..., n, 1]` and its squared slope |grad f|^2 `[..., n]` at the points z `[..., n, d]`.

    The slope is the product of the matrices and of the leaky ReLU's slopes between them: no second derivative is needed to train on
    it, and its own derivative in z is 0.
    """
    slopes, hidden = [], z
    for weight, bias in matrices[:-1]:
        before = functional.linear(hidden, weight, bias)
        slopes.append(SLOPE + (1 - SLOPE) * (before > 0).to(before.dtype))
        hidden = functional.leaky_relu(before, SLOPE)
    gradient = matrices[-1][0].expand(*z.shape[:-1], -1)
    for (weight, _), slope in zip(reversed(matrices[:-1]), reversed(slopes), strict=True):
        gradient = (gradient * slope) @ weight
    return functional.linear(hidden, *matrices[-1]), gradient.square().sum(-1)


def _weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.mean(-1)
    weight = weight.to(values)
    total = weight.sum(-1)
    return (weight * values).sum(-1) / torch.where(total > 0, total, torch.ones_like(total))
