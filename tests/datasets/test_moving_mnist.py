import gzip
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rwae_datasets.digit_images import bundled, resized
from rwae_datasets.digit_paths import DIRECTIONS, FASTEST, ROOM, draw_paths
from rwae_datasets.moving_mnist import PAIRS, SPLITS, MovingMNIST
from rwae_kit import DataError
from rwae_kit.data import open_store
from rwae_kit.testing import check_dataset


def digits(**options) -> MovingMNIST:
    few = {"train_clips": 200, "validation_clips": 40, "test_clips": 60, "images": "bundled"}
    return MovingMNIST(MovingMNIST.Config(**few | options))


def sha256(clips) -> tuple[str, str]:
    labels = np.stack([clips.factors[name].numpy() for name in sorted(clips.factors)])
    return tuple(hashlib.sha256(values.tobytes()).hexdigest()[:16] for values in (clips.frames.numpy(), labels))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("7ea9e3fa7041da7b", "37d6af889f4f7839")),
        ({"digits": 2, "length": 15}, ("5fd5111d27d3113d", "774a1899edfa6fda")),
        ({"pixels": 32}, ("86661275eb63348e", "37d6af889f4f7839")),
    ],
    ids=["one", "two", "32 pixels"],
)
def test_the_bytes_of_seed_0_are_the_same_on_every_machine(options, expected):
    assert sha256(digits(**options).clips("train")) == expected


def test_so_are_those_of_the_other_splits():
    assert sha256(digits().clips("validation")) == ("c00ce33f967d8882", "acccb5add5452257")
    assert sha256(digits().clips("test")) == ("45a74c62b8492bdd", "0d2883f5ce966c5f")


@pytest.mark.parametrize("options", [{}, {"digits": 2, "length": 15}, {"pixels": 30, "length": 3}], ids=str)
def test_it_keeps_the_contract_of_a_data_set(options):
    check_dataset(MovingMNIST, digits(**options).config)


def test_the_clips_are_as_declared():
    info, clips = digits(length=10).info(), digits(length=10).clips("train")
    assert clips.frames.shape == (200, 10, 1, 64, 64)
    assert clips.frames.dtype == torch.uint8
    assert {name: (len(factor.classes), factor.kind) for name, factor in info.factors.items()} == {
        "digit": (10, "static"),
        "start": (9, "dynamic"),
        "direction": (8, "dynamic"),
        "speed": (3, "dynamic"),
        "bounces": (4, "dynamic"),
    }


def test_two_digits_are_labelled_one_by_one_and_as_a_pair_the_smaller_first():
    clips = digits(digits=2).clips("train")
    one, two = clips.factors["digit_1"], clips.factors["digit_2"]
    assert (one <= two).all()
    assert [PAIRS[i] for i in clips.factors["pair"].tolist()] == list(zip(one.tolist(), two.tolist(), strict=True))
    assert clips.info.factors["pair"].classes[:2] == ("0 and 0", "0 and 1")
    assert len(PAIRS) == 55


def test_no_image_of_a_digit_is_in_two_splits():
    pools = [{image.tobytes() for image in part.images} for part in bundled().values()]
    assert not pools[0] & pools[1]
    assert not pools[0] & pools[2]
    assert not pools[1] & pools[2]
    assert [len(part.images) for part in bundled().values()] == [1200, 200, 397]


def test_every_digit_stands_whole_at_its_place_in_every_frame():
    dataset = digits(train_clips=50, length=20)
    clips, pool = dataset.clips("train"), bundled()["train"]
    chosen = dataset._choose(50, "train", pool)[:, 0]
    glyphs = resized(pool.images, 32)[chosen]
    corner = draw_paths(50, 20, (0, 1), 0).corner
    for i in range(50):
        for t in range(20):
            x, y = corner[i, t]
            expected = np.zeros((64, 64), np.uint8)
            expected[y : y + 32, x : x + 32] = glyphs[i]
            assert np.array_equal(clips.frames[i, t, 0].numpy(), expected)
    assert torch.equal(clips.factors["digit"], torch.from_numpy(pool.digits[chosen]))


def test_where_two_digits_overlap_their_values_are_added_to_white_at_most():
    dataset = digits(digits=2, train_clips=40)
    clips, pool = dataset.clips("train"), bundled()["train"]
    chosen = dataset._choose(40, "train", pool)
    glyphs = resized(pool.images, 32)
    total = np.zeros((40, 8, 64, 64), np.int64)
    for k in (0, 1):
        corner = draw_paths(40, 8, (0, 1 + k), 0).corner
        for i in range(40):
            for t in range(8):
                x, y = corner[i, t]
                total[i, t, y : y + 32, x : x + 32] += glyphs[chosen[i, k]]
    assert total.max() > 255
    assert np.array_equal(clips.frames[:, :, 0].numpy(), np.minimum(total, 255))


def test_velocity_is_constant_between_walls_and_leads_away_from_them():
    corner = draw_paths(500, 60, (0, 1), 0).corner
    step = np.diff(corner, axis=1)
    turned = (step[:, 1:] != step[:, :-1]).any(2)
    touching = ((corner == 0) | (corner == ROOM))[:, 1:-1].any(2)
    shortened = np.zeros_like(turned)  # the step into a wall may be cut short by it
    shortened[:, :] = ((corner == 0) | (corner == ROOM))[:, 2:].any(2)
    assert not (turned & ~touching & ~shortened).any()
    at = corner[:, 1:-1]
    assert (step[:, 1:][at == 0] >= 0).all()
    assert (step[:, 1:][at == ROOM] <= 0).all()
    assert 0 <= corner.min() < corner.max() <= ROOM
    assert abs(step).max() == FASTEST
    assert (step != 0).any(2).mean() > 0.99


def test_labels_say_what_the_path_does():
    paths = draw_paths(400, 30, (0, 1), 3)
    step = np.diff(paths.corner, axis=1).astype(float)
    first = step[:, 0]
    angle = np.rad2deg(np.arctan2(first[:, 1], first[:, 0])) % 360
    off = (angle - 45 * paths.labels["direction"] + 180) % 360 - 180
    assert abs(off).max() < 22.5
    assert DIRECTIONS[2] == "down"
    fastest = abs(first).max(1)
    assert [set(fastest[paths.labels["speed"] == k]) for k in range(3)] == [{1.0, 2.0}, {3.0}, {4.0}]
    column = (paths.corner[:, 0, 0] - 4) * 3 // 25
    assert np.array_equal(paths.labels["start"] % 3, column)
    turns = (np.diff(step, axis=1) != 0).any(2).sum(1)
    assert set(paths.labels["bounces"][turns == 0]) <= {0, 1}  # a bounce at the last step leaves no trace
    assert paths.labels["bounces"][turns >= 8].min() == 3


def test_longer_and_more_paths_begin_as_shorter_and_fewer_ones():
    few, many = draw_paths(10, 8, (0, 1), 0), draw_paths(30, 50, (0, 1), 0)
    assert np.array_equal(few.corner, many.corner[:10, :8])
    assert torch.equal(digits(length=4, train_clips=9).clips("train").frames, digits(length=9).clips("train").frames[:9, :4])


def test_every_frame_size_shows_the_same_paths_and_labels():
    large, small = digits().clips("train"), digits(pixels=32).clips("train")
    assert all(torch.equal(large.factors[name], labels) for name, labels in small.factors.items())
    shrunk = torch.nn.functional.avg_pool2d(large.frames.flatten(0, 1).float(), 2).view(small.frames.shape)
    assert (shrunk - small.frames).abs().mean() < 4


def test_the_hash_follows_every_option():
    options = ({}, {"seed": 1}, {"pixels": 48}, {"digits": 2}, {"train_clips": 7}, {"length": 9})
    assert len({digits(**option).info().hash for option in options}) == len(options)


@pytest.mark.parametrize("size", [8, 28, 40])
@pytest.mark.parametrize("side", [8, 14, 32])
def test_a_resized_image_keeps_its_level_and_at_its_own_size_its_bytes(size, side):
    images = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    drawn = resized(images, side)
    assert drawn.shape == (3, side, side)
    assert (resized(np.full_like(images, 77), side) == 77).all()
    assert abs(drawn.mean() - images.mean()) < 6
    if size == side:
        assert np.array_equal(drawn, images)


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    data = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def source(tmp_path):
    """A folder with MNIST's files in small: 40 training and 12 test images."""
    folder = tmp_path / "raw"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, n, ending in (("train", 40, ".gz"), ("t10k", 12, "")):
        write_idx(folder / f"{name}-images-idx3-ubyte{ending}", generator.integers(0, 256, (n, 28, 28)))
        write_idx(folder / f"{name}-labels-idx1-ubyte{ending}", np.arange(n) % 10)
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"


def test_mnist_files_are_stored_and_drawn_each_split_from_its_own_images(source, root):
    MovingMNIST.build(digits().config, source, root / "moving_mnist")
    assert open_store(root / "moving_mnist", verify=True).splits == {"train": (0, 36), "validation": (36, 40), "test": (40, 52)}
    dataset = digits(images="any")
    assert "MNIST" in dataset.info().source
    assert dataset.info().hash != digits().info().hash
    images = resized(open_store(root / "moving_mnist").clips("test").frames[:, 0, 0].numpy(), 32)
    pool = {image.tobytes() for image in images}
    paths = draw_paths(60, 8, (SPLITS.index("test"), 1), 0)
    for i, clip in enumerate(dataset.clips("test").frames[:, 0, 0].numpy()):
        x, y = paths.corner[i, 0]
        assert clip[y : y + 32, x : x + 32].tobytes() in pool


def test_without_a_store_any_images_are_the_bundled_ones(root):
    assert digits(images="any").info() == digits().info()
    with pytest.raises(DataError, match="rwk data build moving_mnist --source DIR"):
        digits(images="mnist").info()


def test_without_scikit_learn_the_error_says_what_to_install(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'rwae-kit\[eval\]'.*rwk data build moving_mnist"):
        digits().clips("train")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def double(path: Path) -> None:
    path.with_name("also-" + path.name).write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("t10k-images-idx3-ubyte", cut, r"t10k-images-idx3-ubyte has 9399 values, but its header says \(12, 28, 28\)"),
        ("train-images-idx3-ubyte.gz", cut, "train-images-idx3-ubyte.gz cannot be read"),
        ("t10k-labels-idx1-ubyte", empty, "t10k-labels-idx1-ubyte is no IDX file"),
        ("t10k-images-idx3-ubyte", Path.unlink, "one file of test images-idx3, and has none"),
        ("train-labels-idx1-ubyte.gz", double, "one file of train labels-idx1, and has also-train"),
    ],
)
def test_a_damaged_or_missing_file_is_named(source, root, name, damage, message):
    damage(source / name)
    with pytest.raises(DataError, match=message):
        MovingMNIST.build(digits().config, source, root / "moving_mnist")
    assert not root.exists()


@pytest.mark.parametrize(
    ("labels", "message"), [(np.arange(12), "labels should be 0..9, 11"), (np.arange(9), "12 images.*9 labels")]
)
def test_labels_that_do_not_fit_are_named(source, root, labels, message):
    write_idx(source / "t10k-labels-idx1-ubyte", labels)
    with pytest.raises(DataError, match=message):
        MovingMNIST.build(digits().config, source, root / "moving_mnist")


@pytest.mark.parametrize("options", [{"pixels": 33}, {"pixels": 14}, {"digits": 3}, {"length": 1}, {"images": "some"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MovingMNIST.Config(**options)


def test_an_unknown_split_is_an_error_with_a_suggestion():
    with pytest.raises(DataError, match=r"unknown split 'tran'. Did you mean 'train'"):
        digits().clips("tran")


@pytest.mark.skipif("RWAE_RAW_DATA" not in os.environ, reason="RWAE_RAW_DATA is not set")
def test_real_mnist_is_built(root):
    MovingMNIST.build(digits().config, Path(os.environ["RWAE_RAW_DATA"]) / "mnist", root / "moving_mnist")
    assert open_store(root / "moving_mnist").splits == {"train": (0, 9000), "validation": (9000, 10000), "test": (10000, 20000)}
    assert sha256(digits(images="mnist").clips("test")) == ("64b081dc2984f78f", "2337930c763e143a")
