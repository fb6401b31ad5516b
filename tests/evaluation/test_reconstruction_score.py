from __future__ import annotations

import pytest
import torch
from attrs import evolve

from rwae_kit.errors import DataError
from rwae_kit.evaluation import mean_clip, reconstruction_score


def _reconstructing(oracle_class, reconstruct):
    model = oracle_class()
    model.reconstruct = lambda x, mask=None: reconstruct(x)
    return model


def test_a_perfect_copy_explains_all_and_the_mean_clip_nothing(make_bars, oracle_class):
    clips = make_bars(9, seed=0)
    mean = mean_clip(clips, batch_size=4)
    perfect, trivial = reconstruction_score(_reconstructing(oracle_class, lambda x: x), clips, mean, 4)
    assert (perfect.explained, perfect.mse, perfect.sse) == (1.0, 0.0, 0.0)
    assert trivial.explained == 0.0
    constant = _reconstructing(oracle_class, lambda x: mean.float().expand_as(x))
    assert reconstruction_score(constant, clips, mean)[0].explained == pytest.approx(0.0, abs=1e-6)


def test_error_and_variance_agree_with_the_formula(make_bars, oracle_class):
    train, test = make_bars(30, seed=0), make_bars(11, seed=1)
    score, trivial = reconstruction_score(_reconstructing(oracle_class, lambda x: 0.5 * x), test, mean_clip(train), 4)
    x = test.frames.double()
    mean = train.frames.double().mean(0)
    assert score.explained == pytest.approx(1 - float((0.5 * x).square().sum() / (x - mean).square().sum()), abs=1e-12)
    assert score.mse == pytest.approx(float((0.5 * x).square().mean()), abs=1e-12)
    assert trivial.sse == pytest.approx(float((x - mean).square().sum() / 11), abs=1e-12)


def test_whole_numbers_are_scaled_to_the_range_of_the_data(make_bars, oracle_class):
    clips = make_bars(9, seed=0)
    bytes_ = evolve(clips, frames=(clips.frames * 4).to(torch.uint8), scale=0.25)
    torch.testing.assert_close(mean_clip(bytes_), mean_clip(clips))


def test_padding_counts_neither_in_the_mean_nor_in_the_error(make_bars, oracle_class):
    clips = make_bars(6, seed=0)
    mask = torch.ones(6, 4)
    mask[2, 3] = 0
    spoilt = evolve(clips, mask=mask, frames=clips.frames.clone())
    spoilt.frames[2, 3] = 1e3
    mean = mean_clip(spoilt)
    assert float(mean.max()) <= 1
    torch.testing.assert_close(mean[3], clips.frames[[0, 1, 3, 4, 5], 3].double().mean(0))
    zero = _reconstructing(oracle_class, torch.zeros_like)
    expected = (clips.frames.square().sum() - clips.frames[2, 3].square().sum()) / 6
    assert reconstruction_score(zero, spoilt, mean)[0].sse == pytest.approx(float(expected))


def test_clips_that_are_all_alike_are_refused(make_bars, oracle_class):
    clips = make_bars(3, seed=0)
    alike = clips.subset(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="bars: every clip is the mean clip"):
        reconstruction_score(oracle_class(), alike, mean_clip(alike))
