"""Two processes equal one: the gather's gradient, averaged gradients, whole training runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent / "training"))

from ranks_script import counted_mixture, gradient_of_pairs, noiseless_run
from training_toys import toy_config, toy_run

from rwae_kit import checkpoint, distributed
from rwae_kit.errors import TrainingError

SCRIPT = Path(__file__).parent / "training" / "ranks_script.py"


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory) -> Path:
    """The folder in which two processes have done all that `ranks_script` does."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder


def results(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [load_file(folder / f"rank-{rank}.safetensors") for rank in range(2)]


def test_one_process_is_rank_0_of_1_and_everything_is_the_identity():
    x = torch.randn(3, 2, requires_grad=True)
    assert (distributed.rank(), distributed.world_size(), distributed.is_main(), distributed.local_rank()) == (0, 1, True, 0)
    assert distributed.gather(x) is x
    assert distributed.mean(x) is x
    assert distributed.any_rank(True) is True
    assert distributed.any_rank(False) is False
    x.grad = torch.ones_like(x)
    distributed.average_gradients([x])
    assert torch.equal(x.grad, torch.ones_like(x))


def test_start_without_torchrun_joins_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    distributed.start()
    assert distributed.world_size() == 1
    distributed.stop()


def test_ranks_know_their_number_and_exchange_tensors(two_ranks):
    for rank, found in enumerate(results(two_ranks)):
        assert found["world"].tolist() == [rank, 2, int(rank == 0)]
        assert found["gathered"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
        assert found["mean"].tolist() == [[0.5] * 3] * 2
        assert found["broadcast"].tolist() == [0.0, 0.0]
        assert found["any"].tolist() == [True, False]


def test_the_gradient_through_the_gather_is_that_of_one_process(two_ranks):
    expected = gradient_of_pairs(0, 1)
    for found in results(two_ranks):
        torch.testing.assert_close(found["gradient"], expected, rtol=1e-12, atol=1e-14)


def test_a_prior_s_components_are_counted_and_begin_again_alike_on_all_ranks(two_ranks):
    expected = counted_mixture(0, 1)
    assert expected[2, 0] > 0.2  # it has begun again
    for found in results(two_ranks):
        torch.testing.assert_close(found["mixture"], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_training_on_two_ranks_with_half_the_batch_each_equals_one_process(two_ranks, tmp_path, schedule):
    noiseless_run(tmp_path, toy_config(epochs=2, schedule=schedule))
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    (one, _), (two, _) = checkpoint.read(newest), checkpoint.read(two_ranks / schedule / "checkpoints" / newest.name)
    assert one["model"].keys() == two["model"].keys()
    for key, value in one["model"].items():
        torch.testing.assert_close(two["model"][key], value, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (tmp_path, two_ranks / schedule)
    ]
    assert len(lines[0]) == len(lines[1]) > 0
    for single, double in zip(*lines, strict=True):
        kind = "validation" if "validation" in single else "parts"
        # scales are logged as means of each process's root mean square, which is not the root of the global mean
        names = [name for name in single[kind] if not name.startswith("scale.")]
        assert [double[kind][name] for name in names] == pytest.approx([single[kind][name] for name in names], rel=1e-4, abs=1e-5)


def test_a_run_on_two_ranks_that_was_stopped_on_one_and_resumed_is_bitwise_the_uninterrupted_run(two_ranks):
    whole, parts = (checkpoint.latest(two_ranks / name) for name in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    assert whole.name == parts.name
    (one, _), (other, _) = checkpoint.read(whole), checkpoint.read(parts)
    assert [f"{g}/{key}" for g in one for key in one[g] if not torch.equal(one[g][key], other[g][key])] == []
    assert one["training"]["noise"].shape[0] == 2
    assert not torch.equal(one["training"]["noise"][0], one["training"]["noise"][1])


def test_a_run_of_two_ranks_is_not_resumed_by_one(two_ranks):
    with pytest.raises(TrainingError, match="written by 2 processes, here are 1"):
        toy_run(two_ranks / "whole", toy_config(epochs=4), resume=True)
