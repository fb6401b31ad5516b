"""What of a sprite's action do the dynamic codes hold: the movement, the direction it is seen from, or neither?

    rwk reproduce cdsvae-1
    python benchmarks/action_parts.py reproduce/cdsvae-1-cpu

An action of Sprites is one of three movements (walk, spellcard, slash) seen from one of three sides. A movement shows only in what
changes from frame to frame; a side shows in every single frame, as skin and hair do. For each run of the table: dynamic codes of
test clips with static codes drawn from the prior, and the static codes with a movement drawn from the prior; the judge reads either
part. A share at chance, a third, says that the part is not in that code, or that the decoder does not ask for it there.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch

import rwae_kit
from rwae_kit import Clips, Registry, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge, find_judge, load_judge
from rwae_kit.evaluation.protocols.generation import fix_dynamic, fix_static
from rwae_kit.run import dataset_of

RESULTS = Path(__file__).parent / "results"
SIDES = 3
"""Directions of each movement: an action's class is SIDES * movement + direction."""
AT_ONCE = 256


def parts(model: SequenceAutoencoder, clips: Clips, judge: TrainedJudge) -> dict[str, float]:
    """Shares of the clips whose action, movement and direction are read as those of the clip that lent the codes."""
    right: dict[str, int] = {}
    for start in range(0, len(clips), AT_ONCE):
        index = torch.arange(start, min(start + AT_ONCE, len(clips)))
        batch, action = clips.batch(index), clips.factors["action"][index]
        made = {"dynamic": fix_dynamic(model, batch, start), "static": fix_static(model, batch, start, clips.info.length)}
        for kept, x in made.items():
            read = judge.predict(x)["action"]
            for part, same in (
                ("action", read == action),
                ("movement", read // SIDES == action // SIDES),
                ("direction", read % SIDES == action % SIDES),
            ):
                name = f"{part} by {kept}"
                right[name] = right.get(name, 0) + int(same.sum())
    return {name: count / len(clips) for name, count in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the table of Sprites, with its runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "action-parts.csv")
    given = parser.parse_args()
    registry, rows = Registry.installed(), []
    clips = judge = None
    for ended in sorted(given.folder.glob("*/reproduced.json")):
        model = rwae_kit.load(ended.parent)
        if clips is None or judge is None:
            clips = dataset_of(model, registry).clips("test")
            folder = find_judge(clips.info)
            if folder is None:
                raise SystemExit(f"there is no judge of {clips.info.name}: rwk reproduce trains one")
            judge = load_judge(folder, "cpu")
        method, _, seed = ended.parent.name.rpartition("-")
        found = parts(model, clips, judge)
        rows.append({"method": method, "seed": seed, **{name: round(value, 4) for name, value in found.items()}})
        print(f"{method} {seed}: " + ", ".join(f"{name} {value:.1%}" for name, value in found.items()), flush=True)
    if not rows:
        raise SystemExit(f"{given.folder}: no run that has ended; rwk reproduce cdsvae-1 makes them")
    with given.out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
