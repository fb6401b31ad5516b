"""The Triton path against the formula in float64: run by test_mmd_triton.py, in Triton's interpreter or on a card.

Not collected by itself, for the interpreter has to be switched on before triton is imported.
"""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, available_paths, mmd2, triton_path, triton_table

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of infinities that programs count on
DEVICE = os.environ.get("RWAE_TRITON_DEVICE", "cpu")
DYADIC = GaussianMixture((1, 2, 4, 8, 16), (0.2,) * 5)
ODD = GaussianMixture((0.7, 1.1, 1.9, 2.2, 5, 11), (0.1, 0.2, 0.3, 0.1, 0.2, 0.1))
MIXTURES = {
    "one": GaussianMixture((1.5,)),
    "none first": GaussianMixture((1, 2, 4), (0.5, 0.5, 0)),
    "dyadic": DYADIC,
    "odd": ODD,
    "inverse multiquadric": InverseMultiquadricMixture((1, 2, 5), (0.5, 0.2, 0.3)),
}
ESTIMATORS = {"unbiased": {}, "paired": {"paired": True}, "biased": {"unbiased": False}}


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float().to(DEVICE)


def both(x: Tensor, y: Tensor, kernel, path: str = "triton", **options) -> tuple[Tensor, Tensor, Tensor]:
    """Value and both gradients, each problem's counted by a number of its own."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    value = mmd2(x, y, kernel, path=path, **options)
    counted = value * torch.arange(1, 1 + value.numel(), dtype=value.dtype, device=value.device).view_as(value)
    return value.detach(), *torch.autograd.grad(counted.sum(), (x, y))


def agree(x: Tensor, y: Tensor, kernel, value: float = 1e-7, gradient: float = 1e-5, **options) -> None:
    got = both(x, y, kernel, **options)
    wide = {key: option.double() if isinstance(option, Tensor) else option for key, option in options.items()}
    wanted = both(x.double(), y.double(), kernel, "reference", **wide)
    assert (got[0].double() - wanted[0]).abs().max() <= value
    for one, other in zip(got[1:], wanted[1:], strict=True):
        assert one.dtype == x.dtype
        assert (one.double() - other).norm() <= gradient * other.norm()


def quick(*few: object, of: tuple[object, ...]) -> list[object]:
    """All of them, those that are not among the few marked slow."""
    return [
        each if each in few else pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.slow)
        for each in of
    ]


@pytest.fixture(params=["as they are", "packed"])
def packed(request, monkeypatch) -> bool:
    """Small problems in one launch, and packed as many draws are: with tiles that the interpreter is done with soon."""
    if request.param == "packed" and request.node.callspec.params.get("d", 4) <= 3:
        pytest.skip("up to three coordinates nothing is packed")
    if request.param == "packed":
        monkeypatch.setattr(triton_table, "SMALL_UP_TO", 1)
        if DEVICE == "cpu":
            for table in ("ROWS", "VALUES"):
                small = {key: triton_table.Tiles(32, 16, 4, 2) for key in getattr(triton_table, table)}
                monkeypatch.setattr(triton_table, table, small)
            monkeypatch.setattr(triton_table, "PACK", triton_table.Tiles(32, 0, 4, 2))
            monkeypatch.setattr(triton_table, "FLUSH", 2)
    return request.param == "packed"


def scaled(d: int) -> GaussianMixture:
    return GaussianMixture([d**0.5 * b for b in DYADIC.bandwidths], DYADIC.weights)


SIZES = tuple((d, estimator) for d in (1, 2, 3, 5, 12, 16, 79, 130) for estimator in ESTIMATORS)


@pytest.mark.parametrize(("d", "estimator"), quick(*SIZES[:3], *SIZES[9:12], of=SIZES))
def test_every_size_and_estimator_agrees_with_float64(d, estimator, packed) -> None:
    n = 129 if d <= 3 else 33 if packed else 65  # a tail of one row
    m = n if estimator == "paired" else 34
    x, y = draws(2, n, d), 1.2 * draws(2, m, d, seed=1) + 0.1
    agree(x, y, scaled(d), **ESTIMATORS[estimator])


def test_more_coordinates_than_a_program_holds_go_by_chunks() -> None:
    agree(draws(1, 65, 130), 1.2 * draws(1, 46, 130, seed=1) + 0.1, scaled(130))


@pytest.mark.parametrize("mixture", quick("odd", of=tuple(MIXTURES)))
@pytest.mark.parametrize("estimator", quick("paired", of=tuple(ESTIMATORS)))
@pytest.mark.parametrize("d", [2, 6])
def test_every_mixture_agrees_with_float64_also_with_weights_and_units(mixture, estimator, d, packed) -> None:
    # packed draws are many (test_many_draws_...): the rounding of their points to two bfloat16 averages out, of 17 it does not
    n, m = (65, 65) if packed and d > 3 else (17, 17) if estimator == "paired" else (16, 21)
    x, y, options = draws(2, n, d), draws(2, m, d, seed=1), ESTIMATORS[estimator]
    weights = {"weight_x": draws(2, n, seed=2).abs(), "weight_y": (draws(2, m, seed=3) > 0).float()}
    unit = torch.tensor([0.5, 3.0], device=DEVICE)
    agree(x, y, MIXTURES[mixture], **options, unit=unit)
    agree(x, y, MIXTURES[mixture], **options, **weights)
    if mixture == "dyadic":
        agree(x, y, DYADIC, **options, weight_x=weights["weight_x"])
        agree(x, y, DYADIC, **options, weight_y=weights["weight_y"], unit=unit)


@pytest.mark.parametrize("d", quick(12, of=(1, 12)))
@pytest.mark.parametrize("offset", quick(1000, of=(0, 10, 1000)))
def test_an_offset_costs_no_accuracy_beyond_what_the_inputs_lost(d, offset, packed) -> None:
    agree(draws(2, 40, d) + offset, draws(2, 40, d, seed=1) + offset, DYADIC, paired=True)


@pytest.mark.parametrize("d", quick(3, 6, of=(3, 6, 79, 130)))
@pytest.mark.parametrize("estimator", quick("biased", of=("unbiased", "biased")))
def test_a_gradient_of_one_side_and_a_value_alone_are_the_same(d, estimator, packed) -> None:
    x, y, options = draws(2, 34, d), draws(2, 47, d, seed=1), ESTIMATORS[estimator]
    value, of_x, of_y = both(x, y, scaled(d), **options)
    for one, side in ((of_x, 0), (of_y, 1)):
        points = [x.clone(), y.clone()]
        points[side].requires_grad_()
        found = mmd2(*points, scaled(d), path="triton", **options)
        torch.testing.assert_close(found.detach(), value, rtol=0, atol=1e-7)
        (alone,) = torch.autograd.grad(found, points[side], torch.tensor([1.0, 2.0], device=DEVICE))
        torch.testing.assert_close(alone, one, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(mmd2(x, y, scaled(d), path="triton", **options), value, rtol=0, atol=1e-7)


@pytest.mark.parametrize("d", quick(5, of=(5, 64)))
def test_one_bfloat16_product_is_good_to_half_a_percent(d, packed) -> None:
    x, y = draws(2, 60, d), 1.5 * draws(2, 60, d, seed=1)
    got = both(x, y, scaled(d), precision="medium")
    wanted = both(x.double(), y.double(), scaled(d), "reference")
    assert (got[0] - wanted[0]).abs().max() <= 5e-3 * wanted[0].abs().max()
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(got[1:], wanted[1:], strict=True)]
    assert 1e-5 < max(errors) <= 5e-3  # and it is not the same as three of them


@pytest.mark.parametrize("d", [2, 6])
def test_a_mask_keeps_exactly_the_draws_of_weight_1_and_an_empty_problem_is_zero(d, packed) -> None:
    x, y, keep = draws(3, 20, d), draws(3, 20, d, seed=1), (draws(20, seed=2) > 0).float()
    weight = torch.stack([keep, torch.zeros_like(keep), torch.eye(20, device=DEVICE)[3]])
    value, of_x, of_y = both(x + 1e3 * (1 - keep)[:, None], y, DYADIC, paired=True, weight_x=weight, weight_y=weight)
    wanted = both(x[0, keep > 0], y[0, keep > 0], DYADIC, paired=True)
    assert value[1:].tolist() == [0, 0]
    torch.testing.assert_close(value[0], wanted[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(of_x[0, keep > 0], wanted[1], rtol=1e-4, atol=1e-7)
    assert not of_x[1:].any()
    assert not of_y[1:].any()
    assert not of_x[0, keep == 0].any()


@pytest.mark.parametrize("d", quick(2, 9, of=(2, 9, 130)))
def test_what_memory_held_before_does_not_matter_and_a_repeat_gives_the_same_bits(d, packed) -> None:
    x, y = draws(2, 37, d), draws(2, 41, d, seed=1)
    for options in ({}, {"weight_x": draws(2, 37, seed=2).abs()}):
        first = both(x, y, scaled(d), **options)
        torch.use_deterministic_algorithms(True, warn_only=True)  # new memory is filled with nan
        try:
            again = both(x, y, scaled(d), **options)
        finally:
            torch.use_deterministic_algorithms(False)
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one, other)


def test_equal_draws_have_a_biased_estimate_of_zero_which_is_exact_up_to_three_coordinates(packed) -> None:
    for d in () if packed else (1, 3):
        value, *gradients = both(draws(2, 40, d), draws(2, 40, d), DYADIC, unbiased=False)
        assert value.tolist() == [0, 0]
        assert not any(gradient.any() for gradient in gradients)
    for d in (6,) if packed else (6, 79):
        assert both(draws(2, 40, d), draws(2, 40, d), DYADIC, unbiased=False)[0].abs().max() <= 1e-7
        assert (both(draws(2, 40, d), draws(2, 40, d, seed=1), DYADIC, unbiased=False)[0] > 0).all()


@pytest.mark.parametrize("d", [3, 7])
def test_draws_of_any_strides_give_what_contiguous_ones_give(d, packed) -> None:
    whole, other = draws(7, 3, 2, 2 * d), draws(7, 3, 2, 2 * d, seed=1)
    for cut in (slice(0, d), slice(0, 2 * d, 2)):
        x, y = (p.permute(2, 1, 0, 3)[:, ::2, :, cut] for p in (whole, other))
        for got, wanted in zip(both(x, y, ODD), both(x.contiguous(), y.contiguous(), ODD), strict=True):
            assert got.shape == wanted.shape
            assert torch.equal(got, wanted)
    windows = draws(1, 20)[0].unfold(0, d, 1)[None]  # rows one coordinate apart
    for got, wanted in zip(both(windows, windows + 1, ODD), both(windows.contiguous(), windows + 1, ODD), strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("kind", quick(torch.bfloat16, of=(torch.bfloat16, torch.float16)))
def test_half_precision_draws_are_read_as_they_are_and_get_gradients_of_their_own_kind(kind, packed) -> None:
    x, y = draws(2, 20, 6).to(kind), draws(2, 20, 6, seed=1).to(kind)
    got, wanted = both(x, y, DYADIC), both(x.double(), y.double(), DYADIC, "reference")
    assert got[0].dtype == torch.float32
    assert (got[0] - wanted[0]).abs().max() <= 1e-7
    for one, other in zip(got[1:], wanted[1:], strict=True):
        assert one.dtype == kind
        torch.testing.assert_close(one.double(), other, rtol=1e-2, atol=1e-6)
    (slope,) = torch.autograd.grad(mmd2(x.requires_grad_(), y, DYADIC, path="triton").sum(), x, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), x)[0].isfinite().all()


def test_torch_compile_takes_it_in_one_graph() -> None:
    for kind in (torch.float32, torch.bfloat16):
        x, y = draws(2, 12, 4).to(kind).requires_grad_(), draws(2, 12, 4, seed=1).to(kind)

        def loss(x: Tensor, y: Tensor) -> Tensor:
            each = mmd2(2 * x, y, DYADIC, paired=True, path="triton", precision="medium")
            return (each * torch.tensor([1.0, 3.0], device=DEVICE)).sum()

        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        (got,), (wanted,) = (torch.autograd.grad(call(x, y), x) for call in (compiled, loss))
        torch.testing.assert_close(compiled(x, y), loss(x, y))
        torch.testing.assert_close(got, wanted)


def test_programs_leave_zeros_in_the_counters_that_one_stream_shares(monkeypatch) -> None:
    shared = torch.zeros(8, dtype=torch.int32, device=DEVICE)
    monkeypatch.setattr(triton_path, "_counters", lambda *_: shared)
    for d in (2, 12):
        first, second = (both(draws(2, 66, d), draws(2, 20, d, seed=1), DYADIC) for _ in range(2))
        assert not shared.any()
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_problem_at_all_has_no_value() -> None:
    value, of_x, _ = both(draws(0, 5, 6), draws(0, 5, 6), DYADIC)
    assert value.shape == (0,)
    assert of_x.shape == (0, 5, 6)


def test_the_path_is_there() -> None:
    assert "triton" in available_paths()


@pytest.mark.slow
def test_many_draws_agree_with_float64_also_where_kernels_are_narrow() -> None:
    for options in ({}, {"unbiased": False}):
        agree(draws(1, 1030, 6), 1.2 * draws(1, 150, 6, seed=1), DYADIC, **options)


@pytest.mark.gpu
@pytest.mark.parametrize("d", [1, 3, 12, 64, 128, 200])
@pytest.mark.parametrize("n", [700, 5000])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_many_draws_agree_with_float64_on_a_card(d, n, estimator) -> None:
    if DEVICE == "cpu":
        pytest.skip("for a card")
    x, y = draws(1, n, d), 1.2 * draws(1, n, d, seed=1)
    agree(x, y, scaled(d), **ESTIMATORS[estimator])


@pytest.mark.gpu
def test_a_cuda_graph_replays_it(packed) -> None:
    if DEVICE == "cpu":
        pytest.skip("for a card")
    for d in (1, 12):
        x, y = draws(8, 60, d).requires_grad_(), draws(8, 60, d, seed=1)

        def step(x: Tensor = x, y: Tensor = y) -> tuple[Tensor, Tensor]:
            value = mmd2(x, y, DYADIC, path="triton")
            return value.detach(), torch.autograd.grad(value.sum(), x)[0]

        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            held = step()
        x.data.mul_(2)
        graph.replay()
        for got, wanted in zip(held, step(), strict=True):
            assert torch.equal(got, wanted)
