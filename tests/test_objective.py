"""The objective: every part under its own name, weights, warm-ups, views and what it warns of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import pytest
import torch
from attrs import evolve, frozen
from torch import Tensor

from rwae_kit import (
    Batch,
    DataInfo,
    Divergence,
    Encoded,
    FrameView,
    Latent,
    LatentTerm,
    Objective,
    OrderView,
    Penalty,
    RecipeError,
    SequenceAutoencoder,
    Term,
)
from rwae_kit.build import build
from rwae_kit.recipe import Recipe
from rwae_kit.registry import Registry

INFO = DataInfo(name="toy", frame=(1, 16, 16), length=4)


@frozen(kw_only=True)
class Nothing:
    """No options."""


@final
class FirstMoment(Divergence):
    """The squared difference of the means: enough to see what a divergence is given."""

    Config = Nothing
    saturates_at = 0.9

    def __init__(self) -> None:
        super().__init__(Nothing())
        self.seen: list[tuple[Latent, Latent]] = []

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        self.seen.append((posterior, prior))
        return (posterior.sample.mean(-2) - prior.sample.mean(-2)).square().sum(-1)


@final
class Reverse(OrderView):
    Config = Nothing

    def forward(self, batch: Batch) -> Tensor:
        b, t = batch.x.shape[:2]
        return torch.arange(t - 1, -1, -1).expand(b, t)


@final
class Dark(FrameView):
    Config = Nothing

    def forward(self, batch: Batch) -> Tensor:
        return 0.5 * batch.x


@final
class StaticGap(LatentTerm):
    """How far the static means of two views are apart."""

    Config = Nothing
    needs = ("clip", "other")

    def forward(self, views: Mapping[str, Encoded]) -> Tensor:
        gap = (views["clip"].posterior.static.sample - views["other"].posterior.static.sample).square().sum()
        self.estimates = {"root": gap.sqrt()}
        return gap


@pytest.fixture
def model(tiny: dict[str, Any]) -> SequenceAutoencoder:
    return build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0]


def batch(n: int = 5, mask: Tensor | None = None) -> Batch:
    x = torch.rand(n, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return Batch(x=x, index=torch.arange(n), mask=mask, dataset_size=n)


def penalty(latent: Any, **options: Any) -> Penalty:
    return Penalty(latent=latent, name="gap", divergence=FirstMoment(), **{"weight": 1.0, **options})


def test_the_total_is_the_weighted_sum_of_its_named_parts(model: SequenceAutoencoder) -> None:
    objective = Objective([penalty("static", weight=3.0), penalty("dynamic", weight=0.5)])
    encoded = model(batch())
    losses = objective(model, encoded, 0)
    parts = losses.parts
    expected = parts["reconstruction"] + 3.0 * parts["penalty.static.gap"] + 0.5 * parts["penalty.dynamic.gap"]
    torch.testing.assert_close(losses.total.detach(), expected)
    frames = torch.sigmoid(model.pre_activations(encoded.posterior))
    torch.testing.assert_close(parts["reconstruction"], (frames - encoded.batch.x).square().flatten(1).sum(1).mean().detach())
    torch.testing.assert_close(parts["scale.static"], encoded.posterior.static.sample.square().mean().sqrt().detach())


def test_a_divergence_on_the_dynamic_latent_is_one_problem_a_time_step(model: SequenceAutoencoder) -> None:
    objective = Objective([penalty("dynamic")])
    encoded = model(batch())
    losses = objective(model, encoded, 0)
    ((posterior, prior),) = objective.penalties[0].divergence.seen
    assert posterior.sample.shape == prior.sample.shape == (4, 5, 2)
    assert torch.equal(posterior.sample[1], encoded.posterior.dynamic.sample[:, 1])
    by_time = [
        (encoded.posterior.dynamic.sample[:, t].mean(0) - encoded.prior.dynamic.sample[:, t].mean(0)).square().sum()
        for t in range(4)
    ]
    torch.testing.assert_close(losses.parts["penalty.dynamic.gap"], torch.stack(by_time).sum().detach())


def test_padding_has_weight_zero_in_penalties_of_the_dynamic_latent(model: SequenceAutoencoder) -> None:
    mask = torch.ones(5, 4)
    mask[0, 3] = 0
    objective = Objective([penalty("dynamic")])
    objective(model, model(batch(mask=mask)), 0)
    ((posterior, prior),) = objective.penalties[0].divergence.seen
    assert torch.equal(posterior.weight, mask.T)
    assert torch.equal(prior.weight, mask.T)


def test_a_weight_rises_linearly_over_its_warm_up(model: SequenceAutoencoder) -> None:
    warm = penalty("static", weight=8.0, warmup_steps=4)
    assert [warm.weight_at(step) for step in (0, 1, 2, 4, 9)] == [0.0, 2.0, 4.0, 8.0, 8.0]
    encoded = model(batch())
    objective = Objective([warm])
    difference = objective(model, encoded, 4).total - objective(model, encoded, 0).total
    torch.testing.assert_close(difference, 8.0 * objective(model, encoded, 4).parts["penalty.static.gap"], check_dtype=True)


def test_the_outer_step_leaves_out_the_static_penalties_and_the_terms(model: SequenceAutoencoder) -> None:
    term = Term(key="gap", loss=StaticGap(Nothing()), weight=1.0, views={"other": Reverse(Nothing())})
    objective = Objective([penalty("static"), penalty("dynamic")], [term])
    losses = objective(model, model(batch()), 0, outer=True)
    assert "penalty.static.gap" not in losses.parts
    assert "term.gap" not in losses.parts
    assert "penalty.dynamic.gap" in losses.parts


def test_ancestral_draws_come_from_the_priors_own_past_and_carry_its_gradient(model: SequenceAutoencoder) -> None:
    objective = Objective([penalty("dynamic", conditioning="ancestral")])
    encoded = model(batch())
    losses = objective(model, encoded, 0)
    ((_, prior),) = objective.penalties[0].divergence.seen
    assert prior.mean is None
    assert not torch.equal(prior.sample, encoded.prior.dynamic.sample.transpose(0, 1))
    model.zero_grad()
    losses.total.backward()
    assert all(p.grad is not None for p in model.prior.parameters())


def test_ancestral_draws_are_refused_where_they_make_no_sense() -> None:
    from rwae_kl.kl import GaussianKL

    with pytest.raises(RecipeError, match=r"penalty.static.gap: conditioning is for the dynamic latent only"):
        penalty("static", conditioning="ancestral")
    with pytest.raises(RecipeError, match=r"penalty.dynamic.kl: ancestral draws have no density and no partner"):
        Penalty(latent="dynamic", name="kl", divergence=GaussianKL(GaussianKL.Config(), 2), weight=1.0, conditioning="ancestral")


def test_a_reordered_view_gathers_features_and_equals_the_view_encoded_anew(model: SequenceAutoencoder) -> None:
    model.eval()
    objective = Objective([], [Term(key="gap", loss=StaticGap(Nothing()), weight=2.0, views={"other": Reverse(Nothing())})])
    calls = []
    handle = model.encoder.frames.register_forward_hook(lambda *_: calls.append(1))
    data = batch()
    encoded = model(data)
    losses = objective(model, encoded, 0)
    handle.remove()
    assert len(calls) == 1
    plain = model(evolve(data, x=data.x.flip(1)))
    expected = (encoded.posterior.static.sample - plain.posterior.static.sample).square().sum()
    torch.testing.assert_close(losses.parts["term.gap"], expected.detach())
    torch.testing.assert_close(losses.parts["term.gap.root"], expected.sqrt().detach())


def test_a_view_with_new_pixels_is_encoded_and_not_decoded(model: SequenceAutoencoder) -> None:
    model.eval()
    objective = Objective([], [Term(key="gap", loss=StaticGap(Nothing()), weight=1.0, views={"other": Dark(Nothing())})])
    decoded = []
    handle = model.decoder.register_forward_hook(lambda *_: decoded.append(1))
    data = batch()
    losses = objective(model, model(data), 0)
    handle.remove()
    assert len(decoded) == 1
    gap = model(data).posterior.static.sample - model(evolve(data, x=0.5 * data.x)).posterior.static.sample
    torch.testing.assert_close(losses.parts["term.gap"], gap.square().sum().detach())


def test_views_are_encoded_under_the_autocast_of_the_clips_and_reach_a_term_in_full_precision(model: SequenceAutoencoder) -> None:
    seen: list[torch.dtype] = []

    def compare(views: Mapping[str, Encoded]) -> Tensor:
        seen.extend(views[name].posterior.static.sample.dtype for name in ("clip", "other"))
        return views["other"].posterior.static.sample.square().sum()

    gap = StaticGap(Nothing())
    gap.forward = compare  # type: ignore[method-assign]
    dtypes = []
    model.encoder.frames.register_forward_hook(lambda _, __, features: dtypes.append(features.dtype))
    for view in (Dark(Nothing()), Reverse(Nothing())):
        objective = Objective([], [Term(key="gap", loss=gap, weight=1.0, views={"other": view})])
        with torch.autocast("cpu", torch.bfloat16):
            objective(model, model(batch()), 0)
    assert dtypes == 3 * [torch.bfloat16]
    assert seen == 4 * [torch.float32]


def test_the_critic_loss_reaches_the_critic_and_nothing_else(tiny: dict[str, Any]) -> None:
    model, objective = build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    loss = objective.critic_loss(model, model(batch()), 0)
    assert loss is not None
    loss.backward()
    assert all(p.grad is not None for p in objective.critic_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_without_a_critic_or_during_its_warm_up_there_is_no_critic_loss(tiny: dict[str, Any], model: SequenceAutoencoder) -> None:
    assert Objective([penalty("static")]).critic_loss(model, model(batch()), 0) is None
    tiny["penalty"]["static"]["scaled_mmd"]["warmup_steps"] = 10
    model, objective = build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    assert objective.critic_loss(model, model(batch()), 0) is None
    assert objective.critic_loss(model, model(batch()), 1) is not None


def test_a_saturated_penalty_and_a_latent_that_runs_away_are_warned_of() -> None:
    objective = Objective([penalty("static")])
    assert objective.warnings({"penalty.static.gap": 0.5, "scale.static": 2.0}) == []
    (saturated,) = objective.warnings({"penalty.static.gap": 0.95, "scale.static": 2.0})
    assert saturated.startswith("penalty.static.gap is 0.95, above 0.9")
    (wide,) = objective.warnings({"penalty.static.gap": 0.5, "scale.static": 15000.0})
    assert wide.startswith("scale.static is 15000.0: the static latent runs away")
