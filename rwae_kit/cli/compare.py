"""`rwk compare`: results of several runs in one table, beside trivial models and published numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rwae_kit.cli.options import JsonFlag
from rwae_kit.cli.output import emit, note, say, show
from rwae_kit.cli.runs import check_out

if TYPE_CHECKING:
    from rwae_kit.evaluation import Comparison, Table


def compare(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN...", help="run folders that rwk eval --protocol has scored")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="one protocol; without it, every one that all runs have a result of")
    ] = None,
    published: Annotated[bool, typer.Option("--published", help="add what papers print; without runs, show only that")] = False,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="separate tables for results of different data, judges or settings, instead of an error")
    ] = False,
    score: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="only scores with this in their name (may be repeated)")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="also write all scores in full precision")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="also write a page: the tables, pictures and losses of the runs")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Put the results of runs in one table: mean and deviation over training seeds, with trivial and published rows."""
    check_out(html, ".html", "--html")
    from attrs import asdict

    from rwae_kit import evaluation
    from rwae_kit.checkpoint import replace_file
    from rwae_kit.evaluation.comparison_tables import CSV_HEADERS, csv_rows

    found = evaluation.compare(runs or (), protocol, with_published=published, mixed=mixed)
    if csv_file is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([CSV_HEADERS, *csv_rows(found)])
        csv_file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(csv_file, text.getvalue().encode())
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        replace_file(html, _page(found, runs or (), score or ()).encode())
    if json:
        emit([asdict(one) for one in found])
        return
    for one in found:
        for table in evaluation.comparison_tables(one, score or ()):
            show(table.title, table.headers, table.rows)
            say("")
        for line in evaluation.footnotes(one):
            say(line)
        say("")
    for file in (csv_file, html):
        if file is not None:
            note(f"{file}: written")


def _page(found: Sequence[Comparison], runs: Sequence[Path], score: Sequence[str]) -> str:
    """The comparisons as one page; what is to be known of a comparison stands below its last table."""
    from rwae_kit import evaluation
    from rwae_kit.report import compare_page

    tables: list[Table] = []
    notes: list[list[str]] = []
    for one in found:
        some = evaluation.comparison_tables(one, score)
        tables += some
        notes += [[]] * (len(some) - 1) + [evaluation.footnotes(one)] * bool(some)
    return compare_page(tables, runs, notes=notes)
