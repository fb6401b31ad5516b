"""A recipe's values from its file: what it builds on, and the variants that were asked for.

    base = "rwae-mmd"                     another recipe, whose values this one changes; its variants come along
    remove = ["penalty.static.mmd"]       what of the base this recipe, and every variant, goes without

    [variant.mug]                         changes that `NAME:mug` asks for
    [variant."mug+c"]                     changes more, where both mug and c are asked for

Changes are laid over the values table by table. A table that names another part takes the old one's place, but for its `frames`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.recipe import read_toml
from rwae_kit.registry import Registry

SEPARATOR, AND = ":", "+"


def recipe_values(reference: str | Path, registry: Registry) -> dict[str, Any]:
    """The plain values of `NAME` or `FILE.toml`, with `:VARIANT` or `:VARIANT+VARIANT` behind it or not.

    Raises:
        RwaeError: no such recipe, file or variant, or one that cannot be laid over the other.
    """
    name, variants = parse_reference(str(reference))
    return _with_variants(_from_file(name, registry, ()), variants, name)


def composed(values: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Plain values that may say `base` and `remove`, as a recipe file may, without these and without variants."""
    return _with_variants(_derived(values, "recipe", registry, ()), (), "recipe")


def variants_of(reference: str, registry: Registry) -> list[str]:
    """The variants of a recipe, in the order in which they are applied."""
    return [name for name in _tables(_from_file(reference, registry, ())) if AND not in name]


def parse_reference(reference: str) -> tuple[str, tuple[str, ...]]:
    """A recipe's name or file, and the variants behind it.

    Example:
        >>> parse_reference("rwae-mmd:mug+c")
        ('rwae-mmd', ('mug', 'c'))
    """
    name, separator, variants = reference.rpartition(SEPARATOR)
    if not separator or variants.endswith(".toml"):
        return reference, ()
    return name, tuple(variants.split(AND))


def overlay(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with changes over them.

    Example:
        >>> overlay({"prior": {"name": "lstm", "hidden": 64}}, {"prior": {"hidden": 150}})
        {'prior': {'name': 'lstm', 'hidden': 150}}
        >>> overlay({"prior": {"name": "lstm", "hidden": 64}}, {"prior": {"name": "linear"}})
        {'prior': {'name': 'linear'}}
    """
    merged = dict(values)
    for key, change in changes.items():
        old = merged.get(key)
        if key == "remove" and isinstance(old, list) and isinstance(change, list):
            merged[key] = [*old, *change]
        elif not isinstance(change, Mapping) or not isinstance(old, (Mapping, str)):
            merged[key] = change
        else:
            table = {"name": old} if isinstance(old, str) else old
            another = "name" in change and "name" in table and change["name"] != table["name"]
            kept = {k: v for k, v in table.items() if k == "frames"} if another else table
            merged[key] = overlay(kept, change)
    return merged


def _from_file(name: str, registry: Registry, below: tuple[str, ...]) -> dict[str, Any]:
    if name in below:
        raise RecipeError(f"{below[0]}: builds on itself: {' -> '.join((*below, name))}. Name another 'base'")
    return _derived(read_toml(registry.recipe_file(name)), name, registry, (*below, name))


def _derived(values: Mapping[str, Any], where: str, registry: Registry, below: tuple[str, ...]) -> dict[str, Any]:
    """Values over those of their base, with the variants of both."""
    own = {key: value for key, value in values.items() if key not in ("base", "remove")}
    if "base" not in values:
        return _without(own, _paths(values, where), where)
    if not isinstance(values["base"], str):
        raise RecipeError(f"{where}: base: needs the name of a recipe, not {values['base']!r}")
    name, variants = parse_reference(values["base"])
    if name.endswith(".toml") and where.endswith(".toml"):
        name = str(Path(where).parent / name)
    base = _from_file(name, registry, below)
    applied = _with_variants(base, variants, f"{where}: base: {name}")
    paths = _paths(values, where)
    kept = {name: _inherited(table, paths) for name, table in _tables(base).items()}
    return overlay(_without({**applied, "variant": kept}, paths, where), own)


def _with_variants(values: Mapping[str, Any], chosen: Sequence[str], where: str) -> dict[str, Any]:
    """The values with the chosen variants over them, in the order of the file, and no tables of variants left."""
    tables = _tables(values)
    names = [name for name in tables if AND not in name]
    for name in chosen:
        if name not in names:
            hint = did_you_mean(name, names) if names else "It has none"
            raise RecipeError(f"{where}: no variant {name!r}. {hint}")
    changed = {key: value for key, value in values.items() if key != "variant"}
    data = [name for name in names if name in chosen and _names_data(tables[name].get("data"))]
    if len(data) > 1:
        raise RecipeError(f"{where}: the variants {' and '.join(data)} both choose the data: ask for one of them")
    for name, table in tables.items():
        if set(name.split(AND)) <= set(chosen):
            place = f"{where}: variant.{name}"
            changes = {key: value for key, value in table.items() if key != "remove"}
            changed = _without(overlay(changed, changes), _paths(table, place), place)
    if chosen and not any("title" in tables[name] for name in chosen) and "title" in changed:
        changed["title"] = f"{changed['title']}, variant {AND.join(name for name in names if name in chosen)}"
    return changed


def _names_data(data: Any) -> bool:
    return isinstance(data, str) or (isinstance(data, Mapping) and "name" in data)


def _tables(values: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    tables = values.get("variant", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise RecipeError("variant: needs tables, such as [variant.mug]")
    for name in tables:
        if lost := set(name.split(AND)) - tables.keys():
            raise RecipeError(f"variant.{name!r}: there is no variant {sorted(lost)[0]!r}. {did_you_mean(sorted(lost)[0], tables)}")
    return tables


def _paths(table: Mapping[str, Any], where: str) -> list[str]:
    paths = table.get("remove", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) and path for path in paths):
        raise RecipeError(f'{where}: remove: needs a list of paths, such as ["penalty.static.mmd"], not {paths!r}')
    return paths


def _inherited(table: Mapping[str, Any], gone: Sequence[str]) -> dict[str, Any]:
    """A base's variant for a recipe that goes without what is at some paths."""
    kept = dict(table)
    for path in gone:
        kept = _dropped(kept, path.split("."), "")
    if "remove" in kept:
        kept["remove"] = [path for path in kept["remove"] if path not in gone]
    return kept


def _without(values: Mapping[str, Any], paths: Sequence[str], where: str) -> dict[str, Any]:
    """A copy without what is at the paths; it is an error if nothing is at one of them."""
    kept = dict(values)
    for path in paths:
        kept = _dropped(kept, path.split("."), f"{where}: remove: nothing at {path!r}")
    return kept


def _dropped(values: Mapping[str, Any], keys: Sequence[str], refusal: str) -> dict[str, Any]:
    """A copy without what is at the keys; if nothing is, an error that begins with `refusal`, or a plain copy where it is empty."""
    kept, (key, *rest) = dict(values), keys
    if key not in kept or (rest and not isinstance(kept[key], Mapping)):
        if refusal:
            raise RecipeError(f"{refusal}. {did_you_mean(key, kept)}")
        return kept
    if rest:
        kept[key] = _dropped(kept[key], rest, refusal)
    else:
        del kept[key]
    return kept
