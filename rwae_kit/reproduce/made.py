"""A table as it was made, as a value: what results.json holds, and all that a page tells of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import asdict, field, frozen

from rwae_kit import __version__
from rwae_kit.convert import structure
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.evaluation import Comparison, Result, Table, comparison_tables, footnotes
from rwae_kit.reproduce.plan import RESULTS
from rwae_kit.reproduce.search import SearchRecord
from rwae_kit.reproduce.tables import PaperTable, find_table


def method_of(run: Mapping[str, Any]) -> str:
    """What the folders of a run's method are called, without the seed."""
    return str(run["folder"]).rpartition("-")[0]


@frozen(kw_only=True)
class Made:
    """A table with its runs, seeds of a method one after the other."""

    table: PaperTable
    data: str
    budget: str
    epochs: int | None = None
    """Of each run, where they were asked for; None as the budget has it."""
    runs: tuple[Mapping[str, Any], ...]
    """Of each run the name of its folder, and what `reproduced.json` says."""
    results: tuple[Mapping[str, Result], ...]
    """Of each run its results by protocol."""
    comparisons: tuple[Comparison, ...]
    searches: Mapping[str, SearchRecord] = field(factory=dict)
    """Of methods, by the name of their folders without the seed, the trials that chose their values."""

    @property
    def name(self) -> str:
        """The table, its data where they are not the first, the budget, and epochs that were asked for, in one word."""
        return self.table.called(self.data, self.budget, self.epochs)

    @property
    def title(self) -> str:
        """Which tables of which papers, what they show, and epochs that were asked for."""
        return f"{self.table.papers}: {self.table.title}{'' if self.epochs is None else f', {self.epochs} epochs'}"

    def shown(self) -> list[tuple[Table, list[str]]]:
        """The comparisons as tables of the scores that pages show; footnotes stand below the last one of each comparison."""
        parts = {scoring.protocol: scoring.show for scoring in self.table.scoring}
        found: list[tuple[Table, list[str]]] = []
        for one in self.comparisons:
            tables = comparison_tables(one, parts[one.protocol])
            notes = [*([[]] * (len(tables) - 1)), footnotes(one)]
            found += zip(tables, notes, strict=True)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "table": self.table.name,
            "papers": self.table.papers,
            "title": self.table.title,
            "budget": self.budget,
            "epochs": self.epochs,
            "data": self.data,
            "rwae_kit": __version__,
            "runs": [
                {**said, "results": {name: one.to_dict() for name, one in found.items()}}
                for said, found in zip(self.runs, self.results, strict=True)
            ],
            "comparisons": [asdict(one) for one in self.comparisons],
            "searches": {name: asdict(one) for name, one in self.searches.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, by way of JSON."""
        runs = values["runs"]
        return cls(
            table=find_table(values["table"]),
            data=values["data"],
            budget=values["budget"],
            epochs=values.get("epochs"),
            runs=tuple({key: value for key, value in run.items() if key != "results"} for run in runs),
            results=tuple({name: Result.from_dict(one) for name, one in run["results"].items()} for run in runs),
            comparisons=tuple(structure(one, Comparison, "comparisons") for one in values["comparisons"]),
            searches={name: SearchRecord.from_dict(one) for name, one in values["searches"].items()},
        )


def read_made(folder: Path) -> Made:
    """The table of a folder that `rwk reproduce` has finished.

    Raises:
        DataError: there is none in it, or it is damaged.
    """
    file = folder / RESULTS
    if not file.is_file():
        raise DataError(
            f"{folder}: there is no {RESULTS}, so this is no finished table. rwk reproduce TABLE --out {folder} makes one"
        )
    try:
        return Made.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError, RwaeError) as error:
        again = "remove it, and the same rwk reproduce command writes it anew"
        raise DataError(f"{file}: is damaged or of another version ({error}); {again}") from error
