"""Recordings with labels, from the names of files or from a table, their factors and their splits: what folders of files share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, field, frozen
from attrs.validators import and_, ge, gt, lt

from rwae_kit import DataError, Factor
from rwae_kit.data import BUILDS, BadFiles, labels_of, read_pattern, read_table, split_groups

_DERIVED = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*([a-z][a-z0-9_]*)\s*(//|%)\s*([1-9][0-9]*)\s*")


def fits_pattern(instance: object, attribute: object, value: str) -> None:
    """Validator of a pattern."""
    read_pattern(value)


def _derive(instance: object, attribute: object, value: str) -> None:
    read_derived(value)


def whole_or_long(instance: object, attribute: Any, value: int) -> None:
    """Validator of a length: 0, or from 2 to 1024."""
    if value != 0 and not 2 <= value <= 1024:
        raise ValueError(f"'{attribute.name}' must be 0, for whole recordings, or from 2 to 1024: {value}")


@frozen(kw_only=True, slots=False)  # so that a config may have other options as a second base
class LabelOptions:
    """Where labels stand, which of them are factors, and how recordings are split."""

    pattern: str = field(
        default="{action}/{person}_{take}",
        validator=fits_pattern,
        metadata={"help": "labels in a file's name; with a / in its path below the source", **BUILDS},
    )
    table: str = field(
        default="",
        metadata={"help": "instead: a CSV file in the source folder, with the column path and one for each label", **BUILDS},
    )
    derive: str = field(
        default="",
        validator=_derive,
        metadata={"help": "a label from a whole number in another, by // or %: person = take // 8; several with commas", **BUILDS},
    )
    leave_out: tuple[str, ...] = field(default=("take",), metadata={"help": "labels that are no factors", **BUILDS})
    static: tuple[str, ...] = field(
        default=("person",), metadata={"help": "factors that stay over a clip; the others are dynamic", **BUILDS}
    )
    split_by: str = field(default="recording", metadata={"help": "recording, or a label that no two splits share", **BUILDS})
    test: float = field(default=0.2, validator=and_(gt(0.0), lt(0.9)), metadata={"help": "share that tests", **BUILDS})
    validation: float = field(default=0.1, validator=and_(gt(0.0), lt(0.5)), metadata={"help": "share that validates", **BUILDS})
    seed: int = field(default=0, validator=ge(0), metadata={"help": "of the splits", **BUILDS})
    corpus: str = field(default="", metadata={"help": "a word to tell stores of different files apart", **BUILDS})
    skip_bad: bool = field(default=False, metadata={"help": "build: leave out files that cannot be used, instead of stopping"})


@frozen(kw_only=True)
class Recording:
    """A file or a folder of images, its name, its labels, and the split it belongs to (empty until that is drawn)."""

    path: Path
    name: str
    labels: Mapping[str, str]
    split: str = ""


def find_recordings(options: LabelOptions, source: Path, bad: BadFiles, paths: Iterable[Path]) -> list[Recording]:
    """What has labels: of the paths, in the order of their names, or of the table in its order.

    Raises:
        DataError: the table is damaged.
    """
    found = _of_table(options, source, bad) if options.table else _of_names(options, source, bad, paths)
    return [made for one in found if (made := _with_derived(options, one, bad)) is not None]


def _of_names(options: LabelOptions, source: Path, bad: BadFiles, paths: Iterable[Path]) -> Iterable[Recording]:
    pattern = read_pattern(options.pattern)
    for path in sorted(paths, key=lambda path: natural(path.as_posix())):
        labels = labels_of(path, source, pattern, "/" in options.pattern)
        if labels is None:
            bad.add(path, f"its name does not fit {options.pattern!r}")
        else:
            yield Recording(path=path, name=path.relative_to(source).as_posix(), labels=labels)


def _of_table(options: LabelOptions, source: Path, bad: BadFiles) -> Iterable[Recording]:
    seen: dict[str, int] = {}
    for line, row in enumerate(read_table(source / options.table), 2):
        name = row["path"]
        path = source / name
        if name in seen:
            bad.add(path, f"{options.table} names it in line {seen[name]}, and again in line {line}")
        elif not path.exists():
            bad.add(path, f"{options.table} names it in line {line}, but it is not there")
        else:
            yield Recording(path=path, name=name, labels={key: value for key, value in row.items() if key != "path"})
        seen.setdefault(name, line)


def read_derived(text: str) -> list[tuple[str, str, str, int]]:
    """ "person = take // 8, side = take % 2" as tuples (new label, old label, // or %, number).

    Raises:
        ValueError: it reads otherwise.
    """
    found = [(piece, _DERIVED.fullmatch(piece)) for piece in text.split(",") if text.strip()]
    for piece, match in found:
        if match is None:
            raise ValueError(f"derive: {piece.strip()!r} should be such as 'person = take // 8', by // or % and a whole number")
    return [(match[1], match[2], match[3], int(match[4])) for _, match in found if match is not None]


def _with_derived(options: LabelOptions, one: Recording, bad: BadFiles) -> Recording | None:
    labels = dict(one.labels)
    for new, old, sign, number in read_derived(options.derive):
        if old not in labels:
            raise DataError(f"derive = {options.derive!r}: there is no label {old!r}; there are {', '.join(labels)}")
        if not labels[old].isdecimal():
            bad.add(one.path, f"derive needs a whole number, and its label {old} is {labels[old]!r}")
            return None
        value = int(labels[old])
        labels[new] = str(value // number if sign == "//" else value % number)
    return evolve(one, labels=labels)


def factors_of(name: str, options: LabelOptions, recordings: Sequence[Recording]) -> dict[str, Factor]:
    """The labels that are factors, with all their classes.

    Raises:
        DataError: an option names a label that there is not.
    """
    labels = sorted(recordings[0].labels)
    usual = {word for entry in attrs.fields(type(options)) if entry.name in ("leave_out", "static") for word in entry.default or ()}
    if unknown := [word for word in (*options.leave_out, *options.static) if word not in labels and word not in usual]:
        raise DataError(f"{name}: leave_out and static name {', '.join(unknown)}, but the labels are {', '.join(labels)}")
    if options.split_by != "recording" and options.split_by not in labels:
        raise DataError(f"{name}: split_by = {options.split_by!r}, but it should be recording or one of {', '.join(labels)}")
    return {
        label: Factor(
            classes=tuple(sorted({one.labels[label] for one in recordings}, key=natural)),
            kind="static" if label in options.static else "dynamic",
        )
        for label in labels
        if label not in options.leave_out
    }


def with_splits(name: str, options: LabelOptions, recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings, each in a split, drawn by recording or by the label `split_by`.

    Raises:
        DataError: too few for three splits.
    """
    groups = [one.name if options.split_by == "recording" else one.labels[options.split_by] for one in recordings]
    try:
        split = split_groups(groups, {"validation": options.validation, "test": options.test}, options.seed)
    except DataError as error:
        raise DataError(f"{name}: split_by = {options.split_by!r}: {error}") from error
    return [evolve(one, split=split[group]) for one, group in zip(recordings, groups, strict=True)]


def group_of(options: Any, factors: Mapping[str, Factor]) -> str:
    """The factor that no two splits share, for the store; "" where there is none."""
    return options.split_by if options.split_by in factors else ""


def natural(text: str) -> list[tuple[bool, int, str]]:
    """A key that sorts a2 before a10."""
    return [(piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in re.split(r"([0-9]+)", text)]
