from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from attrs import evolve
from PIL import Image

from rwae_kit.errors import RwaeError
from rwae_kit.report import (
    choose,
    grid,
    matrix_picture,
    pictures_of,
    reconstruction_picture,
    sample_pictures,
    swap_picture,
    traversal_picture,
    traverse_picture,
)
from rwae_kit.report.drawing import BREAK, EDGE, GAP
from rwae_kit.report.pictures import SPREAD, spread, unpadded


def _frame(image, row, column, shown=96, side=4, group=0):
    """The frame at a place, counted from the right and the bottom edge of all, in its own pixels."""
    pixels = np.array(image)[..., 0]
    rows = np.array(image).shape[0]
    step = shown // side
    top = EDGE + row * (shown + GAP) + BREAK * (row // group if group else 0)
    assert top + shown + EDGE <= rows
    left = pixels.shape[1] - EDGE - 3 * shown - 2 * GAP + column * (shown + GAP)
    return pixels[top : top + shown : step, left : left + shown : step]


def _grey(frame):
    return np.rint(frame.numpy().squeeze(0) * 255)


def test_a_reconstruction_stands_below_its_clip(world):
    model, clips = world()
    image = reconstruction_picture(model, clips.frames[:2])
    for k in range(2):
        for t in range(3):
            np.testing.assert_array_equal(_frame(image, 2 * k, t, group=2), _grey(clips.frames[k, t]))
            np.testing.assert_array_equal(_frame(image, 2 * k + 1, t, group=2), _grey(clips.frames[k, t] * 0.5))


def test_a_swap_has_the_originals_outside_and_the_exchanged_clips_inside(world):
    model, clips = world()
    a, b = clips.frames[0] * 0.5, clips.frames[1]
    image = swap_picture(model, a, b)
    expected = [a, model.swap(a[None], b[None])[0], model.swap(b[None], a[None])[0], b]
    for row, clip in enumerate(expected):
        for t in range(3):
            np.testing.assert_array_equal(_frame(image, row, t), _grey(clip[t]))
    assert swap_picture(model, clips.frames[:2], clips.frames[2:4]).height == 8 * 96 + 7 * GAP + BREAK + 2 * EDGE


def test_the_matrix_has_originals_at_its_edges_and_their_swaps_within(world):
    model, clips = world()
    static, dynamic = clips.frames[:2] * 0.5, clips.frames[2:5]
    made = matrix_picture(model, static, dynamic)
    assert len(made.frames) == 3
    assert made.still == made.frames[1]
    pixels = np.array(made.frames[2])
    step, side = 64 // 4, 64 + GAP

    def cell(i, j):
        top, left = pixels.shape[0] - EDGE - (3 - i) * side + GAP, pixels.shape[1] - EDGE - (4 - j) * side + GAP
        return pixels[top - BREAK * (i == 0) :, left:, 0][:64:step, :64:step]

    for j in range(3):
        np.testing.assert_array_equal(cell(0, j + 1), _grey(dynamic[j, 2]))
        for i in range(2):
            np.testing.assert_array_equal(cell(i + 1, 0), _grey(static[i, 2]))
            np.testing.assert_array_equal(cell(i + 1, j + 1), _grey(model.swap(static[i, None], dynamic[j, None])[0, 2]))


def test_samples_are_of_any_length_and_follow_the_seed(world, tmp_path):
    model, _ = world()
    made = sample_pictures(model, 7, t=40, seed=1)
    assert len(made.frames) == 40
    assert made.frames[0].size == (6 * 64 + 5 * GAP + 2 * EDGE, 2 * 64 + GAP + 2 * EDGE)
    assert made.still.size == (14 * 96 + 13 * GAP + 2 * EDGE, 4 * 96 + 3 * GAP + 2 * EDGE)
    assert made.still == sample_pictures(model, 7, t=40, seed=1).still
    assert made.still != sample_pictures(model, 7, t=40, seed=2).still
    written = made.save(tmp_path / "long.100", fps=10)
    assert [path.name for path in written] == ["long.100.png", "long.100.gif"]
    with Image.open(written[1]) as image:
        assert image.n_frames == 40


def test_a_traversal_shows_the_clip_at_each_value(world):
    model, clips = world()
    image = traverse_picture(model, clips.frames[0], "static", 0, [0.25, 1.0])
    clip = model.traverse(clips.frames[0], "static", 0, [0.25, 1.0])
    for row in range(2):
        np.testing.assert_array_equal(_frame(image, row, 1), _grey(clip[row, 1]))


def test_the_overview_of_traversals_takes_the_features_that_vary_most(world):
    model, clips = world()
    still = evolve(clips, frames=clips.frames.clone())
    still.frames[:, :, 0, 1:] = 0.5 * still.frames[:, :, 0, :1]
    seen = []
    traverse = model.traverse
    model.traverse = lambda x, latent, dim, values: (seen.append((latent, dim)), traverse(x, latent, dim, values))[1]
    made = traversal_picture(model, still.frames[0], still, most=4, steps=5)
    assert seen[0] == ("static", 0)
    assert {dim for latent, dim in seen if latent == "dynamic"} == {0, 1, 2, 3}
    assert len(made.frames) == 3
    assert made.still.height > 5 * 64


def _cells(image, rows, columns, high, wide):
    """The frames of a picture of vectors, counted from the right and the bottom edge."""
    pixels = np.array(image)[..., :3]
    pixels = pixels[-EDGE - rows * (high + GAP) + GAP : -EDGE, -EDGE - columns * (wide + GAP) + GAP : -EDGE]
    return [[pixels[r * (high + GAP) :, c * (wide + GAP) :][:high, :wide] for c in range(columns)] for r in range(rows)]


def test_clips_of_vectors_stand_side_by_side_each_over_what_the_model_makes_of_it(world):
    model, clips = world(frame=(60,), length=5)
    image = reconstruction_picture(model, clips.frames[:3])
    cells = _cells(image, 2, 3, 120, 100)
    for column in range(3):
        for row, factor in ((0, 1.0), (1, 0.5)):
            expected = pictures_of(clips.frames[column : column + 1] * factor, (0.0, 1.0))[0, 0]
            np.testing.assert_array_equal(cells[row][column], expected.repeat(2, axis=0).repeat(20, axis=1))
    image = swap_picture(model, clips.frames[:3], clips.frames[3:6])
    cells = _cells(image, 4, 3, 120, 100)
    swapped = model.swap(clips.frames[2:3], clips.frames[5:6])
    expected = pictures_of(swapped, (0.0, 1.0))[0, 0].repeat(2, axis=0).repeat(20, axis=1)
    np.testing.assert_array_equal(cells[1][2], expected)


def test_clips_of_vectors_do_not_move(world):
    model, clips = world(frame=(6,), length=5)
    matrix = matrix_picture(model, clips.frames[:2], clips.frames[2:4])
    assert matrix.frames == traversal_picture(model, clips.frames[0], clips).frames == sample_pictures(model, 3).frames == ()
    swapped = model.swap(clips.frames[1:2], clips.frames[3:4])
    corner = _cells(matrix.still, 1, 1, 96, 100)[0][0]
    np.testing.assert_array_equal(corner, pictures_of(swapped, (0.0, 1.0))[0, 0].repeat(16, axis=0).repeat(20, axis=1))


def test_a_longer_clip_of_vectors_has_the_same_scale_of_time(world):
    model, _ = world(frame=(6,), length=10)
    short, long = (sample_pictures(model, 12, t).still.size for t in (None, 45))
    assert short == (6 * 100 + 5 * GAP + 2 * EDGE, 2 * 96 + GAP + 2 * EDGE)
    assert long == (2 * 450 + GAP + 2 * EDGE, 6 * 96 + 5 * GAP + 2 * EDGE)


def test_standardised_features_are_drawn_over_the_range_where_most_of_them_lie(world):
    model, clips = world(frame=(6,), length=5)
    wide = evolve(model.spec, value_range=(-5.0, 5.0))
    model.spec, model.info = wide, evolve(model.info, std=(1.0,) * 6, mean=(0.0,) * 6)
    top = torch.full_like(clips.frames[:1], SPREAD)
    cell = _cells(reconstruction_picture(model, top), 2, 1, 96, 100)[0][0]
    assert (cell == [253, 231, 37]).all()
    model.info = evolve(model.info, std=(), mean=())
    assert not (_cells(reconstruction_picture(model, top), 2, 1, 96, 100)[0][0] == [253, 231, 37]).any()


def test_the_middle_of_a_traversal_is_named(world, monkeypatch):
    model, clips = world()
    seen = []
    drawn = sys.modules["rwae_kit.report.pictures"]  # the package gives this name to a function
    monkeypatch.setattr(drawn, "grid", lambda cells, **said: (seen.append(said["columns"]), grid(cells, **said))[1])
    traversal_picture(model, clips.frames[0], clips, steps=7)
    assert seen[0] == ["-2.0", "-1.3", "-0.7", "mean", "+0.7", "+1.3", "+2.0"]


def test_chosen_clips_differ_in_their_labels_as_much_as_they_can(world):
    _, clips = world(n=60)
    for seed in range(10):
        chosen = choose(clips, 6, seed)
        assert len(set(chosen.tolist())) == 6
        labels = {(int(clips.factors["level"][i]), int(clips.factors["path"][i])) for i in chosen}
        assert len(labels) == 6
        first, second = chosen[:2]
        assert all(clips.factors[name][first] != clips.factors[name][second] for name in clips.factors)
        assert len({int(clips.factors["level"][i]) for i in choose(clips, 3, seed, "static")}) == 3
    assert choose(clips, 4, 1).tolist() == choose(clips, 4, 1).tolist() != choose(clips, 4, 2).tolist()


def test_clips_without_labels_are_chosen_once_each_and_no_more_than_there_are(world):
    _, clips = world()
    bare = evolve(clips, factors={})
    assert len(set(choose(bare, 5).tolist())) == 5
    assert sorted(choose(bare, 99).tolist()) == sorted(choose(clips, 99).tolist()) == list(range(12))


def test_a_picture_of_nothing_is_refused(world):
    model, clips = world()
    with pytest.raises(RwaeError, match="at least one clip"):
        reconstruction_picture(model, torch.empty(0, *clips.frames.shape[1:]))


def test_clips_of_different_length_are_shown_and_measured_without_their_padding(world):
    model, clips = world()
    mask = torch.ones(12, 3)
    mask[3:6, 2:] = 0
    frames = clips.frames.clone()
    frames[3:6, 2:] = torch.nan
    padded = evolve(clips, frames=frames, mask=mask)
    assert torch.equal(unpadded(padded, torch.tensor([0, 4])), clips.frames[[0, 4], :2])
    assert torch.equal(unpadded(padded, torch.tensor([0, 1])), clips.frames[[0, 1]])
    model.encode = lambda x, mask: type(model).encode(model, x.nan_to_num(0), mask)
    real = model.encode(padded.frames, mask).dynamic.sample[mask > 0]
    mean, std = spread(model, padded, "dynamic")
    torch.testing.assert_close(mean, real.mean(0))
    torch.testing.assert_close(std, real.std(0, correction=0))
