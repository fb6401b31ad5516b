"""How long until `rwk train` has made its first step, beside what nobody can spare: importing torch and building the model?

    python benchmarks/cold_start.py [--runs 5] [--recipe quickstart]

Whole processes take turns; the ratio is the median over turns. The first step is over when its line is in `metrics.jsonl`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = """
import torch
from rwae_kit.build import build, open_dataset, resolve
from rwae_kit.registry import Registry
from rwae_kit.run import compose

registry = Registry.installed()
recipe = resolve(compose({recipe!r}, {{}}, registry), registry)
build(recipe, registry, open_dataset(recipe, registry).info())
"""


def building(recipe: str) -> float:
    """Seconds to import torch and build the model of a recipe."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BUILD.format(recipe=recipe)], check=True)
    return time.perf_counter() - began


def first_step(recipe: str, folder: Path) -> float:
    """Seconds from `rwk train` to the record of its first step."""
    words = ["train", "--recipe", recipe, "--out", str(folder), "--set", "training.log_every=1"]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "rwae_kit", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record = folder / "metrics.jsonl"
    try:
        while not (record.exists() and record.stat().st_size):
            if process.poll() is not None:
                raise SystemExit(f"rwk train ended with {process.returncode} before its first step")
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--recipe", default="quickstart")
    words = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        for i in range(words.runs + 1):
            built = building(words.recipe)
            ratios.append(first_step(words.recipe, Path(name) / str(i)) / built)
            print(f"{'warm-up' if i == 0 else i}: {ratios[-1]:.2f}", flush=True)
    print(f"first step after {statistics.median(ratios[1:]):.2f} times as long as importing torch and building the model")


if __name__ == "__main__":
    main()
