"""Labels from the names of files, by a pattern, and from a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from rwae_kit.errors import DataError

_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def read_pattern(pattern: str) -> re.Pattern[str]:
    """The names that a pattern such as "{digit}_{speaker}_{take}" fits; a field is one character or more, but no "/".

    Raises:
        ValueError: no field, a field named twice, or braces around something else.
    """
    pieces = _FIELD.split(pattern)
    fields = pieces[1::2]
    if not fields or len(set(fields)) < len(fields) or any("{" in text or "}" in text for text in pieces[::2]):
        raise ValueError(f"pattern {pattern!r} should have fields in braces, each once, such as '{{digit}}_{{speaker}}_{{take}}'")
    return re.compile("".join(f"(?P<{text}>[^/]+?)" if i % 2 else re.escape(text) for i, text in enumerate(pieces)))


def labels_of(path: Path, source: Path, pattern: re.Pattern[str], whole: bool) -> Mapping[str, str] | None:
    """The labels in a file's name, or its `whole` path below the source, without its ending; None if the pattern does not fit.

    Of a folder that is a clip: in its whole name.
    """
    place = path.relative_to(source)
    place = place if path.is_dir() else place.with_suffix("")
    name = place.as_posix() if whole else place.name
    found = pattern.fullmatch(name)
    return None if found is None else found.groupdict()


def read_table(path: Path, required: tuple[str, ...] = ("path",)) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names the columns.

    Raises:
        DataError: it cannot be read, has no row, lacks a column, or has an empty place.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if missing := [column for column in required if column not in columns]:
        raise DataError(f"{path}: the first line should name the columns {', '.join(required)}; {', '.join(missing)} is missing")
    if not rows:
        raise DataError(f"{path}: there is no row below the names of the columns")
    for number, row in enumerate(rows, 2):
        if None in row or any(value is None for value in row.values()):
            raise DataError(f"{path}, line {number}: it should have {len(columns)} values, {', '.join(columns)}")
    return rows
