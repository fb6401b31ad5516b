"""What commands print: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

WIDE = 400
"""Columns of what is read from a file or a pipe: tables are not folded there."""


def note(text: str, label: str = "", style: str = "") -> None:
    """A line on stderr, never wrapped, so that paths and hints can be copied; `label` ("error") goes before it."""
    parts = [(f"{label}: ", style)] if label else []
    Console(stderr=True).print(Text.assemble(*parts, text), soft_wrap=True)


def say(text: str) -> None:
    """A line on stdout, never wrapped."""
    Console().print(Text(text), soft_wrap=True)


@contextmanager
def progress() -> Iterator[None]:
    """While this lasts, how far work on data is, on stderr; only on a terminal."""
    from rwae_kit.data.progress import listening

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with Progress(console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        with listening(tell):
            yield


def emit(value: Any) -> None:
    """A value as JSON on stdout."""
    print(json.dumps(value, indent=2, default=str))


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; the first column is never folded, numbers stand to the right, broken ones with four digits."""
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    body = [list(row) for row in rows]
    for place, column in enumerate(columns):
        numeric = bool(body) and all(isinstance(row[place], int | float) for row in body)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=place == 0)
    for row in body:
        table.add_row(*(Text(_cell(cell)) for cell in row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
