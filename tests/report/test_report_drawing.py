from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from rwae_kit.errors import RwaeError
from rwae_kit.report import grid, pictures_of, save_animation
from rwae_kit.report.drawing import BREAK, EDGE, GAP, GREY, save_small


def _cell(colour, side=2):
    return np.full((side, side, 3), colour, dtype=np.uint8)


def test_colours_keep_their_places_and_the_range_becomes_0_to_255():
    clips = torch.zeros(1, 1, 3, 2, 2)
    clips[0, 0, :, 0, 1] = torch.tensor([1.0, -1.0, 0.0])
    clips[0, 0, :, 1, 0] = torch.tensor([5.0, -5.0, float("nan")])
    pixels = pictures_of(clips, (-1.0, 1.0))
    assert pixels.shape == (1, 1, 2, 2, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, 0, 1].tolist() == [255, 0, 128]
    assert pixels[0, 0, 1, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_other_number_of_channels_is_their_mean_in_grey(channels):
    clips = torch.rand(2, 3, channels, 4, 4)
    pixels = pictures_of(clips, (0.0, 1.0))
    assert pixels.shape == (2, 3, 4, 4, 3)
    assert (pixels == pixels[..., :1]).all()
    np.testing.assert_allclose(pixels[..., 0], clips.mean(2) * 255, atol=1.01)


def test_vectors_are_one_picture_with_time_to_the_right_and_the_first_feature_below():
    clips = torch.zeros(1, 4, 6)
    clips[0, 3, 0] = 1.0
    pixels = pictures_of(clips, (0.0, 1.0))
    assert pixels.shape == (1, 1, 6, 4, 3)
    assert pixels[0, 0, 5, 3].tolist() == [253, 231, 37]
    assert pixels[0, 0, 0, 0].tolist() == [68, 1, 84]


def test_what_is_no_clip_is_refused():
    with pytest.raises(RwaeError, match=r"not \(2, 3\)"):
        pictures_of(torch.zeros(2, 3), (0.0, 1.0))


def test_every_pixel_of_a_grid_is_where_it_should_be():
    image = np.array(grid([[_cell(10), None], [_cell(20), _cell(30)], [_cell(40), _cell(50)]], breaks=(2,), shown=4))
    assert image.shape == (3 * 4 + 2 * GAP + BREAK + 2 * EDGE, 2 * 4 + GAP + 2 * EDGE, 4)
    image = image[EDGE:-EDGE, EDGE:-EDGE]
    right, second, third = 4 + GAP, 4 + GAP, 2 * (4 + GAP) + BREAK
    for value, top, left in ((10, 0, 0), (20, second, 0), (30, second, right), (40, third, 0), (50, third, right)):
        assert (image[top : top + 4, left : left + 4] == [value, value, value, 255]).all()
    outlined = (image == GREY).all(axis=-1)
    assert outlined[:4, 4].all()
    assert outlined[4, :4].all()
    assert (image[..., 3] == 255).sum() == 5 * 16 + outlined.sum()
    assert not image[:4, right + EDGE :, 3].any()


def test_a_frame_is_enlarged_by_a_whole_number_of_times():
    cell = np.arange(32 * 40 * 3, dtype=np.uint8).reshape(32, 40, 3)
    image = np.array(grid([[cell]], shown=64))[EDGE:-EDGE, EDGE:-EDGE]
    assert image.shape == (64, 80, 4)
    np.testing.assert_array_equal(image[::2, ::2, :3], cell)
    np.testing.assert_array_equal(image[1::2, 1::2, :3], cell)
    assert np.array(grid([[cell]], shown=65)).shape == (96 + 2 * EDGE, 120 + 2 * EDGE, 4)
    assert np.array(grid([[cell]], shown=8)).shape == (32 + 2 * EDGE, 40 + 2 * EDGE, 4)


def test_words_stand_beside_and_above_and_move_the_frames_no_further_than_needed():
    bare = np.array(grid([[_cell(9)], [_cell(9)]], shown=32))
    image = np.array(grid([[_cell(9)], [_cell(9)]], rows=["clip", "copy"], columns=["t"], shown=32))
    assert (image[-bare.shape[0] :, -bare.shape[1] :] == bare).all()
    for words in (image[:, : -bare.shape[1]], image[: -bare.shape[0]]):
        drawn = words[words[..., 3] == 255]
        assert len(drawn) > 0
        assert (drawn == GREY).all()
    assert (image[:, 0, 3] == 0).all()


def test_an_animation_has_all_frames_in_their_colours_with_transparent_gaps(tmp_path):
    frames = [grid([[_cell((40 * t, 0, 255 - 40 * t)), _cell(200)]], shown=8) for t in range(5)]
    save_animation(frames, tmp_path / "a.gif", fps=8.0)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.size, image.info["loop"], image.info["duration"]) == (
            5,
            (16 + GAP + 2 * EDGE, 8 + 2 * EDGE),
            0,
            120,
        )
        for t in range(5):
            image.seek(t)
            pixels = np.array(image.convert("RGBA"))[EDGE:-EDGE, EDGE:-EDGE]
            np.testing.assert_allclose(pixels[0, 0], [40 * t, 0, 255 - 40 * t, 255], atol=4)
            np.testing.assert_allclose(pixels[7, -1], [200, 200, 200, 255], atol=4)
            assert (pixels[:, 8 + EDGE : 8 + GAP - EDGE, 3] == 0).all()


def test_a_small_picture_of_few_colours_is_the_picture_and_its_words_keep_soft_edges(tmp_path):
    image = grid([[_cell((200, 30, 40), 8), _cell((10, 60, 90), 8)]], rows=["word"])
    save_small(image, tmp_path / "small.png", 60_000)
    with Image.open(tmp_path / "small.png") as found:
        assert found.mode == "P"
        small, whole = np.asarray(found.convert("RGBA")).astype(int), np.asarray(image).astype(int)
    opaque = whole[..., 3] == 255
    np.testing.assert_array_equal(small[opaque], whole[opaque])
    assert abs(small[..., 3] - whole[..., 3]).max() <= 16
    assert ((small[..., 3] > 0) & (small[..., 3] < 255)).any()


def test_a_picture_that_does_not_fit_is_made_smaller_and_what_never_fits_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    file = tmp_path / "noise.png"
    save_small(Image.fromarray(noise), file, 60_000)
    with Image.open(file) as whole:
        assert whole.size == (160, 160)
    most = file.stat().st_size // 2
    save_small(Image.fromarray(noise), file, most)
    assert file.stat().st_size <= most
    with Image.open(file) as smaller:
        assert smaller.size == (80, 80)
    with pytest.raises(RwaeError, match=r"160 x 160 pixels do not fit into 100 bytes"):
        save_small(Image.fromarray(noise), file, 100)
