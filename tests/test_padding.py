"""What stands at padding changes nothing: no code, no loss, no gradient, no score; nor does how much of it there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attrs import evolve
from combinations_of_parts import REGISTRY, Combination, walk
from torch import Tensor

from rwae_kit import Clips, DataError, DataInfo, Factor, SequenceAutoencoder
from rwae_kit.build import build
from rwae_kit.evaluation import encode_clips, mean_clip, reconstruction_score, swap_accuracy
from rwae_kit.interfaces import Judge
from rwae_kit.recipe import Recipe

PADDED = [combination for combination in walk(least=110, most=250) if combination.padded]
ENCODERS = {combination.values["encoder"]["name"]: combination for combination in PADDED}
OTHERS = [combination for combination in PADDED if combination not in ENCODERS.values()]
INFO = DataInfo(name="toy", frame=(1, 16, 16), length=6, factors={"kind": Factor(classes=("a", "b"), kind="static")})
LENGTHS = (6, 5, 3, 1, 6, 2)


def padded_clips(info: DataInfo, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> Clips:
    """Clips whose real frames follow from their place, with noise behind them that follows from the seed."""
    low, high = info.value_range
    shape = (len(lengths), info.length, *info.frame)
    real, noise = (torch.rand(shape, generator=torch.Generator().manual_seed(s)) for s in (99, seed))
    mask = (torch.arange(info.length) < torch.tensor(lengths)[:, None]).float()
    frames = torch.where(mask.reshape(*mask.shape, *[1] * len(info.frame)) > 0, real, noise)
    factors = {"kind": torch.arange(len(lengths)) % 2} if info.factors else {}
    return Clips(info=info, frames=low + (high - low) * frames, mask=mask, factors=factors)


def trained_on(combination: Combination, clips: Clips) -> dict[str, Tensor]:
    """Every part of the loss and every gradient of one step with the draws of one seed, and the codes afterwards."""
    model, objective = build(Recipe.from_dict(combination.values), REGISTRY, combination.info)
    model.train()
    objective.train()
    batch = clips.batch(torch.arange(len(clips)))
    with model.noise.fork(3):
        losses = objective(model, model(batch), 10)
    losses.total.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    codes = model.encode(batch.x, batch.mask)
    return {**losses.parts, **gradients, "static": codes.static.mean, "dynamic": codes.dynamic.mean}


@pytest.mark.parametrize(
    "combination",
    [*ENCODERS.values(), *(pytest.param(combination, marks=pytest.mark.slow) for combination in OTHERS)],
    ids=lambda combination: combination.name,
)
def test_other_values_at_padding_leave_losses_gradients_and_codes_as_they_are(combination: Combination) -> None:
    length = combination.info.length
    lengths = (1, length - 1, 2, *[length] * 5)
    one, two = (trained_on(combination, padded_clips(combination.info, lengths, seed)) for seed in (1, 2))
    assert set(one) == set(two)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], msg=lambda told, name=name: f"{name}: {told}")


def test_every_encoder_is_looked_at() -> None:
    assert set(ENCODERS) == set(REGISTRY.names("encoder"))


@pytest.fixture
def model(tiny: dict[str, Any]) -> SequenceAutoencoder:
    return build(Recipe.from_dict(tiny), REGISTRY, INFO)[0]


def test_more_padding_changes_neither_losses_nor_codes(tiny: dict[str, Any]) -> None:
    found = []
    for length in (6, 9):
        info = evolve(INFO, length=length)
        model, objective = build(Recipe.from_dict(tiny), REGISTRY, info)
        model.eval()
        objective.eval()
        short = padded_clips(INFO)
        missing = length - 6
        clips = Clips(
            info=info,
            frames=torch.cat([short.frames, torch.rand(6, missing, 1, 16, 16)], 1),
            mask=torch.cat([short.mask, torch.zeros(6, missing)], 1),
        )
        batch = clips.batch(torch.arange(6))
        losses, codes = objective(model, model(batch), 0), model.encode(batch.x, batch.mask)
        found.append({**losses.parts, "static": codes.static.mean, "dynamic": codes.dynamic.mean[:, :6] * short.mask[..., None]})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=lambda told, name=name: f"{name}: {told}")


def test_a_padded_clip_has_the_codes_of_the_clip_cut_to_its_length(model: SequenceAutoencoder) -> None:
    clips = padded_clips(INFO)
    codes = encode_clips(model, clips, batch_size=4)
    for i, length in enumerate(LENGTHS):
        alone = model.encode(clips.frames[i : i + 1, :length])
        torch.testing.assert_close(torch.from_numpy(codes.static[i]), alone.static.mean[0])
        torch.testing.assert_close(torch.from_numpy(codes.dynamic[i, :length]), alone.dynamic.mean[0])


class Touchy(Judge):
    """Its verdict on the first frame, which is never padding, turns with the slightest change of it."""

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        return {"kind": (x[:, 0].double().sum((1, 2, 3)) * 1e5).long() % 2}


def test_scores_do_not_depend_on_what_stands_at_padding(model: SequenceAutoencoder) -> None:
    scores = []
    for seed in (1, 2):
        clips = padded_clips(INFO, LENGTHS * 4, seed)
        swap = swap_accuracy(model, clips, Touchy())
        scores.append((reconstruction_score(model, clips, mean_clip(clips))[0], swap["swap"], swap["reconstruction"]))
    assert scores[0] == scores[1]


def test_a_swap_reads_each_clip_as_far_as_it_is_real(model: SequenceAutoencoder) -> None:
    one, two = padded_clips(INFO, seed=1), padded_clips(INFO, seed=2)
    a, b = torch.arange(3), torch.arange(3, 6)
    found = [
        model.swap(c.frames[a], c.frames[b], static_mask=one.mask[a], dynamic_mask=one.mask[b]) * one.mask[b][..., None, None, None]
        for c in (one, two)
    ]
    torch.testing.assert_close(*found)
    unmasked = [model.swap(c.frames[a], c.frames[b]) for c in (one, two)]
    assert not torch.allclose(*unmasked)


def test_a_mask_of_another_shape_is_refused(model: SequenceAutoencoder) -> None:
    clips = padded_clips(INFO)
    with pytest.raises(DataError, match=r"the mask is \(6, 5\); of these clips it should be \(6, 6\)"):
        model.encode(clips.frames, clips.mask[:, :5])
