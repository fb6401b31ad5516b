"""The files of a table: results.json and table.csv for programs, RESULTS.md and compare.html for people.

Nothing in them depends on when they are written, so equal runs make equal files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve

from rwae_kit import __version__
from rwae_kit.checkpoint import replace_file
from rwae_kit.errors import DataError
from rwae_kit.evaluation import Comparison, Result, compare, comparison_tables, footnotes, published
from rwae_kit.report import compare_page
from rwae_kit.reproduce.plan import ENDED, FILES, Plan, Run, scored_runs, sources
from rwae_kit.reproduce.tables import PaperTable
from rwae_kit.reproduce.words import results_page

CSV_HEADERS = (
    "table", "budget", "method", "recipe", "seed", "data", "data hash", "judge hash", "hardware", "rwae_kit", "protocol", "row",
    "score", "value", "low", "high",
)  # fmt: skip


def write_table(plan: Plan) -> None:
    """Write all files of the runs that are in the folder; results.json, which says of what it is made, comes last.

    Raises:
        DataError: there is no scored run, or runs do not belong in one table.
    """
    runs = scored_runs(plan.table, plan.chosen, plan.folder)
    if not runs:
        raise DataError(f"{plan.folder}: there is no run that is trained and scored: nothing to write")
    about = [json.loads((run.folder / ENDED).read_text(encoding="utf-8")) for run in runs]
    results = [{one.protocol: _result(run.result(one.protocol)) for one in plan.table.scoring} for run in runs]
    compared = _compared(plan, runs)
    tables = [table for one, only in compared for table in comparison_tables(one, only)]
    notes = [note for one, only in compared for note in _notes_below(one, only)]
    name = f"{plan.table.papers}: {plan.table.title} (budget {plan.budget})"
    texts = {
        "compare.html": compare_page(tables, [run.folder for run in runs], title=name, notes=notes),
        "table.csv": _csv(plan, about, results),
        "RESULTS.md": results_page(plan, about, results, list(zip(tables, notes, strict=True))),
        "results.json": json.dumps(
            {
                "table": plan.table.name,
                "papers": plan.table.papers,
                "title": plan.table.title,
                "budget": plan.budget,
                "data": plan.data,
                "rwae_kit": __version__,
                "runs": [
                    {"folder": run.folder.name, **said, "results": {name: one.to_dict() for name, one in found.items()}}
                    for run, said, found in zip(runs, about, results, strict=True)
                ],
                "comparisons": [asdict(one) for one, _ in compared],
                "from": sources(plan.table, plan.chosen, plan.folder),
            },
            indent=1,
            allow_nan=False,
        ),
    }
    for file in FILES:
        replace_file(plan.folder / file, texts[file].encode())


def _compared(plan: Plan, runs: Sequence[Run]) -> list[tuple[Comparison, tuple[str, ...]]]:
    """For each protocol the runs, with the published rows, and what to show; those of other data stand apart."""
    found = []
    here = plan.table.published == plan.data
    for scoring in plan.table.scoring:
        own = compare([run.folder for run in runs], scoring.protocol, with_published=here)
        found += [(evolve(one, notes=()), scoring.show) for one in own]
        if not here:
            found += [(one, scoring.show) for one in published_apart(plan.table, scoring.protocol)]
    return found


def published_apart(table: PaperTable, protocol: str) -> list[Comparison]:
    """What papers print for the table's own data under a protocol, as a comparison of nothing else; none for a protocol of ours."""
    if all(row.protocol != protocol for row in published()):
        return []
    found = compare((), protocol, with_published=True)
    return [evolve(one, apart="published, not on these data") for one in found if one.data == table.published]


def _notes_below(comparison: Comparison, only: Sequence[str]) -> list[list[str]]:
    """Footnotes below the last of a comparison's tables."""
    return [*([[]] * (len(comparison_tables(comparison, only)) - 1)), footnotes(comparison)]


def _result(file: Path) -> Result:
    try:
        return Result.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file}: is damaged or of another version ({error}); remove it, and it is made again") from error


def _csv(plan: Plan, about: Sequence[dict[str, Any]], results: Sequence[dict[str, Result]]) -> str:
    """One line for each score of each row of each run, in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADERS)
    for said, found in zip(about, results, strict=True):
        for protocol, one in found.items():
            own = (plan.table.name, plan.budget, said["method"], said["recipe"], said["seed"], one.data, one.data_hash, one.judge)
            for row, scores in one.rows.items():
                for name, score in scores.items():
                    ends = ["" if end is None else end for end in (score.low, score.high)]
                    writer.writerow([*own, said["hardware"], said["rwae_kit"], protocol, row, name, score.value, *ends])
    return text.getvalue()
