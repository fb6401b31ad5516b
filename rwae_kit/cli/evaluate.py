"""`rwk eval`: a run's reconstruction, swaps, probes and leaks beside those of trivial models; or the scores of a file of codes."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, say, show
from rwae_kit.cli.runs import Device, SplitName, open_model
from rwae_kit.errors import RwaeError


def evaluate(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="a run folder, as rwk train wrote it")] = None,
    codes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="instead of a run: codes of another program, an .npz file (docs/evaluation.md)"),
    ] = None,
    static_factor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="with --codes: a factor that stays over a clip (may be repeated)")
    ] = None,
    dynamic_factor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="with --codes: a factor that moves (may be repeated)")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="with --codes: write results/*.json there, for rwk compare DIR")
    ] = None,
    split: SplitName = "test",
    seed: Annotated[int, typer.Option(metavar="N", help="of pairs, probes and draws")] = 0,
    untrained: Annotated[bool, typer.Option("--untrained/--no-untrained", help="score the untrained model beside it")] = True,
    device: Device = "auto",
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Score a run on held-out clips; also writes evaluation.json into it. Or score codes (--codes FILE)."""
    if (run is None) == (codes is None):
        raise RwaeError("eval: say either the folder of a run or --codes FILE")
    if codes is not None:
        _evaluate_codes(codes, static_factor, dynamic_factor, out, seed, json)
        return
    assert run is not None
    if static_factor or dynamic_factor or out:
        raise RwaeError("eval: --static-factor, --dynamic-factor and --out belong to --codes; a run knows its factors")
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


def _evaluate_codes(
    file: Path, static: list[str] | None, dynamic: list[str] | None, out: Path | None, seed: int, json: bool
) -> None:
    from rwae_kit import evaluation
    from rwae_kit.checkpoint import replace_file

    results = evaluation.score_codes(file, static or None, dynamic or None, seed=seed)
    if out is not None:
        (out / "results").mkdir(parents=True, exist_ok=True)
        for result in results:
            replace_file(out / "results" / f"{result.protocol}.json", json_text.dumps(result.to_dict(), indent=2).encode())
    if json:
        emit([result.to_dict() for result in results])
        return
    for result in results:
        table = evaluation.result_table(result)
        show(table.title, table.headers, table.rows)
        say("")
