"""A table end to end at the smoke budget, cut short in every way, and made again."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import evolve

from rwae_kit import Registry
from rwae_kit.cli import main
from rwae_kit.errors import CheckpointError, DataError
from rwae_kit.reproduce import execute
from rwae_kit.reproduce.execute import prepare, reproduce
from rwae_kit.reproduce.plan import ENDED, FILES
from rwae_kit.reproduce.tables import find_table
from rwae_kit.reproduce.work import recipe_of
from rwae_kit.run import train
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
MMD = "rwae-mmd-small-0"


def make(folder: Path, table: str = "rwae-9", **more: object) -> execute.Reproduction:
    plan, work = prepare(find_table(table), budget="smoke", out=folder, registry=REGISTRY, **more)  # type: ignore[arg-type]
    return reproduce(plan, work, registry=REGISTRY, reporter=Reporter())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished table, read by many tests: none may change it."""
    folder = tmp_path_factory.mktemp("reproduce") / "rwae-9-smoke"
    assert make(folder).ended == "done"
    return folder


def test_a_table_has_every_method_beside_trivial_and_published_rows(made: Path) -> None:
    page = (made / "RESULTS.md").read_text(encoding="utf-8")
    assert "These figures mean nothing." in page
    for row in ("| DS-VAE (full) | 1 |", "| R-WAE(MMD) | 1 |", "| untrained: R-WAE(MMD) |", "| constant |", "| R-WAE(TFGAN) |"):
        assert row in page
    assert "R-WAE (Han et al. 2021), Table 9" in page
    assert "A method with one seed has no deviation" in page
    assert "<table" in (made / "compare.html").read_text(encoding="utf-8")


def test_files_for_programs_say_what_was_run_on_what(made: Path) -> None:
    values = json.loads((made / "results.json").read_text(encoding="utf-8"))
    assert [run["recipe"] for run in values["runs"]] == ["dsvae-full:small", "rwae-mmd:small"]
    with (made / "table.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for run in values["runs"]:
        assert (run["seed"], run["steps"], run["stopped"], len(run["data_hash"])) == (0, 2, "finished", 64)
        assert run["hardware"]
        score = run["results"]["rwae2021"]["rows"]["model"]["static error"]
        (row,) = (r for r in rows if (r["recipe"], r["row"], r["score"]) == (run["recipe"], "model", "static error"))
        assert (float(row["value"]), float(row["low"]), row["data hash"]) == (score["value"], score["low"], run["data_hash"])
        assert row["judge hash"] == run["results"]["rwae2021"]["judge"]


def test_again_everything_is_skipped_and_no_file_changes(made: Path) -> None:
    before = contents(made)
    again = make(made)
    assert (again.ended, again.made) == ("done", ())
    assert contents(made) == before
    (made / "RESULTS.md").unlink()
    rewritten = make(made)
    assert [step.kind for step in rewritten.made] == ["table"]
    assert contents(made) == before


@pytest.mark.parametrize("kind", ["train", "score", "table"])
def test_what_is_cut_off_before_a_step_goes_on_there_and_ends_the_same(
    kind: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(BaseException):
        pass

    def cut(executor: object, step: object) -> str:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setitem(execute._DO, kind, cut)
        with pytest.raises(Cut):
            make(tmp_path / "it")
    assert not (tmp_path / "it" / "results.json").exists()
    assert make(tmp_path / "it").ended == "done"
    file = f"{MMD}/results/rwae2021.json"
    assert (tmp_path / "it" / file).read_bytes() == (made / file).read_bytes()


def test_a_half_trained_run_is_resumed_from_its_checkpoint_and_ends_bit_for_bit_the_same(made: Path, tmp_path: Path) -> None:
    table, folder = find_table("rwae-9"), tmp_path / "it"
    plan, work = prepare(table, budget="smoke", only=["rwae-mmd"], out=folder, registry=REGISTRY)
    method = plan.chosen.methods[1]
    recipe = recipe_of(method, plan.chosen, work, 0, REGISTRY)
    half = train(recipe, out=folder / MMD, max_minutes=1e-6, device="cpu", reporter=Reporter(), report=False)
    assert (half.outcome.stopped, half.outcome.step) == ("time", 1)
    assert make(folder, only=["rwae-mmd"]).ended == "done"
    assert json.loads((folder / MMD / ENDED).read_text())["steps"] == 2
    assert (folder / MMD / "model.safetensors").read_bytes() == (made / MMD / "model.safetensors").read_bytes()


def test_the_time_is_up_between_steps_and_the_same_command_goes_on(tmp_path: Path) -> None:
    plan, work = prepare(find_table("rwae-9"), budget="smoke", only=["rwae-mmd"], out=tmp_path / "it", registry=REGISTRY)
    done = reproduce(plan, work, max_minutes=1e-9, registry=REGISTRY, reporter=Reporter())
    assert (done.ended, done.made) == ("time", ())
    assert make(tmp_path / "it", only=["rwae-mmd"]).ended == "done"


def test_a_signal_ends_the_whole_command_and_it_says_that_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(execute._DO, "train", lambda executor, step: "signal")
    with pytest.raises(SystemExit) as leaving:
        main(["reproduce", "rwae-9", "--budget", "smoke", "--out", str(tmp_path / "it")])
    assert leaving.value.code == 130
    printed = capsys.readouterr()
    assert "stopped by a signal; the same command goes on" in printed.out
    assert "[1/5] train dsvae-full-small, seed 0" in printed.err
    assert "[2/5]" not in printed.err


def test_a_run_ends_at_its_own_limit_of_time_and_the_page_says_so(tmp_path: Path) -> None:
    plan, work = prepare(find_table("rwae-9"), budget="smoke", only=["rwae-mmd"], out=tmp_path / "it", registry=REGISTRY)
    short = evolve(plan, chosen=evolve(plan.chosen, minutes=1e-6))
    assert reproduce(short, work, registry=REGISTRY, reporter=Reporter()).ended == "done"
    ended = json.loads((tmp_path / "it" / MMD / ENDED).read_text())
    assert (ended["stopped"], ended["steps"]) == ("time", 1)
    page = (tmp_path / "it" / "RESULTS.md").read_text(encoding="utf-8")
    assert "Ended by the time before their epochs were done: R-WAE(MMD), variant small (seed 0)." in page


def test_a_finished_run_of_other_options_is_not_taken_for_this_one(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(made, folder)
    text = (folder / MMD / "recipe.toml").read_text(encoding="utf-8")
    (folder / MMD / "recipe.toml").write_text(text.replace("static = 24", "static = 25"), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"latents.static was 25, is 24"):
        prepare(find_table("rwae-9"), budget="smoke", out=folder, registry=REGISTRY)


def test_a_run_of_other_options_is_refused_though_it_is_not_asked_for_since_the_table_would_show_it(
    made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(made, folder)
    text = (folder / MMD / "recipe.toml").read_text(encoding="utf-8")
    (folder / MMD / "recipe.toml").write_text(text.replace("\nepochs = 1\n", "\nepochs = 2\n"), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training.epochs was 2, is 1.*Choose another folder"):
        prepare(find_table("rwae-9"), budget="smoke", only=["dsvae-full"], out=folder, registry=REGISTRY)


def test_epochs_go_into_the_recipe_of_every_run_and_the_name_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan, work = prepare(find_table("rwae-9"), epochs=7, registry=REGISTRY)
    for method in plan.chosen.methods:
        assert recipe_of(method, plan.chosen, work, 0, REGISTRY).training.epochs == 7
    main(["reproduce", "rwae-9", "--epochs", "7", "--dry-run", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["folder"], said["epochs"]) == ("reproduce/rwae-9-cpu-7-epochs", 7)


def test_stored_data_are_cut_for_a_smoke_test_and_its_judge_is_left_where_nobody_else_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    folder = tmp_path / "it"
    assert make(folder, "rwae-2-sm-mnist", only=["rwae-mmd"]).ended == "done"
    result = json.loads((folder / "rwae-mmd-sm-mnist-small-0" / "results" / "rwae2021.json").read_text())
    judge = json.loads((folder / "judge" / "judge.json").read_text())
    assert (result["clips"], result["judge"], result["data_hash"]) == (32, judge["hash"], judge["data_hash"])
    assert not (tmp_path / "stores").exists()
    page = (folder / "RESULTS.md").read_text(encoding="utf-8")
    assert all(shown in page for shown in ("digit error, first window", "digit error, last window", "digit agreement"))
    assert "digit accuracy, frames 93 to 100" in (folder / "table.csv").read_text(encoding="utf-8")
    assert "accuracy, frames" not in page
    assert not make(folder, "rwae-2-sm-mnist", only=["rwae-mmd"]).made


def test_a_store_that_is_missing_is_named_with_the_command_that_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    for words, wanted in (
        (["cdsvae-1"], "rwk data build sprites --source DIR"),
        (["rwae-1"], "rwk data build speech_folder --source DIR"),
        (["rwae-1", "--data", "timit"], "rwk data build timit --source DIR"),
        (["rwae-3"], "rwk data build image_strips --source DIR --set 'derive=person = take // 8' --set split_by=person"),
        (["rwae-3", "--data", "mug"], "rwk data build mug --source DIR --set pixels=32"),
        (["cdsvae-3"], "rwk data build moving_mnist --source DIR"),
    ):
        with pytest.raises(SystemExit) as leaving:
            main(["reproduce", *words, "--out", str(tmp_path / "it")])
        assert leaving.value.code == 2
        assert wanted in capsys.readouterr().err
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rwae-99"], "no table 'rwae-99'. Did you mean 'rwae-9'?"),
        (["rwae-9", "--budget", "ful"], "--budget ful: no such budget. Did you mean 'full'?"),
        (["rwae-9", "--data", "mug"], "not made on --data mug"),
        (["rwae-9", "--only", "nobody"], "--only nobody: no such method"),
        (["rwae-9", "--max-minutes", "0"], "needs a number above 0"),
        (["rwae-9", "--budget", "smoke", "--epochs", "3"], "--epochs 3: a smoke test has two steps for each run"),
    ],
    ids=["table", "budget", "data", "method", "minutes", "epochs"],
)
def test_what_cannot_be_made_is_refused(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["reproduce", *words, "--out", str(tmp_path / "it")])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "it").exists()


def test_full_size_wants_an_accelerator_unless_the_processor_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    words = ["reproduce", "rwae-9", "--budget", "full", "--seeds", "1", "--dry-run", "--out", str(tmp_path / "it")]
    with pytest.raises(SystemExit):
        main(words)
    assert "--budget full has the papers' sizes and wants CUDA" in capsys.readouterr().err
    main([*words, "--device", "cpu", "--json"])
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert next(step["step"] for step in steps if step["step"].startswith("train")) == "train dsvae-full-moving-shape, seed 0"
    assert not (tmp_path / "it").exists()


def test_the_list_says_of_each_table_what_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    main(["reproduce", "--json"])
    rows = {(row["table"], row["data"]): row for row in json.loads(capsys.readouterr().out)}
    assert rows["rwae-9", "moving_shapes"] | {"clips": "there", "judge": "none is asked"} == rows["rwae-9", "moving_shapes"]
    assert rows["cdsvae-1", "sprites"]["clips"] == "rwk data build"
    assert rows["rwae-1", "timit"]["protocol"] == ["eer"]


def test_two_seeds_are_one_row_with_mean_and_deviation(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(made / MMD, folder / MMD)
    done = make(folder, seeds=2, only=["rwae-mmd"])
    assert done.made[0].words() == "train rwae-mmd-small, seed 1"
    values = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (line,) = (line for line in values["comparisons"][0]["lines"] if line["name"] == "R-WAE(MMD)")
    both = [run["results"]["rwae2021"]["rows"]["model"]["static error"]["value"] for run in values["runs"]]
    assert line["runs"] == 2
    assert line["scores"]["static error"]["value"] == pytest.approx(sum(both) / 2)
    assert line["std"]["static error"] == pytest.approx(abs(both[0] - both[1]) / 2**0.5)
    assert "2 seeds tell the deviation only roughly." in (folder / "RESULTS.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_what_the_next_one_goes_on_with(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rwae_kit", "reproduce", "rwae-9", "--budget", "smoke", "--out", "it"]
    for wanted in ("dsvae-full-small-0/recipe.toml", "dsvae-full-small-0/results/rwae2021.json"):
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not (tmp_path / "it" / wanted).exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (tmp_path / "it" / wanted).exists()
        assert not (tmp_path / "it" / "results.json").exists()
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "dsvae-full-small, seed 0 by rwae2021: done before" in done.stderr
    assert all((tmp_path / "it" / name).is_file() for name in FILES)


def test_a_step_that_fails_leaves_no_half_written_table(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(made, folder)
    (folder / "results.json").unlink()
    (folder / MMD / "results" / "rwae2021.json").write_text("{", encoding="utf-8")
    before = contents(folder)
    with pytest.raises(DataError, match="is damaged or of another version"):
        make(folder)
    assert contents(folder) == before
