"""Why does the alternating schedule learn badly at small budgets? The default recipe under both schedules and variations.

    python benchmarks/alternating.py [--epochs 4] [--seeds 0 1] [--only NAME ...]

A step is a step of the decoder. All rows have seen the same number of batches; they differ in how many steps that buys the decoder,
and in the optimiser.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rows import RESULTS, write_rows

from rwae_kit import evaluate, train


def momentum(beta1: float) -> dict[str, Any]:
    """Adam's decay of the mean gradient for encoder, decoder and prior."""
    return {f"training.{group}.beta1": beta1 for group in ("encoder", "decoder", "prior")}


def alternating(inner_steps: int) -> dict[str, Any]:
    return {"training.schedule": "alternating", "training.inner_steps": inner_steps}


VARIATIONS: dict[str, dict[str, Any]] = {
    "joint, beta1 0.9": {},
    "joint, beta1 0.5": momentum(0.5),
    "joint, beta1 0": momentum(0.0),
    "L = 1, beta1 0.9": alternating(1),
    "L = 1, beta1 0.9, encoder 4x slower": {**alternating(1), "training.encoder.learning_rate": 5e-4},
    "L = 1, beta1 0.5": {**alternating(1), **momentum(0.5)},
    "L = 1, beta1 0": {**alternating(1), **momentum(0.0)},
    "L = 5, beta1 0.9": alternating(5),
    "L = 5, beta1 0.5": {**alternating(5), **momentum(0.5)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="*", choices=list(VARIATIONS), default=list(VARIATIONS))
    words = parser.parse_args()
    rows = []
    for name, seed in ((name, seed) for name in words.only for seed in words.seeds):
        length = {"training.epochs": words.epochs, "training.validate_every": words.epochs, "training.seed": seed}
        run = train("quickstart", options={**length, **VARIATIONS[name]}, out=Path(tempfile.mkdtemp()) / "run", report=False)
        scores = evaluate(run.model, untrained=False).model
        rows.append(
            {
                "schedule": name,
                "seed": seed,
                "batches": words.epochs * 128,
                "decoder steps": run.outcome.step,
                "explained variance": f"{scores.reconstruction.explained:.3f}",
                "static std": f"{scores.scale['static']:.2f}",
                "dynamic std": f"{scores.scale['dynamic']:.2f}",
                **{f"swap {factor}": f"{scores.swap['swap'][factor]:.3f}" for factor in ("shape", "size", "colour", "motion")},
            }
        )
        print(rows[-1], flush=True)
    write_rows(rows, RESULTS / "alternating.csv")


if __name__ == "__main__":
    main()
