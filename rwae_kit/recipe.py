"""A recipe: the parts of a method, as data. Recipe to TOML and back; an error carries the path in the file.

A recipe names parts and gives them options; it knows no class. `rwae_kit.composition` reads it from its file, `rwae_kit.build`
turns it into a model and an objective.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomlkit
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, in_

from rwae_kit.convert import structure, unstructure
from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.training.config import TrainingConfig

LATENTS = ("static", "dynamic", "action")


@frozen(kw_only=True)
class Part:
    """A component by name and the options that the recipe gives it; `frames` is the frame net of an encoder or decoder."""

    name: str
    options: Mapping[str, Any] = field(factory=dict)
    frames: Part | None = None

    @classmethod
    def read(cls, values: Any, where: str, framed: bool = False) -> Self:
        """From a table; raises `RecipeError` where the name is missing."""
        if isinstance(values, str):
            values = {"name": values}
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            raise RecipeError(f"{where}: needs a table with a 'name', such as {{ name = \"...\" }}, not {values!r}")
        options = {key: value for key, value in values.items() if key not in ("name", "frames") or (key == "frames" and not framed)}
        if framed and "frames" not in values:
            raise RecipeError(f"{where}: 'frames' is missing: name the frame net, such as frames = {{ name = \"conv\" }}")
        return cls(name=values["name"], options=options, frames=Part.read(values["frames"], f"{where}.frames") if framed else None)

    def table(self) -> dict[str, Any]:
        """As plain values."""
        frames = {} if self.frames is None else {"frames": self.frames.table()}
        return {"name": self.name, **unstructure(self.options), **frames}


@frozen(kw_only=True)
class Latents:
    """Sizes of the latents."""

    static: int = field(validator=ge(1), metadata={"help": "size of the static latent"})
    dynamic: int = field(validator=ge(1), metadata={"help": "size of the dynamic latent of each frame"})
    action: int = field(default=0, validator=ge(0), metadata={"help": "number of actions; 0: no action latent"})
    action_prior: tuple[float, ...] = field(
        default=(),
        validator=deep_iterable(gt(0)),
        metadata={"help": "probability of each action, up to a factor; empty: all alike"},
    )

    def __attrs_post_init__(self) -> None:
        if self.action == 1:
            raise ValueError("'action' is 1: a single action says nothing. Take 2 or more, or 0 for no action latent")
        if self.action_prior and len(self.action_prior) != self.action:
            raise ValueError(f"'action_prior' has {len(self.action_prior)} numbers for {self.action} actions")


@frozen(kw_only=True)
class Weighing:
    """How much a penalty or a term counts, and from when; the options of the entry that are not the component's own."""

    weight: float = field(validator=ge(0), metadata={"help": "factor in the objective"})
    warmup_steps: int = field(default=0, validator=ge(0), metadata={"help": "steps over which the weight rises from 0"})
    conditioning: Literal["posterior", "ancestral"] = field(
        default="posterior",
        validator=in_(("posterior", "ancestral")),
        metadata={"help": "dynamic latent: prior draws given the posterior's past, or the prior's own past"},
    )


@frozen(kw_only=True)
class PenaltyEntry:
    """`[penalty.LATENT.NAME]`: a divergence on a latent."""

    latent: str
    part: Part
    weighing: Weighing


@frozen(kw_only=True)
class TermEntry:
    """`[term.KEY]`: a further loss on the latents."""

    key: str
    part: Part
    weighing: Weighing


_WEIGHING = ("weight", "warmup_steps", "conditioning")
_PARTS = {"data": False, "encoder": True, "static_prior": False, "prior": False, "decoder": True, "reconstruction": False}
_WORDS = ("title", "method", "paper", "about")
_KEYS = (*_WORDS, *_PARTS, "latents", "action", "penalty", "term", "view", "training")


@frozen(kw_only=True)
class Recipe:
    """A method: its parts by name, the sizes of its latents, and how to train it."""

    title: str = ""
    method: str = ""
    paper: str = ""
    about: str = ""
    data: Part
    latents: Latents
    encoder: Part
    action: Part | None = None
    static_prior: Part = Part(name="standard_normal")
    prior: Part
    decoder: Part
    reconstruction: Part
    penalties: tuple[PenaltyEntry, ...] = ()
    terms: tuple[TermEntry, ...] = ()
    views: tuple[Part, ...] = ()
    """`[view.NAME]`: options of a view that a term reads; views that are not named have their defaults."""
    training: TrainingConfig = field(factory=TrainingConfig)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "recipe") -> Self:
        """From plain values as TOML gives them.

        Raises:
            RecipeError: an unknown key, a missing or wrong value; names of components are checked when the recipe is built.
        """
        for key in values:
            if key not in _KEYS:
                raise RecipeError(f"{where}: unknown key {key!r}. {did_you_mean(key, _KEYS)}")
        for key in ("data", "latents", "encoder", "prior", "decoder", "reconstruction"):
            if key not in values:
                raise RecipeError(f"{where}: [{key}] is missing")
        for key in _WORDS:
            if not isinstance(values.get(key, ""), str):
                raise RecipeError(f"{key}: needs a word, not {values[key]!r}")
        latents = structure(values["latents"], Latents, "latents")
        if (latents.action > 0) != ("action" in values):
            raise RecipeError(f"latents.action is {latents.action}: an action latent needs both its size and an [action] encoder")
        return cls(
            title=values.get("title", ""),
            method=values.get("method", ""),
            paper=values.get("paper", ""),
            about=values.get("about", ""),
            latents=latents,
            action=Part.read(values["action"], "action") if "action" in values else None,
            penalties=_penalties(values.get("penalty", {})),
            terms=tuple(
                TermEntry(key=key, part=_part(table, f"term.{key}"), weighing=_weighing(table, f"term.{key}"))
                for key, table in _table(values.get("term", {}), "term").items()
            ),
            views=tuple(
                Part.read({"name": name, **_table(table, f"view.{name}")}, f"view.{name}")
                for name, table in _table(values.get("view", {}), "view").items()
            ),
            training=structure(values.get("training", {}), TrainingConfig, "training"),
            **{key: Part.read(values[key], key, framed) for key, framed in _PARTS.items() if key in values},
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for TOML or JSON; `from_dict` reads them back."""
        penalty: dict[str, dict[str, Any]] = {}
        for entry in self.penalties:
            table = {**unstructure(entry.weighing), **unstructure(entry.part.options)}
            penalty.setdefault(entry.latent, {})[entry.part.name] = table
        values: dict[str, Any] = {key: getattr(self, key) for key in _WORDS if getattr(self, key)}
        values |= {key: getattr(self, key).table() for key in _PARTS}
        values["latents"] = unstructure(self.latents)
        if self.action is not None:
            values["action"] = self.action.table()
        values["penalty"] = penalty
        if self.terms:
            values["term"] = {e.key: {**e.part.table(), **unstructure(e.weighing)} for e in self.terms}
        if self.views:
            values["view"] = {view.name: unstructure(view.options) for view in self.views}
        values["training"] = unstructure(self.training)
        return values

    def to_toml(self) -> str:
        """As the text of a recipe file."""
        return tomlkit.dumps(self.to_dict())


def read_toml(path: Path) -> dict[str, Any]:
    """The plain values of a TOML file.

    Raises:
        RecipeError: no such file, or not TOML; says the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file: {error}") from error


def parse_value(text: str) -> Any:
    """A value as TOML reads it; a bare word is a string.

    Example:
        >>> parse_value("[1, 4.0]"), parse_value("true"), parse_value("lstm")
        ([1, 4.0], True, 'lstm')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merge(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of nested tables with the value at a dotted path set; tables on the way are made.

    Example:
        >>> merge({"a": {"b": 1}}, "a.c", 2)
        {'a': {'b': 1, 'c': 2}}
    """
    keys = path.split(".")
    if not all(keys):
        raise RecipeError(f"{path!r}: an option's path is words with dots between, such as penalty.dynamic.mmd.weight")
    merged = table = dict(values)
    for key in keys[:-1]:
        inner = table.get(key, {})
        if isinstance(inner, str):
            inner = {"name": inner}
        if not isinstance(inner, Mapping):
            raise RecipeError(f"{path}: {key!r} is {inner!r}, not a table")
        table[key] = dict(inner)
        table = table[key]
    table[keys[-1]] = value
    return merged


def _table(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: needs a table, not {values!r}")
    return values


def _weighing(table: Any, where: str) -> Weighing:
    return structure({key: value for key, value in _table(table, where).items() if key in _WEIGHING}, Weighing, where)


def _part(table: Any, where: str, name: str | None = None) -> Part:
    rest = {key: value for key, value in _table(table, where).items() if key not in _WEIGHING}
    return Part.read({"name": name, **rest} if name else rest, where)


def _penalties(values: Any) -> tuple[PenaltyEntry, ...]:
    entries = []
    for latent, tables in _table(values, "penalty").items():
        if latent not in LATENTS:
            raise RecipeError(f"penalty.{latent}: unknown latent {latent!r}. {did_you_mean(latent, LATENTS)}")
        for name, table in _table(tables, f"penalty.{latent}").items():
            where = f"penalty.{latent}.{name}"
            entries.append(PenaltyEntry(latent=latent, part=_part(table, where, name), weighing=_weighing(table, where)))
    return tuple(entries)
