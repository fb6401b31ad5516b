"""Small seeded inputs of every kind, and the frame nets that encoders and decoders are checked on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from attrs import frozen
from torch import Tensor, nn

from rwae_kit.interfaces import FrameDecoder, FrameEncoder, Spec
from rwae_kit.latents import Batch, Encoded, Latent, SequencePosterior, SequencePrior

SPECS = tuple(Spec(frame=frame, value_range=(0.0, 1.0), static=5, dynamic=3) for frame in ((3, 32, 32), (12,)))
"""Images, and vectors for components that refuse images with an `RwaeError`."""

B, T, H, D = 4, 5, 6, 3
"""Clips, frames in a clip, features of a frame, features of a latent."""

Tensors = Mapping[str, Tensor]


def normal(dtype: torch.dtype, *size: int, seed: int = 0) -> Tensor:
    """Seeded standard normal values."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def uniform(dtype: torch.dtype, *size: int) -> Tensor:
    """Seeded values in [0, 1)."""
    return torch.rand(size, generator=torch.Generator().manual_seed(0), dtype=dtype)


def draws(dtype: torch.dtype, posterior: tuple[int, ...], prior: tuple[int, ...]) -> dict[str, Tensor]:
    """Means, log-variances and draws of a posterior `[..., n, D]` and a prior `[..., m, D]`."""
    found: dict[str, Tensor] = {}
    for i, (name, size) in enumerate((("posterior", posterior), ("prior", prior))):
        mean, log_var, noise = (normal(dtype, *size, D, seed=3 * i + k) for k in range(3))
        found |= {
            f"{name}.mean": mean + i,
            f"{name}.log_var": log_var,
            f"{name}.sample": mean + i + torch.exp(0.5 * log_var) * noise,
        }
    return found


def batch_of(x: Tensor, mask: Tensor | None = None) -> Batch:
    """A batch of unlabelled clips `[b, t, *frame]`."""
    return Batch(x=x, index=torch.arange(len(x)), mask=mask, dataset_size=1000)


def encoded(given: Tensors, view: str) -> Encoded:
    """A view whose posterior has the means `given["VIEW static"]` and `given["VIEW dynamic"]`, with `given["VIEW features"]`."""
    static, dynamic, features = (given[f"{view} {name}"] for name in ("static", "dynamic", "features"))
    x = torch.zeros(*features.shape[:2], *SPECS[0].frame, dtype=features.dtype)
    posterior = SequencePosterior(static=_unit(static), dynamic=_unit(dynamic))
    prior = SequencePrior(static=_unit(torch.zeros_like(static)), dynamic=_unit(torch.zeros_like(dynamic)))
    return Encoded(batch=batch_of(x), features=features, posterior=posterior, prior=prior)


def _unit(mean: Tensor) -> Latent:
    return Latent(sample=mean + 0.1 * normal(mean.dtype, *mean.shape), mean=mean, log_var=torch.full_like(mean, math.log(0.01)))


class TinyEncoder(FrameEncoder):
    """A linear frame encoder."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    size = H

    def __init__(self, spec: Spec) -> None:
        super().__init__(self.Config())
        self.linear = nn.Linear(math.prod(spec.frame), H)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.linear(frames.flatten(1))
        return features


class TinyDecoder(FrameDecoder):
    """A linear frame decoder."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    size = H

    def __init__(self, spec: Spec) -> None:
        super().__init__(self.Config())
        self.frame = spec.frame
        self.linear = nn.Linear(H, math.prod(spec.frame))

    def forward(self, features: Tensor) -> Tensor:
        frames: Tensor = self.linear(features).unflatten(1, self.frame)
        return frames
