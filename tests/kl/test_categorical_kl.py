from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from rwae_kit import CategoricalLatent
from rwae_kl.categorical import CategoricalKL

PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()


def latent(logits: Tensor) -> CategoricalLatent:
    return CategoricalLatent(sample=logits.softmax(-1), logits=logits)


def random_logits(b: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2 * torch.randn(b, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def kl(*, aggregated: bool = False) -> CategoricalKL:
    return CategoricalKL(CategoricalKL.Config(aggregated=aggregated), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kl_is_exact_and_averaged_over_the_clips(dtype, tolerance) -> None:
    logits, prior = random_logits(dtype=dtype), PRIOR.to(dtype)
    wanted = kl_divergence(Categorical(logits=logits), Categorical(logits=prior)).mean()
    torch.testing.assert_close(kl()(latent(logits), prior), wanted, **tolerance[dtype])


def test_the_aggregated_kl_is_that_of_the_mean_posterior(tolerance) -> None:
    logits = random_logits()
    wanted = kl_divergence(Categorical(probs=logits.softmax(-1).mean(0)), Categorical(logits=PRIOR))
    torch.testing.assert_close(kl(aggregated=True)(latent(logits), PRIOR), wanted, **tolerance[torch.float64])


def test_clips_that_are_sure_and_as_frequent_as_the_prior_cost_their_entropy_each_and_nothing_together() -> None:
    sure, uniform = latent(200 * torch.eye(3, dtype=torch.float64)), torch.full((3,), 1 / 3, dtype=torch.float64).log()
    assert kl()(sure, uniform).item() == pytest.approx(math.log(3))
    assert kl(aggregated=True)(sure, uniform).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("aggregated", [False, True])
def test_the_posterior_equal_to_the_prior_has_value_and_gradient_zero(aggregated) -> None:
    logits = (PRIOR + 3).expand(4, -1).clone().requires_grad_()
    value = kl(aggregated=aggregated)(latent(logits), PRIOR)
    value.backward()
    assert value.abs() < 1e-12
    assert logits.grad.abs().max() < 1e-12


@pytest.mark.parametrize("aggregated", [False, True])
def test_value_and_gradient_stay_finite_for_probabilities_that_underflow(aggregated) -> None:
    logits = torch.tensor([[0.0, -3000.0, -3000.0], [0.0, -3000.0, 0.0]], dtype=torch.float64, requires_grad=True)
    value = kl(aggregated=aggregated)(latent(logits), PRIOR)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_the_gradient_is_that_of_finite_differences() -> None:
    for aggregated in (False, True):
        part = kl(aggregated=aggregated)
        assert torch.autograd.gradcheck(lambda x, part=part: part(latent(x), PRIOR), random_logits().requires_grad_())
