"""The dependence of two latents: its formula, its mean over many batches, who has the gradient, and what is no fact at all."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from attrs import evolve
from torch import Tensor

from rwae_kit import Batch, Encoded, Latent, SequencePosterior, SequencePrior, Spec
from rwae_mmd import hsic as module
from rwae_mmd.hsic import HSIC


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def term(**options: object) -> HSIC:
    return HSIC(HSIC.Config(**options), Spec(frame=(1, 4, 4), value_range=(0.0, 1.0), static=2, dynamic=2))


def encoded(static: Tensor, dynamic: Tensor, weight: Tensor | None = None) -> Encoded:
    b, t = dynamic.shape[:2]
    one, two = Latent(sample=static), Latent(sample=dynamic, weight=weight)
    batch = Batch(x=torch.zeros(b, t, 1), index=torch.arange(b), dataset_size=b)
    prior = SequencePrior(static=one, dynamic=evolve(two, weight=None))
    return Encoded(batch=batch, features=torch.zeros(b, t, 1), posterior=SequencePosterior(static=one, dynamic=two), prior=prior)


def dependence(static: Tensor, dynamic: Tensor, **options: object) -> Tensor:
    return term(**options)({"clip": encoded(static, dynamic)})


def kernel(x: Tensor, bandwidth: float) -> Tensor:
    n = len(x)
    apart = torch.stack([(x[i] - x[j]).square().sum().sqrt() for i in range(n) for j in range(n)]).view(n, n)
    pairs = sorted(float(apart[i, j]) for i in range(n) for j in range(i + 1, n))
    median = pairs[(len(pairs) - 1) // 2]
    return torch.exp(-(apart**2) / (2 * (bandwidth * median) ** 2))


def by_definition(k: Tensor, l: Tensor) -> float:  # noqa: E741
    """Over all draws without repetition: E k(1,2) l(1,2) + E k(1,2) l(3,4) - 2 E k(1,2) l(1,3)."""
    n = range(len(k))
    same = [float(k[i, j] * l[i, j]) for i, j in itertools.permutations(n, 2)]
    apart = [float(k[i, j] * l[q, r]) for i, j, q, r in itertools.permutations(n, 4)]
    one = [float(k[i, j] * l[i, q]) for i, j, q in itertools.permutations(n, 3)]
    return sum(same) / len(same) + sum(apart) / len(apart) - 2 * sum(one) / len(one)


@pytest.mark.parametrize("bandwidth", [0.5, 1.0])
def test_the_value_is_its_definition_over_all_different_draws(bandwidth, tolerance) -> None:
    static, dynamic = normal(7, 2), normal(7, 3, 2, seed=1)
    dynamic[:, 0] += static
    k, l = kernel(static, bandwidth), kernel(dynamic.flatten(1), bandwidth)  # noqa: E741
    wanted = by_definition(k, l) / math.sqrt(by_definition(k, k) * by_definition(l, l))
    got = dependence(static, dynamic, bandwidth=bandwidth)
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64), **tolerance[torch.float64])


def test_independent_latents_have_none_in_the_mean_at_any_size_of_a_batch() -> None:
    """The estimate with the diagonals left in would be at 0.3 here."""
    for b, batches in ((8, 400), (32, 100)):
        found = torch.stack([dependence(normal(b, 6, seed=k), normal(b, 3, 2, seed=1000 + k)) for k in range(batches)])
        assert abs(found.mean()) < 4 * found.std() / math.sqrt(batches)
        assert found.std() < 0.3


def test_one_fact_in_both_is_seen_though_each_latent_tells_every_clip_from_the_others() -> None:
    """Three directions, beside what is each latent's own. Minibatch estimates of I(s; z) are log b with and without them."""
    shared = torch.eye(3, dtype=torch.float64)[torch.arange(30) % 3]
    own, other = normal(30, 3), normal(30, 4, 3, seed=1)
    apart = dependence(own, other)
    together = dependence(own + 3 * shared, other + 3 * shared[:, None])
    assert apart < 0.1
    assert together > 0.5


def test_a_latent_depends_on_itself_wholly_and_neither_shift_nor_scale_changes_that(tolerance) -> None:
    draws = normal(12, 2)
    for changed in (draws, 1e-3 * draws, 1e8 + 50 * draws):
        torch.testing.assert_close(
            dependence(draws, changed[:, None]), torch.ones((), dtype=torch.float64), **tolerance[torch.float32]
        )


@pytest.mark.parametrize(("pays", "moved"), [("static", (True, False)), ("dynamic", (False, True)), ("both", (True, True))])
def test_only_the_latent_that_pays_has_a_gradient(pays, moved) -> None:
    static, dynamic = normal(8, 2).requires_grad_(), normal(8, 3, 2, seed=1).requires_grad_()
    found = torch.autograd.grad(dependence(static, dynamic, pays=pays), [static, dynamic], allow_unused=True)
    assert tuple(g is not None and bool(g.any()) for g in found) == moved


def test_the_gradient_is_right(monkeypatch) -> None:
    """With the bandwidth held, which follows the draws without a gradient."""
    monkeypatch.setattr(module, "median_bandwidth", lambda x, y: torch.tensor(1.5, dtype=torch.float64))
    static, dynamic = normal(6, 2).requires_grad_(), normal(6, 3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, z: dependence(s, z, pays="both"), (static, dynamic))


def test_descent_takes_the_shared_fact_from_the_latent_that_pays() -> None:
    shared = torch.eye(3, dtype=torch.float64)[torch.arange(30) % 3]
    static, dynamic = (normal(30, 3) + 3 * shared).requires_grad_(), normal(30, 4, 3, seed=1) + 3 * shared[:, None]
    before = dependence(static, dynamic)
    optimiser = torch.optim.Adam([static], 0.1)
    for _ in range(100):
        optimiser.zero_grad()
        dependence(static, dynamic).backward()
        optimiser.step()
    assert before > 0.5
    assert dependence(static, dynamic) < 0.02
    assert static.detach().std(0).min() > 0.3  # it has not fallen together


def test_padding_counts_as_zero_and_what_lies_there_as_nothing(tolerance) -> None:
    static, dynamic = normal(6, 2), normal(6, 4, 2, seed=1)
    mask = (torch.arange(4) < torch.tensor([4, 4, 3, 2, 4, 1])[:, None]).double()
    masked = term()({"clip": encoded(static, dynamic, mask)})
    noise = 1e3 * normal(6, 4, 2, seed=2) * (1 - mask)[..., None]
    torch.testing.assert_close(term()({"clip": encoded(static, dynamic + noise, mask)}), masked, **tolerance[torch.float64])
    torch.testing.assert_close(dependence(static, dynamic * mask[..., None]), masked, **tolerance[torch.float64])


@pytest.mark.parametrize("b", [1, 2, 3])
def test_too_few_clips_show_nothing(b) -> None:
    static = normal(b, 2).requires_grad_()
    value = dependence(static, normal(b, 3, 2, seed=1))
    value.backward()
    assert value == 0
    assert not static.grad.any()


def test_draws_that_are_all_the_same_show_nothing_and_have_no_gradient() -> None:
    static = torch.ones(6, 2, dtype=torch.float64, requires_grad=True)
    value = dependence(static, normal(6, 3, 2))
    value.backward()
    assert value == 0
    assert static.grad.isfinite().all()


def test_the_value_keeps_the_latents_dtype_and_is_computed_in_double(tolerance) -> None:
    static, dynamic = normal(8, 2), normal(8, 3, 2, seed=1)
    single = dependence(static.float() + 1e3, dynamic.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), dependence((static.float() + 1e3).double(), dynamic.float().double()), **tolerance[torch.float32]
    )
