import warnings
from pathlib import Path

import pytest
from attrs import field, frozen

from rwae_kit import DataError
from rwae_kit.data import (
    BUILDS,
    BadFiles,
    data_root,
    in_order,
    labels_of,
    open_built,
    read_pattern,
    read_table,
    split_groups,
    store_path,
    windows,
)


@frozen(kw_only=True)
class Config:
    length: int = field(default=8, metadata=BUILDS)
    batch: int = 3


@frozen(kw_only=True)
class Plain:
    pixels: int = 64


def test_each_choice_of_the_options_that_build_has_a_store_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    assert store_path("toy", Plain(pixels=32)) == data_root() / "toy"
    assert store_path("toy", Config()) == store_path("toy", Config(batch=9))
    assert store_path("toy", Config()) != store_path("toy", Config(length=9))
    with pytest.raises(DataError, match=r"rwk data build toy --source DIR --set length=9$"):
        open_built("toy", Config(length=9))


def test_bad_files_stop_the_build_all_named_at_once():
    bad = BadFiles("toy", skip=False)
    for i in range(12):
        bad.add(Path(f"{i}.wav"), "it is empty")
    with pytest.raises(
        DataError, match=r"toy: 12 of 15 files cannot be used: \n  0.wav: it is empty\n  1(?s:.*)and 2 more.*skip_bad"
    ):
        bad.settle(3)


def test_bad_files_are_left_out_with_a_warning_where_that_is_wanted():
    bad = BadFiles("toy", skip=True)
    bad.add("a.wav", "it is empty")
    with pytest.warns(UserWarning, match=r"1 of 4 files cannot be used and are left out: a.wav: it is empty. All are in left_out"):
        bad.settle(3)
    with pytest.raises(DataError, match=r"no file can be used: a\.wav"):
        bad.settle(0)


def test_short_files_are_left_out_with_a_warning():
    bad = BadFiles("toy", skip=False)
    bad.add_short("a.wav", "3 frames")
    with pytest.warns(UserWarning, match=r"1 of 4 files are too short and left out: a.wav: 3 frames"):
        bad.settle(3)


def test_good_files_pass_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BadFiles("toy", skip=False).settle(3)


def test_groups_are_split_by_their_shares_and_the_seed():
    names = [f"g{i}" for i in range(100)]
    split = split_groups(names * 3, {"validation": 0.1, "test": 0.2}, 0)
    assert [list(split.values()).count(name) for name in ("train", "validation", "test")] == [70, 10, 20]
    assert split == split_groups(reversed(names), {"validation": 0.1, "test": 0.2}, 0)
    assert split != split_groups(names, {"validation": 0.1, "test": 0.2}, 1)
    assert sorted(split_groups("abc", {"validation": 0.1, "test": 0.2}, 0).values()) == ["test", "train", "validation"]
    with pytest.raises(DataError, match="2 groups are too few"):
        split_groups("ab", {"validation": 0.1, "test": 0.2}, 0)


@pytest.mark.parametrize(
    ("frames", "stride", "expected"), [(20, 0, [0, 8]), (24, 0, [0, 8, 16]), (20, 5, [0, 5, 10]), (7, 0, []), (8, 3, [0])]
)
def test_windows_are_whole(frames, stride, expected):
    assert windows(frames, 8, stride) == expected


def test_clips_are_sorted_by_split_and_an_empty_one_is_named():
    assert in_order(["test", "train", "validation", "train"]) == ([1, 3, 2, 0], {"train": 2, "validation": 1, "test": 1})
    with pytest.raises(DataError, match="no clip is left for validation"):
        in_order(["train", "test"])


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{digit}_{speaker}_{take}", "3_anna.b_12", {"digit": "3", "speaker": "anna.b", "take": "12"}),
        ("{digit}_{speaker}_{take}", "3-anna-12", None),
        ("{speaker}/{digit}", "recordings/anna/3", None),
        ("recordings/{speaker}/{digit}", "recordings/anna/3", {"speaker": "anna", "digit": "3"}),
    ],
)
def test_a_pattern_reads_labels_from_names(pattern, name, expected):
    source = Path("source")
    assert labels_of(source / f"{name}.wav", source, read_pattern(pattern), "/" in pattern) == expected


@pytest.mark.parametrize("pattern", ["", "digit", "{a}_{a}", "{a}_{B}", "{a}{"])
def test_a_pattern_that_says_nothing_is_refused(pattern):
    with pytest.raises(ValueError, match="fields in braces"):
        read_pattern(pattern)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,speaker\n", "no row"),
        ("file,speaker\na,b\n", "path is missing"),
        ("path,speaker\na,b\nc\n", "line 3: it should have 2 values"),
        ("path,speaker\na,b,c\n", "line 2"),
        ("", "path is missing"),
    ],
)
def test_a_damaged_table_is_an_error_with_its_line(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "table.csv")
    with pytest.raises(DataError, match=r"no.csv cannot be read"):
        read_table(tmp_path / "no.csv")
