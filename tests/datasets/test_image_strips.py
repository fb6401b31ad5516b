import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import ACTIONS, moving_square, write_strips
from PIL import Image

from rwae_datasets.image_strips import ImageStrips
from rwae_datasets.labelled_files import natural, read_derived
from rwae_kit import DataError
from rwae_kit.data import open_store, store_path
from rwae_kit.testing import check_dataset

PERSON = {"derive": "person = take // 2"}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    return tmp_path / "stores"


@pytest.fixture
def source(tmp_path):
    write_strips(tmp_path / "strips")
    return tmp_path / "strips"


def built(source, **options) -> ImageStrips:
    config = ImageStrips.Config(**{"pixels": 24, "length": 4, **options})
    ImageStrips.build(config, source, store_path("image_strips", config))
    return ImageStrips(config)


def stored(dataset):
    return open_store(store_path("image_strips", dataset.config), verify=True)


def test_strips_are_built_and_keep_the_contract(source):
    dataset = built(source, **PERSON)
    check_dataset(ImageStrips, dataset.config)
    info = dataset.info()
    assert (info.frame, info.length, info.fps) == ((3, 24, 24), 4, 25.0)
    assert {name: (factor.classes, factor.kind) for name, factor in info.factors.items()} == {
        "action": (ACTIONS, "dynamic"),
        "person": (("0", "1", "2"), "static"),
    }
    assert sum(len(dataset.clips(split)) for split in ("train", "validation", "test")) == 4 * (3 + 3 + 2)


def test_every_clip_is_a_window_of_its_strip_with_its_labels(source):
    store = stored(built(source, **PERSON, stride=3))
    for row, name in enumerate(store.recording_names[i] for i in store.recordings):
        action, take = name.removesuffix(".png").split("/")
        person = int(take) // 2
        assert (store.factors["action"][row], store.factors["person"][row]) == (ACTIONS.index(action), person)
        strip = moving_square(person, ACTIONS.index(action), int(take) % 2, (12, 15, 9)[person])
        assert any(np.array_equal(store.data[row], strip[start : start + 4]) for start in range(0, len(strip), 3))


@pytest.mark.parametrize("split_by", ["recording", "person"])
def test_no_window_of_a_strip_nor_a_person_who_is_whole_is_in_two_splits(source, split_by):
    store = stored(built(source, **PERSON, split_by=split_by, stride=1))
    groups = store.recordings if split_by == "recording" else store.factors["person"]
    parts = [set(groups[slice(*rows)].tolist()) for rows in store.splits.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == (12 if split_by == "recording" else 3)
    assert store.split_by == ("" if split_by == "recording" else "person")


def test_whole_strips_are_padded_to_the_longest_and_masked(source):
    dataset = built(source, **PERSON, length=0)
    check_dataset(ImageStrips, dataset.config)
    store = stored(dataset)
    assert dataset.info().length == 15
    assert len(store.data) == 12
    for row in range(12):
        person = store.factors["person"][row]
        real = (12, 15, 9)[person]
        assert store.mask[row].tolist() == [1] * real + [0] * (15 - real)
        assert (store.data[row, real:] == store.data[row, real - 1]).all()


def test_the_rest_of_a_strip_is_padded_where_that_is_wanted(source):
    dataset = built(source, length=10, tail="pad")
    lengths = torch.cat([dataset.clips(split).mask.sum(1) for split in ("train", "validation", "test")])
    assert lengths.long().bincount().tolist() == [0, 0, 4, 0, 0, 4, 0, 0, 0, 4, 8]
    with pytest.warns(UserWarning, match=r"4 of 12 files are too short and left out: (?s:.*)jump/04.png: 9 frames"):
        dropped = built(source, length=10)
    left_out = (store_path("image_strips", dropped.config) / "left_out.txt").read_text().splitlines()
    assert len(left_out) == 4
    assert left_out[0].endswith("jump/04.png: 9 frames, but a clip has 10")


def test_every_other_frame_is_taken_and_made_grey(source):
    dataset = built(source, **PERSON, step=2, colour="grey")
    assert (dataset.info().frame, dataset.info().fps) == ((1, 24, 24), 12.5)
    store = stored(dataset)
    name = store.recording_names[store.recordings[0]]
    strip = np.asarray(Image.open(source / name).convert("L")).reshape(24, -1, 24).transpose(1, 0, 2)
    assert any(np.array_equal(store.data[0, ..., 0], strip[start : start + 8 : 2]) for start in range(0, len(strip), 8))


def test_frames_are_the_middle_square_scaled(tmp_path):
    (tmp_path / "wide" / "a").mkdir(parents=True)
    strip = np.zeros((16, 4 * 24, 3), np.uint8)
    strip[:, [x for x in range(96) if not 4 <= x % 24 < 20], 0] = 255  # red at the sides, which go
    strip[:8, :, 1] = 200
    for i in range(12):
        Image.fromarray(strip).save(tmp_path / "wide" / "a" / f"{i}.png")
    frames = built(tmp_path / "wide", frame_width=24, pixels=8).clips("train").frames
    assert frames.shape[1:] == (4, 3, 8, 8)
    assert frames[:, :, 0].max() == 0
    assert (frames[:, :, 1, 0] == 200).all()
    assert (frames[:, :, 1, -1] == 0).all()


def test_transparent_pixels_are_black(tmp_path):
    picture = np.full((16, 64, 4), 255, np.uint8)
    picture[..., 3] = 0
    for i in range(5):
        (tmp_path / "clear" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "clear" / "a" / f"{i}.png")
    assert built(tmp_path / "clear", pixels=16).clips("train").frames.max() == 0


def test_a_table_gives_labels_and_says_which_file_is_missing(source):
    rows = [f"{path.relative_to(source).as_posix()},{int(path.stem) // 2}" for path in sorted(source.rglob("*.png"))]
    (source / "labels.csv").write_text("\n".join(["path,person", *rows]))
    dataset = built(source, table="labels.csv")
    assert set(dataset.info().factors) == {"person"}
    (source / "labels.csv").write_text("\n".join(["path,person", *rows, "walk/77.png,1", rows[0]]))
    with pytest.raises(
        DataError, match=r"2 of 14 files(?s:.*)77.png: labels.csv names it in line 14, but it is not(?s:.*)in line 2, and again"
    ):
        built(source, table="labels.csv", seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "{take}"}, None),
        ({"pattern": "{action}-{take}"}, r"no file can be used: (?s:.*)does not fit '{action}-{take}'"),
        ({"derive": "person = number // 2"}, "there is no label 'number'; there are action, take"),
        ({"derive": "person = action // 2"}, r"no file can be used: (?s:.*)needs a whole number, and its label action is 'jump'"),
        ({"static": ("persons",)}, "leave_out and static name persons, but the labels are action, take"),
        ({"split_by": "person"}, "split_by = 'person', but it should be recording or one of action, take"),
        ({"split_by": "action"}, "split_by = 'action': 2 groups are too few"),
        ({"frame_width": 25}, r"no file can be used: (?s:.*)288 x 24 pixels, and its width is no multiple of a frame's, 25"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_the_strips_are_errors(source, root, options, message):
    if message is None:
        assert set(built(source, **options).info().factors) == set()
        return
    with pytest.raises(DataError, match=message):
        built(source, **options)
    assert not root.exists()


@pytest.mark.parametrize("text", ["person", "person = take / 2", "person = take // 0", "a = b // 2, c", "import os = x // 1"])
def test_what_derives_no_label_is_refused(text):
    with pytest.raises(ValueError, match=r"derive: .* should be such as 'person = take // 8'"):
        ImageStrips.Config(derive=text)


def test_labels_are_derived_by_quotient_and_rest():
    assert read_derived("person = take // 8, side = take % 2") == [("person", "take", "//", 8), ("side", "take", "%", 2)]
    assert read_derived("") == []


def test_names_sort_by_their_numbers():
    assert sorted(["a10", "a2", "b1", "a"], key=natural) == ["a", "a2", "a10", "b1"]


@pytest.mark.skipif("RWAE_RAW_DATA" not in os.environ, reason="RWAE_RAW_DATA is not set")
def test_the_real_weizmann_actions_are_built(root):
    config = ImageStrips.Config(derive="person = take // 8", split_by="person")
    source = Path(os.environ["RWAE_RAW_DATA"]) / "weizmann"
    ImageStrips.build(config, source, store_path("image_strips", config))
    dataset = ImageStrips(config)
    check_dataset(ImageStrips, config)
    info, store = dataset.info(), stored(dataset)
    assert {name: len(factor.classes) for name, factor in info.factors.items()} == {"action": 4, "person": 9}
    assert len(store.recording_names) == 36
    people = [len(set(dataset.clips(split).factors["person"].tolist())) for split in ("train", "validation", "test")]
    assert people == [6, 1, 2]
    whole = ImageStrips.Config(derive="person = take // 8", length=0)
    ImageStrips.build(whole, source, store_path("image_strips", whole))
    mask = open_store(store_path("image_strips", whole)).mask
    assert (int(mask.sum(1).min()), int(mask.sum(1).max())) == (51, 146)
