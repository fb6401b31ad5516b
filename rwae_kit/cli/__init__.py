"""`rwk`, the command line: this module assembles the app, each command has a file of its own.

Nothing here or at the top of a command's file imports torch; commands import what they need when they run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rwae_kit import __version__
from rwae_kit.cli import (
    bench,
    collect,
    compare,
    convert,
    data,
    doctor,
    evaluate,
    judge,
    plugins,
    recipes,
    report,
    reproduce,
    sample,
    swap,
    train,
    traverse,
)
from rwae_kit.cli.output import note, say
from rwae_kit.errors import RwaeError
from rwae_kit.registry import Entry, Registry

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer's base of all usage errors: of these it exports `BadParameter` only."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run `rwk` with the given words (None: those of the process).

    Raises:
        SystemExit: with 2 after a user's mistake, which is printed without a traceback; with 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        status = run(assemble(words), words, "rwk")
    except (RwaeError, UsageError, OSError) as error:
        note(_message(error), "error", "bold red")
        status = 2
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    if status == 130:
        note("interrupted")
    if isinstance(status, int) and status:
        raise SystemExit(status)


def run(app: typer.Typer, words: Sequence[str], name: str) -> Any:
    """Run an app and let its errors through."""
    return typer.main.get_command(app).main(list(words), prog_name=name, standalone_mode=False)


def assemble(words: Sequence[str]) -> typer.Typer:
    """The app for these words: `train` gets the options of the parts that they choose, plugins add their commands."""
    registry = Registry.installed()
    for plugin, reason in registry.broken.items():
        note(f"plugin {plugin!r} is not loaded: {reason}", "warning", "yellow")
    app = typer.Typer(name="rwk", callback=_root, pretty_exceptions_enable=False)
    app.command("train", **train.SETTINGS)(train.command(words[1:] if words[:1] == ["train"] else ["--help"]))
    app.command("eval")(evaluate.evaluate)
    app.command("compare")(compare.compare)
    app.command("swap")(swap.swap)
    app.command("sample")(sample.sample)
    app.command("traverse")(traverse.traverse)
    app.command("report")(report.report)
    app.command("reproduce")(reproduce.reproduce)
    app.command("collect")(collect.collect)
    app.command("convert")(convert.convert)
    app.add_typer(recipes.app, name="recipes")
    app.add_typer(plugins.app, name="plugins")
    app.add_typer(data.app, name="data")
    app.add_typer(judge.app, name="judge")
    app.add_typer(bench.app, name="bench")
    app.command("doctor")(doctor.doctor)
    own = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    for name in registry.names("command"):
        entry = registry.find("command", name)
        if name in own:
            note(f"plugin {entry.plugin!r}: its command {name!r} is left out: rwk has one of that name", "warning", "yellow")
        else:
            anything = {"allow_extra_args": True, "ignore_unknown_options": True}
            about = f"From plugin {entry.plugin} ({entry.distribution})."
            app.command(name, help=about, add_help_option=False, context_settings=anything)(_later(entry))
    return app


def _later(entry: Entry) -> Callable[[typer.Context], None]:
    """A command that loads a plugin's function only when it is called, and hands it all words."""

    def call(context: typer.Context) -> None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(entry.name)(entry.load())
        raise typer.Exit(run(app, context.args, f"rwk {entry.name}") or 0)

    return call


def _version(wanted: bool) -> None:
    if wanted:
        say(f"rwae_kit {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    """Disentangled sequence autoencoders, composed from parts. Start with: rwk train"""


def _message(error: Exception) -> str:
    if isinstance(error, RwaeError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    message: str = error.format_message()  # type: ignore[attr-defined]
    return re.sub(r"\s*\(Possible options: (.*)\)$", r". Did you mean \1?", message)
