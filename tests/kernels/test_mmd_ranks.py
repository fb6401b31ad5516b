"""Two processes that gather their halves compute what one process does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))

from ranks_of_mmd import penalty


def test_two_gloo_ranks_equal_one_process(tmp_path, tolerance) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).parent / "ranks_of_mmd.py")
    processes = [
        subprocess.Popen([sys.executable, script, str(tmp_path)], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    value, gradient = penalty(slice(0, 24), "torch")
    for rank in range(2):
        found = load_file(tmp_path / f"rank-{rank}.safetensors")
        torch.testing.assert_close(found["value"], value, **tolerance[torch.float32])
        torch.testing.assert_close(found["gradient"], gradient, **tolerance[torch.float32])
