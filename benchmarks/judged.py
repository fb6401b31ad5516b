"""What benchmarks that ask a judge share: test clips, the judge that reads them, and a row of figures for each run of a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rows import RESULTS, print_rows, write_rows

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


def measure_runs(about: str, file: str, measured: Callable[[SequenceAutoencoder, Clips, TrainedJudge], dict[str, float]]) -> None:
    """The command line of a benchmark that measures each run of a table that has ended.

    Arguments:
        about: what the benchmark says of itself.
        file: the name of its figures.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the table, with its runs")
    parser.add_argument("--out", type=Path, default=RESULTS / file)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    judged = None
    for run in sorted(ended.parent for ended in given.folder.glob("*/reproduced.json")):
        model = rwae_kit.load(run)
        judged = judged or judged_clips(model)
        method, _, seed = run.name.rpartition("-")
        rows.append({"method": method, "seed": seed, **measured(model, *judged)})
        print_rows(rows[-1:])
    write_rows(rows, given.out, f"{given.folder}: no run that has ended; rwk reproduce makes them")
