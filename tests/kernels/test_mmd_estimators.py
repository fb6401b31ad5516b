"""The estimates beside MMD^2 by all pairs, the witness, the median heuristic; and which path is chosen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import (
    GaussianMixture,
    block_mmd2,
    choose_path,
    estimators,
    linear_mmd2,
    median_bandwidth,
    mmd2,
    witness,
)

KERNEL = GaussianMixture((0.8, 2.0), (0.5, 0.5))


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_witness_averaged_over_x_less_over_y_is_the_biased_estimate(tolerance) -> None:
    x, y, w = draws(2, 9, 5), draws(2, 7, 5, seed=1) + 0.4, draws(2, 9, seed=2).abs()
    seen = [witness(at, x, y, KERNEL, weight_x=w) for at in (x, y)]
    value = (seen[0] * w).sum(-1) / w.sum(-1) - seen[1].mean(-1)
    torch.testing.assert_close(value, mmd2(x, y, KERNEL, unbiased=False, weight_x=w), **tolerance[torch.float64])


def test_the_witness_is_positive_where_x_lies_and_does_not_depend_on_how_it_is_cut(monkeypatch, tolerance) -> None:
    x, y = draws(200, 2) - 2, draws(200, 2, seed=1) + 2
    at = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [50.0, 50.0]]).double()
    whole = witness(at, x, y, KERNEL)
    assert whole[0] > 0.1
    assert whole[1] < -0.1
    assert abs(whole[2]) < 1e-6
    monkeypatch.setattr(estimators, "WITNESS_PAIRS", 250)
    torch.testing.assert_close(witness(at, x, y, KERNEL), whole, **tolerance[torch.float64])


def test_linear_and_block_estimates_have_the_expectation_of_the_quadratic_one() -> None:
    x, y = draws(3000, 12, 3), 0.7 + draws(3000, 12, 3, seed=1)
    wanted = float(mmd2(x, y, KERNEL).mean())
    for values in (linear_mmd2(x, y, KERNEL), block_mmd2(x, y, KERNEL, 5), block_mmd2(x, y, KERNEL, 12)):
        assert values.shape == (3000,)
        assert abs(float(values.mean()) - wanted) < 5 * float(values.std()) / math.sqrt(len(values))


def test_the_linear_estimate_is_the_mean_over_neighbours_and_leaves_an_odd_draw_out(tolerance) -> None:
    x, y = draws(7, 3), draws(7, 3, seed=1)

    def k(a: Tensor, b: Tensor) -> Tensor:
        squared = (a - b).square().sum(-1)
        return sum(w * torch.exp(-squared / (2 * s * s)) for s, w in zip(KERNEL.bandwidths, KERNEL.coefficients, strict=True))

    a, b, c, e = x[:6:2], x[1:6:2], y[:6:2], y[1:6:2]
    wanted = (k(a, b) + k(c, e) - k(a, e) - k(b, c)).mean()
    torch.testing.assert_close(linear_mmd2(x, y, KERNEL), wanted, **tolerance[torch.float64])


def test_bandwidths_in_units_of_the_median_give_the_value_of_rescaled_draws(tolerance) -> None:
    x, y = draws(3, 20, 4), 2 * draws(3, 20, 4, seed=1)
    unit = median_bandwidth(x, y)
    assert unit.shape == (3,)
    scaled = mmd2(x / unit[:, None, None], y / unit[:, None, None], KERNEL)
    for path in ("reference", "torch"):
        torch.testing.assert_close(mmd2(x, y, KERNEL, unit=unit, path=path), scaled, **tolerance[torch.float64])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: witness(x[..., :1], x, y, KERNEL), r"at is \[6, 1\]"),
        (lambda x, y: linear_mmd2(x, y[:5], KERNEL), "as many draws of x as of y"),
        (lambda x, y: block_mmd2(x, y, KERNEL, 7), "blocks of 7 of 6 draws"),
        (lambda x, y: block_mmd2(x, y, KERNEL, 1), "blocks of 1 of 6 draws"),
        (lambda x, y: mmd2(x, y, KERNEL, unit=torch.ones(2)), r"unit is \[2\]. One for each problem: \[\]"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, message) -> None:
    with pytest.raises(RwaeError, match=message):
        call(draws(6, 3), draws(6, 3, seed=1))


def test_auto_takes_the_fastest_path_that_is_there() -> None:
    plain, built = ("reference", "torch"), ("reference", "torch", "cpp")
    assert choose_path("cpu", "float32", available=plain) == "torch"
    assert choose_path("cpu", "float32", available=built) == "cpp"
    assert choose_path("cpu", "bfloat16", available=built) == "cpp"
    assert choose_path("cpu", "float64", available=built) == "torch"
    assert choose_path("cuda", "float32", available=built) == "torch"
    assert choose_path("mps", "float32", available=built) == "reference"
