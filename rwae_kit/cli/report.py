"""`rwk report`: a run's pictures and page, made anew."""

from __future__ import annotations

from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.runs import Device, RunFolder, SplitName, open_clips, open_model, wrote


def report(
    run: RunFolder,
    split: SplitName = "test",
    seed: Annotated[int, typer.Option(metavar="N", help="of the clips that are shown, the samples and the map of codes")] = 0,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Write pictures/ and report.html; rwk eval before it adds its tables."""
    from rwae_kit.report import write_report

    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    wrote([write_report(run, model, open_clips(model, registry, split), seed=seed)], json)
