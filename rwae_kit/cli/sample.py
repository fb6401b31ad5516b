"""`rwk sample`: clips drawn from the priors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.runs import Device, RunFolder, check_out, open_model, picture_file, wrote


def sample(
    run: RunFolder,
    n: Annotated[int, typer.Option("--n", metavar="N", min=1, help="number of clips")] = 8,
    length: Annotated[
        int | None, typer.Option(metavar="T", min=1, help="frames of a clip; without it as many as in the data")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="of the draws")] = 0,
    action: Annotated[
        int | None, typer.Option(metavar="K", min=0, help="the action of all clips; without it drawn, where the model has actions")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="without it: in the run's pictures/; a GIF lies beside it")
    ] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Draw clips of any length from the priors."""
    from rwae_kit.report.pictures import sample_pictures

    check_out(out, ".png")
    model = open_model(run, find_registry(plugin), device)
    t = model.info.length if length is None else length
    asked = "" if action is None else f"-action{action}"
    target = picture_file(out, run, f"sample-{n}x{t}-seed{seed}{asked}.png")
    wrote(sample_pictures(model, n, t, seed, action=action).save(target.with_suffix(""), model.info.fps), json)
