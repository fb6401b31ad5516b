"""`rwk data` on small real files: what is built, looked at, checked and exported, and what every bad input is answered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from fabricated import moving_square, voice, write_images, write_strips, write_videos, write_wave
from PIL import Image

from rwae_kit.cli import main

h5py = pytest.importorskip("h5py")


class Answer(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def stores(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "stores"


@pytest.fixture
def rwk(capsys, stores) -> Callable[..., Answer]:
    """`rwk data WORDS` in this process."""

    def call(*words: object) -> Answer:
        capsys.readouterr()
        status = 0
        try:
            main(["data", *(str(word) for word in words)])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        return Answer(status, *capsys.readouterr())

    return call


@pytest.fixture
def strips(tmp_path, rwk) -> list[str]:
    """Options of strips that are built."""
    write_strips(tmp_path / "strips")
    options = ["--set", "derive=person = take // 2", "--set", "length=4", "--set", "pixels=24"]
    answer = rwk("build", "image_strips", "--source", tmp_path / "strips", *options)
    assert answer.status == 0, answer.err
    assert "rwk train --data image_strips --data.derive 'person = take // 2' --data.length 4" in answer.out
    return options


def test_a_data_set_is_inspected_with_a_table_of_labels_and_a_sheet(rwk, strips, tmp_path):
    answer = rwk("inspect", "image_strips", *strips, "--out", tmp_path / "looks" / "sheet.png")
    assert answer.status == 0
    assert "image_strips: frames (3, 24, 24), 4 to a clip, 25 a second, values 0..1" in answer.out
    assert all(word in answer.out for word in ("action (dynamic)", "person (static)", "jump", "walk"))
    with Image.open(tmp_path / "looks" / "sheet.png") as sheet:
        assert sheet.width > 4 * 64
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(500_000)}
        assert {(255, 0, 0), (0, 255, 10), (0, 0, 255)} <= colours  # a square of each person
    found = json.loads(rwk("inspect", "image_strips", *strips, "--json").out)
    counts = [split["counts"]["action"] for split in found["splits"].values()]
    assert np.sum(counts, 0).tolist() == [16, 16]
    assert [sum(split) for split in counts] == [split["clips"] for split in found["splits"].values()]


def test_classes_that_no_training_clip_has_are_told(rwk, tmp_path):
    np.savez(tmp_path / "x.npz", data=np.zeros((12, 4, 6), np.uint8), who=np.array([0] * 9 + [1] * 3), train_indices=np.arange(8),
             val_indices=np.array([8]), test_indices=np.arange(9, 12))  # fmt: skip
    assert rwk("build", "arrays", "--source", tmp_path, "--set", "file=x.npz").status == 0
    assert "no training clip has who = 1" in rwk("inspect", "arrays", "--set", "file=x.npz").err


@pytest.mark.parametrize("name", ["moving_shapes", "moving_mnist"])
def test_generated_clips_are_inspected_and_validated_too(rwk, name, tmp_path):
    few = ["--set", "train_clips=20", "--set", "validation_clips=8", "--set", "test_clips=8"]
    looked = json.loads(rwk("inspect", name, *few, "--out", tmp_path / "sheet.png", "--json").out)
    assert [looked["splits"][split]["frames"] for split in ("train", "validation", "test")] == [160, 64, 64]
    assert Path(looked["sheet"]).is_file()
    checked = json.loads(rwk("validate", name, *few, "--json").out)
    assert (checked["store"], checked["clips"], checked["whole"]) == (None, {"train": 20, "validation": 8, "test": 8}, True)


def test_vectors_and_padded_clips_have_a_sheet(rwk, tmp_path):
    for take in range(10):
        write_wave(tmp_path / "speech" / f"1_anna_{take}.wav", voice(0.3 + 0.02 * take, 100, 8_000))
    assert rwk("build", "speech_folder", "--source", tmp_path / "speech", "--set", "length=0").status == 0
    answer = rwk("inspect", "speech_folder", "--set", "length=0", "--out", tmp_path / "sheet.png")
    assert answer.status == 0
    assert "100 a second" in answer.out
    assert (tmp_path / "sheet.png").is_file()


def test_a_whole_store_is_valid_and_a_changed_byte_is_not(rwk, strips, stores):
    answer = rwk("validate", "image_strips", *strips)
    assert answer.status == 0
    assert "no two splits share one of the 12 recordings" in answer.out
    (data,) = stores.glob("*/data.npy")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    answer = rwk("validate", "image_strips", *strips)
    assert (answer.status, answer.out) == (2, "")
    assert "data.npy: sha256 is" in answer.err


@pytest.mark.parametrize(("form", "name", "again"), [("hdf5", "x.h5", "hdf5"), ("npz", "x.npz", "arrays")])
def test_an_export_is_built_again_by_command(rwk, strips, tmp_path, form, name, again):
    written = tmp_path / "out" / name
    assert json.loads(rwk("export", "image_strips", *strips, "--format", form, "--out", written, "--json").out) == {
        "written": [str(written)]
    }
    assert rwk("build", again, "--source", written.parent, "--set", f"file={name}").status == 0
    one = json.loads(rwk("inspect", "image_strips", *strips, "--json").out)
    two = json.loads(rwk("inspect", again, "--set", f"file={name}", "--json").out)
    assert one["splits"] == two["splits"]
    assert one["info"]["factors"] == two["info"]["factors"]
    answer = rwk("export", "image_strips", *strips, "--format", form, "--out", written)
    assert answer.status == 2
    assert f"{written}: there is something already" in answer.err


def test_files_that_are_left_out_are_counted_named_up_to_ten_and_listed_in_the_store(rwk, tmp_path, stores):
    write_strips(tmp_path / "strips", frames=(12, 15, 9), takes=5)
    for path in sorted((tmp_path / "strips").rglob("*.png"))[:13]:
        path.write_bytes(b"")
    options = ["--set", "length=4", "--set", "pixels=24"]
    refused = rwk("build", "image_strips", "--source", tmp_path / "strips", *options)
    assert refused.status == 2
    assert "13 of 30 files cannot be used" in refused.err
    assert not stores.exists()
    answer = rwk("build", "image_strips", "--source", tmp_path / "strips", *options, "--set", "skip_bad=true")
    assert answer.status == 0
    assert "13 of 30 files cannot be used and are left out" in answer.err
    assert answer.err.count(".png: cannot be read") == 10
    assert "and 3 more" in answer.err
    (listed,) = stores.glob("*/left_out.txt")
    assert len(listed.read_text().splitlines()) == 13


def test_the_list_says_what_needs_no_raw_files(rwk):
    made = {row["name"]: row["made"] for row in json.loads(rwk("list", "--json").out)}
    assert made["moving_mnist"] == "on the fly, or from raw files: rwk data build"
    assert made["image_strips"] == made["arrays"] == "from raw files: rwk data build"


def strips_but(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write_strips(folder)
        change(folder)

    return make


def videos_but(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write_videos(folder)
        change(folder)

    return make


def speech_but(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for take in range(10):
            write_wave(folder / f"1_anna_{take}.wav", voice(0.3, 100, 8_000))
        change(folder)

    return make


def hdf5_with(**arrays: object) -> Callable[[Path], None]:
    """Twelve clips; None leaves an array out."""
    usual = {
        "data": np.zeros((12, 4, 6), np.uint8),
        "labels": np.arange(12)[:, None] % 2,
        "train_indices": np.arange(8),
        "val_indices": np.arange(8, 10),
        "test_indices": np.arange(10, 12),
    }

    def make(folder: Path) -> None:
        with h5py.File(folder / "x.h5", "w") as file:
            for name, values in (usual | arrays).items():
                if values is not None:
                    file.create_dataset(name, data=values)
            file.attrs["classes"] = json.dumps({"who": {"index": 0, "type": "static", "n_classes": 2, "values": {}}})

    return make


def npz_with(**arrays: object) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "x.npz", **({"data": np.zeros((12, 4, 6), np.uint8)} | arrays))


def nothing(folder: Path) -> None: ...


def widen(folder: Path) -> None:
    Image.fromarray(np.zeros((24, 100, 3), np.uint8)).save(folder / "walk" / "00.png")


BAD = {
    "strip of broken frames": ("image_strips", strips_but(widen), {}, "100 x 24 pixels, and its width is no multiple"),
    "truncated PNG": ("image_strips", strips_but(lambda s: os.truncate(s / "walk/00.png", 70)), {}, "00.png: cannot be read"),
    "text called PNG": ("image_strips", strips_but(lambda s: (s / "walk/00.png").write_text("no")), {}, "00.png: cannot be read"),
    "pattern fits nothing": ("image_strips", strips_but(nothing), {"pattern": "{who}-{what}"}, "no file can be used:"),
    "pattern without a field": ("image_strips", strips_but(nothing), {"pattern": "walk"}, "should have fields in braces"),
    "label that is no number": ("image_strips", strips_but(nothing), {"derive": "who = action % 2"}, "its label action is 'jump'"),
    "no strips": ("image_strips", nothing, {}, "image_strips: no file can be used"),
    "clips longer than all": ("image_strips", strips_but(nothing), {"length": 99}, "no file can be used:"),
    "length of one": ("image_strips", strips_but(nothing), {"length": 1}, "length: must be 0, for whole recordings"),
    "too few people": ("image_strips", strips_but(nothing), {"split_by": "action"}, "2 groups are too few for the splits"),
    "table without a path": (
        "image_strips",
        strips_but(lambda s: (s / "t.csv").write_text("file,who\nx,y\n")),
        {"table": "t.csv"},
        "path is missing",
    ),
    "table that is not there": ("image_strips", strips_but(nothing), {"table": "t.csv"}, "t.csv cannot be read"),
    "table naming a missing file": (
        "image_strips",
        strips_but(lambda s: (s / "t.csv").write_text("path,who\nwalk/00.png,a\nwalk/99.png,b\n")),
        {"table": "t.csv"},
        "99.png: t.csv names it in line 3, but it is not there",
    ),
    "truncated mp4": ("video_folder", videos_but(lambda s: os.truncate(s / "walk/anna_0.mp4", 900)), {}, "there is no video in it"),
    "empty mp4": ("video_folder", videos_but(lambda s: (s / "walk/anna_0.mp4").write_bytes(b"")), {}, "anna_0.mp4: cannot be read"),
    "video without frames": ("video_folder", videos_but(lambda s: (s / "walk/dora_0").mkdir()), {}, "dora_0: there are no frames"),
    "truncated frame": (
        "video_folder",
        videos_but(lambda s: os.truncate(s / "walk/cleo_0/3.png", 60)),
        {},
        "cleo_0: 3.png cannot be read",
    ),
    "truncated WAVE": ("speech_folder", speech_but(lambda s: os.truncate(s / "1_anna_3.wav", 900)), {}, "3.wav: it is cut short"),
    "WAVE of another rate": (
        "speech_folder",
        speech_but(lambda s: write_wave(s / "1_anna_3.wav", voice(0.3, 100), 16_000)),
        {},
        "1_anna_3.wav: it has 16000 samples a second, not 8000",
    ),
    "HDF5 without splits": ("hdf5", hdf5_with(val_indices=None), {}, "there is no array 'val_indices'"),
    "empty split": ("hdf5", hdf5_with(test_indices=np.zeros(0, int)), {}, "'test_indices' should be places of clips"),
    "labels out of range": ("hdf5", hdf5_with(labels=np.full((12, 1), 5)), {}, "label who = 5; its classes are 0..1"),
    "clip in two splits": ("hdf5", hdf5_with(test_indices=np.array([3, 11])), {}, "clip 3 is in 'test_indices', and before"),
    "no HDF5": ("hdf5", lambda s: (s / "x.h5").write_text("no"), {}, "x.h5 cannot be read"),
    "Python objects": ("arrays", npz_with(who=np.array([{}] * 12, dtype=object)), {}, "it has Python objects, which are not read"),
    "values that are not finite": ("arrays", npz_with(data=np.full((12, 4, 6), np.inf)), {}, "'data' has inf in clip 0, frame 0"),
    "truncated npz": ("arrays", lambda s: (npz_with()(s), os.truncate(s / "x.npz", 99)), {}, "x.npz cannot be read"),
    "too few clips": ("arrays", npz_with(data=np.zeros((2, 4, 6), np.uint8)), {}, "2 groups are too few"),
}  # fmt: skip
FILES = {"hdf5": {"file": "x.h5"}, "arrays": {"file": "x.npz"}}
SIZES = {"image_strips": {"length": 4, "pixels": 24}, "video_folder": {"length": 4, "pixels": 24}}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_input_is_told_with_exit_2_and_leaves_nothing(rwk, tmp_path, stores, case):
    name, make, options, message = BAD[case]
    (tmp_path / "raw").mkdir()
    make(tmp_path / "raw")
    options = SIZES.get(name, {}) | FILES.get(name, {}) | options
    words = [word for option, value in options.items() for word in ("--set", f"{option}={value}")]
    answer = rwk("build", name, "--source", tmp_path / "raw", *words)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not stores.exists()


def test_a_source_that_is_a_file_and_a_store_that_is_there_or_not_are_told(rwk, strips, tmp_path):
    source = tmp_path / "strips"
    assert "that is a file; give its folder" in rwk("build", "image_strips", "--source", source / "walk" / "00.png").err
    twice = rwk("build", "image_strips", "--source", source, *strips)
    assert twice.status == 2
    assert "there is something already" in twice.err
    for command in (["inspect"], ["validate"], ["export", "--format", "npz", "--out", tmp_path / "x.npz"]):
        answer = rwk(command[0], "image_strips", *command[1:], "--set", "derive=person = take // 2", "--set", "length=7")
        assert answer.status == 2
        assert "rwk data build image_strips --source DIR --set length=7 --set 'derive=person = take // 2'" in answer.err.replace(
            "--set 'derive=person = take // 2' --set length=7", "--set length=7 --set 'derive=person = take // 2'"
        )
    assert not (tmp_path / "x.npz").exists()
    assert "a file that ends in .png" in rwk("inspect", "image_strips", *strips, "--out", "sheet.jpg").err
    assert rwk("export", "image_strips", *strips, "--format", "zip", "--out", tmp_path / "x.zip").status == 2


def test_images_in_a_folder_are_taken_in_the_order_of_their_numbers(rwk, tmp_path):
    for take in range(4):
        write_images(tmp_path / "raw" / "walk" / f"anna_{take}", moving_square(0, 0, 0, 12))
    words = ["--set", "length=12", "--set", "pixels=24"]
    assert rwk("build", "video_folder", "--source", tmp_path / "raw", *words).status == 0
    (data,) = (tmp_path / "stores").glob("*/data.npy")
    assert np.array_equal(np.load(data)[0], moving_square(0, 0, 0, 12))
