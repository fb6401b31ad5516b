"""The action latent from a recipe to a trained model: penalties, priors, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rwae_kit import Batch, DataInfo, RecipeError, Registry, RwaeError
from rwae_kit.build import build
from rwae_kit.recipe import Recipe, merge
from rwae_kit.report import sample_pictures
from rwae_kit.run import train
from rwae_kit.training.progress import Reporter

INFO = DataInfo(name="toy", frame=(1, 16, 16), length=4)
CLIPS = torch.rand(24, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def weak(tiny: dict[str, Any]) -> dict[str, Any]:
    tiny["latents"]["action"] = 3
    tiny["action"] = {"name": "lstm", "hidden": 8}
    tiny["penalty"]["action"] = {"categorical_kl": {"weight": 50.0}}
    return tiny


def losses(values: dict[str, Any], **options: Any) -> tuple[Any, Any, Any, Any]:
    model, objective = build(Recipe.from_dict(values), Registry.installed(), INFO)
    encoded = model(Batch(x=CLIPS[:6], index=torch.arange(6), dataset_size=24))
    return model, objective, encoded, objective(model, encoded, 0, **options)


def entropy_gap(logits: Tensor, prior: Tensor) -> Tensor:
    q = logits.softmax(-1)
    return (q * (q.log() - prior.log())).sum(-1).mean()


def test_the_penalty_on_the_action_is_in_the_total_with_its_weight(weak: dict[str, Any]) -> None:
    _, objective, encoded, found = losses(weak)
    value = found.parts["penalty.action.categorical_kl"]
    torch.testing.assert_close(value, entropy_gap(encoded.posterior.action.logits, torch.full((3,), 1 / 3)).detach())
    weighted = sum(p.weight * found.parts[p.path] for p in objective.penalties)
    torch.testing.assert_close(found.total.detach(), found.parts["reconstruction"] + weighted)


def test_a_given_prior_of_the_actions_is_that_of_penalty_and_samples(weak: dict[str, Any]) -> None:
    weak["latents"]["action_prior"] = [6.0, 3.0, 1.0]
    model, _, encoded, found = losses(weak)
    prior = torch.tensor([0.6, 0.3, 0.1])
    torch.testing.assert_close(model.action_prior().exp(), prior)
    value = found.parts["penalty.action.categorical_kl"]
    torch.testing.assert_close(value, entropy_gap(encoded.posterior.action.logits, prior).detach())
    with model.noise.fork(0):
        torch.testing.assert_close(model._drawn_actions(20_000).mean(0), prior, atol=0.012, rtol=0)


def test_samples_show_the_actions_that_they_are_given_with_the_same_draws_of_s_and_z(weak: dict[str, Any]) -> None:
    model, *_ = losses(weak)
    given = torch.eye(3)[[0, 1, 2, 2]]
    decoded = []
    decode = model.decode
    model.decode = lambda *codes: decoded.append(codes) or decode(*codes)
    drawn, asked = model.sample(4, seed=1), model.sample(4, seed=1, action=given)
    assert all(torch.equal(one, other) for one, other in zip(decoded[0][:2], decoded[1][:2], strict=True))
    assert torch.equal(decoded[1][2], given)
    assert drawn.shape == asked.shape
    with pytest.raises(RwaeError, match="action has 2 entries, the model has 3 actions"):
        model.sample(4, action=torch.eye(2)[[0, 0, 0, 0]])
    assert sample_pictures(model, 2, seed=1, action=0).still != sample_pictures(model, 2, seed=1, action=1).still
    with pytest.raises(RwaeError, match="action 3, but this model's actions are 0 to 2"):
        sample_pictures(model, 2, action=3)


def test_the_penalty_on_the_action_moves_the_encoders_and_is_left_out_of_the_outer_step(weak: dict[str, Any]) -> None:
    model, objective, encoded, _ = losses(weak)
    penalty = next(p for p in objective.penalties if p.latent == "action")
    penalty.divergence(encoded.posterior.action, model.action_prior()).backward()
    assert all(parameter.grad is not None for parameter in model.action_encoder.parameters())
    assert any(parameter.grad is not None for parameter in model.encoder.parameters())
    assert all(parameter.grad is None for parameter in model.decoder.parameters())
    assert "penalty.action.categorical_kl" not in losses(weak, outer=True)[-1].parts


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("penalty.action.mmd.weight", 1.0, r"penalty.action.mmd: the action latent is categorical; 'mmd' compares continuous"),
        ("penalty.static.categorical_kl.weight", 1.0, r"penalty.static.categorical_kl: the static latent is continuous"),
        ("penalty.dynamic.categorical_kl.weight", 1.0, r"penalty.dynamic.categorical_kl: the dynamic latent is continuous"),
        ("penalty.action.categorical_kl.conditioning", "ancestral", r"categorical_kl: conditioning is for the dynamic latent"),
        ("latents.action_prior", [0.5, 0.5], r"'action_prior' has 2 numbers for 3 actions"),
        ("latents.action_prior", [1.0, 0.0, 1.0], r"latents.*action_prior"),
    ],
)
def test_what_does_not_fit_the_action_latent_is_refused_with_its_place(weak: dict[str, Any], path, value, message) -> None:
    with pytest.raises(RecipeError, match=message):
        losses(merge(weak, path, value))


def test_a_penalty_on_the_action_of_a_model_without_one_is_refused(tiny: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"penalty.action.categorical_kl: the model has no action latent"):
        losses(merge(tiny, "penalty.action.categorical_kl.weight", 1.0))


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_a_weakly_supervised_model_trains_comes_back_and_samples(weak: dict[str, Any], schedule, tmp_path: Path) -> None:
    weak["training"] |= {"schedule": schedule, "inner_steps": 2, "epochs": 2}
    weak.pop("data")
    weak = {**weak, "data": "given"}
    run = train(weak, CLIPS, out=tmp_path / "run", reporter=Reporter(), report=False)
    assert run.model.action_encoder.drawn.item() > 0
    assert run.model.sample(2, 6).shape == (2, 6, 1, 16, 16)
    assert torch.equal(run.model.encode(CLIPS[:2]).action.sample.sum(-1).round(), torch.ones(2))
