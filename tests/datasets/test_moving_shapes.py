import hashlib
import itertools

import numpy as np
import pytest
import torch

from rwae_datasets.moving_shapes import SPLITS, VARIANTS, MovingShapes
from rwae_datasets.shapes_drawing import INSIDE, MOTIONS, UNIT, offsets, paths, radius, templates
from rwae_kit import DataError, Registry


def shapes(**options) -> MovingShapes:
    return MovingShapes(MovingShapes.Config(**options))


@pytest.fixture(scope="module")
def train():
    return shapes().clips("train")


def test_the_bytes_are_the_same_on_every_machine(train):
    pixels = hashlib.sha256(train.frames.numpy().tobytes()).hexdigest()
    labels = hashlib.sha256(np.stack([train.factors[name].numpy() for name in sorted(train.factors)]).tobytes()).hexdigest()
    assert pixels == "ca5c00db620d333d7b0ff178993ab05b44b682dcf2a5b964fa202300e60da0c7"
    assert labels == "8cb6ad35a65aa706533613e757000dd05aa0d5aac165b8b45a9c7326f9dc1e3e"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"variant": "hard"},
            ["9888d05f7ac08a9c 7e5a839763502c43", "aaaaa41c8819c4aa 6a9522e2bc7a5934", "fc20acd2bfc5c523 b5a05e414bd28c6c"],
        ),
        (
            {"pixels": 48, "length": 12},
            ["72912ea5c3f02e69 16bd6fe0b60ebb39", "eb9934dfadcc02db f8302ac353b0fce8", "b007e75c69aa9d69 103ce3e1dcb01ec3"],
        ),
    ],
    ids=str,
)
def test_so_are_those_of_every_split_of_the_hard_variant_and_of_other_sizes(options, expected):
    dataset = shapes(train_clips=200, validation_clips=40, test_clips=60, **options)
    for split, pinned in zip(SPLITS, expected, strict=True):
        clips = dataset.clips(split)
        labels = np.stack([clips.factors[name].numpy() for name in sorted(clips.factors)])
        found = " ".join(hashlib.sha256(values.tobytes()).hexdigest()[:16] for values in (clips.frames.numpy(), labels))
        assert found == pinned


def test_the_clips_are_as_declared(train):
    info = shapes().info()
    assert train.frames.shape == (4096, 8, 3, 32, 32)
    assert train.frames.dtype == torch.uint8
    assert train.info == info
    assert {name: (len(f.classes), f.kind) for name, f in info.factors.items()} == {
        "shape": (4, "static"),
        "size": (2, "static"),
        "colour": (6, "static"),
        "motion": (12, "dynamic"),
        "motion_type": (3, "dynamic"),
        "direction": (4, "dynamic"),
    }
    assert torch.equal(train.factors["motion"], train.factors["motion_type"] * 4 + train.factors["direction"])


def test_the_hard_variant_has_more_colours_and_labelled_speeds():
    info = shapes(variant="hard").info()
    assert {name: len(f.classes) for name, f in info.factors.items()} == {
        "shape": 5,
        "size": 2,
        "colour": 10,
        "motion": 12,
        "motion_type": 3,
        "direction": 4,
        "speed": 3,
    }


def test_more_clips_leave_the_first_ones_as_they_were(train):
    assert torch.equal(shapes(train_clips=50).clips("train").frames, train.frames[:50])


def test_the_hash_follows_every_option():
    options = ({}, {"seed": 1}, {"pixels": 48}, {"variant": "hard"}, {"train_clips": 7}, {"length": 9})
    assert len({shapes(**option).info().hash for option in options}) == len(options)
    assert shapes().info().hash == shapes().info().hash


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_no_clip_is_in_two_splits(variant):
    dataset = shapes(variant=variant)
    rows = [row.numpy().tobytes() for split in SPLITS for row in dataset.clips(split).frames]
    assert len(set(rows)) == 4096 + 512 + 1024


def test_another_seed_draws_other_clips(train):
    assert not torch.equal(shapes(seed=1, train_clips=64).clips("train").frames, train.frames[:64])


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_factors_are_uniform_and_independent(variant):
    clips = shapes(variant=variant).clips("train")
    free = [name for name in clips.info.factors if name != "motion"]
    for one, other in itertools.combinations(free, 2):
        a, b = (len(clips.info.factors[name].classes) for name in (one, other))
        counts = torch.bincount(clips.factors[one] * b + clips.factors[other], minlength=a * b).double()
        expected = len(clips) / (a * b)
        chi_square = ((counts - expected) ** 2 / expected).sum().item()
        freedom = a * b - 1
        assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5, (one, other)


def centroids(frames):
    """Of the brightness of frames `[n, t, 3, h, w]`: `[n, t, 2]` as (x, y)."""
    mass = frames.double().sum(2)
    at = torch.arange(frames.shape[-1], dtype=torch.float64) + 0.5
    total = mass.sum((2, 3))
    return torch.stack([(mass.sum(2) * at).sum(-1), (mass.sum(3) * at).sum(-1)], -1) / total[..., None]


@pytest.mark.parametrize("length", [8, 20])
def test_each_motion_goes_where_its_name_says(length):
    clips = shapes(length=length, train_clips=400).clips("train")
    path = centroids(clips.frames)
    moved = path[:, -1] - path[:, 0]
    angle = torch.rad2deg(torch.atan2(moved[:, 1], moved[:, 0])) % 360  # 0 is right, 90 down
    kind, direction = clips.factors["motion_type"], clips.factors["direction"]
    expected = direction * 90.0 + (kind == 1) * 45.0
    off = (angle - expected + 180) % 360 - 180
    assert off[kind < 2].abs().max() < 3
    assert off[kind == 2].abs().max() < 20  # an odd number of steps ends on one side


@pytest.mark.parametrize("length", [8, 16, 40])
def test_only_zigzags_turn_and_they_turn_three_times_by_a_right_angle(length):
    steps = np.diff(paths(length).astype(float), axis=1)
    steps /= np.linalg.norm(steps, axis=-1, keepdims=True)
    turning = (steps[:, 1:] * steps[:, :-1]).sum(-1)
    assert turning[:8] == pytest.approx(1.0)
    corners = turning[8:] < 0.5
    assert corners.sum(1).tolist() == [3] * 4
    assert turning[8:][corners] == pytest.approx(0.0, abs=1e-9)
    assert turning[8:][~corners] == pytest.approx(1.0)


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_speeds_are_within_the_range_of_their_class(variant):
    clips = shapes(variant=variant, train_clips=600).clips("train")
    path = centroids(clips.frames)
    speed = (path[:, -1] - path[:, 0]).norm(dim=-1) / 7
    label = clips.factors["speed"] if variant == "hard" else torch.zeros(600)
    for i, (low, high) in enumerate(VARIANTS[variant].speeds.values()):
        chosen = speed[(label == i) & (clips.factors["motion_type"] < 2)]
        assert chosen.min() > low / 256 - 0.05  # a shape is drawn up to an eighth of a pixel beside its place
        assert chosen.max() < high / 256 + 0.05
        assert chosen.std() > 0.2 * (high - low) / 256


def test_the_centre_of_the_path_tells_no_factor(train):
    centre = torch.cat([centroids(part).mean(1) for part in train.frames.split(512)])
    spread = centre.std(0)
    for name, labels in train.factors.items():
        for value in labels.unique():
            chosen = centre[labels == value]
            assert ((chosen.mean(0) - 16).abs() < 4 * spread / len(chosen) ** 0.5).all(), name
            assert ((chosen.std(0) / spread - 1).abs() < 0.15).all(), name


@pytest.mark.parametrize("options", [{}, {"pixels": 47}, {"variant": "hard"}, {"length": 25, "variant": "hard"}, {"length": 11}])
def test_the_shape_is_whole_and_inside_the_frame_all_the_time(options):
    dataset = shapes(train_clips=600, **options)
    clips = dataset.clips("train")
    peak = clips.frames.amax(2)
    pixels = peak.shape[-1]
    area = peak.long().sum((2, 3))
    table = [templates(s, k, pixels).astype(np.int64).sum((2, 3)) for s in dataset.variant.shapes for k in range(2)]
    kind = clips.factors["shape"] * 2 + clips.factors["size"]
    for k, covered in enumerate(table):  # the colours' largest channel is 255, and coverage is of 16
        seen = area[kind == k].double() / 255 * 16
        assert seen.min() >= covered.min() * 0.99
        assert seen.max() <= covered.max() * 1.01
    lines = (peak[..., 0, :], peak[..., -1, :], peak[..., :, 0], peak[..., :, -1])
    assert max(int(line.max()) for line in lines) < 255


def test_the_colour_is_the_label(train):
    palette = torch.tensor(list(VARIANTS["easy"].colours.values()))
    seen = train.frames.amax((1, 3, 4)).long()
    assert torch.equal(seen, palette[train.factors["colour"]])


@pytest.mark.parametrize("name", sorted(INSIDE))
@pytest.mark.parametrize("pixels", [32, 48])
def test_a_template_is_the_shape_at_its_phase(name, pixels):
    """Coverage, counted point by point in floats."""
    drawn = templates(name, 1, pixels)
    half, r = drawn.shape[-1] // 2, radius(1, pixels)
    points = (np.arange(2 * half * 4) + 0.5) / 4
    y, x = np.meshgrid(points, points, indexing="ij")
    for i, j in ((0, 0), (5, 11), (15, 3)):
        dx, dy = (x - half) * UNIT - j, (y - half) * UNIT - i
        inside = INSIDE[name](np.rint(dx).astype(int), np.rint(dy).astype(int), r)
        expected = inside.reshape(2 * half, 4, 2 * half, 4).sum((1, 3))
        assert np.array_equal(drawn[i, j], expected)
    assert half * UNIT + 15 + r < 2 * half * UNIT  # whole in its window at every phase


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("square", 4 * 0.875**2),
        ("circle", np.pi),
        ("ring", np.pi * (1 - 0.36)),
        ("triangle", 3**1.5 / 4),
        ("thin cross", 2 * 0.4 * 2 - 0.4**2),
        ("fat cross", 2 * 0.9 * 2 - 0.9**2),
        ("diamond", 2.0),
    ],
)
def test_a_shape_has_the_area_of_its_formula(name, area):
    drawn = templates(name, 1, 128)[::5, ::5].astype(float).sum((2, 3)) / 16
    assert drawn.mean() / (radius(1, 128) / UNIT) ** 2 == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize("length", [8, 9, 16, 40])
def test_paths_have_their_mean_at_the_centre_and_one_length(length):
    assert not paths(length).sum(1).any()
    at = offsets(np.arange(12), np.full(12, 384), length, 32)
    assert len(at) == len(MOTIONS)
    walked = np.linalg.norm(np.diff(at, axis=1), axis=-1).sum(1) / UNIT
    assert walked == pytest.approx(7 * 1.5, rel=0.03)


def test_an_unknown_split_is_an_error_with_a_suggestion():
    with pytest.raises(DataError, match=r"unknown split 'tran'. Did you mean 'train'"):
        shapes().clips("tran")


@pytest.mark.parametrize("options", [{"pixels": 31}, {"length": 7}, {"train_clips": 0}, {"variant": "medium"}, {"seed": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MovingShapes.Config(**options)


def test_the_data_sets_are_registered():
    registry = Registry.installed()
    assert registry.get("dataset", "moving_shapes") is MovingShapes
    assert registry.get("dataset", "sprites").__name__ == "Sprites"
