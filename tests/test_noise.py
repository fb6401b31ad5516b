"""One source of randomness: seeded, resumable, and apart from torch's own."""

from __future__ import annotations

import torch

from rwae_kit.noise import Noise

LIKE = torch.zeros(())


def test_the_same_seed_draws_the_same_and_the_global_state_is_untouched() -> None:
    before = torch.get_rng_state()
    first = Noise(3).normal(4, like=LIKE)
    assert torch.equal(first, Noise(3).normal(4, like=LIKE))
    assert not torch.equal(first, Noise(4).normal(4, like=LIKE))
    assert torch.equal(before, torch.get_rng_state())


def test_a_restored_state_continues_bit_for_bit() -> None:
    noise = Noise(1)
    noise.normal(5, like=LIKE)
    state = noise.state()
    expected = noise.uniform(3, like=LIKE)
    other = Noise(9)
    other.restore(state)
    assert torch.equal(other.uniform(3, like=LIKE), expected)


def test_a_fork_draws_from_its_own_seed_and_leaves_the_stream_where_it_was() -> None:
    noise, twin = Noise(1), Noise(1)
    with noise.fork(7):
        assert noise.drawing
        inside = noise.normal(3, like=LIKE)
    assert not noise.drawing
    assert torch.equal(inside, Noise(7).normal(3, like=LIKE))
    assert torch.equal(noise.normal(3, like=LIKE), twin.normal(3, like=LIKE))
