from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rwae_adversarial.js_gan import JSGAN, logit, resample, squared_slope
from rwae_kit import Latent, Objective, Penalty

PLACES = ("interpolates", "prior", "posterior", "both")
LOSSES = ("non_saturating", "saturating")
GRID = torch.linspace(-12, 12, 4001, dtype=torch.float64)
DENSITY = torch.exp(-0.5 * GRID.square()) / math.sqrt(2 * math.pi)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gan(d: int = 4, **options: object) -> JSGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return JSGAN(JSGAN.Config(**{"hidden": (16, 8), **options}), d).double()


def pair(*shape: int) -> tuple[Latent, Latent]:
    return Latent(sample=2 * draws(*shape) + 1), Latent(sample=draws(*shape, seed=1))


def best(shift: float, **options: object) -> JSGAN:
    """The best discriminator of q = N(shift, 1) from p = N(0, 1): its logit, log p/q, is linear."""
    critic = gan(1, hidden=(), gradient_weight=0.0, **options)
    with torch.no_grad():
        critic.weights[0].fill_(-shift)
        critic.biases[0].fill_(shift**2 / 2)
    return critic


def gaussian(mean: float | Tensor) -> Latent:
    """N(mean, 1) by quadrature: its draws lie on a grid, weighted by the density. Differentiable in the mean."""
    return Latent(sample=(GRID + mean)[:, None], weight=DENSITY)


def jensen_shannon(shift: float | Tensor) -> Tensor:
    """JS(N(shift, 1), N(0, 1)) by numerical integration of its definition."""
    q, p = (torch.exp(-0.5 * (GRID - mean).square()) / math.sqrt(2 * math.pi) for mean in (shift, 0.0))
    middle = (p + q) / 2
    return 0.5 * torch.trapezoid(torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle), GRID)


@pytest.mark.parametrize("place", PLACES)
def test_a_linear_discriminator_has_the_closed_form_of_the_gradient_penalty(place, tolerance) -> None:
    critic, without = (gan(hidden=(), penalise=place, gradient_weight=weight) for weight in (7.0, 0.0))
    latents = pair(3, 10, 4)
    w = critic.weights[0]
    penalty = critic.critic_loss(*latents) - without.critic_loss(*latents)
    torch.testing.assert_close(penalty, 3 * 7 * w.square().sum(), **tolerance[torch.float64])
    critic.critic_loss(*latents).backward()
    without.critic_loss(*latents).backward()
    torch.testing.assert_close(w.grad - without.weights[0].grad, 3 * 2 * 7 * w.detach(), **tolerance[torch.float64])


def test_the_squared_slope_is_that_of_autograd_and_so_is_its_gradient_in_the_parameters(tolerance) -> None:
    critic, z = gan(), draws(2, 7, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(logit(critic.layers(), z).sum(), z, create_graph=True)
    slope = squared_slope(critic.layers(), z)
    torch.testing.assert_close(slope, gradient.square().sum(-1), **tolerance[torch.float64])
    got = torch.autograd.grad(slope.sum(), list(critic.weights), retain_graph=True)
    wanted = torch.autograd.grad(gradient.square().sum(), list(critic.weights))
    torch.testing.assert_close(got, wanted, **tolerance[torch.float64])


@pytest.mark.parametrize(
    ("place", "share_beyond_the_kink"), [("interpolates", 0.25), ("prior", 1.0), ("posterior", 0.0), ("both", 0.5)]
)
def test_the_gradient_is_penalised_where_the_config_says(place, share_beyond_the_kink) -> None:
    critic = gan(1, hidden=(1,), penalise=place, gradient_weight=1.0)
    with torch.no_grad():  # slope 1 beyond 0.5, and 0.2 before
        for tensor, value in zip((*critic.weights, *critic.biases), (1.0, 1.0, -0.5, 0.0), strict=True):
            tensor.fill_(value)
    posterior, prior = Latent(sample=-torch.ones(20_000, 1).double()), Latent(sample=torch.ones(20_000, 1).double())
    without = gan(1, hidden=(1,), gradient_weight=0.0)
    without.load_state_dict(critic.state_dict())
    found = (critic.critic_loss(posterior, prior) - without.critic_loss(posterior, prior)).item()
    assert found == pytest.approx(share_beyond_the_kink + (1 - share_beyond_the_kink) * 0.04, abs=0.015)


def test_interpolates_meet_every_prior_draw_once_where_n_is_m_and_by_its_weight_otherwise() -> None:
    strata = (torch.tensor([3, 0, 2, 1]) + torch.tensor([0.0, 0.3, 0.999, 0.5]).double()) / 4
    assert resample(torch.ones(4).double(), strata).tolist() == [3, 0, 2, 1]
    levels = (torch.arange(60).double() + 0.5) / 60
    weight = torch.tensor([[0.0, 1, 0, 3, 2, 0], [1, 1, 1, 1, 1, 1]]).double()
    counts = torch.stack([row.bincount(minlength=6) for row in resample(weight, levels.expand(2, -1).contiguous())])
    assert torch.equal(counts, torch.tensor([[0, 10, 0, 30, 20, 0], [10] * 6]))
    edges = torch.tensor([0.0, 1.0])
    assert resample(torch.tensor([0.0, 1, 2, 0]), edges).tolist() == [1, 2]


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5, 3.0])
def test_the_best_discriminator_of_two_gaussians_gives_their_jensen_shannon_divergence(shift, tolerance) -> None:
    latents, js = (gaussian(shift), gaussian(0.0)), jensen_shannon(shift)
    torch.testing.assert_close(best(shift, encoder="saturating")(*latents), 2 * js, **tolerance[torch.float32])
    torch.testing.assert_close(best(shift)(*latents), shift**2 - 2 * js, **tolerance[torch.float32])
    torch.testing.assert_close(best(shift).critic_loss(*latents), math.log(4) - 2 * js, **tolerance[torch.float32])


def test_critic_loss_is_least_at_the_best_discriminator() -> None:
    critic, latents = best(1.5), (gaussian(1.5), gaussian(0.0))
    least = critic.critic_loss(*latents)
    least.backward()
    assert all(parameter.grad.abs().max() < 1e-8 for parameter in critic.parameters())
    for parameter in critic.parameters():
        for change in (-0.1, 0.1):
            with torch.no_grad():
                parameter.add_(change)
            assert critic.critic_loss(*latents) > least
            with torch.no_grad():
                parameter.sub_(change)


def test_at_the_best_discriminator_the_encoders_gradient_is_that_of_js_or_of_kl_less_js(tolerance) -> None:
    shift = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    (js,) = torch.autograd.grad(2 * jensen_shannon(shift), shift)
    for encoder, wanted in (("saturating", js), ("non_saturating", shift.detach() - js)):  # KL(q, p) = shift^2 / 2
        (got,) = torch.autograd.grad(best(1.2, encoder=encoder)(gaussian(shift), gaussian(0.0)), shift)
        torch.testing.assert_close(got, wanted, **tolerance[torch.float32])


def test_both_encoder_losses_push_every_draw_the_same_way_and_differ_by_the_odds_of_the_discriminator(tolerance) -> None:
    posterior, prior = (latent.sample.requires_grad_() for latent in pair(9, 4))
    critic = gan()
    with torch.no_grad():
        critic.weights[-1].mul_(10)
    saturating = gan(encoder="saturating")
    saturating.load_state_dict(critic.state_dict())
    one, two = (
        torch.autograd.grad(c(Latent(sample=posterior), Latent(sample=prior)), (posterior, prior)) for c in (critic, saturating)
    )
    odds = [torch.exp(sign * logit(critic.layers(), z))[:, None] for sign, z in ((-1, posterior), (1, prior))]
    torch.testing.assert_close(one[0], odds[0] * two[0], **tolerance[torch.float64])
    torch.testing.assert_close(one[1], odds[1] * two[1], **tolerance[torch.float64])


@pytest.mark.parametrize("encoder", LOSSES)
def test_a_discriminator_that_knows_nothing_gives_zero(encoder) -> None:
    critic = gan(encoder=encoder)
    with torch.no_grad():
        critic.weights[-1].zero_()
        critic.biases[-1].zero_()
    latents = pair(2, 5, 4)
    assert torch.equal(critic(*latents), torch.zeros(2).double())
    assert critic.critic_loss(*latents).item() == pytest.approx(2 * math.log(4))


@pytest.mark.parametrize("encoder", LOSSES)
@pytest.mark.parametrize("place", PLACES[1:])
def test_draws_of_weight_one_are_the_draws_that_there_are(encoder, place, tolerance) -> None:
    critic, keep = gan(encoder=encoder, penalise=place), torch.tensor([1.0, 1, 1, 0, 0, 1])
    posterior, prior = pair(6, 4)
    masked = tuple(Latent(sample=latent.sample, weight=keep) for latent in (posterior, prior))
    chosen = tuple(Latent(sample=latent.sample[keep > 0]) for latent in (posterior, prior))
    torch.testing.assert_close(critic(*masked), critic(*chosen), **tolerance[torch.float64])
    torch.testing.assert_close(critic.critic_loss(*masked), critic.critic_loss(*chosen), **tolerance[torch.float64])


def test_padding_does_not_move_the_critic_by_its_interpolates_either(tolerance) -> None:
    posterior, prior = pair(6, 4)
    keep = torch.tensor([1.0, 1, 1, 0, 0, 1])
    found = []
    for padding in (0.0, 50.0):
        latents = (Latent(sample=x.sample + padding * (1 - keep)[:, None], weight=keep) for x in (posterior, prior))
        found.append(gan().critic_loss(*latents))
    torch.testing.assert_close(found[0], found[1], **tolerance[torch.float64])


@pytest.mark.parametrize("encoder", LOSSES)
def test_groups_are_independent_problems_of_unequal_numbers_of_draws(encoder, tolerance) -> None:
    critic = gan(encoder=encoder)
    posterior, prior = draws(3, 6, 4), draws(3, 9, 4, seed=1)
    each = [critic(Latent(sample=posterior[t]), Latent(sample=prior[t])) for t in range(3)]
    torch.testing.assert_close(
        critic(Latent(sample=posterior), Latent(sample=prior)), torch.stack(each), **tolerance[torch.float64]
    )
    assert torch.isfinite(critic.critic_loss(Latent(sample=posterior), Latent(sample=prior)))


@pytest.mark.parametrize("place", PLACES)
def test_critic_loss_reaches_every_parameter_of_the_critic_and_nothing_else(place) -> None:
    critic = gan(penalise=place)
    posterior, prior = (Latent(sample=latent.sample.requires_grad_()) for latent in pair(2, 8, 4))
    critic.critic_loss(posterior, prior).backward()
    assert posterior.sample.grad is None
    assert prior.sample.grad is None
    assert all(parameter.grad.abs().sum() > 0 for parameter in critic.parameters())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("encoder", LOSSES)
def test_the_encoders_value_has_no_gradient_for_the_critic_and_one_for_every_draw(encoder, frozen) -> None:
    critic = gan(encoder=encoder).requires_grad_(not frozen)
    posterior, prior = (Latent(sample=latent.sample.requires_grad_()) for latent in pair(8, 4))
    critic(posterior, prior).backward()
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert (posterior.sample.grad.abs().sum(-1) > 0).all()
    assert (prior.sample.grad.abs().sum(-1) > 0).all()


def test_a_saturated_value_is_warned_of_and_only_that_of_the_saturating_loss() -> None:
    for encoder, warned in (("saturating", 1), ("non_saturating", 0)):
        objective = Objective([Penalty(latent="static", name="js_gan", divergence=best(8.0, encoder=encoder), weight=1.0)])
        value = objective.penalties[0].divergence(gaussian(8.0), gaussian(0.0)).item()
        assert value > 1.3
        assert len(objective.warnings({"penalty.static.js_gan": value})) == warned


@pytest.mark.parametrize("encoder", LOSSES)
def test_alternating_steps_bring_the_posterior_to_the_prior(encoder) -> None:
    critic, mean = gan(2, encoder=encoder, gradient_weight=1.0), torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    critics, encoders = torch.optim.Adam(critic.parameters(), 1e-2), torch.optim.Adam([mean], 3e-2)
    for step in range(300):
        posterior, prior = (draws(128, 2, seed=2 * step + k) for k in range(2))
        posterior = posterior + mean
        for optimiser, loss in ((critics, critic.critic_loss), (encoders, critic)):
            optimiser.zero_grad()
            loss(Latent(sample=posterior), Latent(sample=prior)).backward(retain_graph=True)
            optimiser.step()
    assert mean.abs().max() < 0.4


def test_it_works_without_autograd_and_in_float32_under_autocast() -> None:
    critic, latents = gan().float(), [Latent(sample=latent.sample.float()) for latent in pair(8, 4)]
    outside = critic(*latents)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(critic(*latents), outside)
        assert critic.critic_loss(*latents).dtype == torch.float32
