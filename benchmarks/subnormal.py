"""How much faster is a step of training on a processor when subnormal numbers count as 0, as `rwk` has it?

    python benchmarks/subnormal.py [--rounds 4] [--threads N]

Recipes of small size, on the moving digits that need no download and on clips of noise. The mode is a thread's, so each
measurement is a process of its own; processes with and without it take turns, in either order, each gives the median of its
steps, and a row has the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from instruments import machine
from rows import RESULTS, print_rows, write_rows
from training_step import Ours

from rwae_kit import Clips, Registry
from rwae_kit.build import open_dataset, resolve
from rwae_kit.run import compose

RECIPES = ("dsvae-full", "cdsvae", "rwae-mmd")
DATA = {"moving digits": "sm-mnist+small", "noise": "small"}
BEFORE, STEPS, BATCH = 30, 40, 32


def digits(recipe: str) -> Clips:
    """Moving digits, as the recipe wants them."""
    registry = Registry.installed()
    options = {"data.images": "bundled", "data.train_clips": 20 * BATCH}
    return open_dataset(resolve(compose(recipe, options, registry), registry), registry).clips("train")


def step(recipe: str, data: str) -> float:
    """Seconds of a step, the median of many."""
    name, taken = f"{recipe}:{DATA[data]}", []
    clips = digits(name) if data == "moving digits" else None
    ours = Ours(name, {}, BATCH, torch.device("cpu"), pixels=32, clips=clips)
    for _ in range(BEFORE + STEPS):
        began = time.perf_counter()
        ours.step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[BEFORE:])


def measured(recipe: str, data: str, mode: str, threads: int) -> float:
    """`step` in a process of its own."""
    words = [sys.executable, str(Path(__file__)), "--measure", recipe, data, mode]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.measure:
        recipe, data, mode = words.measure
        torch.set_flush_denormal(mode == "zero")
        print(step(recipe, data))
        return
    torch.set_num_threads(words.threads)
    rows = []
    for recipe, data in itertools.product(RECIPES, DATA):
        ratios = []
        for count in range(words.rounds):
            modes = ("kept", "zero") if count % 2 else ("zero", "kept")
            taken = {mode: measured(recipe, data, mode, words.threads) for mode in modes}
            ratios.append(taken["kept"] / taken["zero"])
        rows.append(
            {
                "recipe": recipe,
                "clips": data,
                "machine": machine(torch.device("cpu")),
                "times as fast": statistics.median(ratios),
                "least": min(ratios),
                "most": max(ratios),
            }
        )
        print_rows(rows[-1:])
    write_rows(rows, RESULTS / "subnormal.csv")


if __name__ == "__main__":
    main()
