"""What of a sprite's action do the dynamic codes hold: the movement, the direction it is seen from, or neither?

    rwk reproduce cdsvae-1
    python benchmarks/action_parts.py reproduce/cdsvae-1-cpu

An action of Sprites is one of three movements (walk, spellcard, slash) seen from one of three sides. A movement shows only in what
changes from frame to frame; a side shows in every single frame, as skin and hair do. For each run of the table: dynamic codes of
test clips with static codes drawn from the prior, and the static codes with a movement drawn from the prior; the judge reads either
part. A share at chance, a third, says that the part is not in that code, or that the decoder does not ask for it there.
"""

from __future__ import annotations

import torch
from judged import measure_runs

from rwae_kit import Clips, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge
from rwae_kit.evaluation.protocols.generation import fix_dynamic, fix_static

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


if __name__ == "__main__":
    measure_runs(__doc__, "action-parts.csv", parts)
