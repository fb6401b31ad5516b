"""`rwk plugins`: what is registered, a skeleton for your own, and the conformance checks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry, type_words
from rwae_kit.cli.output import emit, say, show
from rwae_kit.cli.skeleton import KINDS as SKELETONS, write_skeleton
from rwae_kit.composition import recipe_values, variants_of
from rwae_kit.errors import PluginError, did_you_mean
from rwae_kit.registry import KINDS, Entry, Registry

app = typer.Typer(help="Show, begin and test plugins.", invoke_without_command=True)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        listing()


@app.command("list")
def listing(plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """List every registered name by kind, and the plugins that could not be loaded."""
    registry = find_registry(plugin)
    entries = [registry.find(kind, name) for kind in KINDS for name in registry.names(kind)]
    if json:
        emit({"entries": [_row(entry) for entry in entries], "broken": dict(registry.broken)})
        return
    show("", ("kind", "name", "from", "version"), [tuple(_row(entry).values())[:4] for entry in entries])
    if registry.broken:
        show("not loaded", ("plugin", "why"), list(registry.broken.items()))
    say("options of one: rwk plugins show NAME    your own: rwk plugins new NAME")


@app.command("show")
def show_entry(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="such as mmd, or divergence mmd")],
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Show where a component comes from, what it is, and its options."""
    found = _find(find_registry(plugin), words)
    described = [_describe(entry) for entry in found]
    if json:
        emit(described)
        return
    for one in described:
        say(f"{one['kind']} {one['name']}: {one['about']}")
        say(f"{one['class']}, from {one['distribution']} {one['version']}")
        if one["options"]:
            show("", ("option", "type", "default", "help"), [tuple(option.values()) for option in one["options"]])


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="of the component, such as energy: a Python word")],
    kind: Annotated[str, typer.Option(metavar="|".join(SKELETONS), help="what it is")] = "divergence",
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="where to make the project")] = Path(),
) -> None:
    """Write a plugin that works: a project with a small component, its registration and its test."""
    target = write_skeleton(name, kind, folder)
    say(f"{target}: written. It is registered once it is installed:")
    say(f"  pip install -e {target}")
    say(f"  rwk plugins test {name}")
    say(f"  rwk train --penalty {name}" if kind == "divergence" else f"  rwk train --{kind} {name}")


@app.command("test")
def check(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="a plugin, a component, or a Python file with hooks")],
    json: JsonFlag = False,
) -> None:
    """Run the conformance checks on everything that a plugin registers; leaves with 1 if one fails."""
    path = Path(name)
    registry = find_registry([path] if path.suffix == ".py" else [])
    plugin = path.stem if path.suffix == ".py" else name
    entries = [e for e in registry.entries.values() if plugin in (e.plugin, e.name, e.distribution)]
    if not entries:
        if name in registry.broken:
            raise PluginError(f"plugin {name!r} is not loaded: {registry.broken[name]}")
        known = {e.plugin for e in registry.entries.values()} | {e.name for e in registry.entries.values()}
        raise PluginError(f"no plugin or component {name!r}. {did_you_mean(name, known)}")
    results = [{"kind": e.kind, "name": e.name, "result": _conforms(registry, e)} for e in entries]
    failed = [r for r in results if r["result"] not in ("ok", _UNCHECKED)]
    if json:
        emit(results)
    else:
        show("", ("kind", "name", "result"), [tuple(r.values()) for r in results])
    if failed:
        raise typer.Exit(1)


_UNCHECKED = "no check for this kind"


def _conforms(registry: Registry, entry: Entry) -> str:
    """ "ok", what is wrong, or that there is nothing to check."""
    from rwae_kit.errors import RwaeError
    from rwae_kit.testing import CHECKS, check_component

    try:
        if entry.kind == "recipe":
            _build_recipe(registry, entry.name)
        elif entry.kind in CHECKS:
            check_component(entry.kind, registry.get(entry.kind, entry.name))
        else:
            entry.load()
            return _UNCHECKED
    except (AssertionError, RwaeError) as error:
        return str(error) or type(error).__name__
    return "ok"


def _build_recipe(registry: Registry, name: str) -> None:
    """A recipe and its variants must resolve: all parts known, all options right."""
    from rwae_kit.build import resolve
    from rwae_kit.recipe import Recipe

    for reference in (name, *(f"{name}:{variant}" for variant in variants_of(name, registry))):
        resolve(Recipe.from_dict(recipe_values(reference, registry), reference), registry)


def _row(entry: Entry) -> dict[str, str]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "class": entry.path,
    }


def _find(registry: Registry, words: list[str]) -> list[Entry]:
    """The entries of `[KIND] NAME`; a name may be there in several kinds."""
    if len(words) > 2:
        raise PluginError(f"plugins show {' '.join(words)}: needs a name, or a kind and a name")
    *kind, name = words
    if kind and kind[0] not in KINDS:
        raise PluginError(f"unknown kind {kind[0]!r}. {did_you_mean(kind[0], KINDS)}")
    if kind:
        return [registry.find(kind[0], name)]
    found = [registry.find(k, n) for k, n in registry.entries if n == name]
    if not found:
        raise PluginError(f"no component {name!r}. {did_you_mean(name, {n for _, n in registry.entries})}")
    return found


def _describe(entry: Entry) -> dict[str, Any]:
    from rwae_kit.convert import options_of

    found = entry.path if entry.kind == "recipe" else entry.load()
    config = getattr(found, "Config", None)
    options = [
        {"option": o.path, "type": type_words(o.type), "default": o.default, "help": o.help}
        for o in (options_of(config) if isinstance(config, type) else [])
    ]
    about = "" if isinstance(found, str) else (inspect.getdoc(found) or "").split("\n\n")[0].replace("\n", " ")
    return {**_row(entry), "about": about, "options": options}
