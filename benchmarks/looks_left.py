"""What of a sprite's looks can still be read when a view has changed them?

    rwk data build sprites --source DIR     (the layer sheets, once)
    python benchmarks/looks_left.py

C-DSVAE asks of its dynamic codes that they tell a clip from others although its looks have changed. A look that is still there can
serve for that. For each view a net learns to read all factors from changed training clips, drawn anew in every epoch, and reads
changed test clips; chance is 17 % for a look, 11 % for the action.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from methods import FACTORS, Reader, trained_reader
from rows import RESULTS, print_rows, write_rows

from rwae_kit import Clips, FrameView, Registry
from rwae_kit.build import build_view
from rwae_kit.recipe import Part

CURVES = {"pieces": 4}
VIEWS: Mapping[str, Part | None] = {
    "the clips as they are": None,
    "colour": Part(name="colour"),
    "tone_curves": Part(name="tone_curves", options=CURVES),
    "augment": Part(name="augment"),
    "augment with tone_curves": Part(name="augment", options={"tone_curves": CURVES}),
}
AT_ONCE = 256


def read_rightly(reader: Reader, clips: Clips, view: FrameView | None) -> dict[str, float]:
    """The share of the clips of which each factor is read as it is."""
    right = dict.fromkeys(FACTORS, 0)
    for index in torch.arange(len(clips)).split(AT_ONCE):
        batch = clips.batch(index)
        read = reader.predict(batch.x if view is None else view(batch))
        for name in FACTORS:
            right[name] += int((read[name] == clips.factors[name][index]).sum())
    return {name: count / len(clips) for name, count in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "looks-left.csv")
    given = parser.parse_args()
    registry = Registry.installed()
    cls = registry.get("dataset", "sprites", "looks_left")
    sprites = cls(cls.Config(pixels=32))
    rows: list[dict[str, Any]] = []
    for words, chosen in VIEWS.items():
        view = None if chosen is None else build_view(chosen, sprites.clips("train").info, registry, "looks_left")
        reader = trained_reader(sprites.clips("train"), epochs=12, view=view)
        rows.append({"view": words, **read_rightly(reader, sprites.clips("test"), view)})
        print_rows(rows[-1:])
    write_rows(rows, given.out)


if __name__ == "__main__":
    main()
