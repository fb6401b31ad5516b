"""`transformer`: p(z_t | z_<t) by causal self-attention over all latents before."""

from __future__ import annotations

import math
from typing import TypeAlias, final

import torch
from attrs import field, frozen
from attrs.validators import gt
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import DynamicPrior, Latent, Spec
from rwae_nets.layers import full_precision
from rwae_nets.priors import ChainOptions, ancestral, shifted

Cache: TypeAlias = tuple[Tensor, Tensor] | None
"""Keys and values of the steps so far, `[b, heads, t, k]` each."""


@final
class TransformerPrior(DynamicPrior):
    """p(z_t | z_<t) = N(mean_t, var_t) with (mean_t, var_t) from a transformer that reads a learned start token and z_1 .. z_t-1.

    Shape: `[b, t, d_d] -> [b, t, d_d]`, all t in one pass. Positions are sinusoids: any length. `sample` keeps the keys and values
    of earlier steps.

    Source: R-WAE Eq. 4 with the net of Vaswani et al. 2017, layers normalised before (Xiong et al. 2020), GELU, no dropout: ours.
    """

    @frozen(kw_only=True)
    class Config(ChainOptions):
        """Sizes."""

        width: int = field(default=64, validator=gt(0), metadata={"help": "size of a token"})
        heads: int = field(default=4, validator=gt(0), metadata={"help": "attention heads; must divide width"})
        layers: int = field(default=2, validator=gt(0), metadata={"help": "blocks of attention and MLP"})
        hidden: int = field(default=128, validator=gt(0), metadata={"help": "units of a block's MLP"})

        def __attrs_post_init__(self) -> None:
            super().__attrs_post_init__()
            if self.width % self.heads or self.width % 2:
                raise ValueError(f"'width' = {self.width} must be even and a multiple of 'heads' = {self.heads}")

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size, self.residual = spec.dynamic, config.residual
        self.embedding = nn.Linear(spec.dynamic, config.width)
        self.start = nn.Parameter(0.02 * torch.randn(config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.hidden) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = config.head(config.width, spec.dynamic)

    def forward(self, z: Tensor) -> Latent:
        return self.draw(*self.parameters_of(z))

    def parameters_of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[b, t, d_d]` of each latent given those before it."""
        with full_precision(z):
            return self._step(shifted(z), 0, [None] * len(self.blocks))[:2]

    def sample(self, b: int, t: int) -> Tensor:
        noise = self.noise.normal(b, t, self.size, like=self.start)

        def step(z: Tensor, state: tuple[int, list[Cache]]) -> tuple[Tensor, Tensor, tuple[int, list[Cache]]]:
            place, caches = state
            mean, log_var, caches = self._step(z, place, caches)
            return mean, log_var, (place + 1, caches)

        nothing: list[Cache] = [None] * len(self.blocks)
        return ancestral(step, noise, (0, nothing))

    def _step(self, before: Tensor, place: int, caches: list[Cache]) -> tuple[Tensor, Tensor, list[Cache]]:
        """`before`: the latents before steps `place`, `place` + 1, ...; the caches hold what came before `place`."""
        token = self.embedding(before)
        if place == 0:
            token = torch.cat((self.start.expand_as(token[:, :1]), token[:, 1:]), dim=1)
        token = token + sinusoids(place, token)
        kept: list[Cache] = []
        for block, cache in zip(self.blocks, caches, strict=True):
            token, cache = block(token, cache)
            kept.append(cache)
        mean, log_var = self.head(self.norm(token))
        return (before + mean if self.residual else mean), log_var, kept


class Block(nn.Module):
    """Self-attention, then an MLP, each added to its input."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Tokens `[b, t, width]`: all from the start, causal (cache None), or the one behind those in the cache."""
        parts = self.query_key_value(self.before_attention(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat((cache[0], key), dim=2), torch.cat((cache[1], value), dim=2)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        x = x + self.output(seen.transpose(1, 2).flatten(2))
        x = x + self.mlp(self.before_mlp(x))
        return x, (key, value)


def sinusoids(place: int, like: Tensor) -> Tensor:
    """Positions `place`, `place` + 1, ... as sines and cosines of falling frequency, `[t, width]` for tokens `[b, t, width]`."""
    t, width = like.shape[1:]
    steps = torch.arange(place, place + t, device=like.device, dtype=like.dtype)
    frequencies = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(10000.0) / width))
    angles = torch.outer(steps, frequencies)
    return torch.cat((angles.sin(), angles.cos()), dim=1)
