"""`rwk eval`: a run's reconstruction, swaps, probes and leaks beside those of trivial models; or the scores of a file of codes."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry, read_setting
from rwae_kit.cli.output import emit, say, show
from rwae_kit.cli.runs import Device, SplitName, open_model
from rwae_kit.errors import RwaeError
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder


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
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="a protocol (cdsvae2021, rwae2021, long, swap, probe, eer or msd) instead; writes results/NAME.json",
        ),
    ] = None,
    judge: Annotated[
        Path | None, typer.Option(metavar="DIR", help="a trained judge, instead of the data set's own or the one beside the stores")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(metavar="N", help="with --protocol: how often what it samples is drawn for each clip")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="with --protocol: a setting of it (docs/evaluation.md)")
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
        raise RwaeError("eval: say either RUN, the folder of a run, or --codes FILE")
    if codes is not None:
        if protocol or judge or draws is not None or setting:
            raise RwaeError("eval: --protocol, --judge, --draws and --set belong to a run; codes alone cannot be decoded")
        _evaluate_codes(codes, static_factor, dynamic_factor, out, seed, json)
        return
    assert run is not None
    if static_factor or dynamic_factor or out:
        raise RwaeError("eval: --static-factor, --dynamic-factor and --out belong to --codes; a run knows its factors")
    if protocol is None and (draws is not None or setting):
        raise RwaeError("eval: --draws and --set belong to --protocol NAME")
    from rwae_kit import evaluation
    from rwae_kit.run import evaluate as evaluate_model

    registry = find_registry(plugin)
    model = open_model(run, registry, device)
    if protocol is not None:
        values = dict(read_setting(text) for text in setting or ())
        _evaluate_protocol(run, model, registry, protocol, values, judge, split, untrained, draws, seed, json)
        return
    found = evaluate_model(model, split=split, untrained=untrained, seed=seed, registry=registry, judge=judge)
    file = run / "evaluation.json"
    file.write_text(json_text.dumps(found.to_dict(), indent=2), encoding="utf-8")
    if json:
        emit(found.to_dict())
        return
    for table in evaluation.tables(found):
        show(table.title, table.headers, table.rows)
        say("")
    say(f"{file}: written. rwk report {run} shows it beside the pictures")


def _evaluate_protocol(
    run: Path,
    model: SequenceAutoencoder,
    registry: Registry,
    protocol: str,
    settings: dict[str, object],
    judge: Path | None,
    split: str,
    untrained: bool,
    draws: int | None,
    seed: int,
    json: bool,
) -> None:
    """Score, write `results/PROTOCOL.json` (of another split than the test split `PROTOCOL-SPLIT.json`) and show the table."""
    from rwae_kit import evaluation
    from rwae_kit.checkpoint import replace_file
    from rwae_kit.run import score

    found = score(
        model,
        protocol,
        settings=settings,
        judge=judge,
        split=split,
        untrained=untrained,
        draws=draws,
        seed=seed,
        registry=registry,
    )
    file = run / "results" / (f"{protocol}.json" if split == "test" else f"{protocol}-{split}.json")
    file.parent.mkdir(exist_ok=True)
    replace_file(file, json_text.dumps(found.to_dict(), indent=2, allow_nan=False).encode())
    if json:
        emit(found.to_dict())
        return
    table = evaluation.result_table(found)
    show(table.title, table.headers, table.rows)
    if found.judge:
        say(f"judge {found.judge}: " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in found.judge_accuracy.items()))
    say(f"{file}: written")


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
