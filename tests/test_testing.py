"""Every registered component passes its conformance check, and every check fails on a component that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from rwae_kit.data import Clips, DataInfo
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.interfaces import (
    ActionEncoder,
    AdversarialDivergence,
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
from rwae_kit.registry import KINDS, Registry
from rwae_kit.testing import CHECKS, check_component

REGISTRY = Registry.installed()
REGISTERED = sorted(key for key in REGISTRY.entries if key[0] in CHECKS)


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

    def forward(self, dynamic: Tensor, features: Tensor) -> CategoricalLatent:
        logits = self.linear(dynamic.square().sum(1))
        return CategoricalLatent(sample=self.relaxed(logits), logits=logits)

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
    "divergence": (Gap, CriticGap),
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


@frozen(kw_only=True)
class NoHelp:
    size: int = 3


@frozen(kw_only=True)
class NoDefault:
    size: int = field(metadata={"help": "how large"})


@frozen(kw_only=True)
class NoWayBack:
    sizes: tuple[int, ...] = field(default=(1, 2), converter=lambda v: (*v, 0), metadata={"help": "how large"})


def _written(self, posterior: Latent, prior: Latent) -> Tensor:
    posterior.sample.detach().add_(1)
    return Gap.forward(self, posterior, prior)


def _padded(self, latent: Latent) -> Tensor:
    return Gap.mean(self, evolve(latent, weight=None))


def _endless(self, latent: Latent) -> Tensor:
    return (
        latent.sample.mul(latent.weight.unsqueeze(-1)).sum(-2) / latent.weight.sum(-1, keepdim=True)
        if latent.weight is not None
        else (latent.sample.mean(-2))
    )


def _mixed(self, posterior: Latent, prior: Latent) -> Tensor:
    value = Gap.forward(self, posterior, prior)
    return value + value.sum()


def _global_noise(self, frames: Tensor) -> Tensor:
    return Flat.forward(self, frames) + torch.randn(len(frames), 6, dtype=frames.dtype)


def _hidden_state(self, spec) -> None:
    Flat.prepare(self, spec)
    self.offset = torch.rand(()).item()


def _always_drawn(self, mean: Tensor) -> Latent:
    return Latent(sample=mean + self.noise.normal(*mean.shape, like=mean), mean=mean, log_var=torch.zeros_like(mean))


def _drawn_by_mode(self, mean: Tensor) -> Latent:
    noise = self.noise.normal(*mean.shape, like=mean) if self.training else torch.zeros_like(mean)
    return Latent(sample=mean + noise, mean=mean, log_var=torch.zeros_like(mean))


def _frozen_sample(self, b: int, t: int) -> Tensor:
    return Walk.sample(self, b, t).detach()


def _never_random(self, b: int, t: int) -> Tensor:
    return torch.zeros(b, t, 3, dtype=torch.float64) + self.step.weight.sum()


BROKEN: list[tuple[str, type, str]] = [
    ("divergence", Flat, "does not derive from Divergence"),
    ("divergence", like(Gap, Config=dict), "nested attrs class Config"),
    ("divergence", like(Gap, Config=NoHelp), "'size' has no help"),
    ("divergence", like(Gap, Config=NoDefault), "'size' has no default"),
    ("divergence", like(Gap, Config=NoWayBack), "does not survive plain values"),
    ("divergence", like(Gap, __init__=lambda self, config: None), r"is built as \(config, d\)"),
    ("divergence", like(Gap, prepare=lambda self, d: setattr(self, "config", 1)), "does not keep its config"),
    (
        "divergence",
        like(Gap, prepare=lambda self, d: setattr(self, "w", nn.Parameter(torch.ones(d)))),
        "no critic_loss to train them",
    ),
    ("divergence", like(Gap, forward=lambda self, q, p: Gap.forward(self, q, p).sum()), r"the result is \[\], not \[2\]"),
    (
        "divergence",
        like(Gap, forward=lambda self, q, p: Gap.forward(self, q, p).float()),
        "is torch.float32 for inputs in torch.float64",
    ),
    (
        "divergence",
        like(Gap, forward=lambda self, q, p: (q.sample - p.sample).square().sum((-1, -2))),
        r"prior \[4, 3\].*RuntimeError",
    ),
    (
        "divergence",
        like(Gap, forward=lambda self, q, p: (self.mean(q) - self.mean(p).detach()).sum(-1)),
        "no gradient reaches 6 of the 6",
    ),
    ("divergence", like(Gap, forward=_written), "writes its input posterior.sample"),
    ("divergence", like(Gap, forward=_mixed), "depends on the other problems"),
    ("divergence", like(Gap, mean=_padded), r"padding\) change the value"),
    ("divergence", like(Gap, mean=_endless), "padding alone"),
    ("divergence", like(Gap, forward=lambda self, q, p: Gap.forward(self, q, p) / 0), "not finite"),
    (
        "divergence",
        like(CriticGap, prepare=lambda self, d: setattr(self, "direction", torch.ones(d).double())),
        "without parameters",
    ),
    ("divergence", like(CriticGap, critic_loss=lambda self, q, p: -self(q, p).sum()), "moves only the critic"),
    ("divergence", like(CriticGap, critic_loss=lambda self, q, p: -self(q, p).detach().sum()), "no gradient to the critic"),
    ("divergence", like(CriticGap, critic_loss=lambda self, q, p: self.direction * 1), r"critic_loss: the shape is \[3\]"),
    ("frame_encoder", like(Flat, forward=_global_noise), "torch's global generator"),
    ("frame_encoder", like(Flat, size=7), r"the shape is \[4, 6\], not \[4, 7\]"),
    ("frame_encoder", like(Flat, size=None), "must set self.size"),
    ("frame_encoder", like(Flat, forward=lambda self, x: Flat.forward(self, x - x.mean(0))), "depend on the other frames"),
    (
        "frame_encoder",
        like(Flat, prepare=_hidden_state, forward=lambda s, x: Flat.forward(s, x) + s.offset),
        "after load_state_dict",
    ),
    (
        "frame_encoder",
        like(Flat, forward=lambda self, x: Flat.forward(self, x.detach())),
        "the result has no gradient|no gradient reaches",
    ),
    ("frame_decoder", like(Unflat, forward=lambda self, h: Unflat.forward(self, h).mT[..., :-1]), "frames: the shape"),
    ("encoder", like(Mean, latent=lambda self, mean: Latent(sample=mean)), "have no mean and log_var"),
    ("encoder", like(Mean, latent=_always_drawn), "eval mode takes means"),
    ("encoder", like(Mean, latent=_drawn_by_mode), "inside noise.fork"),
    ("encoder", like(Mean, pooled=lambda self, features, mask: features.mean(1)), "changes the static latent"),
    ("action_encoder", like(Actions, relaxed=lambda self, logits: logits), "sum to 1"),
    ("static_prior", like(Normal, prepare=lambda self, spec: setattr(self, "size", 2)), r"the shape is \[4, 2\], not \[4, 5\]"),
    ("prior", like(Walk, before=lambda self, z: z), "it may see the past only"),
    ("prior", like(Walk, sample=_frozen_sample), "no gradient to the prior's parameters"),
    ("prior", like(Walk, sample=_never_random), "the same draws twice"),
    ("prior", like(Walk, spread=2.0), "not standard normal"),
    ("decoder", like(Joined, forward=lambda self, s, z, a=None: Joined.forward(self, 0 * s, z, a)), "entries of static"),
    (
        "reconstruction",
        like(Squared, forward=lambda self, pre, batch: (pre - batch.x).square().flatten(1).sum(1)),
        "no sum over the frames",
    ),
    ("term", like(Norm, forward=lambda self, views: Norm.forward(self, views).detach()), "no gradient to any latent"),
    ("term", like(Norm, forward=lambda self, views: views["clip"].posterior.static.mean.sum(-1)), r"the shape is \[4\], not \[\]"),
    ("view", like(Shuffle, forward=lambda self, batch: Shuffle.forward(self, batch) * 0), "must be a permutation"),
    ("view", like(Brighter, forward=lambda self, batch: batch.x.flatten(2)), "the view: the shape"),
    ("dataset", like(Noisy, values=lambda self, generator: 2 + Noisy.values(self, generator)), "declared"),
    ("dataset", like(Noisy, values=lambda self, generator: Noisy.values(self, self.generator)), "gives other clips"),
    ("dataset", like(Noisy, clips=lambda self, split: Noisy.clips(self, "test")), "must raise DataError"),
    ("metric", like(Count, __call__=lambda self, static, dynamic, factors: {"count": float("nan")}), "finite numbers"),
    ("tracker", Count, "does not derive from Tracker"),
]


@pytest.mark.parametrize(("kind", "name"), REGISTERED, ids=[" ".join(key) for key in REGISTERED])
def test_every_registered_component_keeps_the_contract_of_its_kind(kind: str, name: str) -> None:
    check_component(kind, REGISTRY.get(kind, name))


@pytest.mark.parametrize(("kind", "cls"), [(kind, cls) for kind, toys in WORKING.items() for cls in toys])
def test_a_toy_that_keeps_the_contract_passes(kind: str, cls: type) -> None:
    check_component(kind, cls)


@pytest.mark.parametrize(("kind", "cls", "message"), BROKEN, ids=[f"{kind}: {message}" for kind, _, message in BROKEN])
def test_a_broken_component_is_told_what_is_wrong(kind: str, cls: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message) as caught:
        check_component(kind, cls)
    assert str(caught.value).startswith(f"{cls.__qualname__}: ")


def test_every_kind_of_component_has_a_check() -> None:
    assert set(CHECKS) == set(KINDS) - {"recipe", "command"}
    assert set(WORKING) == set(CHECKS)


def test_a_kind_without_a_check_is_refused_by_name() -> None:
    with pytest.raises(RwaeError, match=r"no conformance checks for kind 'divergense'\. Did you mean 'divergence'"):
        check_component("divergense", Gap)


def test_a_given_config_is_the_one_that_is_checked() -> None:
    @frozen(kw_only=True)
    class Options:
        flip: bool = field(default=False, metadata={"help": "break the gradient"})

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        value = Gap.forward(self, posterior, prior)
        return value.detach() if self.config.flip else value

    cls = like(Gap, Config=Options, forward=forward)
    check_component("divergence", cls)
    with pytest.raises(AssertionError, match="has no gradient"):
        check_component("divergence", cls, Options(flip=True))
