"""`rwk swap`: two clips exchange what moves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.runs import Device, RunFolder, SplitName, check_out, open_clips, open_model, pick, picture_file, wrote


def swap(
    run: RunFolder,
    clips: Annotated[
        tuple[int, int] | None, typer.Option("--clips", metavar="I J", help="places of the two clips; without it two that differ")
    ] = None,
    split: SplitName = "test",
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="without it: in the run's pictures/")] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Draw two clips and their swaps: A, A moving as B, B moving as A, B."""
    from rwae_kit.report.pictures import choose, swap_picture

    check_out(out, ".png")
    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    held_out = open_clips(model, registry, split)
    i, j = clips or choose(held_out, 2).tolist()
    a, b = pick(held_out, [i, j])
    target = picture_file(out, run, f"swap-{i}-{j}.png")
    swap_picture(model, a, b).save(target)
    wrote([target], json)
