"""What is found when a data set is looked through."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import pytest
import torch
from attrs import evolve

from rwae_kit import Clips, DataError, DataInfo, Factor
from rwae_kit.data import new_store, open_store
from rwae_kit.data.check import check_clips, check_store, refuse, summarise

INFO = DataInfo(name="toy", frame=(2,), length=3, factors={"who": Factor(classes=("a", "b", "c"), kind="static")})
MASK = torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])


def toy(masked: bool = False) -> Clips:
    frames = torch.arange(24.0).reshape(4, 3, 2) / 23
    return Clips(info=INFO, frames=frames, factors={"who": torch.tensor([0, 0, 1, 0])}, mask=MASK if masked else None)


def test_a_summary_counts_clips_frames_values_and_classes():
    found = summarise(toy())
    assert (found.clips, found.frames, found.shortest, found.longest) == (4, 12, 3, 3)
    assert (found.low, found.high, found.mean) == (0.0, 1.0, pytest.approx(0.5))
    assert found.counts == {"who": (3, 1, 0)}


def test_a_summary_leaves_padding_out():
    clips = toy(masked=True)
    clips.frames[1, 2] = 100.0
    found = summarise(clips)
    assert (found.frames, found.shortest, found.longest) == (9, 1, 3)
    real = clips.frames[MASK > 0]
    assert (found.low, found.high, found.mean) == (0.0, 1.0, pytest.approx(float(real.mean())))


def test_good_clips_pass():
    assert check_clips("train", toy()) == check_clips("train", toy(masked=True)) == []


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("frames", float("nan"), "train: clip 2 has values that are not finite"),
        ("frames", 1.5, "train: clips from 0 on have values 0..1.5, outside 0..1"),
        ("who", 7, "train: clip 2 has the label who = 7; its classes are 0..2"),
        ("mask", 0.5, "train: the mask of clip 2 should be 1 for real frames"),
        ("mask", 0.0, "train: the mask of clip 2 should be 1 for real frames"),
    ],
)
def test_each_damage_is_found(place, value, message):
    clips = toy(masked=True)
    {"frames": clips.frames, "mask": clips.mask, "who": clips.factors["who"]}[place][2] = value
    (found,) = check_clips("train", clips)
    assert message in found


@pytest.fixture
def store(tmp_path):
    splits = {"train": 2, "test": 2}
    with new_store(
        tmp_path / "toy", info=INFO, splits=splits, dtype="float32", scale=1.0, recordings=("x", "y", "z"), split_by="who"
    ) as writer:
        for row, (recording, who) in enumerate([(0, 0), (0, 0), (1, 1), (2, 2)]):
            writer.put(row, np.full((1, 3, 2), 0.5, np.float32), {"who": who}, recording=recording)
    return tmp_path / "toy"


def change(folder, name, row, value):
    """Another value in an array, with a description that is right about its hash."""
    array = np.load(folder / name)
    array[row] = value
    np.save(folder / name, array)
    description = json.loads((folder / "dataset.json").read_text())
    description["arrays"][name]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps(description))


def test_a_good_store_passes(store):
    opened, problems = check_store(store)
    assert problems == []
    assert opened.recording_names == ("x", "y", "z")
    assert opened.recordings.tolist() == [0, 0, 1, 2]
    assert [opened.clips(split).recordings.tolist() for split in opened.splits] == [
        opened.recordings[slice(*rows)].tolist() for rows in opened.splits.values()
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("recordings.npy", 0, "recording x is in test and in train"),
        ("recordings.npy", 9, "recording number 9, which has no name, is in test"),
        ("factors.npy", 0, "who a is in test and in train"),
        ("factors.npy", -1, "clip 2 has the label who = -1; its classes are 0..2"),
    ],
)
def test_groups_in_two_splits_and_labels_out_of_range_are_found(store, name, value, message):
    change(store, name, 2, value)
    assert any(message in problem for problem in check_store(store)[1])


def test_splits_that_overlap_or_leave_a_gap_are_found(store):
    path = store / "dataset.json"
    for splits in ({"train": [0, 3], "test": [2, 4]}, {"train": [0, 1], "test": [2, 4]}, {"train": [0, 2], "test": [2, 3]}):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"splits": splits}))
        assert any("do not lie one behind the other in 4 clips" in problem for problem in check_store(store)[1])


def test_a_changed_byte_is_an_error(store):
    content = bytearray((store / "recordings.npy").read_bytes())
    content[-1] ^= 1
    (store / "recordings.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"recordings.npy: sha256 is"):
        check_store(store)
    os.truncate(store / "recordings.npy", 10)
    with pytest.raises(DataError, match=r"recordings.npy: 10 bytes"):
        open_store(store)


def test_the_first_ten_problems_are_told():
    refuse("toy", [])
    with pytest.raises(DataError, match=r"toy is damaged: 0; 1; .*9; and 2 more. Build the data set again"):
        refuse("toy", [str(i) for i in range(12)])


def test_a_recording_that_was_not_declared_is_refused(tmp_path):
    with (
        pytest.raises(DataError, match="mask and recording are not those declared"),
        new_store(tmp_path / "toy", info=evolve(INFO, factors={}), splits={"train": 1}, dtype="float32", scale=1.0) as writer,
    ):
        writer.put(0, np.zeros((1, 3, 2), np.float32), {}, recording=0)
