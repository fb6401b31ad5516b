"""Plain values to attrs classes and back, strictly: nothing is rounded, guessed or dropped, and an error carries its path."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs
from attrs import frozen
from cattrs.errors import BaseValidationError, ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.v import format_exception

from rwae_kit.errors import RecipeError, did_you_mean

T = TypeVar("T")


def _exactly(kind: type) -> Any:
    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
            return value
        raise TypeError(f"needs {_A[kind]}, not {value!r}")

    return hook


def _number(value: Any, _: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"needs a number, not {value!r}")


_A = {bool: "true or false", int: "a whole number", str: "a word", float: "a number"}

_converter = cattrs.Converter(forbid_extra_keys=True, omit_if_default=False)
for _kind in (bool, int, str):
    _converter.register_structure_hook(_kind, _exactly(_kind))
_converter.register_structure_hook(float, _number)


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _is_union(kind: Any) -> bool:
    return _origin(kind) in (Union, types.UnionType)


def _structure_optional(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    inner = [k for k in get_args(kind) if k is not types.NoneType]
    for candidate in inner[:-1]:
        try:
            return _converter.structure(value, candidate)
        except (TypeError, ValueError, BaseValidationError):
            continue
    return _converter.structure(value, inner[-1])


def _structure_tuple(value: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise TypeError(f"needs a list such as {json.dumps([value], default=str)}, not {value!r}")
    inner = get_args(kind)
    if len(inner) == 2 and inner[1] is ...:
        return tuple(_converter.structure(v, inner[0]) for v in value)
    if len(value) != len(inner):
        raise ValueError(f"needs {len(inner)} entries, not {value!r}")
    return tuple(_converter.structure(v, k) for v, k in zip(value, inner, strict=True))


def _structure_literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if value in choices and not isinstance(value, bool):
        return value
    hint = (
        did_you_mean(str(value), [str(c) for c in choices]) if isinstance(value, str) else f"Known: {', '.join(map(str, choices))}."
    )
    raise ValueError(f"{value!r} is no choice. {hint}")


_converter.register_structure_hook_func(_is_union, _structure_optional)
_converter.register_structure_hook_func(lambda kind: _origin(kind) is tuple, _structure_tuple)
_converter.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _structure_literal)


_REFUSED = re.compile(r"'(?P<name>\w+)' must (?P<rule>be .*): (?P<value>.*)$")
"""What the validators of attrs say."""


def structure(values: Mapping[str, Any], cls: type[T], where: str) -> T:
    """Make an attrs object from plain values.

    Raises:
        RecipeError: an unknown key, a wrong type or a value that a validator refuses; the message begins with `where` and the path.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: needs a table of options, not {values!r}")
    try:
        return _converter.structure(dict(values), cls)
    except Exception as error:
        raise RecipeError("\n".join(_lines(error, where, cls))) from error


def unstructure(value: Any) -> Any:
    """Plain values (tables, lists, numbers, words) of an attrs object; fields that are None are left out."""
    if attrs.has(type(value)):
        fields = {a.name: getattr(value, a.name) for a in attrs.fields(type(value))}
        return {name: unstructure(inner) for name, inner in fields.items() if inner is not None}
    if isinstance(value, Mapping):
        return {str(key): unstructure(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [unstructure(inner) for inner in value]
    return value


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted path.

    Example:
        >>> flat({"a": {"b": 1}, "c": 2})
        {'a.b': 1, 'c': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any], free: Collection[str]) -> str:
    """What differs between two nested tables, paths in `free` apart; "" if nothing does.

    Example:
        >>> changes({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 3}}, free=["a.c"])
        'a.b was 1, is 2'
    """
    before, after = flat(old), flat(new)
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path) and path not in free]
    return "; ".join(f"{path} was {before.get(path)!r}, is {after.get(path)!r}" for path in paths)


@frozen
class Option:
    """One option of a component: its dotted path, type, default and help."""

    path: str
    type: Any
    default: Any
    help: str


def options_of(cls: type, prefix: str = "") -> list[Option]:
    """The options of an attrs class; a field that is an attrs class itself gives dotted paths."""
    hints = get_type_hints(cls)
    found = []
    for a in attrs.fields(cls):
        kind, path = hints[a.name], f"{prefix}{a.name}"
        default = a.default.factory() if isinstance(a.default, attrs.Factory) else a.default  # type: ignore[arg-type]
        if attrs.has(kind):
            found += options_of(kind, f"{path}.")
        else:
            found.append(Option(path, kind, default, a.metadata.get("help", "")))
    return found


def _lines(error: BaseException, where: str, cls: Any) -> list[str]:
    """One line an error, each with its path; cattrs nests them as exception groups with notes."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [a.name for a in attrs.fields(error.cl)]
        return [f"{where}: unknown key {key!r}. {did_you_mean(key, known)}" for key in sorted(error.extra_fields)]
    if isinstance(error, ClassValidationError):
        inside, rest = error.group_exceptions()
        lines = [line for e, note in inside for line in _lines(e, f"{where}.{note.name}", note.type)]
        return lines + [line for e in rest for line in _lines(e, where, cls)]
    if isinstance(error, IterableValidationError):
        inside_list, rest = error.group_exceptions()
        lines = [line for e, at in inside_list for line in _lines(e, f"{where}[{at.index}]", at.type)]
        return lines + [line for e in rest for line in _lines(e, where, cls)]
    if isinstance(error, KeyError):
        return [f"{where.removesuffix(f'.{error.args[0]}')}: {error.args[0]!r} is missing"]
    if isinstance(error, TypeError) and attrs.has(cls):
        return [f"{where}: needs a table of options"]
    if isinstance(error, TypeError | ValueError):
        told = str(error.args[0] if error.args else error)
        if found := _REFUSED.match(told):
            return [f"{where}.{found['name']}: must {found['rule']}, not {found['value']}"]
        return [f"{where}: {told}"]
    return [f"{where}: {format_exception(error, cls)}"]
