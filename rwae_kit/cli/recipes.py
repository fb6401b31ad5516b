"""`rwk recipes`: the recipes that ship with the package and with plugins."""

from __future__ import annotations

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, say, show
from rwae_kit.recipe import read_toml

app = typer.Typer(help="Show the recipes.", invoke_without_command=True)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        listing()


@app.command("list")
def listing(plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """List all recipes."""
    registry = find_registry(plugin)
    rows = [
        {
            "name": name,
            "title": read_toml(registry.recipe_file(name)).get("title", ""),
            "distribution": registry.find("recipe", name).distribution,
        }
        for name in registry.names("recipe")
    ]
    if json:
        emit(rows)
        return
    show("", ("name", "title", "from"), [tuple(row.values()) for row in rows])
    say("train one: rwk train --recipe NAME    see one: rwk recipes show NAME")


@app.command("show")
def show_recipe(name: str, plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """Print a recipe as TOML; a copy of it is a recipe file of your own."""
    registry = find_registry(plugin)
    if json:
        emit(read_toml(registry.recipe_file(name)))
        return
    say(registry.recipe_file(name).read_text(encoding="utf-8").rstrip())
