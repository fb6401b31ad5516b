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


def compare_page(
    tables: Sequence[Table], runs: Sequence[Path], *, title: str = "", notes: Sequence[Sequence[str]] | None = None
) -> str:
    """The whole page as text: one HTML file that asks nothing of the network.

    Arguments:
        tables: the comparison itself, each table as it is.
        runs: run folders, with the pictures that `rwk report` has written; those without, or with nothing but results, are named.
        title: "" counts the runs.
        notes: for each table the sentences below it.

    Raises:
        RwaeError: nothing to compare, or a folder that is no run.
    """
    if not runs and not tables:
        raise RwaeError("a page of comparison needs at least one run folder, or a table")
    opened = [_open(Path(folder), name) for folder, name in zip(runs, _names(runs), strict=True)]
    names = [run.name for run in opened]
    charts = curves.overlaid({run.name: run.records for run in opened})
    pictures = {name: _beside(opened, name) for name in PICTURES}
    return render(
        "compare.html.j2",
        title=title or {0: "Scores compared", 1: f"The run {'; '.join(names)}"}.get(len(names), f"{len(names)} runs compared"),
        tables=list(zip(tables, notes if notes is not None else [()] * len(tables), strict=True)),
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
    files = {file: folder / file for file in ("recipe.toml", "model.json")}
    if not any(path.exists() for path in (*files.values(), folder / "results")):
        raise RwaeError(f"{folder}: this is no run folder: there is no recipe.toml in it, no model.json and no results")
    try:
        texts = {file: path.read_text(encoding="utf-8") if path.exists() else "" for file, path in files.items()}
        info = json.loads(texts["model.json"] or "{}").get("info", {})
        return _Run(
            name=name,
            folder=folder,
            recipe=tomllib.loads(texts["recipe.toml"]),
            records=read_records(folder / "metrics.jsonl"),
            frame=tuple(info.get("frame", ())),
            length=int(info.get("length", 0)),
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise RwaeError(f"{folder}: recipe.toml or model.json cannot be read: {error}") from error


def _names(runs: Sequence[Path]) -> list[str]:
    """The last part of each path, and as much before it as tells the runs apart."""
    if not runs:
        return []
    parts = [Path(run).resolve().parts for run in runs]
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
