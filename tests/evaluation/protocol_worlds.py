"""Models of the world of bars that are known through and through: what each row of a protocol should say of them is known too."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from attrs import evolve

from rwae_kit.evaluation.judges import JudgeSizes, JudgeTraining, TrainedJudge, train_judge
from rwae_kit.latents import Latent
from rwae_kit.noise import Noise


class WalkPrior:
    """Bars that walk at random, one-hot; its mean is the walk, a little faint, so that it can be told from the draws."""

    def __init__(self, noise, width):
        self.noise, self.width = noise, width

    def sample(self, b, t):
        like = torch.zeros(())
        start = (self.noise.uniform(b, like=like) * self.width).long()
        step = 1 - 2 * (self.noise.uniform(b, like=like) < 0.5).long()
        return torch.eye(self.width)[(start[:, None] + step[:, None] * torch.arange(t)) % self.width]

    def __call__(self, z):
        return Latent(sample=z, mean=0.98 * z)


def perfect(oracle_class):
    """An oracle that can also be sampled: static and dynamic latent are what they are, and their priors are those of the data."""

    class Perfect(oracle_class):
        def __init__(self):
            super().__init__()
            self.noise = Noise()
            self.prior = WalkPrior(self.noise, self.spec.dynamic)
            self.asked, self.masks = [], []

        def static_prior(self, batch):
            level = self.noise.uniform(len(batch.x), 1, like=torch.zeros(()))
            return Latent(sample=torch.tensor([0.25, 0.5, 1.0])[(3 * level).long()])

        def encode(self, x, mask=None):
            self.masks.append(mask)
            posterior = super().encode(x)
            return evolve(
                posterior, static=evolve(posterior.static, sample=posterior.static.sample - 0.05 * float(self.noise.drawing))
            )

        def decode(self, static, dynamic, action=None):
            assert action is None
            return super().decode(static, dynamic)

        def sample(self, n, t=None, *, seed=0, static=None, dynamic=None):
            self.asked.append(SimpleNamespace(n=n, t=t, seed=seed, static=static, dynamic=dynamic))
            return self.decode(static, dynamic)

    return Perfect()


def copying(oracle_class):
    """A model whose static latent is the whole clip: it hands back the clip that it has the static latent of."""

    class Copying(oracle_class):
        def __init__(self):
            super().__init__()
            self.noise = Noise()
            self.prior = WalkPrior(self.noise, self.spec.dynamic)

        def encode(self, x, mask=None):
            posterior = super().encode(x)
            return evolve(posterior, static=Latent(sample=x.flatten(1), mean=x.flatten(1)))

        def decode(self, static, dynamic, action=None):
            return static.unflatten(1, (-1, *self.info.frame))

        def sample(self, n, t=None, *, seed=0, static=None, dynamic=None):
            clip = self.decode(static, dynamic)
            return clip[:, torch.arange(t) % clip.shape[1]]

        def static_prior(self, batch):
            return Latent(sample=torch.zeros_like(batch.x).flatten(1))

    return Copying()


def drifting(oracle_class, changes):
    """A perfect model, but from frame T on the bars of samples have another brightness: `changes` is {T: {brightness: other}}."""
    model = perfect(oracle_class)
    sample = model.sample

    def drifted(n, t=None, **given):
        frames = sample(n, t, **given).clone()
        for start, levels in changes.items():
            own = given["static"][:, 0]
            for level, other in levels.items():
                frames[own == level, start:] *= other / level
        return frames

    model.sample = drifted
    return model


def bar_judge(splits) -> TrainedJudge:
    """A judge that was trained for a moment, and knows its way."""
    training = JudgeTraining(epochs=12, learning_rate=1e-2, patience=12, sizes=JudgeSizes(width=4, features=16, hidden=32))
    judge = train_judge({name: evolve(clips, info=evolve(clips.info, hash="ab" * 32)) for name, clips in splits.items()}, training)
    assert all(score.test > 0.8 for score in judge.card.scores.values()), judge.card.scores
    return judge


def twice(clips, name):
    """The clips with one factor twice, the second time called "again"."""
    info = evolve(clips.info, factors={**clips.info.factors, "again": clips.info.factors[name]})
    return evolve(clips, info=info, factors={**clips.factors, "again": clips.factors[name]})
