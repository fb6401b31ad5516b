"""Recurrent priors whose first latent comes from a mixture of Gaussians."""

from __future__ import annotations

import pytest
import torch

from rwae_kit import RecipeError
from rwae_nets.mixture import PACE


@pytest.fixture(params=["lstm", "gru"])
def prior(request, make, vectors):
    return lambda modes=3, **options: make("prior", request.param, vectors, hidden=6, modes=modes, **options).double()


def apart(net, shares=(0.5, 0.3, 0.2), log_var=-6.0):
    """The prior with components far from each other: of every draw it is plain which one it is of."""
    with torch.no_grad():
        net.chain.first.mean.copy_(torch.tensor([[9.0, 0.0], [0.0, 9.0], [-9.0, -9.0]]))
        net.chain.first.log_var.fill_(log_var)
        net.chain.first.share.copy_(torch.tensor(shares))
    return net


def test_first_latents_are_drawn_from_the_components_by_their_shares(prior):
    net = apart(prior(bounded=False), log_var=-1.0)
    first = net.sample(20_000, 2)[:, 0].detach()
    of = (first.unsqueeze(1) - net.chain.first.mean).square().sum(-1).argmin(1)
    torch.testing.assert_close(of.bincount(minlength=3) / 20_000.0, torch.tensor([0.5, 0.3, 0.2]), rtol=0, atol=0.015)
    for k in range(3):
        mine = first[of == k]
        torch.testing.assert_close(mine.mean(0), net.chain.first.mean[k].detach(), rtol=0, atol=0.05)
        torch.testing.assert_close(mine.std(0), torch.full((2,), -0.5).double().exp(), rtol=0, atol=0.03)


def test_a_component_without_a_share_is_never_drawn(prior):
    first = apart(prior(), shares=(0.6, 0.4, 0.0)).sample(5_000, 1)[:, 0]
    assert first.sum(1).min() > 0


def test_draws_are_those_of_the_teacher_forced_prior_along_themselves(prior):
    net = apart(prior())
    state = net.noise.state()
    z = net.sample(50, 7)
    net.noise.restore(state)
    noise = net.noise.normal(50, 7, 2, like=z)
    mean, log_var = net.chain(z)
    torch.testing.assert_close(z, mean + torch.exp(0.5 * log_var) * noise, rtol=1e-10, atol=1e-10)


def test_the_first_latent_is_all_that_the_mixture_changes(prior):
    net, one = apart(prior(), log_var=-1.0), prior(modes=1)
    one.load_state_dict({key: value for key, value in net.state_dict().items() if "first" not in key})
    z = torch.randn(4, 5, 2, dtype=torch.float64)
    for with_modes, without in zip(net.chain(z), one.chain(z), strict=True):
        assert torch.equal(with_modes[:, 1:], without[:, 1:])
        assert not torch.equal(with_modes[:, 0], without[:, 0])
    assert one.chain.first is None


def test_components_are_drawn_from_the_responsibilities_and_taken_by_the_largest_without_noise(prior):
    net = prior().eval()
    mixture, z = net.chain.first, torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    with torch.no_grad():
        mixture.share.copy_(torch.tensor([0.2, 0.5, 0.3]))
        mixture.log_var.add_(torch.randn_like(mixture.log_var))
    gaussians = torch.distributions.Normal(mixture.mean, (0.5 * mixture(torch.arange(3))[1].squeeze(1)).exp())
    expected = (mixture.share.log() + gaussians.log_prob(z).sum(-1)).softmax(0).detach()
    uniform = torch.rand(20_000, dtype=torch.float64)
    drawn = mixture.of(z.expand(20_000, -1), uniform).bincount(minlength=3) / 20_000.0
    torch.testing.assert_close(drawn.double(), expected, rtol=0, atol=0.015)
    assert mixture.of(z, None) == expected.argmax()


def test_shares_are_counted_in_train_mode_alone(prior):
    net = apart(prior())
    z = net.chain.first.mean[[0, 0, 1, 0]].detach().unsqueeze(1).expand(-1, 3, -1)
    before = net.chain.first.share.clone()
    net.eval()(z)
    assert torch.equal(net.chain.first.share, before)
    net.train()(z)
    counted = torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64)
    torch.testing.assert_close(net.chain.first.share, before + PACE * (counted - before), rtol=1e-9, atol=1e-12)


def test_a_component_that_has_lost_its_share_begins_again_at_a_latent_and_halves_what_another_had(prior):
    net = apart(prior(), shares=(0.6, 0.39, 0.01))
    mixture = net.chain.first
    with torch.no_grad():
        mixture.log_var[1] = -5.0
    others, z = mixture.mean[:2].clone(), torch.tensor([[0.0, 9.1], [9.0, 0.0]], dtype=torch.float64)
    net.train()(z.unsqueeze(1))
    assert torch.equal(mixture.mean, torch.cat((others, z[:1])))
    assert torch.equal(mixture.log_var[2], mixture.log_var[1])
    counted = torch.tensor([0.6, 0.39, 0.0]) + PACE * (0.5 - torch.tensor([0.6, 0.39, 0.0]))
    expected = torch.cat((counted[:2], torch.tensor([1 / 3])))
    torch.testing.assert_close(mixture.share.float(), expected / expected.sum(), rtol=1e-4, atol=1e-6)


def test_no_component_begins_again_while_it_has_a_share_in_eval_mode_or_while_weights_are_held(prior):
    z = torch.tensor([[[0.0, 9.1]]], dtype=torch.float64)
    for share, training, held in ((0.1, True, False), (0.01, False, False), (0.01, True, True)):
        net = apart(prior(), shares=(0.6, 0.4 - share, share)).train(training)
        net.chain.first.mean.requires_grad_(not held)
        before = net.chain.first.mean.clone()
        net(z)
        assert torch.equal(net.chain.first.mean, before)


def test_components_that_all_begin_far_away_find_every_island(prior):
    net = prior(modes=12, bounded=False)
    with torch.no_grad():
        net.chain.first.mean.add_(30.0)
    angle = torch.arange(8) * torch.pi / 4
    islands = 3 * torch.stack((angle.cos(), angle.sin()), 1).double()
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(2_500):
        z = islands[torch.randint(8, (64,))].unsqueeze(1)
        found = net(z + 0.1 * torch.randn_like(z))
        loss = (found.log_var + ((z - found.mean).square() + 0.01) / found.log_var.exp()).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    distance, nearest = torch.cdist(net.sample(4_000, 1)[:, 0].detach(), islands).min(1)
    assert (distance < 0.5).double().mean() > 0.9
    assert (nearest[distance < 0.5].bincount(minlength=8) / 4_000.0 > 0.05).all()


def test_draws_have_gradients_to_all_parameters_and_repeat_with_the_noise(prior):
    net = apart(prior())
    state = net.noise.state()
    z = net.sample(200, 3)
    z.square().sum().backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key
    net.noise.restore(state)
    assert torch.equal(net.sample(200, 3), z)


@pytest.mark.parametrize(("modes", "near"), [(1, False), (8, True)])
def test_a_mixture_learns_islands_that_one_gaussian_does_not(prior, modes, near):
    net = prior(modes=modes, bounded=False, log_var=0.0)
    islands = torch.tensor([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(1500):
        z = islands[torch.randint(3, (64,))].unsqueeze(1)
        z = z + 0.1 * torch.randn_like(z)
        found = net(z)  # KL(q || p) of narrow posteriors, but for what does not depend on the prior
        loss = (found.log_var + ((z - found.mean).square() + 0.01) / found.log_var.exp()).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    drawn = net.sample(2_000, 1)[:, 0].detach()
    distance = torch.cdist(drawn, islands).min(1).values
    assert ((distance < 0.5).double().mean() > 0.9) == near


def test_no_gaussian_at_all_is_an_error(prior):
    with pytest.raises(RecipeError, match="modes"):
        prior(modes=0)
