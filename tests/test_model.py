"""The sequence autoencoder as a person uses it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rwae_kit import DataError, DataInfo, RwaeError, SequenceAutoencoder
from rwae_kit.build import build
from rwae_kit.recipe import Recipe
from rwae_kit.registry import Registry

INFO = DataInfo(name="toy", frame=(1, 16, 16), length=4)


@pytest.fixture
def model(tiny: dict[str, Any]) -> SequenceAutoencoder:
    return build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0]


def clips(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 4, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_codes_are_means_and_decode_of_them_is_the_reconstruction(model: SequenceAutoencoder) -> None:
    x = clips(3)
    posterior = model.encode(x)
    assert posterior.static.sample.shape == (3, 3)
    assert posterior.dynamic.sample.shape == (3, 4, 2)
    assert torch.equal(posterior.dynamic.sample, posterior.dynamic.mean)
    frames = model.decode(posterior.static.sample, posterior.dynamic.sample)
    assert torch.equal(frames, model.reconstruct(x))
    assert frames.shape == x.shape
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1


def test_encoding_asks_no_prior(model: SequenceAutoencoder) -> None:
    asked: list[int] = []
    handles = [prior.register_forward_hook(lambda *_: asked.append(1)) for prior in (model.prior, model.static_prior)]
    model.encode(clips(2))
    for handle in handles:
        handle.remove()
    assert asked == []


def test_a_swap_takes_the_static_latent_of_one_and_the_dynamic_latent_of_the_other(model: SequenceAutoencoder) -> None:
    a, b = clips(2), clips(2, seed=1)
    expected = model.decode(model.encode(a).static.sample, model.encode(b).dynamic.sample)
    assert torch.equal(model.swap(a, b), expected)
    assert torch.equal(model.swap(a, a), model.reconstruct(a))


def test_samples_have_any_length_and_follow_from_their_seed(model: SequenceAutoencoder) -> None:
    assert model.sample(2).shape == (2, 4, 1, 16, 16)
    long = model.sample(2, 100, seed=5)
    assert long.shape == (2, 100, 1, 16, 16)
    assert torch.isfinite(long).all()
    assert torch.equal(long, model.sample(2, 100, seed=5))
    assert not torch.equal(long, model.sample(2, 100, seed=6))


def test_a_sample_keeps_the_codes_it_is_given(model: SequenceAutoencoder) -> None:
    posterior = model.encode(clips(2))
    kept = model.sample(2, static=posterior.static.sample, dynamic=posterior.dynamic.sample)
    assert torch.equal(kept, model.reconstruct(clips(2)))


def test_a_traversal_sets_one_feature_and_keeps_the_rest(model: SequenceAutoencoder) -> None:
    x = clips(1)[0]
    posterior = model.encode(x[None])
    for latent, dim in (("static", 2), ("dynamic", 1)):
        frames = model.traverse(x, latent, dim, [-2.0, 0.5])
        assert frames.shape == (2, 4, 1, 16, 16)
        s, z = posterior.static.sample.clone(), posterior.dynamic.sample.clone()
        (s if latent == "static" else z)[..., dim] = 0.5
        torch.testing.assert_close(frames[1:], model.decode(s, z))


def test_using_the_model_leaves_mode_noise_and_global_state_alone(model: SequenceAutoencoder) -> None:
    model.train()
    model.prior.eval()
    noise, state = model.noise.state(), torch.get_rng_state()
    model.sample(2, 5)
    model.swap(clips(2), clips(2, seed=1))
    assert model.training
    assert not model.prior.training
    assert torch.equal(noise, model.noise.state())
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 4, 3, 16, 16), r"encode: clips are \(2, 4, 3, 16, 16\); this model reads \('b', 't', 1, 16, 16\)"),
        (torch.zeros(2, 4, 1, 16, 16, dtype=torch.uint8), r"this model reads float values in \(0.0, 1.0\)"),
        (torch.full((2, 4, 1, 16, 16), 200.0), r"values are in \[200, 200\]; this model was trained on toy, in \[0, 1\]"),
        (torch.full((2, 4, 1, 16, 16), torch.nan), r"values are in \[nan, nan\]"),
    ],
)
def test_clips_that_the_model_cannot_read_are_refused(model: SequenceAutoencoder, x: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        model.encode(x)


def test_wrong_requests_are_refused_in_words(model: SequenceAutoencoder) -> None:
    with pytest.raises(RwaeError, match=r"decode: static has 5 features, the model's static latent has 3"):
        model.decode(torch.zeros(1, 5), torch.zeros(1, 4, 2))
    with pytest.raises(RwaeError, match="the model has 0 actions"):
        model.decode(torch.zeros(1, 3), torch.zeros(1, 4, 2), torch.zeros(1, 6))
    with pytest.raises(RwaeError, match="swap: 2 clips"):
        model.swap(clips(2), clips(3))
    with pytest.raises(RwaeError, match="sample: needs at least one clip"):
        model.sample(0)
    with pytest.raises(RwaeError, match=r"features 0\.\.2, not 3"):
        model.traverse(clips(1)[0], "static", 3, [0.0])
    with pytest.raises(RwaeError, match="'static' or 'dynamic'"):
        model.traverse(clips(1)[0], "statik", 0, [0.0])
