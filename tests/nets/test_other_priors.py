"""`transformer`, `linear` and `standard_normal` as priors of the dynamic latent."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from rwae_kit import RecipeError

OPTIONS = {
    "transformer": {"width": 8, "heads": 2, "hidden": 12},
    "linear": {},
    "standard_normal": {},
}
LEARNED = ["transformer", "linear"]


@pytest.fixture
def prior(make, vectors):
    return lambda name, **options: make("prior", name, vectors, **{**OPTIONS[name], **options}).double()


def random(b, t, d=2):
    return torch.randn(b, t, d, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def stirred(net):
    """The net with all weights moved away from where they start."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return net


def test_the_transformer_sees_all_that_came_before_and_the_linear_prior_the_one_before(prior):
    expected = {
        "transformer": torch.ones(5, 5).tril(-1).bool(),
        "linear": torch.diag(torch.ones(4), -1).bool(),
        "standard_normal": torch.zeros(5, 5).bool(),
    }
    for name, rows in expected.items():
        net, z = prior(name), random(2, 5).requires_grad_()
        mean = net(z).mean + 0 * z
        found = [torch.autograd.grad(mean[:, t].square().sum(), z, retain_graph=True)[0].abs().sum((0, 2)) > 0 for t in range(5)]
        assert torch.equal(torch.stack(found), rows), name


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("residual", [False, True])
def test_ancestral_draws_are_draws_of_the_teacher_forced_prior_along_themselves(prior, name, residual):
    net = stirred(prior(name, **({"residual": residual, "log_var": -1.0} if name == "transformer" else {})))
    state = net.noise.state()
    z = net.sample(3, 9)
    net.noise.restore(state)
    noise = net.noise.normal(3, 9, 2, like=z)
    mean, log_var = net.parameters_of(z)
    torch.testing.assert_close(z, mean + torch.exp(0.5 * log_var) * noise, rtol=1e-10, atol=1e-10)


def test_the_transformer_s_one_pass_is_each_prefix_on_its_own(prior):
    net, z = stirred(prior("transformer")), random(3, 7)
    mean, log_var = net.parameters_of(z)
    for t in range(1, 8):
        of_prefix = net.parameters_of(z[:, :t])
        torch.testing.assert_close(of_prefix[0][:, -1], mean[:, t - 1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(of_prefix[1][:, -1], log_var[:, t - 1], rtol=1e-12, atol=1e-12)


def test_a_transformer_block_is_masked_softmax_attention_and_an_mlp(prior):
    block = stirred(prior("transformer")).blocks[0]
    x = random(2, 5, 8)
    query, key, value = block.query_key_value(block.before_attention(x)).unflatten(2, (3, 2, 4)).unbind(2)
    scores = torch.einsum("bihk,bjhk->bhij", query, key) / 2
    weights = torch.where(torch.ones(5, 5).tril().bool(), scores, -torch.inf).softmax(-1)
    expected = x + block.output(torch.einsum("bhij,bjhk->bihk", weights, value).flatten(2))
    normed = functional.layer_norm(expected, (8,), block.before_mlp.weight, block.before_mlp.bias)
    expected = expected + block.mlp(normed)
    torch.testing.assert_close(block(x, None)[0], expected, rtol=1e-12, atol=1e-12)


def test_a_residual_transformer_gives_the_change_from_the_z_before(prior):
    net, other, z = stirred(prior("transformer")), prior("transformer", residual=True), random(3, 7)
    other.load_state_dict(net.state_dict())
    change = net.parameters_of(z)[0]
    torch.testing.assert_close(other.parameters_of(z)[0][:, 0], change[:, 0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(other.parameters_of(z)[0][:, 1:], z[:, :-1] + change[:, 1:], rtol=1e-12, atol=1e-12)


def test_the_transformer_knows_the_order(prior):
    net, z = stirred(prior("transformer", layers=1)), random(1, 6)  # a second layer knows it without positions too
    other = z[:, [1, 0, 2, 3, 4, 5]]
    assert not torch.allclose(net.parameters_of(z)[0][:, 5], net.parameters_of(other)[0][:, 5])


@pytest.mark.parametrize("name", OPTIONS)
def test_ancestral_draws_of_any_length_are_finite_and_reach_every_parameter(prior, name):
    net = prior(name)
    z = net.sample(2, 100)
    assert z.shape == (2, 100, 2)
    assert torch.isfinite(z).all()
    parameters = dict(net.named_parameters())
    assert bool(parameters) == (name in LEARNED)
    if parameters:
        z.pow(3).sum().backward()
    for key, weight in parameters.items():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", OPTIONS)
def test_ancestral_draws_have_noise_in_eval_mode_too_but_the_teacher_forced_ones_are_means(prior, name):
    net = prior(name).eval()
    assert not torch.equal(net.sample(2, 3), net.sample(2, 3))
    found = net(random(2, 3))
    assert torch.equal(found.sample, found.mean)
    with net.noise.fork(1):
        assert not torch.equal(net(random(2, 3)).sample, found.mean)
    assert not torch.equal(net.train()(random(2, 3)).sample, found.mean)


@pytest.mark.parametrize("name", OPTIONS)
def test_draws_have_the_type_of_the_weights_and_repeat_with_the_noise(prior, name):
    net = prior(name)
    state = net.noise.state()
    first = net.sample(2, 5)
    net.noise.restore(state)
    assert torch.equal(first, net.sample(2, 5))
    assert first.dtype == torch.float64
    assert net.float().sample(1, 1).dtype == torch.float32


@pytest.mark.parametrize("name", OPTIONS)
def test_under_bf16_autocast_the_prior_keeps_the_precision_of_the_weights(prior, name):
    net, z = prior(name).float(), random(2, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, drawn = net(z), net.sample(2, 4)
    assert found.mean.dtype == found.log_var.dtype == found.sample.dtype == drawn.dtype == torch.float32
    torch.testing.assert_close(found.mean, net(z).mean)


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_the_spectral_radius_of_the_linear_prior_is_bounded_whatever_is_learned(prior, scale):
    net = prior("linear", radius=0.95)
    with torch.no_grad():
        net.weight.copy_(scale * random(2, 2, 1).squeeze(2))
    transition = net.transition()
    assert torch.linalg.matrix_norm(transition, 2) <= 0.95 + 1e-12
    assert torch.linalg.eigvals(transition).abs().max() <= 0.95 + 1e-12
    if torch.linalg.matrix_norm(net.weight, 2) < 1:
        torch.testing.assert_close(transition, 0.95 * net.weight)


def test_the_linear_prior_is_a_standard_normal_at_every_step_at_the_start(prior):
    z = prior("linear").sample(20000, 30).detach()
    for t in (0, 1, 5, 29):
        torch.testing.assert_close(z[:, t].mean(0), torch.zeros(2).double(), rtol=0, atol=0.05)
        torch.testing.assert_close(torch.cov(z[:, t].t()), torch.eye(2).double(), rtol=0, atol=0.05)
    correlation = (z[:, 9] * z[:, 10]).mean(0)
    torch.testing.assert_close(correlation, torch.full((2,), 0.9).double(), rtol=0, atol=0.05)


def test_the_linear_prior_settles_into_the_gaussian_that_its_matrices_give(prior):
    net = stirred(prior("linear", radius=0.9))
    z = net.sample(40000, 60).detach()
    transition = net.transition().detach()
    noise = torch.diag(net.parameters_of(z[:1])[1][0, 1].exp()).detach()
    identity = torch.eye(4, dtype=torch.float64)
    covariance = torch.linalg.solve(identity - torch.kron(transition, transition), noise.flatten()).view(2, 2)
    torch.testing.assert_close(torch.cov(z[:, -1].t()), covariance, rtol=0.05, atol=0.03)
    torch.testing.assert_close(torch.cov(z[:, -20].t()), covariance, rtol=0.05, atol=0.03)
    torch.testing.assert_close(z[:, -1].mean(0), torch.zeros(2).double(), rtol=0, atol=0.05)


def test_the_first_step_of_the_linear_prior_has_a_gaussian_of_its_own(prior):
    net = prior("linear")
    with torch.no_grad():
        net.first_mean.fill_(5.0)
        net.first_log_var.fill_(-4.0)
    mean, log_var = net.parameters_of(random(2, 3))
    torch.testing.assert_close(mean[:, 0], torch.full((2, 2), 5.0).double())
    assert (log_var[:, 0] < log_var[:, 1]).all()
    z = net.sample(2000, 1)
    torch.testing.assert_close(z.mean((0, 1)).detach(), torch.full((2,), 5.0).double(), rtol=0, atol=0.05)


def test_the_standard_normal_is_one_at_every_step_whatever_came_before(prior):
    net = prior("standard_normal")
    found, drawn = net(random(3, 4)), net.sample(20000, 2)
    assert not found.mean.any()
    assert not found.log_var.any()
    torch.testing.assert_close(torch.cov(drawn.flatten(1).t()), torch.eye(4).double(), rtol=0, atol=0.05)
    assert not net.state_dict()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("transformer", {"width": 9, "heads": 3}, r"'width' = 9 must be even and a multiple of 'heads' = 3"),
        ("transformer", {"width": 8, "heads": 3}, r"'width' = 8 must be even and a multiple of 'heads' = 3"),
        ("transformer", {"log_var": 5.0}, r"'log_var' = 5.0 must lie inside 'log_var_range'"),
        ("linear", {"radius": 1.0}, "radius"),
        ("linear", {"radius": 0.5}, r"'memory' = 0.9 must not be above 'radius' = 0.5"),
    ],
)
def test_what_a_prior_cannot_be_is_an_error(prior, name, options, words):
    with pytest.raises(RecipeError, match=words):
        prior(name, **options)
