"""One page on several runs: their tables, their pictures side by side, and their losses in the same charts."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from attrs import frozen

from rwae_kit.convert import flat
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Table
from rwae_kit.report import curves
from rwae_kit.report.html import Picture, render, shown
from rwae_kit.report.make import read_records
from rwae_kit.report.results import in_words
from rwae_kit.report.words import words

PICTURES = {"reconstructions": "Reconstructions", "swap": "Swap", "matrix": "Cross generation", "samples": "Samples"}
"""Those of a run's pictures that stand side by side, each under its heading."""


@frozen(kw_only=True)
class _Run:
    """What the page takes of a run folder. `name` tells it from the others on the page."""

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    frame: tuple[int, ...]
    length: int


def compare_page(tables: Sequence[Table], runs: Sequence[Path], *, title: str = "", notes: Sequence[str] = ()) -> str:
    """The whole page as text: one HTML file that asks nothing of the network.

    Arguments:
        tables: the comparison itself, shown first, each as it is.
        runs: run folders. Their pictures are those that `rwk report` has written; a run without is named.
        title: "" counts the runs.
        notes: sentences below the tables: what was left out, what is not comparable.

    Raises:
        RwaeError: no run, or a folder that is none.
    """
    if not runs:
        raise RwaeError("a page of comparison needs at least one run folder")
    opened = [_open(folder, name) for folder, name in zip(runs, _names(runs), strict=True)]
    names = [run.name for run in opened]
    charts = curves.overlaid({run.name: run.records for run in opened})
    pictures = {name: _beside(opened, name) for name in PICTURES}
    return render(
        "compare.html.j2",
        title=title or (f"{len(runs)} runs compared" if len(runs) > 1 else f"The run {names[0]}"),
        tables=tables,
        notes=notes,
        overview=_overview(opened),
        differences=_differences(opened),
        pictures=[(PICTURES[name], some) for name, some in pictures.items() if some],
        bare=[run.name for run in opened if not any(one["run"] == run.name for some in pictures.values() for one in some)],
        charts={
            kind: [
                (chart, curves.svg(chart, names), [names.index(name) % curves.COLOURS for name in chart.curves]) for chart in some
            ]
            for kind, some in charts.items()
            if some
        },
    )


def _open(folder: Path, name: str) -> _Run:
    try:
        recipe = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        frame, length = tuple(model["info"]["frame"]), int(model["info"]["length"])
    except FileNotFoundError as error:
        raise RwaeError(f"{folder}: this is no run folder with a model: {Path(error.filename).name} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RwaeError(f"{folder}: recipe.toml or model.json cannot be read: {error}") from error
    records = read_records(folder / "metrics.jsonl")
    return _Run(name=name, folder=folder, recipe=recipe, records=records, frame=frame, length=length)


def _names(runs: Sequence[Path]) -> list[str]:
    """The last part of each path, and as much before it as tells the runs apart."""
    parts = [run.resolve().parts for run in runs]
    if repeated := [str(run) for run, times in zip(runs, map(Counter(parts).get, parts), strict=True) if (times or 0) > 1]:
        raise RwaeError(f"the run {repeated[0]} is named {len(repeated)} times: give each run once")
    depth = next(k for k in count(1) if len({part[-k:] for part in parts}) == len(parts))
    return ["/".join(part[-depth:]) for part in parts]


def _overview(runs: Sequence[_Run]) -> Table:
    rows = []
    for run in runs:
        steps = max((int(record["step"]) for record in run.records), default=0)
        losses = [record["validation"]["total"] for record in run.records if "total" in record.get("validation", {})]
        training, data = run.recipe.get("training", {}), run.recipe.get("data", {})
        lowest = f"{min(losses):.4g}" if losses else "–"
        title = str(run.recipe.get("title", ""))
        rows.append([run.name, title, str(data.get("name", "")), str(training.get("seed", "–")), f"{steps:,}", lowest])
    return Table("Runs", ["run", "recipe", "data", "seed", "steps", "lowest validation loss"], rows)


def _differences(runs: Sequence[_Run]) -> Table | None:
    """The entries in which the recipes differ; None for one run, or for equal recipes."""
    plans = [flat({key: value for key, value in run.recipe.items() if key not in ("title", "about")}) for run in runs]
    paths = sorted({path for plan in plans for path in plan})
    rows = [[path, *(in_words(plan[path]) if path in plan else "–" for plan in plans)] for path in paths]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    return Table("Where the recipes differ", ["entry", *(run.name for run in runs)], rows) if rows else None


def _beside(runs: Sequence[_Run], name: str) -> list[dict[str, Any]]:
    """The picture of this name of each run that has it."""
    found = []
    for run in runs:
        still, moving = (run.folder / "pictures" / f"{name}{end}" for end in (".png", ".gif"))
        if still.exists():
            section, alt, caption = words(name, run.frame, run.length)
            picture = Picture(
                section=section, still=still, alt=f"{run.name}: {alt}", caption=caption, moving=moving if moving.exists() else None
            )
            found.append({"run": run.name, "shown": shown(picture)})
    return found
