"""`rwk data`: the data sets, and building the stores of those that come from raw files."""

from __future__ import annotations

import inspect
import shlex
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from rwae_kit.cli.data_look import Settings, export, inspect_data, validate
from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry, read_setting, type_words
from rwae_kit.cli.output import emit, note, progress, say, show
from rwae_kit.registry import Registry

_SHOWN = 20
"""Classes of a factor, or other values, that are listed by name."""

app = typer.Typer(help="Show, build, check and export data sets.", invoke_without_command=True)
app.command("inspect")(inspect_data)
app.command("validate")(validate)
app.command("export")(export)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        listing()


@app.command("list")
def listing(plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """List all data sets."""
    registry = find_registry(plugin)
    rows = [_row(registry, name) for name in registry.names("dataset")]
    if json:
        emit(rows)
        return
    show("", ("name", "from", "made", "about"), [tuple(row.values()) for row in rows])
    say("one of them: rwk data show NAME    train on it: rwk train --data NAME")


@app.command("show")
def show_data(name: str, plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """Show a data set's options, and its frames, factors and licence where it is at hand."""
    from rwae_kit.convert import options_of
    from rwae_kit.errors import DataError

    registry = find_registry(plugin)
    cls = registry.get("dataset", name)
    options = [
        {"option": f"data.{o.path}", "type": type_words(o.type), "default": o.default, "help": o.help}
        for o in options_of(cls.Config)
    ]
    try:
        info: dict[str, Any] = cls(cls.Config()).info().to_dict()
    except DataError as error:
        info = {"not at hand": str(error)}
    if json:
        emit({**_row(registry, name), "options": options, "info": info})
        return
    say(f"{name}: {_about(cls)}")
    show("", ("what", "value"), [(key, _words(value)) for key, value in info.items()])
    show("", ("option", "type", "default", "help"), [tuple(option.values()) for option in options])


@app.command()
def build(
    name: str,
    source: Annotated[Path, typer.Option(metavar="DIR", help="the folder with the raw files")],
    setting: Settings = None,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Build a data set's store from raw files, once; it lies under RWAE_DATA, or else in the user's cache folder."""
    from rwae_kit.convert import structure
    from rwae_kit.data import store_path
    from rwae_kit.errors import DataError
    from rwae_kit.interfaces import StoredDataset

    cls = find_registry(plugin).get("dataset", name)
    if not issubclass(cls, StoredDataset):
        raise DataError(f"data build {name}: there is nothing to build, its clips are made on the fly: rwk train --data {name}")
    if source.is_file():
        raise DataError(f"--source {source}: that is a file; give its folder, --source {source.parent}")
    if not source.is_dir():
        raise DataError(f"--source {source}: no such folder. It has to hold the raw files of {name}")
    config = structure(dict(read_setting(text) for text in setting or ()), cls.Config, f"data build {name}")
    target = store_path(name, config)
    with warnings.catch_warnings(record=True) as remarks, progress():
        warnings.simplefilter("always", UserWarning)
        cls.build(config, source, target)
    for remark in remarks:
        note(str(remark.message), "warning", "yellow")
    clips = {split: len(cls(config).clips(split)) for split in ("train", "validation", "test")}
    if json:
        emit({"store": str(target), "clips": clips})
        return
    say(f"{target}: {', '.join(f'{n} {split} clips' for split, n in clips.items())}")
    kept = [text.partition("=") for text in setting or () if not text.startswith("skip_bad=")]
    same = "".join(f" --data.{option.strip()} {shlex.quote(value.strip())}" for option, _, value in kept)
    say(f"train on it: rwk train --data {name}{same}")


def _row(registry: Registry, name: str) -> dict[str, str]:
    from rwae_kit.interfaces import StoredDataset

    cls = registry.get("dataset", name)
    made = "from raw files: rwk data build" if issubclass(cls, StoredDataset) else "on the fly"
    if issubclass(cls, StoredDataset) and cls.needs_no_build:
        made = "on the fly, or from raw files: rwk data build"
    return {"name": name, "distribution": registry.find("dataset", name).distribution, "made": made, "about": _about(cls)}


def _about(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def _words(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(v, dict) and "classes" in v for v in value.values()):
        return "; ".join(f"{key} ({factor['kind']}): {_words(factor['classes'])}" for key, factor in value.items())
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value[:_SHOWN]) + (
        f", ... ({len(value)} in all)" if len(value) > _SHOWN else ""
    )
