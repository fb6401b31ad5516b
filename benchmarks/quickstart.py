"""Does the default recipe reach its bar? Train it with several seeds, judge it on held-out clips, write a row a seed.

python benchmarks/quickstart.py [--variant hard] [--seeds 0 1 2] [--set training.epochs=8 ...]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rows import RESULTS, print_rows, write_rows

from rwae_kit import evaluate, train
from rwae_kit.evaluation import Scores
from rwae_kit.recipe import parse_value
from rwae_kit.run import choose_device
from rwae_kit.run_folder import surroundings

FACTORS = ("shape", "size", "colour", "motion")


def row(scores: Scores) -> dict[str, float]:
    """The numbers of the bar: swaps, explained variance, and the worst leak of each factor in points over chance."""
    leaks = scores.leaks()
    return {
        **{f"swap {factor}": scores.swap["swap"][factor] for factor in FACTORS},
        "explained variance": scores.reconstruction.explained,
        **{f"leak {factor}": leaks[factor] for factor in FACTORS},
    }


def one_seed(seed: int, options: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    run = train("quickstart", options={**options, "training.seed": seed}, out=folder / f"seed-{seed}")
    found = evaluate(run.model)
    assert found.untrained is not None
    about = {"seed": seed, "steps": run.outcome.step}
    return [{**about, "model": "trained", **row(found.model)}, {**about, "model": "untrained", **row(found.untrained)}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=["easy", "hard"], default="easy")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="PATH=VALUE")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    options = {path: parse_value(text) for path, _, text in (word.partition("=") for word in words.set)}
    options["data.variant"] = words.variant
    folder = words.out or Path(tempfile.mkdtemp())
    rows = [line for seed in words.seeds for line in one_seed(seed, options, folder)]
    file = RESULTS / f"quickstart-{words.variant}.csv"
    write_rows(rows, file)
    print_rows(rows)
    print(f"{file} written on {surroundings(choose_device('auto'))}")

    return choose_device("auto")


if __name__ == "__main__":
    main()
