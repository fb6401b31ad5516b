"""What there is to do for a table, and what of it is done: read from its folder, changed by nobody here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from attrs import frozen

from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.reproduce.search import record_file
from rwae_kit.reproduce.tables import Budget, Method, PaperTable

ENDED: Final = "reproduced.json"
"""In a run folder: its training has ended, and how."""
RESULTS: Final = "results.json"
FILES: Final = ("compare.html", "table.csv", "RESULTS.md", RESULTS)
"""What is written of a table, in this order: where the last one is, all are."""


@frozen(kw_only=True)
class Run:
    """A method with a seed, and its folder."""

    method: Method
    seed: int
    folder: Path

    def result(self, protocol: str) -> Path:
        """Where its result under a protocol lies."""
        return self.folder / "results" / f"{protocol}.json"


@frozen(kw_only=True)
class Step:
    """One thing to do: a judge to train, values to search, a run to train or to score by a protocol, or the table to write."""

    kind: Literal["judge", "search", "train", "score", "table"]
    folder: Path
    state: Literal["done", "begun", "to do"]
    method: Method | None = None
    """Of a search."""
    run: Run | None = None
    protocol: str = ""

    def words(self) -> str:
        """The step in a few words."""
        if self.method is not None:
            return f"search {self.method.called()}"
        if self.run is None:
            return "train the judge" if self.kind == "judge" else "write the table"
        name = f"{self.run.method.called()}, seed {self.run.seed}"
        return f"train {name}" if self.kind == "train" else f"score {name} by {self.protocol}"


@frozen(kw_only=True)
class Plan:
    """All steps for a table, in the order in which they are done."""

    table: PaperTable
    data: str
    budget: str
    epochs: int | None
    """Of each run, where they were asked for; None as the budget has it."""
    chosen: Budget
    folder: Path
    steps: tuple[Step, ...]

    @property
    def searched(self) -> str:
        """The name of the package's folder of searches for this table; a smoke test takes those of the budget cpu."""
        return f"{self.table.name}-{self.data}-{'full' if self.budget == 'full' else 'cpu'}"

    def left(self) -> list[Step]:
        """What is not done yet."""
        return [step for step in self.steps if step.state != "done"]


def make_plan(
    table: PaperTable,
    data: str,
    budget: str,
    folder: Path,
    *,
    epochs: int | None = None,
    seeds: int | None = None,
    only: Sequence[str] = (),
    search: bool = False,
    judge: Path | None = None,
) -> Plan:
    """The steps for a table; nothing is written, and nothing is read but what is in the folder.

    Seeds come one after the other, each with all methods, so that a table which is cut short compares like with like. What a method
    begins from is trained before it, though it is not among the methods.

    Arguments:
        epochs: of each run; None as the budget has it.
        seeds: how many, from 0 on; None as the budget has it.
        only: methods, by the name of their folders, by reference or by the recipe's name; none for all.
        search: search the values that the table leaves open first, whatever comes with the package.
        judge: where the judge is to lie; None where nobody asks one.

    Raises:
        RecipeError: the data, the budget or a method is not in the table, or there is nothing to search in it.
    """
    data, choice = table.choose(data or None)
    chosen = choice.budget(budget, epochs)
    methods = _methods(table, chosen, only)
    runs = [run_of(method, seed, folder) for seed in range(seeds or chosen.seeds) for method in methods]
    steps = [] if judge is None else [Step(kind="judge", folder=judge, state=_state(judge / "judge.json", judge))]
    if search:
        if chosen.search is None:
            raise RecipeError(f"reproduce {table.name}: --search: nothing is searched on {data} at the budget {budget}")
        wanted = [chosen.searched_for(method) for method in methods]
        for method in (one for one in chosen.methods if one in wanted):
            file = record_file(folder, method)
            begun = file.with_name(f"{method.called()}-0")
            steps.append(Step(kind="search", method=method, folder=file.parent, state=_state(file, begun)))
    for run in runs:
        if (first := chosen.begun_from(run.method)) is not None and first not in methods:
            steps.append(_training(run_of(first, run.seed, folder)))
        steps.append(_training(run))
        ended = run.folder / ENDED
        for scoring in table.scoring:
            file = run.result(scoring.protocol)
            state = _state(file, file) if ended.is_file() and _same_judge(file, judge) else "to do"
            steps.append(Step(kind="score", run=run, folder=run.folder, protocol=scoring.protocol, state=state))
    written = all(step.state == "done" for step in steps) and is_written(table, chosen, folder)
    steps.append(Step(kind="table", folder=folder, state="done" if written else "to do"))
    return Plan(table=table, data=data, budget=budget, epochs=epochs, chosen=chosen, folder=folder, steps=tuple(steps))


def run_of(method: Method, seed: int, folder: Path) -> Run:
    """The run of a method with a seed in a table's folder."""
    return Run(method=method, seed=seed, folder=folder / f"{method.called()}-{seed}")


def _training(run: Run) -> Step:
    return Step(kind="train", run=run, folder=run.folder, state=_state(run.folder / ENDED, run.folder / "recipe.toml"))


def scored_runs(table: PaperTable, budget: Budget, folder: Path) -> list[Run]:
    """All runs of the table that are in the folder, trained and scored, whatever is planned now; by method, then by seed."""
    found = []
    for method in budget.methods:
        numbers = [re.fullmatch(rf"{re.escape(method.called())}-(\d+)", path.name) for path in folder.glob(f"{method.called()}-*")]
        for seed in sorted(int(number[1]) for number in numbers if number):
            run = run_of(method, seed, folder)
            if all(file.is_file() for file in (run.folder / ENDED, *(run.result(one.protocol) for one in table.scoring))):
                found.append(run)
    return found


def sources(table: PaperTable, budget: Budget, folder: Path) -> dict[str, str]:
    """The files that the table is made from, each with its sha256."""
    files = [
        file
        for run in scored_runs(table, budget, folder)
        for file in (run.folder / ENDED, *(run.result(one.protocol) for one in table.scoring))
    ]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def is_written(table: PaperTable, budget: Budget, folder: Path) -> bool:
    """Whether the written table is that of the runs in the folder."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    try:
        values: Any = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(values, dict) and values.get("from") == sources(table, budget, folder)


def _state(done: Path, begun: Path) -> Literal["done", "begun", "to do"]:
    return "done" if done.is_file() else "begun" if begun.exists() else "to do"


def _same_judge(result: Path, judge: Path | None) -> bool:
    """False where the judge was trained anew since: scores of two judges do not stand in one table."""
    card = None if judge is None else judge / "judge.json"
    if card is None or not card.is_file() or not result.is_file():
        return True
    try:
        one, other = (json.loads(file.read_text(encoding="utf-8")) for file in (result, card))
        return one["judge"] in ("", other["hash"])
    except (ValueError, TypeError, KeyError):
        return True  # damaged: whoever reads it says so


def _methods(table: PaperTable, budget: Budget, only: Sequence[str]) -> list[Method]:
    names = [{method.called(), method.recipe, method.recipe.partition(":")[0]} for method in budget.methods]
    for word in only:
        if not any(word in known for known in names):
            hint = did_you_mean(word, set().union(*names))
            raise RecipeError(f"reproduce {table.name}: --only {word}: no such method. {hint}")
    return [method for method, known in zip(budget.methods, names, strict=True) if not only or known & set(only)]
