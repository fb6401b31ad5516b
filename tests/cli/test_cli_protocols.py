from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rwae_kit
from rwae_kit.cli import main
from rwae_kit.evaluation import Result
from rwae_kit.evaluation.protocols import PROTOCOLS

Rwk = Callable[..., Any]
LIKE_THE_RUN = ["--data.train_clips", "16", "--data.validation_clips", "8", "--data.test_clips", "16"]
CHOSEN = {"msd": ["--set", "trees=forest"], "actions": ["--set", "factor=direction"]}
EXACT = "rwae_datasets.shapes_judge:ShapesJudge"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge of the data of `tiny_run`, that has hardly learned."""
    folder = tmp_path_factory.mktemp("judges") / "judge"
    words = ["judge", "train", "--data", "moving_shapes", *LIKE_THE_RUN, "--width", "4", "--epochs", "1", "--device", "cpu"]
    main([*words, "--out", str(folder)])
    return folder


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to write into."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_writes_its_result_into_the_run_and_prints_a_table(rwk: Rwk, run: Path, name: str) -> None:
    pytest.importorskip("sklearn")
    found = rwk("eval", run, "--protocol", name, "--device", "cpu", *CHOSEN.get(name, []))
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith(f"{name}: moving_shapes, 16 clips")
    assert found.out.endswith(f"{run}/results/{name}.json: written\n")
    result = Result.from_dict(json.loads((run / "results" / f"{name}.json").read_text()))
    assert (result.protocol, result.clips, result.split, result.seed) == (name, 16, "test", 0)
    assert result.data_hash == rwae_kit.load(run).info.hash
    assert {"model", "untrained", "constant", "noise"} <= set(result.rows)
    assert result.judge == (EXACT if PROTOCOLS[name].judged else "")
    assert [path.name for path in (run / "results").iterdir()] == [f"{name}.json"]
    for score in next(iter(result.rows.values())):
        assert score in found.out


def test_a_protocol_prints_json_and_takes_seed_draws_settings_and_another_split(rwk: Rwk, run: Path) -> None:
    words = ["eval", run, "--protocol", "cdsvae2021", "--json", "--no-untrained"]
    more = ["--seed", "3", "--draws", "2", "--set", "drop_last=5", "--set", "prior=draws", "--split", "validation"]
    found = rwk(*words, *more)
    assert (found.status, found.err) == (0, "")
    result = json.loads(found.out)
    assert result == json.loads((run / "results" / "cdsvae2021-validation.json").read_text())
    assert (result["split"], result["clips"], result["draws"], result["seed"]) == ("validation", 5, 2, 3)
    assert result["settings"] == {"encoded": "means", "prior": "draws", "drop_last": 5, "balance": ""}
    assert "untrained" not in result["rows"]
    assert json.loads(rwk(*words, *more).out) == result
    assert json.loads(rwk(*words, *more, "--seed", "4").out)["rows"] != result["rows"]


def test_a_judge_that_is_named_takes_the_place_of_the_data_sets_own(rwk: Rwk, run: Path, judge: Path) -> None:
    card = json.loads((judge / "judge.json").read_text())
    result = json.loads(rwk("eval", run, "--protocol", "swap", "--judge", judge, "--json").out)
    assert result["judge"] == card["hash"]
    assert result["judge_accuracy"] == {name: pytest.approx(score["test"]) for name, score in card["scores"].items()}
    pytest.importorskip("sklearn")
    scores = json.loads(rwk("eval", run, "--no-untrained", "--judge", judge, "--json").out)
    assert scores["model"]["swap"]["real"] == {name: pytest.approx(score["test"]) for name, score in card["scores"].items()}


def test_a_judge_of_other_data_and_a_damaged_one_are_refused(rwk: Rwk, run: Path, judge: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    words = ["judge", "train", "--data", "moving_shapes", *LIKE_THE_RUN, "--data.seed", "1", "--width", "4", "--epochs", "1"]
    assert rwk(*words, "--device", "cpu", "--out", other).status == 0
    found = rwk("eval", run, "--protocol", "swap", "--judge", other)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith(f"error: {other}: this judge was trained on moving_shapes (sha256 ")
    damaged = Path(shutil.copytree(judge, tmp_path / "damaged"))
    (damaged / "judge.json").write_text("{}")
    for folder in (damaged, tmp_path / "nowhere"):
        found = rwk("eval", run, "--protocol", "swap", "--judge", folder)
        assert (found.status, found.out) == (2, "")
        assert found.err.startswith(f"error: {folder}")
    assert not (run / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "cdsvae2012"], "unknown protocol 'cdsvae2012'. Did you mean 'cdsvae2021'?"),
        (["--protocol", "swap", "--draws", "0"], "draws is 0, but has to be at least 1"),
        (["--protocol", "probe", "--draws", "2"], "draws is 2, but probe samples nothing"),
        (["--protocol", "eer", "--judge", "x"], "eer asks no judge: leave x out"),
        (["--protocol", "swap", "--set", "x=1"], "swap: unknown key 'x'."),
        (["--protocol", "cdsvae2021", "--set", "drop_last=-1"], "cdsvae2021.drop_last: must be >= 0, not -1"),
        (["--protocol", "cdsvae2021", "--set", "prior=mean"], "cdsvae2021.prior: 'mean' is no choice. Did you mean 'means'?"),
        (["--protocol", "long", "--set", "length=4"], "long: length = 4, but the judge reads windows of 8 frames: take at least 8"),
        (
            ["--protocol", "long", "--set", "window=4"],
            "moving_shapes judge: clips are (4, 3, 32, 32), but it judges (8,",
        ),
        (["--draws", "2"], "eval: --draws and --set belong to --protocol NAME"),
        (["--set", "prior=draws"], "eval: --draws and --set belong to --protocol NAME"),
        (["--protocol", "swap", "--split", "tset"], "moving_shapes: unknown split 'tset'."),
    ],
)
def test_a_wrong_word_of_a_protocol_is_told(rwk: Rwk, tiny_run: Path, words: list[str], message: str) -> None:
    found = rwk("eval", tiny_run, *words)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith(f"error: {message}")
    assert not (tiny_run / "results").exists()


def test_codes_alone_have_no_protocol(rwk: Rwk, tmp_path: Path) -> None:
    found = rwk("eval", "--codes", tmp_path / "codes.npz", "--protocol", "probe")
    assert (found.status, "codes alone cannot be decoded" in found.err) == (2, True)


def test_a_trained_judge_is_found_by_the_data_and_serves_protocols_and_the_default_evaluation(
    rwk: Rwk, tiny_words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "data"))
    data = ["--data", "moving_mnist", "--data.pixels", "32", "--data.images", "bundled"]
    run = tmp_path / "run"
    assert rwk("train", *data, *tiny_words, "--out", run).status == 0
    found = rwk("eval", run, "--protocol", "swap")
    assert (found.status, "swap: needs a judge of moving_mnist, and there is none. Train one" in found.err) == (2, True)
    options = [*data, *LIKE_THE_RUN]
    assert rwk("judge", "train", *options, "--width", "4", "--epochs", "1", "--device", "cpu").status == 0
    card = json.loads(rwk("judge", "show", *options, "--json").out)
    found = rwk("eval", run, "--protocol", "rwae2021", "--json")
    result = json.loads(found.out)
    assert (result["judge"], result["settings"]["length"]) == (card["hash"], 10)
    assert "digit error" in result["rows"]["model"]
    swap = json.loads(rwk("eval", run, "--no-untrained", "--json").out)["model"]["swap"]
    assert swap["real"] == {name: pytest.approx(score["test"]) for name, score in card["scores"].items()}


def test_a_protocol_runs_in_a_process_of_its_own(run: Path, judge: Path) -> None:
    words = ["eval", str(run), "--protocol", "cdsvae2021", "--judge", str(judge), "--json", "--no-untrained", "--device", "cpu"]
    done = subprocess.run([sys.executable, "-m", "rwae_kit", *words], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result == json.loads((run / "results" / "cdsvae2021.json").read_text())
    assert "fix-static: FID (judge features)" in result["rows"]["model"]
