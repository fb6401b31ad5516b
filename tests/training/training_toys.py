"""A model of a few hundred weights with the faces of a real one, to train in milliseconds. As a script it trains one.

python training_toys.py FOLDER SCHEDULE EPOCHS [--resume] [--kill STEP] [--slow SECONDS]
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rwae_kit.data import Clips, DataInfo
from rwae_kit.interfaces import (
    AdversarialDivergence,
    Decoder,
    Divergence,
    DynamicPrior,
    LatentTerm,
    Reconstruction,
    SequenceEncoder,
    Spec,
    StaticPrior,
    share_noise,
)
from rwae_kit.latents import Batch, Latent, SequencePosterior
from rwae_kit.model import SequenceAutoencoder
from rwae_kit.objective import Objective, Penalty, Term
from rwae_kit.training.config import Adam, TrainingConfig
from rwae_kit.training.loop import Outcome, train_loop
from rwae_kit.training.progress import PlainReporter, Reporter

FEATURES, LENGTH, STATIC, DYNAMIC = 6, 4, 3, 2
SPEC = Spec(frame=(FEATURES,), value_range=(-9.0, 9.0), static=STATIC, dynamic=DYNAMIC)
INFO = DataInfo(name="toy", frame=(FEATURES,), length=LENGTH, value_range=(-9.0, 9.0))


@frozen(kw_only=True)
class NoOptions:
    pass


class ToyEncoder(SequenceEncoder):
    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.frames = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Tanh())
        self.static, self.dynamic = nn.Linear(8, 2 * STATIC), nn.Linear(8, 2 * DYNAMIC)

    def features(self, batch: Batch) -> Tensor:
        return self.frames(batch.x.flatten(0, 1)).unflatten(0, batch.x.shape[:2])

    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        static = self.draw(*self.static(features.mean(1)).chunk(2, -1))
        return SequencePosterior(static=static, dynamic=self.draw(*self.dynamic(features).chunk(2, -1)))


class ToyStaticPrior(StaticPrior):
    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())

    def forward(self, batch: Batch) -> Latent:
        zero = batch.x.new_zeros(len(batch.x), STATIC)
        return self.draw(zero, zero)


class ToyPrior(DynamicPrior):
    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.net = nn.GRU(DYNAMIC, 5, batch_first=True)
        self.head = nn.Linear(5, 2 * DYNAMIC)

    def forward(self, z: Tensor) -> Latent:
        past = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)
        return self.draw(*self.head(self.net(past)[0]).chunk(2, -1))

    def sample(self, b: int, t: int) -> Tensor:
        return self.noise.normal(b, t, DYNAMIC, like=self.head.weight)


class ToyDecoder(Decoder):
    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.net = nn.Sequential(nn.Linear(STATIC + DYNAMIC, 8), nn.Tanh(), nn.Linear(8, FEATURES))

    def forward(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor:
        return self.net(torch.cat([static[:, None].expand(-1, dynamic.shape[1], -1), dynamic], -1))


class ToyReconstruction(Reconstruction):
    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())

    def mean(self, pre: Tensor) -> Tensor:
        return pre

    def forward(self, pre: Tensor, batch: Batch) -> Tensor:
        return (pre - batch.x).square().sum((1, 2))


class ToyCritic(AdversarialDivergence):
    """A difference of critic means; the spectral norm has buffers that move, and its loss draws noise."""

    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.net = nn.Sequential(spectral_norm(nn.Linear(STATIC, 4)), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        return (self.net(posterior.sample).mean() - self.net(prior.sample).mean()).square()

    def critic_loss(self, posterior: Latent, prior: Latent) -> Tensor:
        return 1e-3 * self.net(self.noise.normal(8, STATIC, like=prior.sample)).square().mean() - self(posterior, prior)


class ToyMoments(Divergence):
    """Squared differences of mean and variance over the draws: needs the whole batch, as MMD does."""

    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        q, p = posterior.sample, prior.sample
        return (q.mean(-2) - p.mean(-2)).square().sum(-1) + (q.var(-2) - p.var(-2)).square().sum(-1)


class ToyTerm(LatentTerm):
    """A term with a parameter of its own."""

    Config = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.scale = nn.Parameter(torch.ones(STATIC))

    def forward(self, views) -> Tensor:
        return (views["clip"].posterior.static.mean * self.scale - 1).square().mean()


def toy_model(seed: int = 0) -> tuple[SequenceAutoencoder, Objective]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SequenceAutoencoder(
            spec=SPEC,
            info=INFO,
            encoder=ToyEncoder(),
            static_prior=ToyStaticPrior(),
            prior=ToyPrior(),
            decoder=ToyDecoder(),
            reconstruction=ToyReconstruction(),
            origin={"toy": True},
        )
        penalties = [
            Penalty(latent="static", name="critic", divergence=ToyCritic(), weight=3.0),
            Penalty(latent="dynamic", name="moments", divergence=ToyMoments(), weight=2.0, warmup_steps=5),
        ]
        objective = Objective(penalties, [Term(key="own", loss=ToyTerm(), weight=0.1)])
    share_noise(model.noise, objective)
    return model, objective


def toy_clips(n: int = 50, seed: int = 1) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    return Clips(info=INFO, frames=torch.randn(n, LENGTH, FEATURES, generator=generator).cumsum(1))


def toy_config(**changes) -> TrainingConfig:
    fast = {name: Adam(learning_rate=1e-2) for name in ("encoder", "decoder", "prior", "critic")}
    defaults = {"batch_size": 8, "epochs": 6, "inner_steps": 2, "validate_every": 2, "checkpoint_every": 2, "log_every": 4}
    return TrainingConfig(**{**fast, **defaults, "decay": "linear", "warmup_steps": 3, "clip_gradient": 5.0, **changes})


class StopAfter(Reporter):
    """Sends this process a signal once so many steps are done."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGTERM, pause: float = 0.0) -> None:
        self.step, self.number, self.pause = step, number, pause

    def advance(self, done: int) -> None:
        time.sleep(self.pause)
        if done == self.step:
            os.kill(os.getpid(), self.number)


def toy_run(folder: Path, config: TrainingConfig, *, stop_after: int | None = None, resume: bool = False, **more) -> Outcome:
    model, objective = toy_model(seed=7 if resume else 0)  # a resumed run must not depend on fresh weights
    reporter = Reporter() if stop_after is None else StopAfter(stop_after)
    return train_loop(
        model, objective, toy_clips(), toy_clips(20, seed=2), config, folder, resume=resume, reporter=reporter, **more
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("schedule")
    parser.add_argument("epochs", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill", type=int)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--checkpoint-every", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, objective = toy_model(seed=7 if given.resume else 0)
    reporter = StopAfter(given.kill or -1, signal.SIGKILL, given.slow)
    if given.slow:
        PlainReporter().say("ready")
    config = toy_config(schedule=given.schedule, epochs=given.epochs, checkpoint_every=given.checkpoint_every)
    train_loop(model, objective, toy_clips(), toy_clips(20, seed=2), config, given.folder, resume=given.resume, reporter=reporter)


if __name__ == "__main__":
    main()
