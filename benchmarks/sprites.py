"""What does the default method make of Sprites at 32 pixels in half an hour on two processor cores?

    rwk data build sprites --source DIR     (the layer sheets, once)
    python benchmarks/sprites.py [--minutes 30] [--run FOLDER]

The run is that of `rwk train --penalty scaled_mmd --prior lstm --data sprites --data.pixels 32 --max-minutes 30`. `--run` scores a
run that was trained before.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

from rwae_kit import evaluate, load, train
from rwae_kit.evaluation import Scores

FACTORS = ("action", "skin", "pants", "top", "hair")
OPTIONS = {"data": {"name": "sprites", "pixels": 32}}


def row(name: str, scores: Scores) -> dict[str, Any]:
    """Explained variance, and the accuracy of the better probe on either code."""
    line: dict[str, Any] = {"model": name, "explained variance": f"{scores.reconstruction.explained:.4f}"}
    for code, word in (("static", "static"), ("dynamic trajectory", "dynamic")):
        for factor in FACTORS:
            found = [probe.accuracy for probe in scores.probes if probe.code == code and probe.factor == factor]
            line[f"{factor} from {word}"] = f"{max(found):.3f}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--run", type=Path)
    words = parser.parse_args()
    folder = words.run or Path(tempfile.mkdtemp()) / "run"
    if words.run is None:
        train("quickstart", options=OPTIONS, out=folder, max_minutes=words.minutes)
    found = evaluate(load(folder))
    assert found.untrained is not None
    rows = [row("trained", found.model), row("untrained", found.untrained)]
    file = Path(__file__).parent / "results" / "sprites.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(*rows, f"{file} written; pictures and report in {folder}", sep="\n")


if __name__ == "__main__":
    main()
