"""The options of `rwk train`, in two passes over the words.

The first pass finds what decides which parts there are (`--recipe`, `--penalty`, ...). The second registers one option for each
field of those parts' configs, named by its path in the recipe; so `--penalty scaled_mmd --help` shows what can be set.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs
import typer
from attrs import frozen
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from rwae_kit.composition import recipe_values
from rwae_kit.convert import Option, options_of
from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.recipe import LATENTS, Latents, Weighing, merge, parse_value
from rwae_kit.registry import Registry
from rwae_kit.training.config import TrainingConfig

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="a plugin that is not installed: a Python file (may be repeated)"),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON on stdout, nothing else")]

PARTS: Mapping[str, str] = {
    "data": "dataset",
    "encoder": "encoder",
    "encoder.frames": "frame_encoder",
    "action": "action_encoder",
    "static_prior": "static_prior",
    "prior": "prior",
    "decoder": "decoder",
    "decoder.frames": "frame_decoder",
    "reconstruction": "reconstruction",
}
"""Path of a part in a recipe to the kind of component that stands there."""

_SELECTORS = ("--recipe", "--resume", "--data", "--encoder", "--decoder", "--prior", "--penalty", "--set", "--plugin")


@frozen
class Choice:
    """What the words say about which parts there are."""

    recipe: str | None = None
    resume: str | None = None
    plugins: tuple[Path, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    """Path of a part and the name chosen for it."""
    penalties: tuple[tuple[str, str], ...] = ()
    """Latent and name of a divergence."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Path and value of every `--set`."""

    def shown(self) -> set[str]:
        """Paths of the parts that were named, for help."""
        paths = {path for path, _ in self.parts} | {f"penalty.{latent}.{name}" for latent, name in self.penalties}
        return paths | {path.removesuffix(".name") for path, _ in self.settings if path.endswith(".name")}


@frozen
class Flag:
    """One option of a part: the flag is `--` and its path in the recipe."""

    path: str
    option: Option
    panel: str
    part: str
    value: Any = None
    """What the recipe gives, where it gives something."""

    def shown_default(self) -> str:
        """What holds without this flag."""
        value = self.option.default if self.value is None else self.value
        return "none" if value is None else "required" if value is attrs.NOTHING else json.dumps(value, default=str)


def find_registry(plugin_files: Sequence[Path] | None = None) -> Registry:
    """All installed plugins and the given files."""
    return Registry.installed(plugin_files or ())


def scan(words: Sequence[str]) -> Choice:
    """The first pass: read the words that choose parts, and leave all others alone.

    Raises:
        RecipeError: a penalty on an unknown latent, or a `--set` without a value.
    """
    found: dict[str, list[str]] = {selector: [] for selector in _SELECTORS}
    parts = []
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        following = value if equals else next(iter(words[place + 1 : place + 2]), "")
        if flag in found:
            found[flag].append(following)
        elif flag.startswith("--") and flag.endswith(".name"):
            parts.append((flag[2:].removesuffix(".name"), following))
    for path in ("data", "encoder", "decoder", "prior"):
        parts += [(path, name) for name in found[f"--{path}"]]
    return Choice(
        recipe=next(reversed(found["--recipe"]), None),
        resume=next(reversed(found["--resume"]), None),
        plugins=tuple(Path(file) for file in found["--plugin"]),
        parts=tuple(parts),
        penalties=tuple(_penalty(text) for text in found["--penalty"]),
        settings=tuple(read_setting(text) for text in found["--set"]),
    )


def base_values(choice: Choice, registry: Registry) -> dict[str, Any]:
    """The values of the recipe that the choice starts from: a name, a file, or the recipe of the run to resume.

    Raises:
        RwaeError: there is none, or it cannot be read.
    """
    if choice.resume is not None:
        from rwae_kit.run_folder import saved_recipe

        return saved_recipe(choice.resume).to_dict()
    return recipe_values(choice.recipe or "quickstart", registry)


def nearest_flag(flag: str, known: Sequence[str]) -> str:
    """A hint that also finds `--training.batch_size` for `--bacth-size`."""
    wanted = flag.lstrip("-").replace("-", "_")
    endings = {name.lstrip("-").replace("-", "_").rpartition(".")[2]: name for name in reversed(known)}
    whole = get_close_matches(flag, known, n=1, cutoff=0.75)
    found = whole or [endings[end] for end in get_close_matches(wanted.rpartition(".")[2], endings, n=1, cutoff=0.7)]
    return f"Did you mean {found[0]!r}?" if found else "rwk train --recipe quickstart --help lists all"


def select(values: Mapping[str, Any], choice: Choice) -> dict[str, Any]:
    """The recipe's values with the chosen parts in place, then every `--set`."""
    chosen = dict(values)
    for path, name in choice.parts:
        chosen = _place_part(chosen, path, name)
    for latent in dict.fromkeys(latent for latent, _ in choice.penalties):
        chosen = _place_penalties(chosen, latent, [name for at, name in choice.penalties if at == latent])
    for path, value in choice.settings:
        part = path.removesuffix(".name")
        chosen = _place_part(chosen, part, value) if path.endswith(".name") and part in PARTS else merge(chosen, path, value)
    return chosen


def flags_of(values: Mapping[str, Any], registry: Registry) -> Iterator[Flag]:
    """The second pass: one flag for each option of the parts that these values name, and of the training.

    Raises:
        PluginError: an unknown part.
    """
    yield from _flags("latents", Latents, "sizes of the latents", values.get("latents"))
    for path, kind in PARTS.items():
        table = _at(values, path)
        if name := _name_in(table):
            title = f"{path}: {name}"
            yield Flag(f"{path}.name", Option("name", str, name, f"another {kind.replace('_', ' ')}"), title, path, name)
            yield from _flags(path, registry.get(kind, name, path).Config, title, table)
    for latent, tables in _tables(values.get("penalty")):
        for name, table in _tables(tables):
            path = f"penalty.{latent}.{name}"
            yield from _flags(path, registry.get("divergence", name, path).Config, f"{name} on the {latent} latent", table)
            yield from _flags(path, Weighing, f"{name} on the {latent} latent", table)
    for key, table in _tables(values.get("term")):
        path, name = f"term.{key}", _name_in(table)
        yield from _flags(path, registry.get("term", name, path).Config, f"term {key}: {name}", table)
        yield from _flags(path, Weighing, f"term {key}: {name}", table)
    for name, table in _tables(values.get("view")):
        yield from _flags(f"view.{name}", registry.get("view", name, f"view.{name}").Config, f"view {name}", table)
    yield from _flags("training", TrainingConfig, "training", values.get("training"))


def panels(flags: Sequence[Flag]) -> None:
    """Help for flags on stdout, a panel for each part; Typer's own tables would cut off their long names."""
    console = Console()
    for title in dict.fromkeys(flag.panel for flag in flags):
        lines = Text()
        for flag in (flag for flag in flags if flag.panel == title):
            lines.append(f"--{flag.path}", "bold cyan").append(f" {type_words(flag.option.type)}", "yellow")
            lines.append(f" [default: {flag.shown_default()}]\n", "dim").append(f"    {flag.option.help}\n")
        lines.rstrip()
        console.print(Panel(lines, title=title, title_align="left", border_style="dim"))
    if not flags:
        console.print("Options of parts: name the parts, as in rwk train --penalty scaled_mmd --help", highlight=False)
    console.print("Options of all parts: rwk train --recipe quickstart --help", highlight=False)


def type_words(kind: Any) -> str:
    """A type as help shows it."""
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return "|".join(type_words(inner) for inner in get_args(kind) if inner is not types.NoneType)
    if get_origin(kind) is tuple:
        return f"[{type_words(get_args(kind)[0])},...]"
    return {bool: "true|false", int: "N", float: "NUMBER", str: "WORD"}.get(kind, "VALUE")


def _penalty(text: str) -> tuple[str, str]:
    latent, equals, name = text.partition("=")
    if not equals:
        latent, name = "static", text
    if latent not in LATENTS:
        raise RecipeError(f"--penalty {text}: unknown latent {latent!r}. {did_you_mean(latent, LATENTS)}")
    if not name:
        raise RecipeError(f"--penalty {text}: needs a divergence, such as --penalty {latent}=mmd, or none to remove what is there")
    return latent, name


def read_setting(text: str) -> tuple[str, Any]:
    """Path and value of a `--set`; raises `RecipeError` where one of them is missing."""
    path, equals, value = text.partition("=")
    if not (equals and path.strip()):
        raise RecipeError(f"--set {text}: needs a path and a value, such as --set training.batch_size=32")
    return path.strip(), parse_value(value.strip())


def _at(values: Mapping[str, Any], path: str) -> Any:
    inner: Any = values
    for key in path.split("."):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return inner


def _tables(values: Any) -> list[tuple[str, Any]]:
    return list(values.items()) if isinstance(values, Mapping) else []


def _name_in(table: Any) -> str:
    name = table.get("name", "") if isinstance(table, Mapping) else table
    return name if isinstance(name, str) else ""


def _flags(path: str, cls: type, panel: str, table: Any, part: str = "") -> Iterator[Flag]:
    for option in options_of(cls):
        yield Flag(f"{path}.{option.path}", option, panel, part or path, _at({"": table}, f".{option.path}"))


def _place_part(values: Mapping[str, Any], path: str, name: str) -> dict[str, Any]:
    """Another part at a path: its options go, unless it is the same one; its frame net stays."""
    if path not in PARTS:
        raise RecipeError(f"--{path}.name: a recipe has no part {path!r}. {did_you_mean(path, PARTS)}")
    table = _at(values, path)
    if _name_in(table) == name:
        return dict(values)
    kept = {"frames": table["frames"]} if isinstance(table, Mapping) and "frames" in table else {}
    return merge(values, path, {"name": name, **kept})


def _place_penalties(values: Mapping[str, Any], latent: str, names: Sequence[str]) -> dict[str, Any]:
    """Other penalties on a latent.

    One name takes the place of the first penalty that the recipe has there, with its weight; those after it (a small KL that
    holds the scale) stay. Several names are the complete set. One that the recipe has keeps its own options; "none" is nobody.
    """
    old = dict(_tables(_at(values, f"penalty.{latent}")))
    first, *rest = old or [""]
    complete = list(names) if len(names) > 1 or names[0] == "none" else [names[0], *rest]
    replaced = first if first not in complete else next((name for name in old if name not in complete), "")
    weight = old[replaced].get("weight") if isinstance(old.get(replaced), Mapping) else None
    new = {} if weight is None else {"weight": weight}
    return merge(values, f"penalty.{latent}", {name: old.get(name, new) for name in dict.fromkeys(complete) if name != "none"})
