from __future__ import annotations

import pytest
import torch
from attrs import evolve

from rwae_kit import Batch, RecipeError

PRIORS = ["lstm", "gru"]
OPTIONS = [{}, {"residual": True}, {"layers": 2}]


@pytest.fixture(params=PRIORS)
def prior(request, make, vectors):
    return lambda **options: make("prior", request.param, vectors, hidden=6, **options).double()


def random(b, t):
    return torch.randn(b, t, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_the_prior_at_t_sees_only_what_came_before(prior):
    net = prior()
    z = random(2, 5).requires_grad_()
    found = net.chain(z)
    for t in range(5):
        for part in found:
            (gradient,) = torch.autograd.grad(part[:, t].square().sum(), z, retain_graph=True)
            assert torch.equal(gradient.abs().sum((0, 2)) > 0, torch.arange(5) < t)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_pass_over_all_times_is_the_same_as_step_by_step(prior, options):
    net, z = prior(**options), random(3, 6)
    mean, log_var = net.chain(z)
    state, before = None, torch.zeros(3, 1, 2, dtype=torch.float64)
    for t in range(6):
        hidden, state = net.chain.recurrence(before, state)
        change, expected = net.chain.head(hidden)
        torch.testing.assert_close(mean[:, t : t + 1], before + change if "residual" in options else change, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(log_var[:, t : t + 1], expected, rtol=1e-12, atol=1e-12)
        before = z[:, t : t + 1]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_ancestral_draws_are_draws_of_the_teacher_forced_prior_along_themselves(prior, options):
    net = prior(**options)
    state = net.noise.state()
    z = net.sample(3, 7)
    net.noise.restore(state)
    noise = net.noise.normal(3, 7, 2, like=z)
    mean, log_var = net.chain(z)
    torch.testing.assert_close(z, mean + torch.exp(0.5 * log_var) * noise, rtol=1e-10, atol=1e-10)


def test_ancestral_draws_of_any_length_are_finite_and_reach_every_parameter(prior):
    net = prior()
    z = net.sample(2, 100)
    assert z.shape == (2, 100, 2)
    assert torch.isfinite(z).all()
    z.square().sum().backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


def test_ancestral_draws_have_noise_in_eval_mode_too_but_the_teacher_forced_ones_are_means(prior):
    net = prior().eval()
    assert not torch.equal(net.sample(2, 3), net.sample(2, 3))
    found = net(random(2, 3))
    assert torch.equal(found.sample, found.mean)
    assert not torch.equal(net.train()(random(2, 3)).sample, found.mean)


def test_draws_have_the_type_of_the_weights_and_repeat_with_the_noise(prior):
    net = prior()
    state = net.noise.state()
    first = net.sample(2, 5)
    net.noise.restore(state)
    assert torch.equal(first, net.sample(2, 5))
    assert net.sample(1, 1).dtype == torch.float64
    assert net.float().sample(1, 1).dtype == torch.float32


def test_the_first_prior_is_near_a_standard_normal_at_the_start(prior):
    mean, log_var = prior().chain(torch.zeros(1, 1, 2, dtype=torch.float64))
    assert mean.abs().max() < 0.5
    assert log_var.abs().max() < 0.5


def test_under_bf16_autocast_the_prior_keeps_the_precision_of_the_weights(prior):
    net = prior().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, drawn = net(random(2, 4).float()), net.sample(2, 4)
    assert found.mean.dtype == found.log_var.dtype == found.sample.dtype == drawn.dtype == torch.float32
    torch.testing.assert_close(found.mean, net.chain(random(2, 4).float())[0])


def test_bounds_that_leave_out_the_initial_log_variance_are_an_error(prior):
    with pytest.raises(RecipeError, match=r"'log_var' = 0\.0 must lie inside"):
        prior(log_var_range=[-8.0, -1.0])


def test_the_static_prior_is_a_standard_normal_whose_mean_is_0(make, vectors):
    net = make("static_prior", "standard_normal", vectors)
    batch = Batch(x=torch.rand(20000, 1, 5), index=torch.arange(20000), dataset_size=20000)
    found = net(batch)
    assert found.sample.shape == (20000, 3)
    torch.testing.assert_close(found.sample.mean(0), torch.zeros(3), rtol=0, atol=0.03)
    torch.testing.assert_close(found.sample.var(0), torch.ones(3), rtol=0, atol=0.05)
    assert not found.mean.any()
    assert not found.log_var.any()
    assert not net.eval()(evolve(batch, x=batch.x.double())).sample.any()
