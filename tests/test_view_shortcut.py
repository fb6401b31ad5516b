"""A step of `cdsvae-official` gives what the plain way gives that encodes and decodes every view whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plain_cdsvae
import pytest
import torch
from torch import Tensor, nn

from rwae_kit import Batch, Component, DataInfo, Objective, Registry, SequenceAutoencoder
from rwae_kit.build import build
from rwae_kit.interop import save_cdsvae
from rwae_kit.noise import Noise
from rwae_kit.run import compose

REGISTRY = Registry.installed()
SIZES = {"latents.static": 5, "latents.dynamic": 3, "encoder.hidden": 6, "encoder.frames.features": 7, "prior.hidden": 6}
B, T = 3, 4
NEAR = {"rtol": 1e-5, "atol": 1e-5}
"""The sum over pixels is rounded to float32 here, and so is the gradient that passes it."""


def fresh() -> tuple[SequenceAutoencoder, Objective]:
    recipe = compose("cdsvae-official", SIZES, REGISTRY)
    model, objective = build(recipe, REGISTRY, DataInfo(name="sprites", frame=(3, 64, 64), length=T))
    return model.train(), objective.train()


def in_their_names(model: SequenceAutoencoder, tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Tensors like a model's own, as a checkpoint has them."""
    twin, _ = fresh()
    twin.double().load_state_dict(dict(tensors))
    save_cdsvae(twin, folder / "model.pth")
    found: dict[str, Tensor] = torch.load(folder / "model.pth", weights_only=True)["model"]
    return found


def plain_step(plain: Any, objective: Objective, batch: Batch, noise: Noise) -> Mapping[str, Tensor]:
    """Losses, with their gradients computed; the views are those of an objective, and every draw is made in the same order."""
    views = {name: view for term in objective.terms for name, view in term.views.items()}
    for part in (part for view in views.values() for part in view.modules()):
        if isinstance(part, Component):
            part.noise = noise

    def run(x: Tensor) -> Any:
        found = plain(x, lambda mean: noise.normal(*mean.shape, like=mean))
        for latent in (found.static, found.dynamic):
            noise.normal(*latent.shape, like=x)
        return found

    clip = run(batch.x)
    order = views["shuffle"](batch)
    reordered = run(batch.x[torch.arange(B)[:, None], order])
    parts: Mapping[str, Tensor] = plain_cdsvae.losses(clip, reordered, run(views["augment"](batch)), batch.x, batch.dataset_size)
    torch.stack(list(parts.values())).sum().backward()
    return parts


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("views")
    x = torch.rand(B, T, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = Batch(x=x, index=torch.arange(B), dataset_size=9000)
    model, objective = fresh()
    model.double()
    plain = plain_cdsvae.PlainCdsvae(static=5, dynamic=3, features=7, hidden=6).double().train()
    plain.load_state_dict(in_their_names(model, model.state_dict(), folder))
    noise = Noise()
    noise.restore(model.noise.state())
    expected = plain_step(plain, fresh()[1], batch, noise)
    losses = objective(model, model(batch), step=0)
    losses.total.backward()
    gradients = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad for name, weight in model.named_parameters()
    }
    return {
        "losses": (losses, expected),
        "gradients": (in_their_names(model, {**model.state_dict(), **gradients}, folder), dict(plain.named_parameters())),
        "statistics": (in_their_names(model, model.state_dict(), folder), dict(plain.named_buffers())),
    }


def test_every_loss_is_that_of_the_plain_way(both: dict[str, Any]) -> None:
    found, expected = both["losses"]
    weights = {"term.static_information": 10.0, "term.dynamic_information": 10.0}
    for name, value in expected.items():
        torch.testing.assert_close(weights.get(name, 1.0) * found.parts[name].double(), value.detach(), **NEAR)
    torch.testing.assert_close(found.total.double(), torch.stack(list(expected.values())).sum().detach(), **NEAR)


def test_every_gradient_is_that_of_the_plain_way(both: dict[str, Any]) -> None:
    found, expected = both["gradients"]
    for name, weight in expected.items():
        assert weight.grad is not None, name
        torch.testing.assert_close(found[name], weight.grad, **NEAR, msg=lambda told, name=name: f"{name}: {told}")


def test_the_encoders_running_statistics_have_moved_as_often_and_as_far(both: dict[str, Any]) -> None:
    found, expected = both["statistics"]
    encoder = {name: value for name, value in expected.items() if name.startswith("encoder.")}
    assert len(encoder) == 3 * len([1 for module in plain_cdsvae.FrameEncoder(7).modules() if isinstance(module, nn.BatchNorm2d)])
    for name, value in encoder.items():
        torch.testing.assert_close(found[name], value, **NEAR)
        assert not name.endswith("num_batches_tracked") or value == 3
