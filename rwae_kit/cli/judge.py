"""`rwk judge`: networks that read the factors of clips, to score what models make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, note, say, show
from rwae_kit.cli.runs import Device
from rwae_kit.errors import RecipeError
from rwae_kit.recipe import parse_value
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from rwae_kit.evaluation.judges import TrainedJudge
    from rwae_kit.interfaces import SequenceDataset

_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Words that no option takes are the data set's: --data.OPTION VALUE."""
DataName = Annotated[
    str | None, typer.Option("--data", metavar="NAME", help="a data set; its options as --data.OPTION VALUE (rwk data show NAME)")
]

app = typer.Typer(help="Train and show judges, which read the factors of clips.", invoke_without_command=True)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help(), end="")


@app.command(context_settings=_SETTINGS)
def train(
    context: typer.Context,
    data: DataName = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="of the weights and the order of the clips")] = 0,
    max_minutes: Annotated[float | None, typer.Option(metavar="M", help="be done after this time")] = None,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="times through the training clips, at most")] = 20,
    factor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="read this factor only (may be repeated); all, if none is named")
    ] = None,
    width: Annotated[int, typer.Option(metavar="N", min=1, help="channels of the first convolution")] = 64,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="its folder; without it beside the stores, where rwk eval finds it")
    ] = None,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Train a judge of all labelled factors of a data set; it is chosen on validation clips and scored on test clips, once."""
    from rwae_kit.evaluation.judges import JudgeSizes, JudgeTraining, check_free, judge_path, save_judge, train_judge
    from rwae_kit.evaluation.judges.training import SPLITS
    from rwae_kit.run import choose_device

    if data is None:
        raise RecipeError("judge train: which data? rwk judge train --data NAME; rwk data lists them")
    if max_minutes is not None and not max_minutes > 0:
        raise RecipeError(f"--max-minutes {max_minutes:g}: needs a number above 0")
    dataset, options = _open(data, context.args, find_registry(plugin), "judge train")
    place = choose_device(device)
    folder = out or judge_path(dataset.info())
    check_free(folder)
    training = JudgeTraining(seed=seed, epochs=epochs, max_minutes=max_minutes, sizes=JudgeSizes(width=width))
    clips = {split: dataset.clips(split) for split in SPLITS}
    judge = train_judge(clips, training, factors=factor or (), options=options, device=place, say=note)
    save_judge(judge, folder)
    if json:
        emit({"folder": str(folder), **judge.card.to_dict()})
        return
    _show(judge)
    found = "" if out is None else f" --judge {folder}"
    say(f"{folder}: written. Score a run with it: rwk eval RUN --protocol swap{found}")


@app.command("show", context_settings={"ignore_unknown_options": True})
def show_judge(
    words: Annotated[list[str] | None, typer.Argument(metavar="DIR", help="the folder of a judge, or else --data")] = None,
    data: DataName = None,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Show a judge: its name, its data and how well it reads each factor of real clips."""
    from rwae_kit.evaluation.judges import judge_path, load_judge

    given = list(words or ())
    named = bool(given) and not given[0].startswith("-")
    if named == (data is not None):
        raise RecipeError("judge show: give the folder of a judge, or a data set (--data NAME), one of the two")
    if data is not None:
        folder = judge_path(_open(data, given, find_registry(plugin), "judge show")[0].info())
    elif given[1:]:
        raise RecipeError(f"judge show: unexpected {given[1]!r}")
    else:
        folder = Path(given[0])
    judge = load_judge(folder)
    if json:
        emit({"folder": str(folder), **judge.card.to_dict()})
        return
    _show(judge)


def _open(name: str, words: Sequence[str], registry: Registry, where: str) -> tuple[SequenceDataset, dict[str, Any]]:
    """The data set with the options among the words, and all its options."""
    from rwae_kit.convert import structure, unstructure

    cls = registry.get("dataset", name, where)
    config = structure(_options(words, where), cls.Config, "data")
    return cls(config), unstructure(config)


def _options(words: Sequence[str], where: str) -> dict[str, Any]:
    """`--data.OPTION VALUE` and `--data.OPTION=VALUE`."""
    found, rest = {}, list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--data."):
            raise RecipeError(
                f"{where}: no such option {flag!r}. rwk {where} --help lists them; those of the data are --data.OPTION"
            )
        if not equals:
            if not rest:
                raise RecipeError(f"{where}: {flag} needs a value")
            value = rest.pop(0)
        found[flag.removeprefix("--data.")] = parse_value(value)
    return found


def _show(judge: TrainedJudge) -> None:
    card = judge.card
    factors = {name: (factor.kind, len(factor.classes)) for name, factor in card.factors.items()}
    rows = [
        (name, *factors[name], _percent(score.validation), _percent(score.test), score.calibration_error)
        for name, score in card.scores.items()
    ]
    show(f"Judge of {card.data}", ("factor", "kind", "classes", "validation", "test", "calibration error"), rows)
    for name, why in card.left_out.items():
        say(f"{name} is left out: {why}")
    say(f"judge {card.hash}")
    say(f"data  {card.data_hash}")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
