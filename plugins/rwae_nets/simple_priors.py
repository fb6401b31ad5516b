"""`standard_normal` and `linear`: p(z_t | z_<t) without a net."""

from __future__ import annotations

import math
from typing import final

import torch
from attrs import field, frozen
from attrs.validators import and_, ge, gt, lt
from torch import Tensor, nn

from rwae_kit import DynamicPrior, Latent, Spec
from rwae_nets.layers import bounded, full_precision, unbounded
from rwae_nets.priors import ancestral, shifted

LOG_VAR_RANGE = (-8.0, 3.0)


@final
class IndependentNormal(DynamicPrior):
    """p(z_t | z_<t) = N(0, I): every step on its own, nothing is learned.

    Shape: `[b, t, d_d] -> [b, t, d_d]`.

    Source: the prior of a plain VAE at each step; a baseline for priors that learn a course.
    """

    zero: Tensor

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.register_buffer("zero", torch.zeros(spec.dynamic), persistent=False)  # says type and device to `sample`

    def forward(self, z: Tensor) -> Latent:
        zeros = self.zero.expand_as(z)
        return self.draw(zeros, zeros)

    def sample(self, b: int, t: int) -> Tensor:
        return self.noise.normal(b, t, len(self.zero), like=self.zero)


@final
class LinearPrior(DynamicPrior):
    """p(z_t | z_t-1) = N(A z_t-1, diag(q)), p(z_1) = N(m, diag(q_1)): a linear Gaussian chain that stays bounded.

        A = radius W / max(1, |W|_2)

    so the spectral radius of A is at most `radius` < 1, and whatever is learned, draws of any length settle into a Gaussian of
    covariance S = A S A' + diag(q). At the start A = memory I, q = 1 - memory^2, q_1 = 1: N(0, I) at every t.

    Shape: `[b, t, d_d] -> [b, t, d_d]`, all t in one pass.

    Source: a linear dynamical system as prior (as in Kalman VAEs, Fraccaro et al. 2017); the bound and the start are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """How long it remembers."""

        radius: float = field(
            default=0.99, validator=and_(gt(0.0), lt(1.0)), metadata={"help": "bound of the spectral radius of A"}
        )
        memory: float = field(default=0.9, validator=and_(ge(0.0), lt(1.0)), metadata={"help": "initial correlation of z_t, z_t-1"})

        def __attrs_post_init__(self) -> None:
            if self.memory > self.radius:
                raise ValueError(f"'memory' = {self.memory} must not be above 'radius' = {self.radius}")

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        d, initial = spec.dynamic, math.log(1 - config.memory**2)
        self.radius = config.radius
        self.weight = nn.Parameter(torch.eye(d) * (config.memory / config.radius))
        self.log_var = nn.Parameter(torch.full((d,), unbounded(initial, *LOG_VAR_RANGE)))
        self.first_mean = nn.Parameter(torch.zeros(d))
        self.first_log_var = nn.Parameter(torch.full((d,), unbounded(0.0, *LOG_VAR_RANGE)))

    def transition(self) -> Tensor:
        """A, `[d_d, d_d]`, with |A|_2 <= `radius`."""
        norm: Tensor = torch.linalg.matrix_norm(self.weight, 2)
        return self.weight * (self.radius / norm.clamp(min=1))

    def forward(self, z: Tensor) -> Latent:
        return self.draw(*self.parameters_of(z))

    def parameters_of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[b, t, d_d]` of each latent given those before it."""
        with full_precision(z):
            first = torch.arange(z.shape[1], device=z.device).eq(0).unsqueeze(1)
            mean = torch.where(first, self.first_mean, shifted(z) @ self.transition().t())
            log_var = torch.where(first, self.first_log_var, self.log_var)
            return mean, bounded(log_var, *LOG_VAR_RANGE).expand_as(z)

    def sample(self, b: int, t: int) -> Tensor:
        noise = self.noise.normal(b, t, len(self.weight), like=self.weight)
        log_var = bounded(torch.stack((self.first_log_var, self.log_var)), *LOG_VAR_RANGE)

        def step(z: Tensor, transition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            if transition is None:
                return self.first_mean.expand_as(z), log_var[0].expand_as(z), self.transition().t()
            return z @ transition, log_var[1].expand_as(z), transition

        return ancestral(step, noise, None)
