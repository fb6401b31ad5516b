"""How fast is MMD^2 with its gradients, and how much memory does it take, against what one would write by hand?

    rwk doctor --build
    python benchmarks/mmd.py [--pairs 7] [--large]   # ratios, into results/mmd-cpu.csv; beside KeOps where it is installed
    pytest benchmarks/mmd.py                         # absolute times of this machine, by pytest-benchmark

One thread, processor time, interleaved pairs. `pages` says whether glibc returned freed memory, as it does by default and eager
code pays for in page faults, or kept it.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from rows import RESULTS, read_rows, write_rows

from rwae_kit.kernels.mmd import available_paths, mmd2
from rwae_kit.kernels.mmd.bench import KERNEL, parse

TRAINING = ("1x60x1", "8x60x12", "15x128x32")
KEOPS = ("keops",) * (importlib.util.find_spec("pykeops") is not None)
RUNS = (
    (TRAINING, ("gemm", "cdist", "compile", *KEOPS)),
    (("1x2048x64",), ("gemm", "compile", "chunked", *KEOPS)),
)
LARGE = (
    (("1x8192x64",), ("gemm", "compile", "chunked")),
    (("1x20000x79",), ("chunked",)),
)


@pytest.mark.parametrize("path", available_paths())
@pytest.mark.parametrize("shape", [*TRAINING, "1x2048x64"])
def test_value_and_both_gradients(benchmark, shape: str, path: str) -> None:
    x, y = (torch.randn(parse(shape), requires_grad=True) for _ in range(2))
    benchmark(lambda: torch.autograd.grad(mmd2(x, y, KERNEL, path=path).sum(), (x, y)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--large", action="store_true", help="also thousands of draws: many minutes")
    words = parser.parse_args()
    rows: list[dict[str, str]] = []
    for shapes, against in (*RUNS, *(LARGE if words.large else ())):
        for pages in ("--no-keep-pages", "--keep-pages"):
            table = Path(tempfile.mkdtemp()) / "table.csv"
            chosen = [
                word for name, given in (("--shape", shapes), ("--against", against)) for one in given for word in (name, one)
            ]
            command = [sys.executable, "-m", "rwae_kit", "bench", "mmd", *chosen, "--pairs", str(words.pairs), pages]
            subprocess.run([*command, "--out", str(table)], check=True)
            rows += read_rows(table)
    write_rows(rows, RESULTS / "mmd-cpu.csv")


if __name__ == "__main__":
    main()
