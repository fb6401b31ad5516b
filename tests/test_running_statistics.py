"""Running statistics move for features that are known already as they move for features that are computed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from attrs import evolve
from torch import nn

from rwae_kit import Batch, DataInfo, Recipe, Registry
from rwae_kit.build import build
from rwae_kit.composition import recipe_values
from rwae_kit.recipe import merge
from rwae_kit.running_statistics import RunningStatistics


@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0, None])
@pytest.mark.parametrize("times", [1, 3])
def test_repeating_equals_reading_the_batch_again(momentum: float | None, times: int) -> None:
    net = nn.Sequential(nn.BatchNorm1d(5, momentum=momentum), nn.Linear(5, 4), nn.BatchNorm1d(4, momentum=momentum))
    plain = copy.deepcopy(net)
    first, second = torch.randn(2, 16, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0])[:, None, None]
    for each in (net, plain):
        each(first)
    statistics = RunningStatistics(net)
    net(second)
    plain(second)
    for _ in range(times):
        statistics.repeat()
        plain(second)
    torch.testing.assert_close(net.state_dict(), plain.state_dict())


def test_layers_that_keep_no_statistics_or_are_in_eval_mode_are_left_alone() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.BatchNorm1d(3).eval())
    before = copy.deepcopy(net.state_dict())
    statistics = RunningStatistics(net)
    net(torch.randn(4, 3))
    statistics.repeat()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def _small_cdsvae() -> dict[str, Any]:
    values = recipe_values("cdsvae", Registry.installed())
    values["term"] = {"information": {**values["term"]["static_information"], "view": "reverse"}}
    del values["view"], values["penalty"]
    nets = {"name": "conv", "channels": [4, 6], "strides": [2, 2], "features": 8, "normalisation": "batch"}
    changes = {"encoder.frames": nets, "decoder.frames": nets, "decoder.hidden": [8], "encoder.hidden": 8, "latents.static": 6}
    for path, value in changes.items():
        values = merge(values, path, value)
    return values


def test_a_reordered_view_gives_the_loss_the_gradients_and_the_running_statistics_of_the_plain_way() -> None:
    info = DataInfo(name="given", frame=(3, 16, 16), length=4)
    recipe = Recipe.from_dict(_small_cdsvae())
    x = torch.rand(6, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = Batch(x=x, index=torch.arange(6), dataset_size=6)

    model, objective = build(recipe, Registry.installed(), info)
    value = objective(model, model(batch), 0).total
    value.backward()

    plain, same = build(recipe, Registry.installed(), info)
    encoded = plain(batch)
    cost = plain.reconstruction(plain.pre_activations(encoded.posterior), batch).mean()
    (term,) = same.terms
    loss = cost + term.weight * term.loss({"clip": encoded, "reverse": plain(evolve(batch, x=x.flip(1)))})
    loss.backward()

    torch.testing.assert_close(value, loss)
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)
    torch.testing.assert_close(dict(model.encoder.named_buffers()), dict(plain.encoder.named_buffers()))
