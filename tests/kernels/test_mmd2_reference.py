from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, mmd2
from rwae_kit.kernels.mmd.reference import evaluate, squared_distances

KERNELS = [GaussianMixture((0.5, 2.0), (0.25, 0.75)), InverseMultiquadricMixture((1.0, 3.0))]
ESTIMATORS = [{"unbiased": True}, {"unbiased": True, "paired": True}, {"unbiased": False}]


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def kernel_value(kernel: GaussianMixture | InverseMultiquadricMixture, a: Tensor, b: Tensor) -> float:
    squared = float(((a - b) ** 2).sum())
    if isinstance(kernel, GaussianMixture):
        return sum(w * math.exp(-squared / (2 * s * s)) for s, w in zip(kernel.bandwidths, kernel.coefficients, strict=True))
    return sum(w * c * c / (c * c + squared) for c, w in zip(kernel.scales, kernel.coefficients, strict=True))


def pair_mean(kernel, x: Tensor, y: Tensor, w: Tensor, v: Tensor, leave_out: bool) -> float:
    total = weight = 0.0
    for i, j in itertools.product(range(len(x)), range(len(y))):
        if not (leave_out and i == j):
            total += float(w[i] * v[j]) * kernel_value(kernel, x[i], y[j])
            weight += float(w[i] * v[j])
    return total / weight


def by_loops(kernel, x: Tensor, y: Tensor, w: Tensor, v: Tensor, *, unbiased: bool = True, paired: bool = False) -> float:
    return (
        pair_mean(kernel, x, x, w, w, unbiased)
        + pair_mean(kernel, y, y, v, v, unbiased)
        - 2 * pair_mean(kernel, x, y, w, v, paired)
    )


def expected_kernel(bandwidth: float, mean: Tensor, variance: Tensor) -> float:
    """E exp(-|u|^2 / (2 bandwidth^2)) for u ~ N(mean, diag(variance))."""
    spread = bandwidth**2 + variance
    return float((bandwidth / spread.sqrt() * torch.exp(-0.5 * mean**2 / spread)).prod())


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("options", ESTIMATORS, ids=["unbiased", "paired", "biased"])
@pytest.mark.parametrize("kernel", KERNELS, ids=["gaussian", "inverse multiquadric"])
def test_reference_equals_the_double_loop_in_every_group_with_and_without_weights(kernel, options, d, tolerance) -> None:
    n, m = (5, 5) if options.get("paired") else (5, 7)
    x, y = draws(2, n, d), draws(2, m, d, seed=1) * 1.5 + 0.3
    w, v = draws(2, n, seed=2).abs(), draws(2, m, seed=3).abs()
    for weights in ({}, {"weight_x": w}, {"weight_x": w, "weight_y": v}):
        by_group = [
            by_loops(
                kernel,
                x[g],
                y[g],
                *(weights.get(k, torch.ones_like(o))[g] for k, o in (("weight_x", w), ("weight_y", v))),
                **options,
            )
            for g in range(2)
        ]
        torch.testing.assert_close(
            mmd2(x, y, kernel, **options, **weights), draws(0).new_tensor(by_group), **tolerance[torch.float64]
        )


def test_strided_inputs_give_the_value_of_contiguous_ones(tolerance) -> None:
    x, y = draws(6, 3, 8, 5), draws(6, 3, 9, 5, seed=1)
    by_time = mmd2(x.transpose(0, 2)[::2], y.transpose(0, 2)[:8:2], KERNELS[0])
    copies = mmd2(x.transpose(0, 2)[::2].contiguous(), y.transpose(0, 2)[:8:2].contiguous(), KERNELS[0])
    assert by_time.shape == (4, 3)
    torch.testing.assert_close(by_time, copies, **tolerance[torch.float64])


def test_unbiased_estimate_of_two_gaussians_has_the_exact_expectation() -> None:
    d, bandwidths = 4, (0.7, 1.5, 4.0)
    mean, std_x, std_y = (
        torch.tensor([1.0, 0.0, -0.5, 0.2]).double(),
        torch.tensor([1.0, 0.5, 2.0, 1.0]).double(),
        torch.ones(d).double(),
    )
    exact = sum(
        expected_kernel(b, torch.zeros(d).double(), 2 * std_x**2)
        + expected_kernel(b, torch.zeros(d).double(), 2 * std_y**2)
        - 2 * expected_kernel(b, mean, std_x**2 + std_y**2)
        for b in bandwidths
    )
    for n, m, paired in ((12, 20, False), (16, 16, True)):
        x, y = mean + std_x * draws(4000, n, d), std_y * draws(4000, m, d, seed=1)
        values = mmd2(x, y, GaussianMixture(bandwidths), paired=paired)
        error = float(values.std() / math.sqrt(len(values)))
        assert error < 0.02 * exact
        assert abs(float(values.mean()) - exact) < 4 * error


def test_paired_draws_bias_the_plain_estimate_and_not_the_paired_one() -> None:
    n, d, spread, kernel = 60, 12, 0.3, GaussianMixture((1, 2, 4, 8, 16))
    history = draws(400, n, d)
    x, y = history + spread * draws(400, n, d, seed=1), history + spread * draws(400, n, d, seed=2)
    zero, one = torch.zeros(d).double(), torch.ones(d).double()
    partner = sum(expected_kernel(b, zero, 2 * spread**2 * one) for b in kernel.bandwidths)
    stranger = sum(expected_kernel(b, zero, 2 * (1 + spread**2) * one) for b in kernel.bandwidths)
    plain, paired = mmd2(x, y, kernel), mmd2(x, y, kernel, paired=True)
    error = float(plain.std() / math.sqrt(len(plain)))
    bias = -2 / n * (partner - stranger)
    assert bias < -0.04
    assert error < 0.002
    assert abs(float(plain.mean()) - bias) < 4 * error
    assert abs(float(paired.mean())) < 4 * error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_draws_have_a_biased_estimate_of_zero_and_others_a_positive_one(dtype, tolerance) -> None:
    x = draws(3, 40, 6, dtype=dtype)
    torch.testing.assert_close(mmd2(x, x.clone(), KERNELS[0], unbiased=False), torch.zeros(3, dtype=dtype), **tolerance[dtype])
    assert (mmd2(x, draws(3, 40, 6, seed=1, dtype=dtype), KERNELS[0], unbiased=False) > 0).all()


@pytest.mark.parametrize("options", ESTIMATORS, ids=["unbiased", "paired", "biased"])
def test_a_mask_gives_the_estimate_and_the_gradient_of_the_draws_it_keeps(options, tolerance) -> None:
    x, y = draws(9, 4).requires_grad_(), draws(9, 4, seed=1).requires_grad_()
    keep = torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 0, 1])
    padded = x + 1e3 * (1 - keep).unsqueeze(-1)
    masked = mmd2(padded, y, KERNELS[0], weight_x=keep, weight_y=keep, **options)
    subset = mmd2(x[keep > 0], y[keep > 0], KERNELS[0], **options)
    torch.testing.assert_close(masked, subset, **tolerance[torch.float64])
    for got, wanted in zip(torch.autograd.grad(masked, (x, y)), torch.autograd.grad(subset, (x, y)), strict=True):
        torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


@pytest.mark.parametrize("paired", [True, False])
def test_a_group_with_fewer_than_two_real_draws_is_zero_with_gradient_zero(paired) -> None:
    x, y = draws(3, 4, 5).requires_grad_(), draws(3, 4, 5, seed=1)
    weight = torch.tensor([[1.0, 1, 0, 0], [0, 0.3, 0, 0], [0, 0, 0, 0]])
    value = mmd2(x, y, KERNELS[0], paired=paired, weight_x=weight, weight_y=weight)
    assert value[0] != 0
    assert (value[1:] == 0).all()
    (gradient,) = torch.autograd.grad(value.sum(), x)
    assert gradient[0].abs().sum() > 0
    assert (gradient[1:] == 0).all()


@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize("options", ESTIMATORS, ids=["unbiased", "paired", "biased"])
@pytest.mark.parametrize("kernel", KERNELS, ids=["gaussian", "inverse multiquadric"])
def test_first_and_second_derivatives_are_those_of_finite_differences(kernel, options, d) -> None:
    x, y, weight = draws(2, 4, d).requires_grad_(), draws(2, 4, d, seed=1).requires_grad_(), draws(2, 4, seed=2).abs()

    def value(x: Tensor, y: Tensor) -> Tensor:
        return mmd2(x, y, kernel, weight_x=weight, **options)

    assert gradcheck(value, (x, y))
    assert gradgradcheck(value, (x, y))


@pytest.mark.parametrize("d", [1, 3, 12])
def test_a_shift_by_a_hundred_standard_deviations_changes_nothing(d, tolerance) -> None:
    shifted_x, shifted_y = 100 + draws(64, d, dtype=torch.float32), 100 + draws(64, d, seed=1, dtype=torch.float32)
    results = []
    for x, y in ((shifted_x, shifted_y), (shifted_x - 100, shifted_y - 100)):  # the difference is exact: it loses no bit
        x = x.requires_grad_()
        value = mmd2(x, y, KERNELS[0], paired=True)
        results.append((value, *torch.autograd.grad(value, x)))
    for far, near in zip(*results, strict=True):
        torch.testing.assert_close(far, near, **tolerance[torch.float32])


@pytest.mark.parametrize("d", [1, 3, 4, 40])
def test_float32_agrees_with_float64(d, tolerance) -> None:
    x, y = draws(2, 50, d, dtype=torch.float32), draws(2, 60, d, seed=1, dtype=torch.float32)
    torch.testing.assert_close(
        mmd2(x, y, GaussianMixture((1, 2, 4, 8, 16))).double(),
        mmd2(x.double(), y.double(), GaussianMixture((1, 2, 4, 8, 16))),
        **tolerance[torch.float32],
    )


def test_squared_distances_are_never_negative_although_the_products_round() -> None:
    x = 30 * draws(200, 40, dtype=torch.float32)
    norm = x.square().sum(-1)
    assert (norm[:, None] + norm - 2 * x @ x.T).min() < 0
    assert (squared_distances(x, x) >= 0).all()


def test_autocast_does_not_round_the_points() -> None:
    x, y = draws(32, 8, dtype=torch.float32), draws(32, 8, seed=1, dtype=torch.float32)
    outside = mmd2(x, y, KERNELS[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mmd2(x, y, KERNELS[0]), outside)


def test_kernels_without_weights_are_summed() -> None:
    squared = torch.tensor([0.0, 1.0]).double()
    assert evaluate(GaussianMixture((1, 2)), squared).tolist() == pytest.approx([2.0, math.exp(-0.5) + math.exp(-0.125)])
    assert evaluate(InverseMultiquadricMixture((1, 2)), squared).tolist() == pytest.approx([2.0, 0.5 + 0.8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": draws(6, 3)}, r"x is \[5, 4\], y is \[6, 3\]"),
        ({"x": draws(2, 5, 4)}, "agree in all but n and m"),
        ({"x": draws(1, 4)}, "at least 2 draws"),
        ({"paired": True}, "as many draws of x as of y"),
        ({"x": draws(6, 4), "paired": True, "unbiased": False}, "leaves i = j out"),
        ({"weight_x": torch.ones(6)}, r"weight_x is \[6\]. One weight for each draw: \[5\]"),
        ({"x": draws(5, 4, dtype=torch.float32)}, "Both must be float32, or both float64"),
        ({"x": draws(5, 4).int(), "y": draws(6, 4).int()}, "Both must be float32, or both float64"),
        ({"path": "referense"}, "unknown path 'referense'. Did you mean 'reference'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_what_would_be_right(change, message) -> None:
    with pytest.raises(RwaeError, match=message):
        mmd2(**{"x": draws(5, 4), "y": draws(6, 4), "kernel": KERNELS[0], **change})


@pytest.mark.parametrize("values", [{"bandwidths": ()}, {"bandwidths": (1, 0)}, {"bandwidths": (1, 2), "weights": (1,)}])
def test_a_mixture_that_is_no_kernel_is_refused(values) -> None:
    with pytest.raises(RwaeError, match=r"needed|one weight"):
        GaussianMixture(**values)
