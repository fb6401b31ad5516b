from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve

from rwae_kit import Batch, RecipeError

ALL = [("squared_error", {}), ("squared_error", {"link": "identity"}), ("bernoulli", {})]


def clips(x, mask=None):
    return Batch(x=x, index=torch.arange(len(x)), mask=mask, dataset_size=len(x))


def test_squared_error_in_closed_form(make, vectors):
    x = torch.tensor([[[0.0, 0.5], [1.0, 0.0]]], dtype=torch.float64)
    pre = torch.tensor([[[0.0, math.log(3.0)], [math.log(3.0), -math.log(3.0)]]], dtype=torch.float64)
    # sigmoid: 1/2, 3/4, 3/4, 1/4
    found = make("reconstruction", "squared_error", vectors)(pre, clips(x))
    torch.testing.assert_close(found, torch.tensor([0.25 + 0.0625 + 0.0625 + 0.0625], dtype=torch.float64))
    found = make("reconstruction", "squared_error", vectors, link="identity")(pre, clips(x))
    k = math.log(3.0)
    torch.testing.assert_close(found, torch.tensor([(k - 0.5) ** 2 + (k - 1) ** 2 + k**2], dtype=torch.float64))


def test_bernoulli_in_closed_form(make, vectors):
    x = torch.tensor([[[0.0, 1.0], [0.25, 1.0]]], dtype=torch.float64)
    pre = torch.tensor([[[0.0, math.log(3.0)], [-math.log(3.0), 50.0]]], dtype=torch.float64)
    expected = math.log(2) - math.log(0.75) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    found = make("reconstruction", "bernoulli", vectors)(pre, clips(x))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


@pytest.mark.parametrize(("name", "options"), ALL, ids=str)
def test_the_link_maps_pre_activations_to_the_frames_that_cost_least(make, vectors, name, options):
    net = make("reconstruction", name, vectors, **options)
    pre = torch.randn(2, 3, 5, dtype=torch.float64)
    expected = pre if options else torch.sigmoid(pre)
    assert torch.equal(net.mean(pre), expected)
    best = pre.clone().requires_grad_()
    net(best, clips(expected)).sum().backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(pre), rtol=0, atol=1e-12)


@pytest.mark.parametrize("frame", [(5,), (3, 4, 4)], ids=str)
@pytest.mark.parametrize(("name", "options"), ALL, ids=str)
def test_padding_costs_nothing_whatever_stands_in_it(make, vectors, name, options, frame):
    net = make("reconstruction", name, evolve(vectors, frame=frame), **options)
    x, pre = torch.rand(2, 3, *frame, dtype=torch.float64), torch.randn(2, 3, *frame, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]], dtype=torch.float64)
    found = net(pre, clips(x, mask))
    assert found.shape == (2,)
    torch.testing.assert_close(found[:1], net(pre[:1], clips(x[:1])))
    torch.testing.assert_close(found[1:], net(pre[1:, :1], clips(x[1:, :1])))
    dirty = torch.where(mask.view(2, 3, *(1 for _ in frame)) > 0, x, 1e3)
    torch.testing.assert_close(net(pre, clips(dirty, mask)), found)


@pytest.mark.parametrize(("name", "options"), ALL, ids=str)
def test_half_precision_pre_activations_are_summed_in_the_precision_of_the_data(make, vectors, name, options):
    net = make("reconstruction", name, vectors, **options)
    pre = torch.randn(2, 3, 5).bfloat16()
    x = torch.rand(2, 3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(pre, clips(x))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, net(pre.float(), clips(x)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("squared_error", r"'squared_error': link 'sigmoid' needs data in \[0, 1\], .* \[-1, 1\]. Set link = 'identity'"),
        ("bernoulli", r"'bernoulli' needs data in \[0, 1\], .* \[-1, 1\]. Take 'squared_error' with link = 'identity'"),
    ],
)
def test_a_sigmoid_for_data_outside_0_and_1_is_an_error(make, vectors, name, words):
    with pytest.raises(RecipeError, match=words):
        make("reconstruction", name, evolve(vectors, value_range=(-1.0, 1.0)))
    assert make("reconstruction", "squared_error", evolve(vectors, value_range=(-1.0, 1.0)), link="identity")
