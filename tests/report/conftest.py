"""A model that sees through its toy world: brightness is static, the frames without it are dynamic."""

from __future__ import annotations

import pytest
import torch

from rwae_kit.data import Clips, DataInfo, Factor
from rwae_kit.interfaces import Spec
from rwae_kit.latents import Latent, SequencePosterior


class Dimmer(torch.nn.Module):
    """The static code is a clip's brightest value; the dynamic codes are its frames over that."""

    device = torch.device("cpu")

    def __init__(self, info):
        super().__init__()
        self.info = info
        size = int(torch.tensor(info.frame).prod())
        self.spec = Spec(frame=info.frame, value_range=info.value_range, static=1, dynamic=size)
        self.origin = {"recipe": {"title": "from the origin", "data": {"name": info.name}}, "parts": {"toy": "1.0"}}

    def encode(self, x, mask=None):
        static = x.flatten(1).amax(1, keepdim=True).clamp(min=1e-6)
        dynamic = x.flatten(2) / static[:, None]
        return SequencePosterior(static=Latent(sample=static, mean=static), dynamic=Latent(sample=dynamic, mean=dynamic))

    def decode(self, static, dynamic):
        return (static[:, None] * dynamic).unflatten(2, self.info.frame)

    def reconstruct(self, x, mask=None):
        return x * 0.5

    def swap(self, static_from, dynamic_from, *, static_mask=None, dynamic_mask=None):
        return self.decode(self.encode(static_from).static.sample, self.encode(dynamic_from).dynamic.sample)

    def sample(self, n, t=None, *, seed=0, static=None, dynamic=None, action=None):
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(n, t or self.info.length, *self.info.frame, generator=generator)

    def traverse(self, x, latent, dim, values):
        posterior = self.encode(x[None])
        static, dynamic = (
            getattr(posterior, name).sample.repeat(len(values), *[1] * k).clone() for name, k in (("static", 1), ("dynamic", 2))
        )
        {"static": static, "dynamic": dynamic}[latent][..., dim] = torch.as_tensor(values)[(..., None)[: 1 + (latent == "dynamic")]]
        return self.decode(static, dynamic)


@pytest.fixture(scope="session")
def world():
    """A function of a frame's shape and a clip's length: a model and 12 clips whose labels are (i % 3, i % 2)."""

    def make(frame=(1, 4, 4), length=3, n=12):
        factors = {"level": Factor(classes=("a", "b", "c"), kind="static"), "path": Factor(classes=("x", "y"), kind="dynamic")}
        info = DataInfo(name="toy <&>", frame=frame, length=length, factors=factors, licence="CC0")
        frames = torch.rand(n, length, *frame, generator=torch.Generator().manual_seed(0))
        clips = Clips(info=info, frames=frames, factors={"level": torch.arange(n) % 3, "path": torch.arange(n) % 2})
        return Dimmer(info), clips

    return make
