from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rwae_kit import Latent
from rwae_kit.kernels.mmd import GaussianMixture, mmd2
from rwae_mmd import mmd as module
from rwae_mmd.mmd import MMD, median_distance


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty(**options: object) -> MMD:
    return MMD(MMD.Config(**options), 4)


def test_default_averages_the_five_kernels_and_is_the_paired_estimate_where_n_is_m(tolerance) -> None:
    x, y = draws(2, 6, 4), draws(2, 6, 4, seed=1)
    wanted = mmd2(x, y, GaussianMixture((1, 2, 4, 8, 16)), paired=True) / 5
    torch.testing.assert_close(penalty()(Latent(sample=x), Latent(sample=y)), wanted, **tolerance[torch.float64])


def test_default_is_the_plain_unbiased_estimate_where_n_is_not_m(tolerance) -> None:
    x, y = draws(2, 6, 4), draws(2, 9, 4, seed=1)
    wanted = mmd2(x, y, GaussianMixture((1, 2, 4, 8, 16))) / 5
    torch.testing.assert_close(penalty()(Latent(sample=x), Latent(sample=y)), wanted, **tolerance[torch.float64])


@pytest.mark.parametrize(("estimator", "unbiased"), [("unbiased", True), ("biased", False)])
def test_the_estimator_can_be_chosen_and_the_kernels_summed(estimator, unbiased, tolerance) -> None:
    x, y = draws(6, 4), draws(6, 4, seed=1)
    got = penalty(bandwidths=(1.0, 3.0), average=False, estimator=estimator)(Latent(sample=x), Latent(sample=y))
    torch.testing.assert_close(got, mmd2(x, y, GaussianMixture((1, 3)), unbiased=unbiased), **tolerance[torch.float64])


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_precision_of_products_reaches_the_kernels(precision, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(module, "mmd2", lambda *given, **options: seen.append(options["precision"]) or mmd2(*given, **options))
    penalty(precision=precision)(Latent(sample=draws(6, 4)), Latent(sample=draws(6, 4, seed=1)))
    assert seen == [precision]


def test_weights_of_both_latents_are_masks(tolerance) -> None:
    x, y, keep = draws(6, 4), draws(6, 4, seed=1), torch.tensor([1, 1, 0, 1, 0, 1.0])
    got = penalty()(Latent(sample=x, weight=keep), Latent(sample=y, weight=keep))
    wanted = penalty()(Latent(sample=x[keep > 0]), Latent(sample=y[keep > 0]))
    torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


def test_median_distance_pools_real_draws_and_leaves_each_draw_itself_out() -> None:
    posterior = Latent(sample=torch.tensor([[0.0], [1.0], [99.0]]), weight=torch.tensor([1.0, 1.0, 0.0]))
    prior = Latent(sample=torch.tensor([[4.0]]))
    assert median_distance(posterior, prior).item() == 3.0  # of |0-1|, |0-4|, |1-4|
    nothing = Latent(sample=torch.zeros(2, 1), weight=torch.zeros(2))
    assert median_distance(nothing, nothing).item() == 1.0


def test_with_the_median_the_value_does_not_change_with_the_unit_of_length(tolerance) -> None:
    x, y = draws(2, 6, 4), 2 * draws(2, 6, 4, seed=1)
    values = [penalty(median=True)(Latent(sample=c * x), Latent(sample=c * y)) for c in (1, 50)]
    torch.testing.assert_close(*values, **tolerance[torch.float64])


def test_the_median_carries_no_gradient(tolerance) -> None:
    x, y = draws(6, 4).requires_grad_(), draws(6, 4, seed=1)
    unit = median_distance(Latent(sample=x), Latent(sample=y)).item()
    got = torch.autograd.grad(penalty(median=True)(Latent(sample=x), Latent(sample=y)), x)
    scaled = tuple(b * unit for b in (1, 2, 4, 8, 16))
    wanted = torch.autograd.grad(mmd2(x, y, GaussianMixture(scaled), paired=True) / 5, x)
    torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


@pytest.mark.parametrize("options", [{"bandwidths": ()}, {"bandwidths": (1.0, -2.0)}, {"estimator": "paired"}])
def test_options_that_make_no_sense_are_refused(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MMD.Config(**options)
