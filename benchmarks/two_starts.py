"""Do weights decide where an action lives, or does it stay where training began?

    rwk data build sprites --source DIR     (the layer sheets, once)
    rwk judge train --data sprites --data.pixels 32 --epochs 5
    python benchmarks/two_starts.py [--only NAME ...] [--seeds 0 1] [--runs FOLDER]

Each method is trained twice with the same weights and the same number of epochs in all: from the start ("at once"), and after some
epochs with other weights ("after others"), under which the static latent costs so much more than the dynamic one that the action
goes to the dynamic one. The judge reads swaps of all test clips. Runs that are in the folder already are not trained again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from judged import judged_clips
from rows import RESULTS, write_rows

from rwae_kit import load, train
from rwae_kit.evaluation import swap_accuracy

FACTORS = ("action", "skin", "pants", "top", "hair")


@frozen(kw_only=True)
class Start:
    """A recipe, the weights that are asked about, others to begin with, and for how many epochs."""

    recipe: str
    weights: Mapping[str, float]
    others: Mapping[str, float]
    first: int
    epochs: int

    def options(self, changed: Mapping[str, float], epochs: int, seed: int) -> dict[str, Any]:
        """Over the recipe's values."""
        weights = {f"{path}.weight": value for path, value in {**self.weights, **changed}.items()}
        return {**weights, "data.pixels": 32, "training.epochs": epochs, "training.seed": seed}


STARTS = {
    "rwae-mmd": Start(
        recipe="rwae-mmd:small",
        weights={"penalty.static.scaled_mmd": 100, "penalty.static.kl": 0.1, "penalty.dynamic.mmd": 5, "penalty.dynamic.kl": 0.05},
        others={"penalty.static.kl": 3.0},
        first=3,
        epochs=20,
    ),
    "dsvae-full": Start(
        recipe="dsvae-full:small",
        weights={"penalty.static.kl": 0.3, "penalty.dynamic.kl": 0.05},
        others={"penalty.static.kl": 4.0, "penalty.dynamic.kl": 0.1},
        first=3,
        epochs=20,
    ),
}
"""The weights are those that the search of the table cdsvae-1 chose; the others are of its trials, too. The nets are of `small`."""


def trained(start: Start, seed: int, folder: Path) -> dict[str, Path]:
    """The two runs of a start: their names and folders."""
    short, after, once = (folder / f"{start.recipe.partition(':')[0]}-{name}-{seed}" for name in ("first", "after", "once"))
    for run, changed, epochs, init in (
        (once, {}, start.epochs, None),
        (short, start.others, start.first, None),
        (after, {}, start.epochs - start.first, short),
    ):
        if not (run / "model.safetensors").exists():
            train(start.recipe, options=start.options(changed, epochs, seed), out=run, init=init, report=False)
    return {"at once": once, "after others": after}


def validation_loss(run: Path) -> dict[str, float]:
    """The last one, and what of it is reconstruction."""
    lines = (json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    *_, last = (line["validation"] for line in lines if "validation" in line)
    return {"loss": round(last["total"], 2), "reconstruction": round(last["reconstruction"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(STARTS), default=list(STARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--runs", type=Path)
    given = parser.parse_args()
    folder = given.runs or Path(tempfile.mkdtemp())
    runs = {(name, seed): trained(STARTS[name], seed, folder) for name in given.only for seed in given.seeds}
    clips, judge = judged_clips(load(next(iter(runs.values()))["at once"]))
    rows: list[dict[str, Any]] = []
    for (name, seed), pair in runs.items():
        for words, run in pair.items():
            read = swap_accuracy(load(run), clips, judge)
            row = {"method": name, "weights": words, "seed": seed, **validation_loss(run)}
            row |= {
                f"{shown}: {factor}": f"{read[shown][factor]:.3f}" for shown in ("swap", "reconstruction") for factor in FACTORS
            }
            rows.append(row)
            print(row, flush=True)
    write_rows(rows, RESULTS / "two-starts.csv")


if __name__ == "__main__":
    main()
