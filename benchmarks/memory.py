"""How does the memory of a training step grow with its batch, when an MMD compares all draws of it with all others?

    python benchmarks/memory.py    # into results/memory-cpu.csv

The quickstart recipe on clips of 8 frames of 16 x 16 pixels, one step after one to warm up, each in a process of its own, by each
path of `mmd2`. The reference, the formula as one would write it, holds matrices of batch x batch, and stops at a batch of 2048.
"""

from __future__ import annotations

import subprocess
import sys

from rows import RESULTS, write_rows

BATCHES = (512, 1024, 2048, 4096, 8192)
LARGEST = {"reference": 2048}


def measure(path: str, batch: int) -> float:
    """Peak memory of a step beyond what is held before it, in MB."""
    import torch
    from instruments import peak_memory
    from training_step import Ours

    from rwae_kit.kernels.mmd import op

    op.choose_path = lambda *_, **__: path
    torch.set_num_threads(1)
    ours = Ours("quickstart", {}, batch, torch.device("cpu"), pixels=16)
    ours.step()
    return peak_memory(ours, torch.device("cpu"))


def main() -> None:
    if len(sys.argv) == 3:
        print(measure(sys.argv[1], int(sys.argv[2])))
        return
    from rwae_kit.kernels.mmd import available_paths

    rows = []
    for path in available_paths():
        for batch in BATCHES:
            if batch <= LARGEST.get(path, batch):
                done = subprocess.run([sys.executable, __file__, path, str(batch)], check=True, capture_output=True, text=True)
                megabytes = float(done.stdout)
                rows.append({"path": path, "batch": batch, "MB": f"{megabytes:.0f}", "MB per clip": f"{megabytes / batch:.2f}"})
                print(*rows[-1].values(), sep="  ", flush=True)
    write_rows(rows, RESULTS / "memory-cpu.csv")


if __name__ == "__main__":
    main()
