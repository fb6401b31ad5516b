"""Does a score without labels find the trials that a judge would choose, and which weights decide where the action lives?

    rwk reproduce cdsvae-1 --search
    python benchmarks/searches.py reproduce/cdsvae-1-cpu

Takes the trials of a table's searches, exchanges codes of test clips two by two, lets the judge read them, and writes a line each.
Labels are looked at here alone: they choose nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from judged import judged_clips
from rows import RESULTS, write_rows

import rwae_kit
from rwae_kit.evaluation import swap_accuracy
from rwae_kit.evaluation.codes import some
from rwae_kit.reproduce.search import Trial

CLIPS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a table that was made with --search")
    parser.add_argument("--out", type=Path, default=RESULTS / "searches-sprites.csv")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for file in sorted(given.folder.glob("searches/*/trial.json")):
        trial = Trial.from_dict(json.loads(file.read_text(encoding="utf-8")))
        model = rwae_kit.load(file.parent)
        if not rows:
            clips, judge = judged_clips(model)
            clips = some(clips, CLIPS, 0)
        read = swap_accuracy(model, clips, judge)["swap"]
        kinds = {name: clips.info.factors[name].kind for name in read}
        if missing := {"static", "dynamic"} - set(kinds.values()):
            raise SystemExit(f"{given.folder}: the judge of {clips.info.name} reads no {missing.pop()} factor; both are needed")
        method, _, number = file.parent.name.rpartition("-")
        means = {kind: float(np.mean([read[name] for name in read if kinds[name] == kind])) for kind in ("static", "dynamic")}
        rows.append(
            {
                "method": method,
                "trial": number,
                "changed": json.dumps(dict(trial.values)),
                "score": trial.score,
                "static nats": trial.static,
                "dynamic nats": trial.dynamic,
                "explained": trial.explained,
                **{f"swap: {name}": value for name, value in read.items()},
                "swap: static kept": means["static"],
                "swap: dynamic taken over": means["dynamic"],
            }
        )
        print(
            f"{method} {number}: score {trial.score:.2f}, static kept {means['static']:.0%}, dynamic {means['dynamic']:.0%}",
            flush=True,
        )
    write_rows(rows, given.out, f"{given.folder}: no trials; rwk reproduce TABLE --search makes them")
    judged = [(row["swap: static kept"] + row["swap: dynamic taken over"]) / 2 for row in rows]
    ranks = [np.argsort(np.argsort(values)) for values in ([row["score"] for row in rows], judged)]
    print(f"rank correlation of the score with the judge's mean: {np.corrcoef(*ranks)[0, 1]:.2f} over {len(rows)} trials")


if __name__ == "__main__":
    main()
