from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rwae_kit.cli import main

Rwk = Callable[..., Any]

DATA = ["--data", "moving_shapes", "--data.train_clips", "24", "--data.validation_clips=8", "--data.test_clips", "16"]
WORDS = ["judge", "train", *DATA, "--width", "4", "--epochs", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge that has hardly learned, read by many tests: none may change it."""
    folder = tmp_path_factory.mktemp("judge") / "own"
    main([*WORDS, "--out", str(folder)])
    return folder


def test_a_judge_is_trained_and_shown_with_its_name_and_scores(rwk: Rwk, judge: Path) -> None:
    card = json.loads((judge / "judge.json").read_text())
    assert card["data_options"] == {
        **card["data_options"], "train_clips": 24, "validation_clips": 8, "test_clips": 16, "variant": "easy"
    }  # fmt: skip
    found = rwk("judge", "show", judge)
    assert (found.status, found.err) == (0, "")
    assert f"judge {card['hash']}" in found.out
    for name, score in card["scores"].items():
        line = next(line for line in found.out.splitlines() if line.startswith(f"{name} "))
        assert f"{100 * score['test']:.2f} %" in line
    shown = json.loads(rwk("judge", "show", judge, "--json").out)
    assert shown == {"folder": str(judge), **{name: value for name, value in card.items() if name != "format"}}


def test_without_out_it_lies_beside_the_stores_and_is_found_by_its_data(
    rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    found = rwk(*WORDS, "--seed", "3", "--max-minutes", "5", "--json")
    card = json.loads(found.out)
    assert (found.status, card["training"]["seed"], card["training"]["epochs"]) == (0, 3, 1)
    assert found.err.startswith("epoch 1/1: validation loss ")
    assert Path(card["folder"]).parent == tmp_path / "judges"
    assert json.loads(rwk("judge", "show", *DATA, "--json").out)["hash"] == card["hash"]
    assert rwk("judge", "show", *DATA[:2]).status == 2  # the same data set with other options has other clips
    again = rwk(*WORDS)
    assert (again.status, again.out) == (2, "")
    assert "there is something already. Remove it, or choose another folder (--out)" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "judge train: which data? rwk judge train --data NAME; rwk data lists them"),
        (["train", "--data", "moving_shape"], "judge train: unknown dataset 'moving_shape'. Did you mean 'moving_shapes'?"),
        (["train", *DATA[:2], "--data.pixles", "32"], "data: unknown key 'pixles'. Did you mean 'pixels'?"),
        (["train", *DATA[:2], "--data.pixels"], "judge train: --data.pixels needs a value"),
        (["train", *DATA[:2], "--data.pixels", "3"], "data.pixels: must be >= 32, not 3"),
        (["train", *DATA[:2], "--epoch", "3"], "judge train: no such option '--epoch'."),
        (["train", *DATA[:2], "--max-minutes", "0"], "--max-minutes 0: needs a number above 0"),
        (["train", *DATA[:2], "--device", "tpu"], "device: 'tpu' is no device"),
        (["show"], "judge show: give the folder of a judge, or a data set (--data NAME), one of the two"),
        (["show", "x", "--data", "moving_shapes"], "judge show: give the folder of a judge"),
        (["show", "x", "--data.pixels", "32"], "judge show: unexpected '--data.pixels'"),
        (["show", "nowhere"], "nowhere: no such folder. Train a judge"),
    ],
)
def test_a_wrong_word_is_told(rwk: Rwk, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = rwk("judge", *words)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith(f"error: {message}")


def test_a_judge_reads_the_factors_that_it_was_asked_for(rwk: Rwk, tmp_path: Path) -> None:
    words = [*WORDS, "--factor", "colour", "--factor", "motion", "--json", "--out", tmp_path / "two"]
    card = json.loads(rwk(*words).out)
    assert set(card["factors"]) == set(card["scores"]) == {"colour", "motion"}
    assert card["left_out"]["shape"] == "not asked for"


def test_a_damaged_judge_ends_with_status_2(rwk: Rwk, judge: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(judge, tmp_path / "judge"))
    (folder / "judge.json").write_text("{")
    assert rwk("judge", "show", folder).err.startswith(f"error: {folder}/judge.json: cannot be read")
    (folder / "judge.json").unlink()
    found = rwk("judge", "show", folder)
    assert (found.status, found.err) == (
        2, f"error: {folder}: no judge.json: this is no judge. Train one: rwk judge train --data NAME\n"
    )  # fmt: skip


def test_judge_alone_shows_what_there_is(rwk: Rwk) -> None:
    found = rwk("judge")
    assert (found.status, "train" in found.out, "show" in found.out) == (0, True, True)
