"""InfoNCE: its formula, that it is a bound, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rwae_contrastive.info_nce import VARIANTS, InfoNCE
from rwae_kit import Batch, DataInfo, Latent, RecipeError, Registry, RwaeError
from rwae_kit.build import build
from rwae_kit.recipe import Recipe

INFO = DataInfo(name="toy", frame=(3, 16, 16), length=4)


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def static_term(spec, encoded):
    """The loss and the nats of the static means of clips and of their views."""

    def run(clip: Tensor, view: Tensor, **options) -> tuple[Tensor, Tensor]:
        term = InfoNCE(InfoNCE.Config(view="other", **options), spec)
        views = {name: encoded(Latent(sample=mean, mean=mean)) for name, mean in (("clip", clip), ("other", view))}
        return term(views), term.estimates["nats"]

    return run


def naive(u: Tensor, v: Tensor, variant: str, temperature: float) -> float:
    """Eq. 7 and 8, pair by pair."""
    total, b = 0.0, len(u)
    for anchors, positives in ((u, v), (v, u)):
        for i in range(b):

            def critic(w: Tensor, anchor: Tensor = anchors[i]) -> float:
                return math.exp(float(torch.dot(anchor, w) / anchor.norm() / w.norm()) / temperature)

            negatives = {"across": [positives], "clips": [u]}.get(variant, [u, v])
            wrong = [critic(w[j]) for w in negatives for j in range(b) if j != i]
            right = critic(positives[i])
            total += math.log(right / (right + sum(wrong))) + math.log(len(wrong) + 1)
    return total / (2 * b)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_estimate_is_that_of_the_paper_pair_by_pair(static_term, variant, tolerance) -> None:
    u, v = normal(6, 3), normal(6, 3, seed=1)
    loss, nats = static_term(u, v, variant=variant, temperature=0.3)
    expected = naive(u, v, variant, 0.3)
    torch.testing.assert_close(nats, torch.tensor(expected, dtype=torch.float64), **tolerance[torch.float64])
    constant = math.log(11) if variant == "nt_xent" else 0.0
    torch.testing.assert_close(loss, torch.tensor(constant - expected, dtype=torch.float64), **tolerance[torch.float64])


def test_nt_xent_is_the_loss_of_the_published_code(static_term, tolerance) -> None:
    u, v = normal(6, 3), normal(6, 3, seed=1)
    x = torch.cat([u, v])
    similar = torch.exp(torch.cosine_similarity(x[:, None], x[None], dim=-1) / 0.5)
    match = torch.exp(torch.cosine_similarity(u, v, dim=-1) / 0.5).repeat(2)
    published = -torch.log(match / (similar.sum(-1) - math.exp(1 / 0.5))).mean()
    torch.testing.assert_close(static_term(u, v, variant="nt_xent")[0], published, **tolerance[torch.float64])


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_it_is_no_more_than_the_true_information(static_term, rho, temperature) -> None:
    u = normal(2000, 3)
    v = rho * u + math.sqrt(1 - rho**2) * normal(2000, 3, seed=1)
    truth = -1.5 * math.log(1 - rho**2)
    found = torch.stack(
        [static_term(one, two, temperature=temperature)[1] for one, two in zip(u.split(100), v.split(100), strict=True)]
    )
    assert found.mean() < truth + 3 * found.std() / len(found) ** 0.5
    assert rho < 0.6 or temperature != 0.5 or found.mean() > 0.2 * truth


@pytest.mark.parametrize("b", [2, 8, 64])
def test_identical_views_bring_it_close_to_its_bound_which_rises_with_the_batch(static_term, b) -> None:
    angle = torch.arange(b) * 2 * math.pi / b
    u = torch.stack([angle.cos(), angle.sin()], 1).double()
    by_temperature = [static_term(u, u, temperature=t)[1].item() for t in (1.0, 0.1, 0.001)]
    assert by_temperature == sorted(by_temperature)
    assert by_temperature[-1] <= math.log(b)
    assert by_temperature[-1] == pytest.approx(math.log(b), abs=0.02)


def test_only_negatives_of_the_positives_kind_give_a_bound_where_views_look_different(static_term) -> None:
    """Views that know nothing of their clips, but lie in the middle of where the clips are."""
    found = {variant: [] for variant in ("across", "clips")}
    for seed in range(20):
        u, v = 0.1 * normal(64, 64, seed=seed), 0.01 * normal(64, 64, seed=100 + seed)
        u[:, 0] = v[:, 0] = 0.6
        for variant, values in found.items():
            values.append(static_term(u, v, variant=variant)[1].item())
    assert sum(found["across"]) / 20 < 0.01
    assert sum(found["clips"]) / 20 > 0.05


def test_one_clip_has_no_information_and_means_of_length_zero_a_finite_gradient(static_term) -> None:
    loss, nats = static_term(normal(1, 3), normal(1, 3, seed=1))
    assert loss == nats == 0
    zero = torch.zeros(4, 3, requires_grad=True)
    static_term(zero, zero)[0].backward()
    assert torch.isfinite(zero.grad).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_gradient_is_right_in_both_views(static_term, variant) -> None:
    given = [normal(4, 3, seed=seed).requires_grad_() for seed in (0, 1)]
    assert torch.autograd.gradcheck(lambda u, v: static_term(u, v, variant=variant)[0], given)


def test_the_whole_trajectory_is_compared_and_padding_does_not_count(spec, encoded, tolerance) -> None:
    term = InfoNCE(InfoNCE.Config(of="dynamic"), spec)
    assert term.needs == ("clip", "augment")
    mask = torch.ones(5, 3)
    mask[1, 2] = mask[4, 1:] = 0
    means = {name: normal(5, 3, 2, seed=seed) for seed, name in enumerate(term.needs)}
    flat = [(mean * mask[..., None]).flatten(1) for mean in means.values()]

    def run(weight: Tensor | None, moved: float) -> Tensor:
        values = {name: mean + moved * (1 - mask[..., None]) for name, mean in means.items()}
        latents = {name: Latent(sample=value, mean=value, weight=weight) for name, value in values.items()}
        return term({name: encoded(dynamic=latent) for name, latent in latents.items()})

    expected = torch.tensor(-naive(*flat, "across", 0.5), dtype=torch.float64)
    torch.testing.assert_close(run(mask, 7.0), expected, **tolerance[torch.float64])
    assert not torch.allclose(run(None, 7.0), run(None, 0.0))


def test_a_posterior_without_means_and_the_clip_as_its_own_view_are_refused(spec, encoded) -> None:
    with pytest.raises(RecipeError, match="'clip' is the clip itself"):
        InfoNCE(InfoNCE.Config(view="clip"), spec)
    blind = encoded(Latent(sample=torch.zeros(2, 2)))
    with pytest.raises(RwaeError, match="posterior of the static latent has no means"):
        InfoNCE(InfoNCE.Config(), spec)({"clip": blind, "shuffle": blind})


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_recipe_makes_the_views_that_its_terms_name(tiny, precision) -> None:
    tiny["term"] = {
        "static": {"name": "info_nce", "weight": 1.0},
        "dynamic": {"name": "info_nce", "of": "dynamic", "weight": 0.0},
        "reversed": {"name": "info_nce", "view": "reverse", "weight": 1.0},
    }
    model, objective = build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    assert [set(term.views) for term in objective.terms] == [{"shuffle"}, {"augment"}, {"reverse"}]
    x = torch.rand(4, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        losses = objective(model, model(Batch(x=x, index=torch.arange(4), dataset_size=4)), 0)
    assert {"term.static.nats", "term.dynamic.nats", "term.reversed.nats"} <= set(losses.parts)
    assert all(torch.isfinite(value) and value.dtype == torch.float32 for value in losses.parts.values())
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.encoder.parameters())


def test_a_view_that_nobody_registered_is_refused_with_the_place_of_the_term(tiny) -> None:
    tiny["term"] = {"keep": {"name": "info_nce", "view": "shufle", "weight": 1.0}}
    with pytest.raises(RwaeError, match=r"term\.keep.*shufle"):
        build(Recipe.from_dict(tiny), Registry.installed(), INFO)
