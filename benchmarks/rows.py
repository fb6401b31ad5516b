"""What the benchmarks write: rows of figures, as a CSV file under `results/` and on the screen."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Row = Mapping[str, Any]


def write_rows(rows: Sequence[Row], file: Path, missing: str = "nothing was measured") -> None:
    """A CSV file, headed by all keys in the order in which they first come, floats with four places.

    Arguments:
        missing: what is said where there are no rows.
    """
    if not rows:
        raise SystemExit(missing)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )


def read_rows(file: Path) -> list[dict[str, str]]:
    """What `write_rows` wrote, all of it as text."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def print_rows(rows: Sequence[Row]) -> None:
    """A line for each row."""
    for row in rows:
        print(
            "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()),
            flush=True,
        )
