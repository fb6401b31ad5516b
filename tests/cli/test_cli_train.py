from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rwae_kit.run
from rwae_kit import Recipe, Registry, resolve
from rwae_kit.training.loop import Outcome

Rwk = Callable[..., Any]


def test_the_plain_help_has_no_panel_of_a_part_and_says_how_to_get_one(rwk: Rwk) -> None:
    found = rwk("train", "--help")
    assert (found.status, found.err) == (0, "")
    assert "─ prior" not in found.out
    assert "rwk train --penalty scaled_mmd --help" in found.out


@pytest.mark.parametrize(
    "words", [["--penalty", "scaled_mmd", "--prior", "gru", "--help"], ["--help", "--prior=gru", "--penalty=scaled_mmd"]]
)
def test_help_shows_a_panel_for_each_part_that_is_named_in_any_order(rwk: Rwk, words: list[str]) -> None:
    found = rwk("train", *words)
    assert found.status == 0
    assert "scaled_mmd on the static latent" in found.out
    assert "--penalty.static.scaled_mmd.gradient_weight NUMBER [default: 10.0]" in found.out
    assert "--penalty.static.scaled_mmd.weight NUMBER [default: " in found.out
    assert "--prior.hidden N [default: 64]" in found.out
    assert "--encoder.hidden" not in found.out


def test_help_of_a_recipe_shows_every_part(rwk: Rwk) -> None:
    found = rwk("train", "--recipe", "quickstart", "--help")
    for title in ("data: moving_shapes", "encoder.frames: conv", "prior: lstm", "kl on the dynamic latent", "training"):
        assert f"─ {title} ─" in found.out
    assert "--training.critic.learning_rate NUMBER [default: " in found.out


def test_a_dry_run_prints_the_complete_recipe_and_trains_nothing(rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = rwk("train", "--dry-run")
    assert (found.status, found.err) == (0, "")
    values = tomllib.loads(found.out)
    assert values["penalty"]["dynamic"]["mmd"]["bandwidths"] == [1.0, 2.0, 4.0, 8.0, 16.0]  # a default, filled in
    again = Recipe.from_dict(values)
    assert resolve(again, Registry.installed()) == again
    assert found.out.startswith("# ")
    assert list(tmp_path.iterdir()) == []


def test_options_arrive_in_the_recipe_from_every_way_and_in_any_order(rwk: Rwk, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(Registry.installed().recipe_file("quickstart").read_text() + "\nwarmup_steps = 16\n")
    flags = ["--penalty.static.mmd.bandwidths=[1,4]", "--prior.hidden", "7", "--encoder.frames.channels", "[8, 16]"]
    chosen = [
        "--recipe",
        mine,
        "--penalty",
        "mmd",
        "--prior",
        "gru",
        "--set",
        "latents.static=5",
        "--set",
        "prior.hidden=6",
        "--epochs=3",
    ]
    one, two = (json.loads(rwk("train", *words, "--dry-run", "--json").out) for words in ((*flags, *chosen), (*chosen, *flags)))
    assert one == two
    recipe = one["recipe"]
    assert recipe["training"]["warmup_steps"] == 16  # the file
    assert recipe["latents"]["static"] == 5  # --set
    assert recipe["prior"]["name"] == "gru"
    assert recipe["prior"]["hidden"] == 7  # a flag wins over --set
    assert recipe["penalty"]["static"]["mmd"]["bandwidths"] == [1.0, 4.0]
    assert recipe["penalty"]["static"]["mmd"]["weight"] > 0  # of the penalty that it replaces
    assert recipe["encoder"]["frames"]["channels"] == [8, 16]
    assert recipe["training"]["epochs"] == 3
    assert one["parameters"] > 0


def test_the_same_mistake_in_a_file_by_set_and_by_flag_gets_the_same_answer(rwk: Rwk, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(Registry.installed().recipe_file("quickstart").read_text() + '\nwarmup_steps = "many"\n')
    answers = {
        rwk("train", *words, "--dry-run")
        for words in (
            ["--recipe", wrong],
            ["--set", "training.warmup_steps=many"],
            ["--training.warmup_steps", "many"],
        )
    }
    assert answers == {(2, "", "error: training.warmup_steps: needs a whole number, not 'many'\n")}


def test_training_writes_a_run_and_says_where_to_look_and_what_next(rwk: Rwk, tiny_words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = rwk("train", *tiny_words, "--report", "--out", out)
    assert (found.status, found.err) == (0, "")
    assert f"{out}: trained after 2 steps, 1 epochs" in found.out
    for line in (f"look at: {out}/report.html", f"rwk eval {out}", f"rwk swap {out}"):
        assert line in found.out
    for name in ("recipe.toml", "model.safetensors", "report.html", "metrics.jsonl", "environment.json"):
        assert (out / name).is_file()
    assert tomllib.loads((out / "recipe.toml").read_text())["prior"]["hidden"] == 8

    again = rwk("train", *tiny_words, "--out", out)
    assert again.status == 2
    assert f"{out}: there is a run already. Resume it (--resume {out}), or choose another folder" in again.err

    more = rwk("train", "--resume", out, "--epochs", "2", "--device", "cpu", "--json", "--no-report")
    assert more.status == 0
    assert {key: json.loads(more.out)[key] for key in ("folder", "step", "epoch", "stopped")} == {
        "folder": str(out),
        "step": 4,
        "epoch": 2,
        "stopped": "finished",
    }


def test_weights_of_another_run_are_where_training_starts(rwk: Rwk, tiny_words: list[str], tiny_run: Path, tmp_path: Path) -> None:
    found = rwk("train", *tiny_words[:-1], "--init", tiny_run, "--seed", "1", "--out", tmp_path / "run")
    assert found.status == 0
    assert str(tiny_run) in found.err


def test_resume_takes_recipe_and_folder_from_the_run(rwk: Rwk, tiny_run: Path) -> None:
    found = rwk("train", "--resume", tiny_run, "--recipe", "quickstart")
    assert found.status == 2
    assert found.err == f"error: --resume {tiny_run} takes recipe and folder from there: leave out --recipe and --out\n"


def test_several_processes_are_started_by_torchrun_with_the_same_words_and_one_folder(
    rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", lambda path, words: started.append([path, *words]))
    assert rwk("train", "--nproc", "2", "--epochs", "1", "--device=cpu").status == 0
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rwae_kit"]
    words = ["train", "--epochs", "1", "--device=cpu", "--out", "runs/moving_shapes-1"]
    assert started == [[sys.executable, sys.executable, *launcher, *words]]
    assert rwk("train", "--nproc=2", "--prior.hidden", "x").status == 2  # told once, before any process starts
    assert len(started) == 1


def test_one_of_several_processes_does_not_choose_a_folder(rwk: Rwk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = rwk("train", "--device", "cpu")
    assert (found.status, "--out is needed" in found.err) == (2, True)


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_several_processes_the_first_speaks(rwk: Rwk, monkeypatch: pytest.MonkeyPatch, rank: str, speaks: bool) -> None:
    outcome = Outcome(step=3, epoch=1, best=None, stopped="time")
    monkeypatch.setattr(rwae_kit.run, "train", lambda *_, **__: SimpleNamespace(folder=Path("there"), outcome=outcome))
    monkeypatch.setenv("RANK", rank)
    found = rwk("train", "--out", "there", "--device", "cpu")
    assert (found.status, found.err) == (0, "")
    assert ("there: stopped by --max-minutes after 3 steps, 1 epochs" in found.out) is speaks
    assert bool(found.out) is speaks


def test_a_terminated_training_leaves_with_0_and_says_how_to_go_on(tiny_words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "rwae_kit", "train", *tiny_words, "--epochs", "100000", "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert "stopped by a signal, with a checkpoint" in printed
    assert f"go on:   rwk train --resume {out}" in printed
