"""Every path against the formula in float64, value and gradient, over what draws can look like."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, mmd2, torch_ops
from rwae_kit.kernels.mmd.blocks import cuts, plan
from rwae_kit.kernels.mmd.chains import chains
from rwae_kit.kernels.mmd.workspace import workspace

DYADIC = GaussianMixture((1, 2, 4, 8, 16), (0.2,) * 5)
ODD = GaussianMixture((0.7, 1.1, 1.9, 2.2, 5, 11), (0.1, 0.2, 0.3, 0.1, 0.2, 0.1))
MIXTURES = {
    "one": GaussianMixture((1.5,)),
    "dyadic": DYADIC,
    "odd": ODD,
    "inverse multiquadric": InverseMultiquadricMixture((1, 2, 5), (0.5, 0.2, 0.3)),
}
ESTIMATORS = {"unbiased": {}, "paired": {"paired": True}, "biased": {"unbiased": False}}


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def both(x: Tensor, y: Tensor, kernel, path: str, **options) -> tuple[Tensor, Tensor, Tensor]:
    """Value and both gradients, each problem's counted by a number of its own."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    value = mmd2(x, y, kernel, path=path, **options)
    counted = value * torch.arange(1, 1 + value.numel(), dtype=value.dtype).view_as(value)
    return value.detach(), *torch.autograd.grad(counted.sum(), (x, y))


def agree(x: Tensor, y: Tensor, kernel, path: str, value: float = 1e-7, gradient: float = 1e-5, **options) -> None:
    got = both(x, y, kernel, path, **options)
    wide = {key: option.double() if isinstance(option, Tensor) else option for key, option in options.items()}
    wanted = both(x.double(), y.double(), kernel, "reference", **wide)
    assert (got[0].double() - wanted[0]).abs().max() <= value
    for one, other in zip(got[1:], wanted[1:], strict=True):
        assert one.dtype == x.dtype
        assert (one.double() - other).norm() <= gradient * other.norm()


@pytest.fixture(params=["whole", "in blocks"])
def limit(request, monkeypatch) -> None:
    """The same computation with room for everything at once, and cut into small blocks."""
    if request.param == "in blocks":
        monkeypatch.setattr(torch_ops, "CPU_LIMIT", 15 * 15)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 12, 16, 79, 130])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_size_and_estimator_agrees_with_float64(path, d, estimator, limit) -> None:
    n, m = (31, 31) if estimator == "paired" else (31, 46)  # 31 and 46 leave tails of one row beside blocks of 15
    x, y = draws(2, n, d), 1.2 * draws(2, m, d, seed=1) + 0.1
    agree(x, y, GaussianMixture([d**0.5 * b for b in DYADIC.bandwidths], DYADIC.weights), path, **ESTIMATORS[estimator])


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("d", [2, 6])
def test_every_mixture_agrees_with_float64_also_with_weights_and_units(path, mixture, estimator, d, limit) -> None:
    n, m = (17, 17) if estimator == "paired" else (16, 21)
    x, y, options = draws(3, n, d), draws(3, m, d, seed=1), ESTIMATORS[estimator]
    agree(x, y, MIXTURES[mixture], path, **options)
    weights = {"weight_x": draws(3, n, seed=2).abs(), "weight_y": (draws(3, m, seed=3) > 0).float()}
    for chosen in ({"weight_x"}, {"weight_y"}, {"weight_x", "weight_y"}):
        agree(x, y, MIXTURES[mixture], path, **options, **{key: weights[key] for key in chosen})
    agree(x, y, MIXTURES[mixture], path, **options, unit=torch.tensor([0.5, 1.0, 3.0]), **weights)
    agree(x, y, MIXTURES[mixture], path, **options, unit=torch.tensor([0.5, 1.0, 3.0]))


@pytest.mark.parametrize(("d", "offset"), list(itertools.product([1, 12], [0, 10, 1000])))
def test_an_offset_costs_no_accuracy_beyond_what_the_inputs_lost(path, d, offset) -> None:
    x, y = draws(2, 40, d) + offset, draws(2, 40, d, seed=1) + offset
    agree(x, y, DYADIC, path, paired=True)


def test_a_gradient_of_one_side_is_the_same_alone(path, limit) -> None:
    x, y = draws(2, 20, 5), draws(2, 20, 5, seed=1)
    _, of_x, of_y = both(x, y, ODD, path)
    weights = torch.tensor([1.0, 2.0])
    for one, side in ((of_x, 0), (of_y, 1)):
        points = [x.clone(), y.clone()]
        points[side].requires_grad_()
        (alone,) = torch.autograd.grad(mmd2(*points, ODD, path=path), points[side], weights)
        torch.testing.assert_close(alone, one, rtol=1e-6, atol=1e-9)
    assert not mmd2(x, y, ODD, path=path).requires_grad


def test_a_mask_keeps_exactly_the_draws_of_weight_1_and_an_empty_problem_is_zero(path, limit) -> None:
    x, y, keep = draws(3, 20, 6), draws(3, 20, 6, seed=1), (draws(20, seed=2) > 0).float()
    weight = torch.stack([keep, torch.zeros(20), torch.eye(20)[3]])
    value, of_x, of_y = both(x + 1e3 * (1 - keep)[:, None], y, DYADIC, path, paired=True, weight_x=weight, weight_y=weight)
    wanted = both(x[0, keep > 0], y[0, keep > 0], DYADIC, path, paired=True)
    torch.testing.assert_close(value, torch.stack([wanted[0], *torch.zeros(2)]), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(of_x[0, keep > 0], wanted[1], rtol=1e-4, atol=1e-7)
    assert not of_x[1:].any()
    assert not of_y[1:].any()
    assert not of_x[0, keep == 0].any()


@pytest.mark.parametrize(("n", "d"), [(30, 2), (30, 9), (400, 9)])
def test_what_memory_held_before_does_not_matter_and_a_repeat_gives_the_same_bits(path, n, d) -> None:
    x, y = draws(2, n, d), draws(2, n, d, seed=1)
    first = both(x, y, DYADIC, path)
    torch.use_deterministic_algorithms(True, warn_only=True)  # new memory is filled with nan
    try:
        for room in workspace(x, torch_ops.CPU_LIMIT, 3):
            room.fill_(torch.nan)
        again = both(x, y, DYADIC, path)
    finally:
        torch.use_deterministic_algorithms(False)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def test_draws_of_any_strides_give_what_contiguous_ones_give(path) -> None:
    whole, other = draws(12, 4, 3, 7), draws(12, 4, 3, 7, seed=1)
    x, y = whole.permute(2, 1, 0, 3)[:, ::2], other.permute(2, 1, 0, 3)[:, ::2]
    for got, wanted in zip(both(x, y, ODD, path), both(x.contiguous(), y.contiguous(), ODD, path), strict=True):
        assert got.shape == wanted.shape
        assert torch.equal(got, wanted)


def test_equal_draws_have_a_biased_estimate_of_zero_and_no_estimate_depends_on_the_order(path, limit) -> None:
    x, y = draws(3, 40, 6), draws(3, 40, 6, seed=1)
    assert mmd2(x, x.clone(), DYADIC, unbiased=False, path=path).abs().max() <= 1e-7
    forward, backward = (mmd2(*pair, DYADIC, path=path) for pair in ((x, y), (y.flip(-2), x.flip(-2))))
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-7)


def test_half_precision_draws_are_computed_in_float32_and_get_gradients_of_their_own_kind(path) -> None:
    x, y = draws(2, 20, 6).bfloat16().requires_grad_(), draws(2, 20, 6, seed=1).bfloat16()
    value = mmd2(x, y, DYADIC, path=path)
    assert value.dtype == torch.float32
    wanted = both(x.float(), y.float(), DYADIC, "reference")
    torch.testing.assert_close(value, wanted[0], rtol=0, atol=1e-7)
    (gradient,) = torch.autograd.grad(value, x, torch.tensor([1.0, 2.0]))
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient.float(), wanted[1], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("mixture", ["odd", "inverse multiquadric"])
@pytest.mark.parametrize("options", [{"paired": True}, {"unbiased": False}], ids=str)
@pytest.mark.parametrize("d", [1, 4])
def test_first_and_second_derivatives_of_torch_operations_are_those_of_finite_differences(mixture, options, d, limit) -> None:
    x, y = draws(2, 4, d, dtype=torch.float64).requires_grad_(), draws(2, 4, d, seed=1, dtype=torch.float64).requires_grad_()
    weight = draws(2, 4, seed=2, dtype=torch.float64).abs()
    for weights in ({}, {"weight_x": weight}):

        def value(x: Tensor, y: Tensor, weights=weights) -> Tensor:
            return mmd2(x, y, MIXTURES[mixture], path="torch", **options, **weights)

        assert gradcheck(value, (x, y))
        assert gradgradcheck(value, (x, y))


def test_a_second_derivative_comes_from_the_formula_on_every_path(path) -> None:
    x, y = draws(2, 6, 4).requires_grad_(), draws(2, 6, 4, seed=1)

    def slope(path: str) -> Tensor:
        (gradient,) = torch.autograd.grad(mmd2(x, y, DYADIC, path=path).sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), x)[0]

    torch.testing.assert_close(slope(path), slope("reference"))


def test_torch_operations_in_float64_equal_the_formula(limit, tolerance) -> None:
    x, y = draws(2, 33, 7, dtype=torch.float64), draws(2, 33, 7, seed=1, dtype=torch.float64)
    for got, wanted in zip(both(x, y, ODD, "torch"), both(x, y, ODD, "reference"), strict=True):
        torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


def test_torch_compile_takes_it_in_one_graph(path) -> None:
    x, y = draws(2, 12, 4).requires_grad_(), draws(2, 12, 4, seed=1)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return (mmd2(2 * x, y, DYADIC, paired=True, path=path) * torch.tensor([1.0, 3.0])).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    (got,), (wanted,) = (torch.autograd.grad(call(x, y), x) for call in (compiled, loss))
    torch.testing.assert_close(compiled(x, y), loss(x, y))
    torch.testing.assert_close(got, wanted)


def test_the_operation_keeps_the_contract_of_custom_operations() -> None:
    x, y = draws(2, 5, 4).requires_grad_(), draws(2, 5, 4, seed=1)
    flags = (True, [1.0, 2.0], [0.5, 0.5], True, True, True, False, "torch")
    torch.library.opcheck(torch.ops.rwae_kit.mmd2.default, (x, y, None, None, None, *flags))


@pytest.mark.parametrize(
    ("bandwidths", "lengths"), [((1, 2, 4, 8, 16), [3, 2]), ((3,), [1]), ((1, 1.5, 2, 3), [2, 2]), ((2, 2), [2])]
)
def test_chains_hold_every_bandwidth_once_and_amplify_at_most_sixteenfold(bandwidths, lengths) -> None:
    widest, found = chains(GaussianMixture(bandwidths, tuple(range(1, 1 + len(bandwidths)))))
    assert [len(chain.links) for chain in found] == lengths
    seen = []
    for chain in found:
        rate = chain.rate
        for link in chain.links:
            rate *= 2**link.squarings
            assert rate == pytest.approx(link.rate)
            assert rate <= 16 * chain.rate * (1 + 1e-9)
            seen.append((widest / rate**0.5, link.weight))
    assert [bandwidth for bandwidth, _ in sorted(seen)] == pytest.approx(sorted(bandwidths))
    assert [weight for _, weight in sorted(seen)] == list(range(1, 1 + len(bandwidths)))


@pytest.mark.parametrize(("g", "n", "m", "limit"), [(3, 5, 7, 1000), (3, 5, 7, 120), (2, 20, 31, 64), (1, 9, 2, 9)])
def test_a_plan_has_every_pair_once_and_no_batch_too_large(g, n, m, limit) -> None:
    sizes = {"x": n, "y": m}
    seen = {sides: torch.zeros(g, sizes[sides[0]], sizes[sides[1]]) for sides in ("xx", "yy", "xy")}
    for batch in plan(g, n, m, limit):
        assert sum(block.size for block in batch) <= limit
        for block in batch:
            groups, rows, columns = (slice(*ends) for ends in (block.groups, block.rows, block.columns))
            seen[block.sides][groups, rows, columns] += 1
            if block.mirrored:
                seen[block.sides][groups, columns, rows] += 1
    assert all((counts == 1).all() for counts in seen.values())


def test_cuts_are_nearly_equal() -> None:
    assert cuts(10, 4) == [(0, 3), (3, 6), (6, 10)]
    assert cuts(4, 4) == [(0, 4)]
