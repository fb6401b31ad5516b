"""`rwk eval`: reconstruction, swaps, probes and leaks of a run, beside an untrained model and trivial ones."""

from __future__ import annotations

import json as json_text
from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, say, show
from rwae_kit.cli.runs import Device, RunFolder, SplitName, open_model


def evaluate(
    run: RunFolder,
    split: SplitName = "test",
    seed: Annotated[int, typer.Option(metavar="N", help="of pairs, probes and draws")] = 0,
    untrained: Annotated[bool, typer.Option("--untrained/--no-untrained", help="score the untrained model beside it")] = True,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Score a run on held-out clips; also writes evaluation.json into it."""
    from rwae_kit import evaluation
    from rwae_kit.run import evaluate as evaluate_model

    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    found = evaluate_model(model, split=split, untrained=untrained, seed=seed, registry=registry)
    file = run / "evaluation.json"
    file.write_text(json_text.dumps(found.to_dict(), indent=2), encoding="utf-8")
    if json:
        emit(found.to_dict())
        return
    for table in evaluation.tables(found):
        show(table.title, table.headers, table.rows)
        say("")
    say(f"{file}: written. rwk report {run} shows it beside the pictures")
