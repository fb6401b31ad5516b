from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve

from rwae_kit.errors import DataError
from rwae_kit.evaluation import Codes, encode_clips
from rwae_kit.evaluation.codes import places, some


def test_all_clips_are_encoded_in_order_whatever_the_batch_size(make_bars, oracle_class):
    clips = make_bars(7, seed=0)
    codes = [encode_clips(oracle_class(), clips, batch_size) for batch_size in (3, 100)]
    for one in codes:
        assert one.static.shape == (7, 1)
        assert one.dynamic.shape == (7, 4, 8)
        np.testing.assert_array_equal(one.static[:, 0], clips.frames.amax((1, 2, 3, 4)))
        np.testing.assert_array_equal(one.factors["direction"], clips.factors["direction"])
    np.testing.assert_array_equal(codes[0].dynamic, codes[1].dynamic)


def test_padding_is_left_out_of_the_time_average_and_zeroed_in_the_trajectory():
    codes = Codes(static=np.zeros((2, 1)), dynamic=np.array([[[1.0], [3.0]], [[5.0], [99.0]]]), mask=np.array([[1, 1], [1, 0]]))
    np.testing.assert_array_equal(codes.dynamic_mean(), [[2.0], [5.0]])
    np.testing.assert_array_equal(codes.trajectory(), [[1.0, 3.0], [5.0, 0.0]])


def test_without_padding_the_trajectory_lays_the_frames_side_by_side():
    codes = Codes(static=np.zeros((1, 1)), dynamic=np.arange(6.0).reshape(1, 3, 2))
    np.testing.assert_array_equal(codes.trajectory(), [[0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(codes.dynamic_mean(), [[2.0, 3.0]])


def test_a_draw_of_some_clips_has_no_clip_twice_and_follows_the_seed(make_bars):
    clips = make_bars(50, seed=0)
    clips = evolve(clips, frames=torch.arange(50.0).reshape(-1, 1, 1, 1, 1).expand_as(clips.frames))
    first, again, other = (some(clips, 20, seed).frames[:, 0, 0, 0, 0].tolist() for seed in (1, 1, 2))
    assert len(set(first)) == 20
    assert first == again != other
    assert some(clips, 50, 0) is clips


def test_places_cover_all_and_a_batch_of_none_is_refused():
    assert [piece.tolist() for piece in places(5, 2)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(DataError, match="batch_size is 0"):
        next(places(5, 0))
