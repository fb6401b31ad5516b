"""Does a score without labels find the trials that a judge would choose, and which weights decide where the action lives?

    rwk reproduce cdsvae-1 --search
    python benchmarks/searches.py reproduce/cdsvae-1-cpu

Takes the trials of a table's searches, exchanges codes of test clips, lets the judge read them, and writes a line for each trial.
Labels are looked at here alone: they choose nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

import rwae_kit
from rwae_kit import Registry
from rwae_kit.evaluation import swap_accuracy
from rwae_kit.evaluation.codes import some
from rwae_kit.evaluation.judges import find_judge, load_judge
from rwae_kit.reproduce.search import Trial
from rwae_kit.run import dataset_of

CLIPS = 400
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a table that was made with --search")
    parser.add_argument("--out", type=Path, default=RESULTS / "searches-sprites.csv")
    given = parser.parse_args()
    registry, rows, clips, judge = Registry.installed(), [], None, None
    for file in sorted(given.folder.glob("searches/*/trial.json")):
        trial = Trial.from_dict(json.loads(file.read_text(encoding="utf-8")))
        model = rwae_kit.load(file.parent)
        if clips is None or judge is None:
            clips = some(dataset_of(model, registry).clips("test"), CLIPS, 0)
            folder = find_judge(clips.info)
            if folder is None:
                raise SystemExit(f"there is no judge of {clips.info.name}: rwk reproduce trains one")
            judge = load_judge(folder, "cpu")
        read = swap_accuracy(model, clips, judge)["swap"]
        kinds = {name: clips.info.factors[name].kind for name in read}
        method, _, number = file.parent.name.rpartition("-")
        means = {kind: float(np.mean([read[name] for name in read if kinds[name] == kind])) for kind in ("static", "dynamic")}
        rows.append(
            {
                "method": method,
                "trial": number,
                "changed": json.dumps(dict(trial.values)),
                "score": round(trial.score, 4),
                "static nats": round(trial.static, 4),
                "dynamic nats": round(trial.dynamic, 4),
                "explained": round(trial.explained, 4),
                **{f"swap: {name}": round(value, 4) for name, value in read.items()},
                "swap: static kept": round(means["static"], 4),
                "swap: dynamic taken over": round(means["dynamic"], 4),
            }
        )
        print(
            f"{method} {number}: score {trial.score:.2f}, static kept {means['static']:.0%}, dynamic {means['dynamic']:.0%}",
            flush=True,
        )
    if not rows:
        raise SystemExit(f"{given.folder}: no trials; rwk reproduce TABLE --search makes them")
    with given.out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    judged = [(row["swap: static kept"] + row["swap: dynamic taken over"]) / 2 for row in rows]
    ranks = [np.argsort(np.argsort(values)) for values in ([row["score"] for row in rows], judged)]
    print(f"rank correlation of the score with the judge's mean: {np.corrcoef(*ranks)[0, 1]:.2f} over {len(rows)} trials")


if __name__ == "__main__":
    main()
