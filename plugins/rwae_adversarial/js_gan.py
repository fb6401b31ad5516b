"""The Jensen-Shannon divergence, estimated by a discriminator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, in_
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import AdversarialDivergence, Latent

Encoder = Literal["non_saturating", "saturating"]
Penalise = Literal["interpolates", "prior", "posterior", "both"]
SLOPE = 0.2
"""Of the leaky ReLU on its negative side."""


class JSGAN(AdversarialDivergence):
    """A discriminator D = sigmoid(l) that tells draws of the prior ("real") from draws of the posterior ("fake").

    `critic_loss` is -(E_prior log D + E_posterior log(1 - D)) + gradient_weight E|grad l|^2, summed over the independent problems,
    as a function of the discriminator alone. `forward` is what the encoder minimises, with the discriminator held fixed:

    - "saturating": E_prior log D + E_posterior log(1 - D) + log 4. With the best D it is 2 JS, in [0, log 4]. Near log 4 its
      gradient has died.
    - "non_saturating": -E_posterior log D - E_prior log(1 - D) - log 4, the critic's loss with the roles exchanged. With the best
      D it is KL(q, p) + KL(p, q) - 2 JS >= 0; its gradient for q is that of KL(q, p) - 2 JS (Arjovsky and Bottou 2017).

    Both are 0 where D is 1/2 everywhere, have the same gradient there, and push every draw the same way elsewhere. Their values
    say how well this discriminator does, which the gradient penalty holds back: they are no estimate of JS.

    Shape: `Latent[..., n, d]`, `Latent[..., m, d]` -> `[...]`; reads the draws and their weights.

    Source: R-WAE Eq. 23 and 24 (App. D), after Mescheder et al. 2018 and Thanh-Tung et al. 2019; MLP 256-256-128-1 of App. G. Ours:
    leaky ReLU 0.2; the gradient penalty is on the logit, zero-centred (the paper writes D; Mescheder's is on the logit);
    its weight (the paper gives none); the non-saturating loss by default (Goodfellow et al. 2014; the paper does not say), with a
    term for the prior, so that a learned prior is pulled too; the constants log 4; "both" is the mean of R1 and R2. Interpolates
    pair every posterior draw with a prior draw that is taken by its weight, each once where n = m and the weights are equal.
    """

    @frozen(kw_only=True)
    class Config:
        """Discriminator and losses."""

        hidden: tuple[int, ...] = field(
            default=(256, 256, 128), validator=deep_iterable(ge(1)), metadata={"help": "sizes of the discriminator's hidden layers"}
        )
        encoder: Encoder = field(
            default="non_saturating",
            validator=in_(("non_saturating", "saturating")),
            metadata={"help": "the encoder's loss: non_saturating (-log D), saturating (log(1 - D), as printed in the paper)"},
        )
        gradient_weight: float = field(default=10.0, validator=ge(0), metadata={"help": "weight of E|grad logit|^2"})
        penalise: Penalise = field(
            default="interpolates",
            validator=in_(("interpolates", "prior", "posterior", "both")),
            metadata={"help": "where the gradient is taken: interpolates, prior (R1), posterior (R2), both (their mean)"},
        )

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)
        layers = [nn.Linear(a, b) for a, b in pairwise((d, *config.hidden, 1))]
        self.weights = nn.ParameterList(layer.weight for layer in layers)
        self.biases = nn.ParameterList(layer.bias for layer in layers)
        self.settings = config
        if config.encoder == "saturating":
            self.saturates_at = 0.9 * math.log(4)

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        layers = [(weight.detach(), bias.detach()) for weight, bias in self.layers()]
        # autocast would round the discriminator to half precision
        with torch.autocast(posterior.sample.device.type, enabled=False):
            of_posterior, of_prior = logit(layers, posterior.sample), logit(layers, prior.sample)
            if self.settings.encoder == "saturating":
                return -_cross_entropy(of_posterior, of_prior, posterior.weight, prior.weight)
            return _cross_entropy(-of_posterior, -of_prior, posterior.weight, prior.weight)

    def critic_loss(self, posterior: Latent, prior: Latent) -> Tensor:
        fake, real = posterior.sample.detach(), prior.sample.detach()
        with torch.autocast(fake.device.type, enabled=False):
            layers = self.layers()
            loss = _cross_entropy(logit(layers, fake), logit(layers, real), posterior.weight, prior.weight) + math.log(4)
            if self.settings.gradient_weight > 0:
                loss = loss + self.settings.gradient_weight * self._squared_slope(posterior, prior)
            return loss.sum()

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Matrix and bias of every layer."""
        return list(zip(self.weights, self.biases, strict=True))

    def _squared_slope(self, posterior: Latent, prior: Latent) -> Tensor:
        """E|grad l|^2 `[...]` where the config says."""
        fake, real = posterior.sample.detach(), prior.sample.detach()
        if self.settings.penalise == "interpolates":
            n, share = fake.shape[-2], self.noise.uniform(*fake.shape[:-1], 1, like=fake)
            strata = self.noise.permutation(n, fake.device) + self.noise.uniform(*fake.shape[:-1], like=fake)
            weight = torch.ones_like(real[..., 0]) if prior.weight is None else prior.weight.to(real)
            partners = real.gather(-2, resample(weight, strata / n).unsqueeze(-1).expand_as(fake))
            return _mean(squared_slope(self.layers(), share * partners + (1 - share) * fake), posterior.weight)
        one, two = (real, prior.weight), (fake, posterior.weight)
        places = {"prior": [one], "posterior": [two], "both": [one, two]}[self.settings.penalise]
        return torch.stack([_mean(squared_slope(self.layers(), z), weight) for z, weight in places]).mean(0)


def resample(weight: Tensor, level: Tensor) -> Tensor:
    """Places `[..., n]` in `weight` `[..., m]` at levels `[..., n]` in [0, 1] of its cumulated sum; never a place of weight 0."""
    cumulated = weight.cumsum(-1)
    total = cumulated[..., -1:]
    share = cumulated / torch.where(total > 0, total, torch.ones_like(total))
    below_one = level.clamp(max=1 - torch.finfo(level.dtype).eps)
    return torch.searchsorted(share, below_one, right=True).clamp(max=weight.shape[-1] - 1)


def logit(layers: Sequence[tuple[Tensor, Tensor]], z: Tensor) -> Tensor:
    """An MLP's scalar output `[..., n]` at the points `[..., n, d]`."""
    for weight, bias in layers[:-1]:
        z = functional.leaky_relu(functional.linear(z, weight, bias), SLOPE)
    return functional.linear(z, *layers[-1]).squeeze(-1)


def squared_slope(layers: Sequence[tuple[Tensor, Tensor]], z: Tensor) -> Tensor:
    """|grad logit|^2 `[..., n]`, differentiable in the parameters.

    The gradient in z is the product of the matrices and of the leaky ReLU's slopes between them, which are constant almost
    everywhere: exact, and no second derivative is needed to train on it.
    """
    slopes = []
    for weight, bias in layers[:-1]:
        before = functional.linear(z, weight, bias)
        slopes.append(SLOPE + (1 - SLOPE) * (before > 0).to(before.dtype))
        z = functional.leaky_relu(before, SLOPE)
    gradient = layers[-1][0].expand(*z.shape[:-1], -1)
    for (weight, _), slope in zip(reversed(layers[:-1]), reversed(slopes), strict=True):
        gradient = (gradient * slope) @ weight
    return gradient.square().sum(-1)


def _cross_entropy(fake: Tensor, real: Tensor, fake_weight: Tensor | None, real_weight: Tensor | None) -> Tensor:
    """E -log D(real) + E -log(1 - D(fake)) - log 4 `[...]` from logits `[..., n]` and `[..., m]`."""
    return _mean(functional.softplus(-real) - math.log(2), real_weight) + _mean(
        functional.softplus(fake) - math.log(2), fake_weight
    )


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """The weighted mean `[..., n] -> [...]`; 0 where all weights are 0."""
    if weight is None:
        return values.mean(-1)
    weight = weight.to(values)
    total = weight.sum(-1)
    return (weight * values).sum(-1) / torch.where(total > 0, total, torch.ones_like(total))
