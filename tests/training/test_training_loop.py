"""The loop: step-exact resume, how runs end, and what they write."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import training_toys
from attrs import evolve
from torch import Tensor
from training_toys import StopAfter, toy_clips, toy_config, toy_model, toy_run

from rwae_kit import checkpoint
from rwae_kit.errors import CheckpointError, TrainingError
from rwae_kit.interfaces import Tracker
from rwae_kit.training.config import Adam
from rwae_kit.training.loop import train_loop
from rwae_kit.training.progress import Reporter

SCRIPT = Path(training_toys.__file__)
BOTH = pytest.mark.parametrize("schedule", ["joint", "alternating"])


def everything(run: Path) -> dict[str, Tensor]:
    """All tensors of the newest checkpoint, and the model to use."""
    newest = checkpoint.latest(run)
    assert newest is not None
    groups, meta = checkpoint.read(newest)
    found = {f"{name}/{key}": value for name, group in groups.items() for key, value in group.items()}
    found |= {f"best/{key}": value for key, value in checkpoint.read_model(run)[0].items()}
    return found | {"step": torch.tensor(meta["progress"]["step"]), "best": torch.tensor(meta["progress"]["best"])}


def metrics(run: Path) -> list[dict]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        assert record.pop("seconds") >= 0
    return records


def assert_same_runs(one: Path, other: Path) -> None:
    first, second = everything(one), everything(other)
    assert first.keys() == second.keys()
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert different == []
    assert metrics(one) == metrics(other)


class Collector(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture(autouse=True)
def _one_thread_and_no_waiting_for_the_disk(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the other processes here: results depend on the number
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    """Uninterrupted runs, by schedule."""
    runs = {schedule: tmp_path_factory.mktemp(schedule) for schedule in ("joint", "alternating")}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for schedule, folder in runs.items():
        assert toy_run(folder, toy_config(schedule=schedule)).step == (36 if schedule == "joint" else 18)
    torch.set_num_threads(threads)
    return runs


@BOTH
@pytest.mark.parametrize("stop", [1, 6, 13])
def test_a_run_that_was_stopped_by_a_signal_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path, whole, schedule, stop):
    config = toy_config(schedule=schedule)
    assert toy_run(tmp_path, config, stop_after=stop).stopped == "signal"
    assert toy_run(tmp_path, config, resume=True).stopped == "finished"
    assert_same_runs(whole[schedule], tmp_path)


@BOTH
def test_a_run_that_was_stopped_by_time_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path, whole, schedule):
    config = toy_config(schedule=schedule)
    for step in (1, 2):
        outcome = toy_run(tmp_path, config, resume=step > 1, max_minutes=1e-6)
        assert (outcome.stopped, outcome.step) == ("time", step)
    toy_run(tmp_path, config, resume=True)
    assert_same_runs(whole[schedule], tmp_path)


@BOTH
def test_a_run_that_was_killed_at_a_random_step_and_resumed_is_bitwise_the_uninterrupted_run(tmp_path, whole, schedule):
    step = random.randint(*((13, 35) if schedule == "joint" else (7, 17)))  # after the first checkpoint
    call = [sys.executable, str(SCRIPT), str(tmp_path), schedule, "6"]
    killed = subprocess.run([*call, "--kill", str(step)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    toy_run(tmp_path, toy_config(schedule=schedule), resume=True)
    assert_same_runs(whole[schedule], tmp_path)


def newest_name(run: Path) -> str:
    """The newest checkpoint by name, sound or not."""
    return max((path.name for path in (run / "checkpoints").glob("step-*")), default="")


@pytest.mark.slow
def test_twenty_kills_in_a_row_never_lose_the_last_checkpoint(tmp_path):
    call = [sys.executable, str(SCRIPT), str(tmp_path), "joint", "4000", "--resume", "--slow", "0.0005", "--checkpoint-every", "1"]
    last = ""
    for i in range(20):
        process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "ready" in process.stderr.readline()
        deadline = time.monotonic() + 60
        while newest_name(tmp_path) == last and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3 * random.random())
        process.kill()
        process.wait()
        process.stderr.close()
        newest = checkpoint.latest(tmp_path, pytest.fail)
        assert newest is not None, f"no checkpoint after {i + 1} kills"
        assert newest.name == newest_name(tmp_path) > last
        last = newest.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_the_step_it_came_in_and_the_handlers_are_restored(tmp_path, number):
    before = signal.getsignal(number)
    model, objective = toy_model()
    outcome = train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path, reporter=StopAfter(5, number))
    assert (outcome.step, outcome.stopped) == (5, "signal")
    assert checkpoint.latest(tmp_path) == checkpoint.step_folder(tmp_path, 5)
    assert signal.getsignal(number) is before
    assert torch.equal(checkpoint.read_model(tmp_path)[0]["decoder.net.0.weight"], model.decoder.net[0].weight)


def test_sigterm_ends_a_process_with_status_0(tmp_path):
    call = [sys.executable, str(SCRIPT), str(tmp_path), "joint", "4000", "--slow", "0.001"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()
    deadline = time.monotonic() + 120
    while checkpoint.latest(tmp_path, lambda _: None) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=120) == 0, process.stderr.read()
    process.stderr.close()


def test_training_in_another_thread_installs_no_signal_handlers(tmp_path):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(toy_run(tmp_path, toy_config(epochs=1))))
    thread.start()
    thread.join()
    assert outcomes[0].stopped == "finished"


def test_training_leaves_the_global_random_state_alone(tmp_path):
    before = torch.get_rng_state()
    toy_run(tmp_path, toy_config())
    assert torch.equal(torch.get_rng_state(), before)


def test_resuming_with_more_epochs_goes_on_and_equals_the_longer_run(tmp_path):
    long = toy_config(decay="constant", epochs=6)
    toy_run(tmp_path / "long", long)
    toy_run(tmp_path / "grown", evolve(long, epochs=4))
    outcome = toy_run(tmp_path / "grown", long, resume=True)
    assert (outcome.step, outcome.epoch) == (36, 6)
    assert_same_runs(tmp_path / "long", tmp_path / "grown")


def test_resuming_a_finished_run_says_so_and_changes_nothing(tmp_path):
    toy_run(tmp_path, toy_config())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    reporter = Collector()
    outcome = train_loop(*toy_model(), toy_clips(), None, toy_config(), tmp_path, resume=True, reporter=reporter)
    assert (outcome.step, outcome.stopped) == (36, "finished")
    assert any("all 6 epochs are done" in text for text in reporter.said)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()} == before


def test_resuming_with_other_options_or_data_is_refused_and_says_what_changed(tmp_path):
    toy_run(tmp_path, toy_config(), stop_after=3)
    with pytest.raises(TrainingError, match=r"training.batch_size was 8, is 10; training.critic.learning_rate was 0.01, is 0.5"):
        toy_run(tmp_path, toy_config(batch_size=10, critic=Adam(learning_rate=0.5)), resume=True)
    with pytest.raises(TrainingError, match="other training data: clips was 50, is 40"):
        train_loop(*toy_model(), toy_clips(40), None, toy_config(), tmp_path, resume=True)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    toy_run(tmp_path, toy_config(), stop_after=3)
    with pytest.raises(TrainingError, match="there is a run already"):
        toy_run(tmp_path, toy_config())


def test_resume_without_a_checkpoint_begins(tmp_path, whole):
    train_loop(*toy_model(), toy_clips(), toy_clips(20, seed=2), toy_config(), tmp_path, resume=True)
    assert_same_runs(whole["joint"], tmp_path)


def test_a_damaged_newest_checkpoint_is_warned_of_and_the_older_one_resumed(tmp_path, whole):
    config = toy_config()
    toy_run(tmp_path, config, stop_after=20)
    damaged = checkpoint.step_folder(tmp_path, 20) / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-8])
    reporter = Collector()
    model, objective = toy_model(seed=3)
    train_loop(model, objective, toy_clips(), toy_clips(20, seed=2), config, tmp_path, resume=True, reporter=reporter)
    assert any("bytes" in text and "step-00000020" in text for text in reporter.warned)
    assert_same_runs(whole["joint"], tmp_path)


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path):
    toy_run(tmp_path, toy_config(), stop_after=3)
    model, objective = toy_model()
    model.decoder.net[0] = torch.nn.Linear(5, 9)
    model.decoder.net[2] = torch.nn.Linear(9, 6)
    with pytest.raises(CheckpointError, match=r"'decoder.net.0.weight' is \(8, 5\), the model's is \(9, 5\)"):
        train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path, resume=True)


@pytest.mark.parametrize("log_every", [1, 100])
def test_a_loss_that_is_not_finite_ends_training_and_keeps_the_last_good_checkpoint(tmp_path, log_every):
    config = toy_config(log_every=log_every)
    toy_run(tmp_path, config, stop_after=14)
    good = everything(tmp_path)
    clips = toy_clips()
    clips.frames[:] = float("nan")
    with pytest.raises(TrainingError, match=r"step \d+: the loss is not finite .*reconstruction = nan.*kept: .*step-00000014"):
        train_loop(*toy_model(), clips, None, config, tmp_path, resume=True)
    assert all(torch.equal(value, good[key]) for key, value in everything(tmp_path).items())


def test_weights_that_are_not_finite_are_not_saved_even_if_the_losses_were(tmp_path):
    class Poison(Reporter):
        def advance(self, done: int) -> None:
            if done == 12:  # a checkpoint is due after this step
                model.decoder.net[0].weight.data[0, 0] = float("inf")

    model, objective = toy_model()
    with pytest.raises(TrainingError, match=r"weights are not finite.*There was no checkpoint yet"):
        train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path, reporter=Poison())
    assert checkpoint.latest(tmp_path) is None
    assert not (tmp_path / "model.safetensors").exists()


def test_a_full_disk_ends_training_with_the_last_checkpoint_kept_and_nothing_half_written(tmp_path, whole, monkeypatch):
    toy_run(tmp_path, toy_config(), stop_after=13)
    write = checkpoint._write

    def full(path: Path, data: bytes) -> None:
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*kept: .*step-00000013"):
        toy_run(tmp_path, toy_config(), resume=True)
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000012", "step-00000013"]
    assert list(tmp_path.glob(".*.tmp")) == []
    toy_run(tmp_path, toy_config(), resume=True)
    assert_same_runs(whole["joint"], tmp_path)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()],
)
def test_full_memory_is_told_with_the_batch_size(tmp_path, monkeypatch, error):
    model, objective = toy_model()

    def fail(batch: object) -> None:
        raise error

    monkeypatch.setattr(model, "forward", fail)
    with pytest.raises(TrainingError, match=r"out of memory with training.batch_size = 8.*There was no checkpoint yet"):
        train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path)


def test_other_errors_pass_through_unchanged(tmp_path, monkeypatch):
    model, objective = toy_model()

    def fail(batch: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(model, "forward", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path)


def test_the_model_to_use_is_the_best_on_validation(tmp_path):
    config = toy_config(
        epochs=12, validate_every=1, **{g: Adam(learning_rate=0.3) for g in ("encoder", "decoder", "prior", "critic")}
    )
    outcome = toy_run(tmp_path, config)
    found = [r for r in metrics(tmp_path) if "validation" in r]
    totals = [r["validation"]["total"] for r in found]
    assert len(totals) == 12
    assert outcome.best == min(totals)
    assert [r["best"] for r in found] == [total == min(totals[: i + 1]) for i, total in enumerate(totals)]
    assert checkpoint.read_model(tmp_path)[1]["step"] == found[totals.index(min(totals))]["step"]


def test_metrics_say_losses_by_name_rates_by_group_and_every_step_that_is_due(tmp_path):
    toy_run(tmp_path, toy_config())
    records = [r for r in metrics(tmp_path) if "parts" in r]
    assert [r["step"] for r in records] == list(range(4, 37, 4))
    assert records[2]["epoch"] == 2
    assert set(records[0]["lr"]) == {"encoder", "decoder", "prior", "critic"}
    names = {"total", "critic", "reconstruction", "penalty.static.critic", "penalty.dynamic.moments", "term.own", "scale.static"}
    assert names <= set(records[0]["parts"])


def test_training_lowers_the_loss(tmp_path):
    toy_run(tmp_path, toy_config(epochs=30))
    totals = [r["validation"]["total"] for r in metrics(tmp_path) if "validation" in r]
    assert totals[-1] < 0.8 * totals[0]


def test_how_often_one_validates_changes_nothing_in_training(tmp_path):
    toy_run(tmp_path / "often", toy_config(validate_every=1))
    toy_run(tmp_path / "seldom", toy_config(validate_every=6))
    one, other = everything(tmp_path / "often"), everything(tmp_path / "seldom")
    assert all(torch.equal(one[key], other[key]) for key in one if key.startswith(("model/", "training/")))


class Breaking(Tracker):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def log(self, record) -> None:
        self.seen.append(record["step"])
        if len(self.seen) == 2:
            raise ValueError("the server is gone")

    def close(self) -> None:
        raise AssertionError("a tracker that was switched off is not used again")


def test_a_tracker_that_raises_is_switched_off_with_a_warning(tmp_path):
    reporter, tracker = Collector(), Breaking()
    outcome = train_loop(*toy_model(), toy_clips(), None, toy_config(), tmp_path, reporter=reporter, trackers=[tracker])
    assert outcome.stopped == "finished"
    assert tracker.seen == [4, 8]
    assert reporter.warned == ["tracker Breaking is switched off: ValueError: the server is gone"]


def test_what_the_objective_warns_of_is_reported_once(tmp_path, monkeypatch):
    model, objective = toy_model()
    reporter = Collector()
    monkeypatch.setattr(objective, "warnings", lambda parts: [f"scale.static is {parts['scale.static']}: it runs away"])
    outcome = train_loop(model, objective, toy_clips(), None, toy_config(), tmp_path, reporter=reporter)
    assert len(reporter.warned) == 1
    assert "step 4: scale.static" in reporter.warned[0]
    assert outcome.warnings == tuple(reporter.warned)


@pytest.mark.parametrize(("schedule", "beta1", "warned"), [("alternating", 0.9, 1), ("alternating", 0.5, 0), ("joint", 0.9, 0)])
def test_momentum_under_the_alternating_schedule_is_warned_of(tmp_path, schedule, beta1, warned):
    adam = Adam(learning_rate=1e-2, beta1=beta1)
    reporter = Collector()
    config = toy_config(schedule=schedule, encoder=adam, decoder=adam, epochs=1)
    train_loop(*toy_model(), toy_clips(), None, config, tmp_path, reporter=reporter)
    assert sum("so much momentum" in text for text in reporter.warned) == warned


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 51}, "training.batch_size is 51, but there are 50 clips"),
        ({"schedule": "alternating", "inner_steps": 7, "epochs": 1}, "6 batches are less than one alternating step of 7"),
    ],
)
def test_a_run_without_a_single_step_is_refused(tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        toy_run(tmp_path, toy_config(**changes))
