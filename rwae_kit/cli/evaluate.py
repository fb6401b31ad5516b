"""`rwk eval`: reconstruction, swaps, probes and leaks of a run, beside an untrained model and trivial ones."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, say, show
from rwae_kit.cli.runs import Device, RunFolder, SplitName, open_data, open_model

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder
    from rwae_kit.registry import Registry


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
    from rwae_kit.interfaces import JudgedDataset

    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    dataset = open_data(model, registry)
    found = evaluation.evaluate(
        model,
        {"train": dataset.clips("train"), "test": dataset.clips(split)},
        judge=dataset.judge() if isinstance(dataset, JudgedDataset) else None,
        untrained=_untrained(model, registry) if untrained else None,
        metrics={name: registry.get("metric", name)() for name in registry.names("metric")},
        seed=seed,
    )
    file = run / "evaluation.json"
    file.write_text(json_text.dumps(found.to_dict(), indent=2), encoding="utf-8")
    if json:
        emit(found.to_dict())
        return
    for table in evaluation.tables(found):
        show(table.title, table.headers, table.rows)
        say("")
    say(f"{file}: written. rwk report {run} shows it beside the pictures")


def _untrained(model: SequenceAutoencoder, registry: Registry) -> SequenceAutoencoder:
    """The same model as it was before training."""
    from rwae_kit.build import build
    from rwae_kit.recipe import Recipe

    fresh, _ = build(Recipe.from_dict(model.origin["recipe"]), registry, model.info)
    return fresh.to(model.device).eval()
