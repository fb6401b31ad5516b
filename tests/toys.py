"""Small components that keep the contract of their kind, and `like`, which makes broken ones of them."""

from __future__ import annotations

from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from rwae_kit.data import Clips, DataInfo
from rwae_kit.errors import DataError
from rwae_kit.interfaces import (
    ActionEncoder,
    AdversarialDivergence,
    CategoricalDivergence,
    Decoder,
    Divergence,
    DynamicPrior,
    FrameDecoder,
    FrameEncoder,
    FrameView,
    LatentTerm,
    Metric,
    OrderView,
    Reconstruction,
    SequenceDataset,
    SequenceEncoder,
    StaticPrior,
    Tracker,
)
from rwae_kit.latents import CategoricalLatent, Latent, SequencePosterior


@frozen(kw_only=True)
class NoOptions:
    """A config without options."""


class Plain:
    """The constructor and config of most toys."""

    Config = NoOptions

    def __init__(self, config: NoOptions, *sizes: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.prepare(*sizes)

    def prepare(self, *sizes: Any) -> None: ...


class Gap(Plain, Divergence):
    """|mean of the posterior - mean of the prior|^2."""

    def mean(self, latent: Latent) -> Tensor:
        x = latent.sample
        weight = torch.ones_like(x[..., 0]) if latent.weight is None else latent.weight.to(x)
        return (weight.unsqueeze(-1) * x).sum(-2) / weight.sum(-1, keepdim=True).clamp_min(1e-9)

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        return (self.mean(posterior) - self.mean(prior)).square().sum(-1)


class CriticGap(Gap, AdversarialDivergence):
    def prepare(self, d: int) -> None:
        self.direction = nn.Parameter(torch.randn(d))

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        return torch.tanh((self.mean(posterior) - self.mean(prior)) @ self.direction)

    def critic_loss(self, posterior: Latent, prior: Latent) -> Tensor:
        return -self(*(evolve(latent, sample=latent.sample.detach()) for latent in (posterior, prior))).sum()


class Surprise(Plain, CategoricalDivergence):
    """KL(q(a), p(a)), averaged over the clips."""

    def forward(self, posterior: CategoricalLatent, prior: Tensor) -> Tensor:
        return self.each(posterior.logits, prior).mean()

    def each(self, logits: Tensor, prior: Tensor) -> Tensor:
        return (logits.softmax(-1) * (logits.log_softmax(-1) - prior)).sum(-1)


class Flat(Plain, FrameEncoder):
    size = 6

    def prepare(self, spec) -> None:
        self.linear = nn.LazyLinear(6)
        self.linear(torch.zeros(1, *spec.frame).flatten(1))

    def forward(self, frames: Tensor) -> Tensor:
        return self.linear(frames.flatten(1))


class Unflat(Plain, FrameDecoder):
    size = 6

    def prepare(self, spec) -> None:
        self.frame = spec.frame
        self.linear = nn.Linear(6, torch.Size(spec.frame).numel())

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features).unflatten(1, self.frame)


class Mean(Plain, SequenceEncoder):
    def prepare(self, spec, frames: FrameEncoder) -> None:
        self.frames = frames
        self.static, self.dynamic = nn.Linear(frames.size, spec.static), nn.Linear(frames.size, spec.dynamic)

    def features(self, batch) -> Tensor:
        return self.frames(batch.x.flatten(0, 1)).unflatten(0, batch.x.shape[:2])

    def pooled(self, features: Tensor, mask: Tensor | None) -> Tensor:
        return features.mean(1) if mask is None else (mask.unsqueeze(-1) * features).sum(1) / mask.sum(1, keepdim=True)

    def posterior(self, features: Tensor, batch) -> SequencePosterior:
        static, dynamic = self.static(self.pooled(features, batch.mask)), self.dynamic(features)
        return SequencePosterior(static=self.latent(static), dynamic=self.latent(dynamic))

    def latent(self, mean: Tensor) -> Latent:
        return self.draw(mean, torch.zeros_like(mean))


class Actions(Plain, ActionEncoder):
    def prepare(self, spec, h: int) -> None:
        self.linear = nn.Linear(spec.dynamic, spec.action)

    def forward(self, dynamic: Tensor, features: Tensor, mask: Tensor | None = None) -> CategoricalLatent:
        logits = self.linear(self.real(dynamic, mask).square().sum(1))
        return CategoricalLatent(sample=self.relaxed(logits), logits=logits)

    def real(self, dynamic: Tensor, mask: Tensor | None) -> Tensor:
        return dynamic if mask is None else dynamic * mask.unsqueeze(-1)

    def relaxed(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)


class Normal(Plain, StaticPrior):
    def prepare(self, spec) -> None:
        self.size = spec.static

    def forward(self, batch) -> Latent:
        zeros = batch.x.new_zeros(len(batch.x), self.size)
        return self.draw(zeros, zeros)


class Walk(Plain, DynamicPrior):
    """z_t ~ N(A z_t-1, 1)."""

    spread = 1.0

    def prepare(self, spec) -> None:
        self.step = nn.Linear(spec.dynamic, spec.dynamic, bias=False)

    def before(self, z: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)

    def forward(self, z: Tensor) -> Latent:
        mean = self.step(self.before(z))
        return self.draw(mean, torch.zeros_like(mean))

    def sample(self, b: int, t: int) -> Tensor:
        z, path = self.step.weight.new_zeros(b, self.step.in_features), []
        for _ in range(t):
            z = self.step(z) + self.spread * self.noise.normal(*z.shape, like=z)
            path.append(z)
        return torch.stack(path, 1)


class Joined(Plain, Decoder):
    def prepare(self, spec, frames: FrameDecoder) -> None:
        self.frames = frames
        self.linear = nn.Linear(spec.static + spec.dynamic + spec.action, frames.size)

    def forward(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor:
        still = [part.unsqueeze(1).expand(-1, dynamic.shape[1], -1) for part in (static, action) if part is not None]
        hidden = self.linear(torch.cat([*still[:1], dynamic, *still[1:]], -1))
        return self.frames(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2])


class Squared(Plain, Reconstruction):
    def mean(self, pre: Tensor) -> Tensor:
        return pre

    def forward(self, pre: Tensor, batch) -> Tensor:
        cost = (pre - batch.x).square().flatten(2).sum(-1)
        return (cost if batch.mask is None else cost * batch.mask).sum(1)


class Norm(Plain, LatentTerm):
    def forward(self, views) -> Tensor:
        value = views["clip"].posterior.static.mean.square().sum(-1).mean()
        self.estimates = {"norm": value.detach()}
        return value


class Brighter(Plain, FrameView):
    def forward(self, batch) -> Tensor:
        return batch.x + 0.1 * self.noise.uniform(len(batch.x), 1, 1, 1, 1, like=batch.x)


class Shuffle(Plain, OrderView):
    def forward(self, batch) -> Tensor:
        return self.noise.uniform(*batch.x.shape[:2], like=batch.x).argsort(1)


class Noisy(Plain, SequenceDataset):
    def __init__(self, config: NoOptions) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def info(self) -> DataInfo:
        return DataInfo(name="noisy", frame=(3,), length=4)

    def clips(self, split: str) -> Clips:
        if split not in ("train", "validation", "test"):
            raise DataError(f"no split {split!r}")
        return Clips(info=self.info(), frames=self.values(torch.Generator().manual_seed(0)))

    def values(self, generator: torch.Generator) -> Tensor:
        return torch.rand(5, 4, 3, generator=generator)


class Count(Metric):
    def __call__(self, static, dynamic, factors) -> dict[str, float]:
        return {"count": float(len(static))}


class Silent(Tracker):
    def __init__(self, folder) -> None: ...

    def log(self, record) -> None: ...

    def close(self) -> None: ...


WORKING = {
    "divergence": (Gap, CriticGap, Surprise),
    "frame_encoder": (Flat,),
    "frame_decoder": (Unflat,),
    "encoder": (Mean,),
    "action_encoder": (Actions,),
    "static_prior": (Normal,),
    "prior": (Walk,),
    "decoder": (Joined,),
    "reconstruction": (Squared,),
    "term": (Norm,),
    "view": (Brighter, Shuffle),
    "dataset": (Noisy,),
    "metric": (Count,),
    "tracker": (Silent,),
}


def like(base: type, **changes: Any) -> type:
    """The working toy with some of its methods replaced."""
    return type(f"Broken{base.__name__}", (base,), changes)
