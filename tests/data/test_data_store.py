import json
import os

import numpy as np
import pytest
import torch
from attrs import evolve

from rwae_kit import Clips, DataError, DataInfo, Factor
from rwae_kit.data import data_root, new_store, open_store, write_store

INFO = DataInfo(
    name="toy",
    frame=(3, 4, 5),
    length=2,
    factors={
        "colour": Factor(classes=("red", "blue"), kind="static"),
        "way": Factor(classes=("up", "down", "left"), kind="dynamic"),
    },
)


def toy(n: int, seed: int = 0, masked: bool = False) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    return Clips(
        info=INFO,
        frames=torch.randint(0, 256, (n, 2, 3, 4, 5), generator=generator, dtype=torch.uint8),
        scale=1 / 255,
        factors={"colour": torch.arange(n) % 2, "way": torch.arange(n) % 3},
        mask=torch.tensor([[1.0, 0.0]]).repeat(n, 1) if masked else None,
    )


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "stores" / "toy"
    write_store(folder, {"train": toy(6), "test": toy(3, seed=1)})
    return folder


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_written_is_what_is_read(tmp_path, masked):
    splits = {"train": toy(6, masked=masked), "test": toy(3, seed=1, masked=masked)}
    write_store(tmp_path / "toy", splits)
    opened = open_store(tmp_path / "toy", verify=True)
    for name, clips in splits.items():
        found = opened.clips(name)
        assert torch.equal(found.frames, clips.frames)
        assert found.scale == clips.scale
        assert {k: v.tolist() for k, v in found.factors.items()} == {k: v.tolist() for k, v in clips.factors.items()}
        assert (found.mask is None) is not masked
        if masked:
            assert torch.equal(found.mask, clips.mask)
    assert evolve(opened.info, hash="") == INFO


def test_clips_stored_with_channels_last_are_read_with_channels_first(tmp_path):
    clips = toy(4)
    with new_store(tmp_path / "toy", info=INFO, splits={"train": 4}, dtype="uint8", scale=1 / 255, channels="last") as writer:
        for i in (2, 0, 3, 1):
            writer.put(i, clips.frames[i : i + 1].movedim(2, -1).numpy(), {"colour": i % 2, "way": i % 3})
    opened = open_store(tmp_path / "toy")
    assert opened.data.shape == (4, 2, 4, 5, 3)
    assert torch.equal(opened.clips("train").frames, clips.frames)
    assert opened.clips("train").factors["way"].tolist() == [0, 1, 2, 0]


def test_the_hash_pins_the_content(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_store(tmp_path / name, {"train": toy(5, seed=seed)})
    a, b, c = (open_store(tmp_path / name).info.hash for name in "abc")
    assert a == b != c
    assert len(a) == 64


def test_reading_never_changes_the_file(store):
    before = (store / "data.npy").read_bytes()
    opened = open_store(store).clips("train")
    opened.frames.fill_(7)
    assert (store / "data.npy").read_bytes() == before


@pytest.mark.parametrize("array", ["data.npy", "factors.npy"])
def test_a_truncated_array_is_named_with_both_sizes(store, array):
    size = (store / array).stat().st_size
    os.truncate(store / array, size - 3)
    with pytest.raises(DataError, match=rf"{array}: {size - 3} bytes, but dataset.json says {size}.*build the data set again"):
        open_store(store)


def test_a_missing_array_is_named(store):
    (store / "data.npy").unlink()
    with pytest.raises(DataError, match=r"data.npy: 0 bytes"):
        open_store(store)


def test_a_changed_byte_is_found_by_verification_only(store):
    content = bytearray((store / "data.npy").read_bytes())
    content[-1] ^= 1
    (store / "data.npy").write_bytes(content)
    open_store(store)
    with pytest.raises(DataError, match=r"data.npy: sha256 is .* but dataset.json says"):
        open_store(store, verify=True)


def test_a_missing_store_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no data store is there"):
        open_store(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "format 99, but this version reads format 1"),
        ("info", {"name": "toy"}, "KeyError.*build the data set again"),
        ("arrays", {"../../secret.npy": {}}, "unknown array"),
        ("splits", {"train": 3}, "TypeError.*build the data set again"),
    ],
)
def test_a_damaged_description_is_an_error(store, key, value, message):
    path = store / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DataError, match=message):
        open_store(store)


def test_a_description_that_is_no_json_is_an_error(store):
    (store / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset.json: cannot be read"):
        open_store(store)


def test_an_unknown_split_is_an_error_with_a_suggestion(store):
    with pytest.raises(DataError, match=r"unknown split 'tset'. Did you mean 'test'"):
        open_store(store).clips("tset")


def test_a_store_that_fails_leaves_nothing_behind(tmp_path):
    def write():
        with new_store(tmp_path / "toy", info=INFO, splits={"train": 4}, dtype="uint8", scale=1.0) as writer:
            writer.put(0, toy(2).frames.numpy(), {"colour": 0, "way": 0})
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_was_never_written_is_an_error(tmp_path):
    with (
        pytest.raises(DataError, match="row 2 of 4 was never written"),
        new_store(tmp_path / "toy", info=INFO, splits={"train": 4}, dtype="uint8", scale=1.0) as writer,
    ):
        writer.put(0, toy(2).frames.numpy(), {"colour": 0, "way": 0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "frames", "factors"),
    [
        (3, np.zeros((2, 2, 3, 4, 5), np.uint8), {"colour": 0, "way": 0}),
        (0, np.zeros((2, 2, 3, 4, 6), np.uint8), {"colour": 0, "way": 0}),
        (0, np.zeros((2, 2, 3, 4, 5), np.float32), {"colour": 0, "way": 0}),
        (0, np.zeros((2, 2, 3, 4, 5), np.uint8), {"colour": 0}),
    ],
    ids=["past the end", "shape", "type", "factors"],
)
def test_clips_that_do_not_fit_are_refused(tmp_path, row, frames, factors):
    with (
        pytest.raises(DataError, match="rows"),
        new_store(tmp_path / "toy", info=INFO, splits={"train": 4}, dtype="uint8", scale=1.0) as writer,
    ):
        writer.put(row, frames, factors)


def test_splits_of_different_kinds_are_refused(tmp_path):
    with pytest.raises(DataError, match="split 'test' differs"):
        write_store(tmp_path / "toy", {"train": toy(4), "test": evolve(toy(4), scale=1.0)})


def test_an_existing_store_is_not_overwritten(store):
    with pytest.raises(DataError, match="there is something already"):
        write_store(store, {"train": toy(4)})


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "toy").mkdir()
    write_store(tmp_path / "toy", {"train": toy(4)})
    assert len(open_store(tmp_path / "toy").clips("train")) == 4


def test_a_refusing_disk_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the store"):
        write_store(tmp_path / "file" / "toy", {"train": toy(4)})


def test_the_environment_chooses_the_folder_of_stores(monkeypatch, tmp_path):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("RWAE_DATA")
    assert data_root().is_absolute()
    assert "rwae_kit" in data_root().parts
