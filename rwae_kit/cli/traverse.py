"""`rwk traverse`: one feature of a latent at many values, all else kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.runs import Device, RunFolder, SplitName, check_out, open_clips, open_model, pick, picture_file, wrote
from rwae_kit.errors import RwaeError


def traverse(
    run: RunFolder,
    latent: Annotated[Literal["static", "dynamic"], typer.Option(help="the latent")] = "static",
    dim: Annotated[int | None, typer.Option(metavar="K", help="its feature; without it the one that varies most")] = None,
    clip: Annotated[int, typer.Option(metavar="I", help="place of the clip")] = 0,
    steps: Annotated[int, typer.Option(metavar="N", min=2, help="number of values")] = 7,
    bounds: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--range", metavar="LOW HIGH", help="values; without it the mean over clips, 2 standard deviations down and up"
        ),
    ] = None,
    split: SplitName = "test",
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="without it: in the run's pictures/")] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Draw a clip while one feature of a latent takes a row of values."""
    import torch

    from rwae_kit.report.pictures import spread, traverse_picture

    check_out(out, ".png")
    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    held_out = open_clips(model, registry, split)
    mean, std = spread(model, held_out, latent)
    if dim is not None and not 0 <= dim < len(std):
        raise RwaeError(f"--dim {dim}: the {latent} latent has features 0..{len(std) - 1}")
    place = int(std.argmax()) if dim is None else dim
    centre, width = float(mean[place]), 2 * float(std[place])
    low, high = bounds or (centre - width, centre + width)
    picture = traverse_picture(model, pick(held_out, [clip])[0], latent, place, torch.linspace(low, high, steps).tolist())
    target = picture_file(out, run, f"traverse-{latent}-{place}-clip{clip}.png")
    picture.save(target)
    wrote([target], json)
