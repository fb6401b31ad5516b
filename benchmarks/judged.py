"""What benchmarks that ask a judge share: test clips, the judge that reads them, and a file of rows."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rwae_kit import Clips, Registry, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge, find_judge, load_judge
from rwae_kit.run import dataset_of

RESULTS = Path(__file__).parent / "results"


def test_clips_and_judge(model: SequenceAutoencoder) -> tuple[Clips, TrainedJudge]:
    """The test split of what the model was trained on, and the judge of these data."""
    clips = dataset_of(model, Registry.installed()).clips("test")
    folder = find_judge(clips.info)
    if folder is None:
        raise SystemExit(f"there is no judge of {clips.info.name}: rwk judge train, or rwk reproduce, trains one")
    return clips, load_judge(folder, "cpu")


def write_rows(rows: Sequence[Mapping[str, Any]], file: Path, missing: str) -> None:
    """A CSV file, headed by the keys of the first row; without rows it says what is missing."""
    if not rows:
        raise SystemExit(missing)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
