"""`rwk train`: a recipe, changed by options, to a run folder."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rwae_kit.cli.options import (
    Choice,
    Flag,
    JsonFlag,
    PluginFiles,
    base_values,
    find_registry,
    flags_of,
    nearest_flag,
    panels,
    scan,
    select,
)
from rwae_kit.cli.output import emit, note, say
from rwae_kit.errors import RecipeError
from rwae_kit.recipe import Recipe, merge, parse_value
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from rwae_kit.run import Run
    from rwae_kit.training.progress import Reporter

SETTINGS: Mapping[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}
"""Unknown words are let through to be answered here, with the nearest of all options; help is followed by that of the parts."""

_METHOD, _LENGTH, _PLACE = "Method", "Length and machine", "Where and what is printed"


def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="see rwk recipes", rich_help_panel=_METHOD)] = "quickstart",
    data: Annotated[str | None, typer.Option(metavar="NAME", help="see rwk data", rich_help_panel=_METHOD)] = None,
    penalty: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[LATENT=]NAME",
            help="divergence on a latent (static, if none is named): takes the place and the weight of the first one that the "
            "recipe has there. Several on one latent are its complete set; LATENT=none removes all",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    prior: Annotated[str | None, typer.Option(metavar="NAME", help="another dynamic prior", rich_help_panel=_METHOD)] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="another sequence encoder", rich_help_panel=_METHOD)] = None,
    decoder: Annotated[str | None, typer.Option(metavar="NAME", help="another sequence decoder", rich_help_panel=_METHOD)] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="any entry of the recipe, as in TOML", rich_help_panel=_METHOD),
    ] = None,
    plugin: PluginFiles = None,
    epochs: Annotated[str | None, typer.Option(metavar="N", help="training.epochs", rich_help_panel=_LENGTH)] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="training.seed", rich_help_panel=_LENGTH)] = None,
    max_minutes: Annotated[
        float | None, typer.Option(metavar="M", help="stop with a checkpoint after this time", rich_help_panel=_LENGTH)
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="where to compute", rich_help_panel=_LENGTH)
    ] = "auto",
    nproc: Annotated[int, typer.Option(metavar="N", min=1, help="processes on this machine", rich_help_panel=_LENGTH)] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="run folder; without it runs/DATA-1, -2, ...", rich_help_panel=_PLACE)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="go on with the run in this folder, bit for bit", rich_help_panel=_PLACE)
    ] = None,
    init: Annotated[
        Path | None, typer.Option(metavar="RUN", help="start from another run's weights", rich_help_panel=_PLACE)
    ] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="pictures and report.html at the end", rich_help_panel=_PLACE)
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the complete recipe and train nothing", rich_help_panel=_PLACE)
    ] = False,
    json: JsonFlag = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress, warnings only", rich_help_panel=_PLACE)] = False,
) -> None:
    """Train a model. Without options: R-WAE(MMD) on moving shapes, in a few minutes."""


def command(words: Sequence[str]) -> Callable[..., None]:
    """`train` with the options of the parts that the words choose.

    Raises:
        RwaeError: a part that is unknown, or a recipe that cannot be read.
    """
    fixed = list(inspect.signature(train, eval_str=True).parameters.values())
    choice = scan(words)
    flags, shown = _flags(choice, "--help" in words)
    own = [_parameter(place, flag) for place, flag in enumerate(flags)]

    def help_wanted(context: typer.Context, wanted: bool) -> None:
        if wanted:
            print(context.get_help(), end="")
            panels([flag for flag in flags if flag.part in shown or "" in shown])
            raise typer.Exit

    helping = typer.Option(
        "--help", is_eager=True, callback=help_wanted, help="show this, and the options of the parts that are named"
    )
    own.append(inspect.Parameter("help", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, helping]))

    def run(**given: Any) -> None:
        given.pop("help")
        values = {flag.path: given.pop(f"part_option_{place}") for place, flag in enumerate(flags)}
        context: typer.Context = given.pop("context")
        _refuse_unknown(context, flags)
        _train(choice, {path: text for path, text in values.items() if text is not None}, words, **given)

    run.__doc__ = train.__doc__
    run.__signature__ = inspect.Signature([*fixed, *own])  # type: ignore[attr-defined]
    return run


def _flags(choice: Choice, helping: bool) -> tuple[list[Flag], set[str]]:
    """All flags of the chosen parts, and the paths of the parts that help shows ("": all).

    Help that names no part gets none: it need not import what would define them.
    """
    everything = not helping or choice.recipe is not None or choice.resume is not None
    shown = {""} if everything else choice.shown()
    if not shown:
        return [], shown
    registry = find_registry(choice.plugins)
    return list(flags_of(select(base_values(choice, registry), choice), registry)), shown


def _parameter(place: int, flag: Flag) -> inspect.Parameter:
    option = typer.Option(f"--{flag.path}", help=flag.option.help, hidden=True)
    return inspect.Parameter(
        f"part_option_{place}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _refuse_unknown(context: typer.Context, flags: Sequence[Flag]) -> None:
    """The words that no option took: a misspelt option, or a value without one."""
    if not context.args:
        return
    word = next((word for word in context.args if word.startswith("-")), context.args[0])
    flag = word.partition("=")[0]
    if not word.startswith("-"):
        raise RecipeError(f"train: unexpected {word!r}. A recipe is named with --recipe {word}; rwk train --help lists the options")
    known = sorted({name for parameter in context.command.params for name in parameter.opts})
    raise RecipeError(f"train: no such option {flag!r}. {nearest_flag(flag, known)}")


def _train(choice: Choice, flags: Mapping[str, str], words: Sequence[str], **given: Any) -> None:
    registry = find_registry(choice.plugins)
    if choice.resume is not None and (choice.recipe is not None or given["out"] is not None):
        raise RecipeError(f"--resume {choice.resume} takes recipe and folder from there: leave out --recipe and --out")
    if given["max_minutes"] is not None and not given["max_minutes"] > 0:
        raise RecipeError(f"--max-minutes {given['max_minutes']:g}: needs a number above 0")
    values = select(base_values(choice, registry), choice)
    for path, text in {**flags, "training.epochs": given["epochs"], "training.seed": given["seed"]}.items():
        if text is not None:
            values = merge(values, path, parse_value(text))
    recipe = Recipe.from_dict(values, choice.recipe or "recipe")
    if given["dry_run"]:
        _print_recipe(recipe, registry, given["json"])
    elif given["nproc"] > 1:
        _launch(recipe, registry, words, given)
    else:
        _run(recipe, registry, given)


def _run(recipe: Recipe, registry: Registry, given: Mapping[str, Any]) -> None:
    from rwae_kit.run import train as run_training

    out, resume = given["out"], given["resume"]
    if out is None and resume is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("--out is needed where several processes train: each of them would choose a folder")
    run = run_training(
        recipe,
        out=resume or out,
        resume=resume is not None,
        init=given["init"],
        max_minutes=given["max_minutes"],
        device=given["device"],
        registry=registry,
        reporter=_warnings() if given["quiet"] else None,
        report=given["report"],
    )
    if os.environ.get("RANK", "0") == "0":  # by now the processes have parted
        _conclude(run, given["json"], given["report"])


def _warnings() -> Reporter:
    """No progress, but what a user has to know."""
    from rwae_kit import distributed
    from rwae_kit.training.progress import Reporter

    class Warnings(Reporter):
        def warn(self, text: str) -> None:
            if distributed.is_main():
                note(text, "warning", "yellow")

    return Warnings()


def _conclude(run: Run, json: bool, report: bool) -> None:
    """Say how it ended, where to look and what to do next."""
    from rwae_kit.convert import unstructure

    if json:
        emit({"folder": str(run.folder), **unstructure(run.outcome)})
        return
    outcome, folder = run.outcome, run.folder
    best = "" if outcome.best is None else f", lowest validation loss {outcome.best:.4g}"
    say(f"{folder}: {_ENDS[outcome.stopped]} after {outcome.step} steps, {outcome.epoch} epochs{best}")
    say(f"look at: {folder / 'report.html'}" if report else f"report:  rwk report {folder}")
    if outcome.stopped == "finished":
        say(f"next:    rwk eval {folder}  |  rwk swap {folder}  |  rwk sample {folder} --length 100  |  rwk traverse {folder}")
    else:
        say(f"go on:   rwk train --resume {folder}")


_ENDS = {"finished": "trained", "time": "stopped by --max-minutes", "signal": "stopped by a signal, with a checkpoint,"}


def _print_recipe(recipe: Recipe, registry: Registry, json: bool) -> None:
    """The recipe with every default filled in, after trying to build it."""
    from rwae_kit.build import build, open_dataset, resolve

    plan = resolve(recipe, registry)
    model, objective = build(plan, registry, open_dataset(plan, registry).info())
    parameters = sum(p.numel() for p in (*model.parameters(), *objective.parameters()))
    if json:
        emit({"recipe": plan.to_dict(), "parameters": parameters})
        return
    say(f"# {parameters:,} parameters\n{plan.to_toml()}")


def _launch(recipe: Recipe, registry: Registry, words: Sequence[str], given: Mapping[str, Any]) -> None:
    """Become torchrun, which runs the same command in several processes and passes signals on."""
    from rwae_kit.build import resolve
    from rwae_kit.run_folder import next_folder

    plan = resolve(recipe, registry)  # a mistake is told once, here, not by every process
    folder = [] if given["out"] or given["resume"] else ["--out", str(next_folder(plan))]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(given["nproc"])]
    rest = [word for place, word in enumerate(words) if not _is_nproc(words, place)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *launcher, "-m", "rwae_kit", "train", *rest, *folder])


def _is_nproc(words: Sequence[str], place: int) -> bool:
    return words[place].partition("=")[0] == "--nproc" or (place > 0 and words[place - 1] == "--nproc")
