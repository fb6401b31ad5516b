"""Every registered component passes its conformance check, and every check fails on a component that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn
from toys import (
    WORKING,
    Actions,
    Brighter,
    Count,
    CriticGap,
    Flat,
    Gap,
    Joined,
    Mean,
    Noisy,
    Norm,
    Normal,
    Shuffle,
    Squared,
    Surprise,
    Unflat,
    Walk,
    like,
)

from rwae_kit.errors import RwaeError
from rwae_kit.latents import Latent
from rwae_kit.registry import KINDS, Registry
from rwae_kit.testing import CHECKS, check_component

REGISTRY = Registry.installed()
REGISTERED = sorted(key for key in REGISTRY.entries if key[0] in CHECKS)


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
    ("divergence", like(Surprise, forward=lambda self, q, p: self.each(q.logits, p)), r"the result: the shape is \[4\], not \[\]"),
    ("divergence", like(Surprise, forward=lambda self, q, p: self.each(q.logits, 0 * p).mean()), "ignores the prior"),
    ("divergence", like(Surprise, forward=lambda self, q, p: self.each(q.logits, p)[0]), "no gradient reaches 3 of the 4"),
    ("divergence", like(Surprise, prepare=lambda self, a: setattr(self, "w", torch.nn.Parameter(torch.ones(a)))), "has parameters"),
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
    ("action_encoder", like(Actions, real=lambda self, dynamic, mask: dynamic), "changes the action"),
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
