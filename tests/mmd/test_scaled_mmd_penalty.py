from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rwae_kit import Latent
from rwae_kit.kernels.mmd import GaussianMixture, mmd2
from rwae_mmd.scaled_mmd import ScaledMMD, feature


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def penalty(d: int = 4, **options: object) -> ScaledMMD:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ScaledMMD(ScaledMMD.Config(**{"hidden": (16, 8), **options}), d).double()


def pair(*shape: int) -> tuple[Latent, Latent]:
    return Latent(sample=2 * draws(*shape) + 1), Latent(sample=draws(*shape, seed=1))


def test_a_linear_critic_has_the_closed_form(tolerance) -> None:
    critic = penalty(hidden=(), normalisation="none")
    posterior, prior = pair(3, 10, 4)
    w = critic.layers[0].weight[0].detach()
    value = mmd2((posterior.sample @ w)[..., None], (prior.sample @ w)[..., None], GaussianMixture((1.0,)), paired=True)
    torch.testing.assert_close(critic(posterior, prior), value / (1 + 10 * w.square().sum()), **tolerance[torch.float64])


def test_a_normalised_linear_critic_has_slope_g(tolerance) -> None:
    critic = penalty(hidden=())
    with torch.no_grad():
        critic.layers[0].gain.fill_(3.0)
    _, slope = feature(critic.matrices(), draws(5, 4))
    torch.testing.assert_close(slope, torch.full((5,), 9.0).double(), **tolerance[torch.float32])


def test_the_squared_slope_is_that_of_autograd_and_so_is_its_gradient_in_the_parameters(tolerance) -> None:
    critic, z = penalty(), draws(2, 7, 4).requires_grad_()
    value, slope = feature(critic.matrices(), z)
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    torch.testing.assert_close(slope, gradient.square().sum(-1), **tolerance[torch.float64])
    parameters = [layer.weight for layer in critic.layers] + [layer.gain for layer in critic.layers]
    got = torch.autograd.grad(slope.sum(), parameters, retain_graph=True)
    wanted = torch.autograd.grad(gradient.square().sum(), parameters)
    torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


def test_the_scale_is_the_mean_over_the_priors_draws_of_weight_one(tolerance) -> None:
    critic, keep = penalty(), torch.tensor([1.0, 1, 1, 0, 0, 1])
    posterior, prior = pair(6, 4)
    got = critic(Latent(sample=posterior.sample, weight=keep), Latent(sample=prior.sample, weight=keep))
    wanted = critic(Latent(sample=posterior.sample[keep > 0]), Latent(sample=prior.sample[keep > 0]))
    torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


def test_groups_are_independent_problems(tolerance) -> None:
    critic = penalty()
    posterior, prior = pair(3, 6, 4)
    each = [critic(Latent(sample=posterior.sample[t]), Latent(sample=prior.sample[t])) for t in range(3)]
    torch.testing.assert_close(critic(posterior, prior), torch.stack(each), **tolerance[torch.float64])


def test_critic_loss_is_the_negative_of_what_the_encoder_minimises(tolerance) -> None:
    critic = penalty().eval()
    posterior, prior = pair(3, 6, 4)
    torch.testing.assert_close(critic.critic_loss(posterior, prior), -critic(posterior, prior).sum(), **tolerance[torch.float64])


def test_a_step_down_critic_loss_raises_the_value_and_touches_the_critic_alone() -> None:
    critic = penalty()
    posterior, prior = (Latent(sample=latent.sample.requires_grad_()) for latent in pair(40, 4))
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    before = critic(posterior, prior)
    for _ in range(100):
        optimiser.zero_grad()
        critic.critic_loss(posterior, prior).backward()
        optimiser.step()
    assert critic(posterior, prior) > 5 * before.abs()
    assert posterior.sample.grad is None
    assert prior.sample.grad is None


def test_the_encoders_value_has_no_gradient_for_the_critic_and_one_for_every_draw() -> None:
    critic = penalty()
    posterior, prior = (Latent(sample=latent.sample.requires_grad_()) for latent in pair(8, 4))
    critic(posterior, prior).backward()
    assert all(p.grad is None for p in critic.parameters())
    assert (posterior.sample.grad.abs().sum(-1) > 0).all()
    assert (prior.sample.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("normalisation", ["learned", "unit"])
def test_every_matrix_keeps_its_spectral_norm_while_the_critic_learns(normalisation) -> None:
    critic = penalty(normalisation=normalisation)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-3)
    for _ in range(100):
        optimiser.zero_grad()
        critic.critic_loss(*pair(20, 4)).backward()
        optimiser.step()
    for layer in critic.layers:
        gain = 1.0 if layer.gain is None else layer.gain.item()
        assert torch.linalg.matrix_norm(layer.matrix(), 2).item() == pytest.approx(gain, rel=0.03)
    if normalisation == "unit":
        assert (feature(critic.matrices(), draws(100, 4))[1] <= 1.1).all()


def test_power_iteration_moves_in_training_only_by_critic_loss_and_travels_in_the_state(tolerance) -> None:
    critic = penalty()
    with torch.no_grad():
        critic.layers[1].weight.add_(draws(8, 16))
    before = critic.layers[1].left.clone()
    critic(*pair(6, 4))
    critic.eval().critic_loss(*pair(6, 4))
    assert torch.equal(critic.layers[1].left, before)
    critic.train().critic_loss(*pair(6, 4))
    assert not torch.equal(critic.layers[1].left, before)
    other = penalty()
    other.load_state_dict(critic.state_dict())
    assert torch.equal(other.train().critic_loss(*pair(6, 4)), critic.critic_loss(*pair(6, 4)))


def test_it_works_without_autograd_and_in_float32_under_autocast() -> None:
    critic, (posterior, prior) = penalty().float(), pair(8, 4)
    posterior, prior = Latent(sample=posterior.sample.float()), Latent(sample=prior.sample.float())
    outside = critic(posterior, prior)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(critic(posterior, prior), outside)
