"""`rwk recipes`: the recipes that ship with the package and with plugins."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, say, show
from rwae_kit.composition import parse_reference, recipe_values, variants_of
from rwae_kit.registry import Registry

PARAMETERS = Path(__file__).parents[1] / "recipes" / "parameters.json"
"""Reference of a shipped recipe to the number of its model's parameters, so that a list need not build it. Tests hold it true."""

app = typer.Typer(help="Show the recipes.", invoke_without_command=True)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        listing()


@app.command("list")
def listing(
    variants: Annotated[bool, typer.Option("--variants", help="a line for every variant too")] = False,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """List all recipes: method, paper, data, parameters of the model."""
    rows = recipe_rows(find_registry(plugin), variants=variants)
    if json:
        emit(rows)
        return
    columns = ("name", "method", "paper", "data", "parameters")
    show("", columns, [["-" if row[column] is None else row[column] for column in columns] for row in rows])
    say("train one: rwk train --recipe NAME[:VARIANT[+VARIANT]]    see one: rwk recipes show NAME[:VARIANT]")
    if not variants:
        say("their variants (other data, sizes, ablations): rwk recipes list --variants")


@app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="NAME[:VARIANT]")],
    whole: Annotated[bool, typer.Option("--whole", help="with all that a recipe takes from its base")] = False,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Print a recipe as TOML; a copy of it is a recipe file of your own."""
    registry = find_registry(plugin)
    file, variants = parse_reference(name)
    if json:
        emit(recipe_values(name, registry))
    elif whole or variants:
        say(tomlkit.dumps(recipe_values(name, registry)).rstrip())
    else:
        say(registry.recipe_file(file).read_text(encoding="utf-8").rstrip())


def recipe_rows(registry: Registry, *, variants: bool) -> list[dict[str, Any]]:
    """What there is to say of every recipe, and of every variant."""
    counts = json_format.loads(PARAMETERS.read_text(encoding="utf-8"))
    return [
        _row(reference, registry, counts)
        for name in registry.names("recipe")
        for reference in (name, *([f"{name}:{v}" for v in variants_of(name, registry)] if variants else []))
    ]


def _row(reference: str, registry: Registry, counts: Mapping[str, int]) -> dict[str, Any]:
    name, variants = parse_reference(reference)
    values = recipe_values(reference, registry)
    data = values.get("data", "")
    return {
        "name": reference,
        "title": values.get("title", ""),
        "method": values.get("method", ""),
        "paper": values.get("paper", ""),
        "data": data.get("name", "") if isinstance(data, Mapping) else data,
        "parameters": counts.get(reference),
        "variants": [] if variants else variants_of(name, registry),
        "distribution": registry.find("recipe", name).distribution,
    }
