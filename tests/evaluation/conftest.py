"""A world small enough to be understood by an oracle: a bar of some brightness that walks left or right."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from rwae_kit.data import Clips, DataInfo, Factor
from rwae_kit.interfaces import Judge
from rwae_kit.latents import Latent, SequencePosterior

BRIGHTNESS, T, WIDTH = (0.25, 0.5, 1.0), 4, 8

INFO = DataInfo(
    name="bars",
    frame=(1, 2, WIDTH),
    length=T,
    factors={
        "direction": Factor(classes=("right", "left"), kind="dynamic"),
        "brightness": Factor(classes=("dark", "grey", "light"), kind="static"),
    },
)


def bars(n: int, seed: int) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    brightness, direction = (torch.randint(k, (n,), generator=generator) for k in (3, 2))
    start = torch.randint(WIDTH, (n,), generator=generator)
    place = (start[:, None] + (1 - 2 * direction)[:, None] * torch.arange(T)) % WIDTH
    frames = torch.eye(WIDTH)[place] * torch.tensor(BRIGHTNESS)[brightness][:, None, None]
    return Clips(
        info=INFO,
        frames=frames[:, :, None, None].expand(n, T, 1, 2, WIDTH).clone(),
        factors={"direction": direction, "brightness": brightness},
    )


class Oracle(torch.nn.Module):
    """Knows brightness (static) and place (dynamic, one-hot) exactly."""

    device = torch.device("cpu")
    info = INFO
    spec = SimpleNamespace(static=1, dynamic=WIDTH, action=0, value_range=(0.0, 1.0), frame=INFO.frame)

    def encode(self, x, mask=None):
        static, dynamic = x.amax((1, 2, 3, 4))[:, None], (x[:, :, 0, 0] > 0).float()
        return SequencePosterior(static=Latent(sample=static, mean=static), dynamic=Latent(sample=dynamic, mean=dynamic))

    def decode(self, static, dynamic):
        return (static[:, None] * dynamic)[:, :, None, None].expand(-1, -1, 1, 2, -1)

    def reconstruct(self, x, mask=None):
        posterior = self.encode(x)
        return self.decode(posterior.static.sample, posterior.dynamic.sample)

    def swap(self, static_from, dynamic_from, *, static_mask=None, dynamic_mask=None):
        return self.decode(self.encode(static_from).static.sample, self.encode(dynamic_from).dynamic.sample)

    def sample(self, n, t=None, *, seed=0, static=None, dynamic=None):
        drawn = self.encode(bars(n, seed).frames)
        return self.decode(drawn.static.sample if static is None else static, drawn.dynamic.sample if dynamic is None else dynamic)


class BarJudge(Judge):
    def predict(self, x):
        level = x.amax((1, 2, 3, 4))[:, None]
        place = x[:, :, 0, 0].argmax(-1)
        return {
            "brightness": (level - torch.tensor(BRIGHTNESS)).abs().argmin(-1),
            "direction": ((place[:, 1] - place[:, 0]) % WIDTH != 1).long(),
        }


@pytest.fixture(scope="session")
def make_bars():
    return bars


@pytest.fixture
def oracle_class():
    return Oracle


@pytest.fixture
def judge():
    return BarJudge()
