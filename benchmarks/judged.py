"""What benchmarks that ask a judge share: test clips, and the judge that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import rwae_kit
from rwae_kit import Clips, Registry, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge, find_judge, load_judge
from rwae_kit.run import dataset_of


def judged_clips(model: SequenceAutoencoder) -> tuple[Clips, TrainedJudge]:
    """The test split of what the model was trained on, and the judge of these data."""
    clips = dataset_of(model, Registry.installed()).clips("test")
    folder = find_judge(clips.info)
    if folder is None:
        raise SystemExit(f"there is no judge of {clips.info.name}: rwk judge train, or rwk reproduce, trains one")
    return clips, load_judge(folder, "cpu")


def judged_runs(folder: Path) -> Iterator[tuple[str, str, SequenceAutoencoder, Clips, TrainedJudge]]:
    """The runs of a table that have ended: method, seed and model, with the test clips and the judge of their data."""
    judged = None
    for run in sorted(ended.parent for ended in folder.glob("*/reproduced.json")):
        model = rwae_kit.load(run)
        judged = judged or judged_clips(model)
        method, _, seed = run.name.rpartition("-")
        yield method, seed, model, *judged
