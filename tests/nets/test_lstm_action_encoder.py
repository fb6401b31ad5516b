from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rwae_kit import Spec
from rwae_nets.actions import LstmActionEncoder

SPEC = Spec(frame=(1, 16, 16), value_range=(0.0, 1.0), static=3, dynamic=2, action=3)
H = 5


def encoder(**options: object) -> LstmActionEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LstmActionEncoder(LstmActionEncoder.Config(**{"hidden": 8, **options}), SPEC, H).double()


def inputs(b: int = 4, t: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(b, t, size, generator=generator, dtype=torch.float64) for size in (SPEC.dynamic, H))


def fixed(probabilities: list[float], **options: object) -> LstmActionEncoder:
    """An encoder that gives the same probabilities whatever it reads."""
    made = encoder(**options)
    with torch.no_grad():
        made.head.weight.zero_()
        made.head.bias.copy_(torch.tensor(probabilities).log())
    return made


def test_eval_mode_gives_the_mean_of_the_draws_and_fork_draws() -> None:
    net = encoder().eval()
    latent = net(*inputs())
    assert torch.equal(latent.sample, latent.logits.softmax(-1))
    with net.noise.fork(0):
        assert not torch.equal(net(*inputs()).sample, latent.sample)
    assert net.drawn.item() == 0


def test_cold_draws_are_one_hot_with_the_frequencies_of_the_posterior() -> None:
    probabilities = [0.6, 0.3, 0.1]
    draws = fixed(probabilities, temperature=1e-3, final_temperature=1e-3)(*inputs(20_000, 1)).sample
    assert draws.max(-1).values.mean() > 0.999
    torch.testing.assert_close(draws.mean(0), torch.tensor(probabilities).double(), atol=0.012, rtol=0)


def test_hot_draws_are_uniform() -> None:
    draws = fixed([0.6, 0.3, 0.1], temperature=1e4, final_temperature=1e4)(*inputs(1000, 1)).sample
    assert (draws - 1 / 3).abs().max() < 1e-3


def test_straight_through_draws_are_one_hot_and_have_the_gradient_of_the_relaxed_ones(tolerance) -> None:
    weighing = torch.tensor([1.0, 2.0, 4.0]).double()
    found = []
    for straight in (True, False):
        net, (dynamic, features) = encoder(straight_through=straight), inputs()
        sample = net(dynamic.requires_grad_(), features).sample
        (sample @ weighing).sum().backward()
        found.append((sample.detach(), dynamic.grad))
    (hard, one), (soft, two) = found
    torch.testing.assert_close(hard, torch.nn.functional.one_hot(soft.argmax(-1), 3).double(), **tolerance[torch.float64])
    torch.testing.assert_close(one, two, **tolerance[torch.float64])


@pytest.mark.parametrize(("drawn", "temperature"), [(0, 2.0), (5, 1.0), (10, 0.5), (99, 0.5)])
def test_the_temperature_falls_geometrically_and_then_stays(drawn, temperature) -> None:
    net = encoder(temperature=2.0, final_temperature=0.5, anneal_draws=10)
    net.drawn.fill_(drawn)
    assert net.temperature().item() == pytest.approx(temperature)
    assert encoder(temperature=2.0, final_temperature=0.5, anneal_draws=0).temperature().item() == pytest.approx(0.5)


def test_draws_are_counted_in_train_mode_only_and_travel_in_the_state() -> None:
    net = encoder()
    for _ in range(3):
        net(*inputs())
    net.eval()(*inputs())
    assert net.drawn.item() == 3
    other = encoder()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.temperature(), net.temperature())


@pytest.mark.parametrize("features", [False, True])
def test_the_features_are_read_where_the_config_says(features) -> None:
    dynamic, seen = (x.requires_grad_() for x in inputs())
    encoder(features=features)(dynamic, seen).logits.sum().backward()
    assert (dynamic.grad.abs().sum(-1) > 0).all()
    assert (seen.grad is not None) == features
