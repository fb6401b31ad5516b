"""The files of a table: results.json and table.csv for programs, RESULTS.md and compare.html for people.

Nothing in them depends on when they are written, so equal runs make equal files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from rwae_kit.checkpoint import replace_file
from rwae_kit.errors import DataError
from rwae_kit.evaluation import Comparison, Result, compare, published
from rwae_kit.report import compare_page
from rwae_kit.reproduce.made import Made
from rwae_kit.reproduce.plan import ENDED, FILES, Plan, Run, scored_runs, sources
from rwae_kit.reproduce.search import find_record
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
    made = Made(
        table=plan.table,
        data=plan.data,
        budget=plan.budget,
        epochs=plan.epochs,
        runs=tuple({"folder": run.folder.name, **json.loads((run.folder / ENDED).read_text(encoding="utf-8"))} for run in runs),
        results=tuple({one.protocol: _result(run.result(one.protocol)) for one in plan.table.scoring} for run in runs),
        comparisons=tuple(_compared(plan, runs)),
        searches={
            run.method.called(): found for run in runs if (found := find_record(plan.folder, plan.searched, run.method)) is not None
        },
    )
    tables, notes = zip(*made.shown(), strict=True)
    name = f"{made.title} (budget {plan.budget})"
    texts = {
        "compare.html": compare_page(tables, [run.folder for run in runs], title=name, notes=notes),
        "table.csv": _csv(made),
        "RESULTS.md": results_page(made),
        "results.json": json.dumps(
            {**made.to_dict(), "from": sources(plan.table, plan.chosen, plan.folder)},
            indent=1,
            allow_nan=False,
        ),
    }
    for file in FILES:
        replace_file(plan.folder / file, texts[file].encode())


def _compared(plan: Plan, runs: Sequence[Run]) -> list[Comparison]:
    """For each protocol the runs, with the published rows; those of other data stand apart."""
    found: list[Comparison] = []
    here = plan.table.published == plan.data
    for scoring in plan.table.scoring:
        own = compare([run.folder for run in runs], scoring.protocol, with_published=here)
        found += [evolve(one, notes=()) for one in own]
        if not here:
            found += published_apart(plan.table, scoring.protocol)
    return found


def published_apart(table: PaperTable, protocol: str) -> list[Comparison]:
    """What papers print for the table's own data under a protocol, as a comparison of nothing else; none for a protocol of ours."""
    if all(row.protocol != protocol for row in published()):
        return []
    found = compare((), protocol, with_published=True)
    return [evolve(one, apart="published, not on these data") for one in found if one.data == table.published]


def _result(file: Path) -> Result:
    try:
        return Result.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file}: is damaged or of another version ({error}); remove it, and it is made again") from error


def _csv(made: Made) -> str:
    """One line for each score of each row of each run, in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADERS)
    for said, found in zip(made.runs, made.results, strict=True):
        for protocol, one in found.items():
            own = (made.table.name, made.budget, said["method"], said["recipe"], said["seed"], one.data, one.data_hash, one.judge)
            for row, scores in one.rows.items():
                for name, score in scores.items():
                    ends = ["" if end is None else end for end in (score.low, score.high)]
                    writer.writerow([*own, said["hardware"], said["rwae_kit"], protocol, row, name, score.value, *ends])
    return text.getvalue()
