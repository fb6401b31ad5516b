"""`rwk reproduce`: a published table, from training to the finished page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import emit, note, say, show
from rwae_kit.errors import DataError, RecipeError
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from rwae_kit.reproduce.plan import Plan
    from rwae_kit.reproduce.tables import PaperTable


def reproduce(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="a table; without one, all are listed")] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="smoke|cpu|full", help="two steps, to see that it runs; small models on a processor; the papers' sizes"
        ),
    ] = "cpu",
    data: Annotated[str | None, typer.Option(metavar="NAME", help="other data that the table can be made on, such as mug")] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="of each run; without it as the budget has it, whose limit of time stays")
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=1, help="training seeds 0 .. N-1")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="METHOD", help="only this method (may be repeated)")] = None,
    search: Annotated[
        bool, typer.Option("--search", help="choose anew, without labels, what the papers leave open, before anything is trained")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="its folder; without it reproduce/TABLE-BUDGET")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(metavar="M", help="stop cleanly after this time; the same command goes on")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="where to compute; without it as the budget has it")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the steps and what is done of them, and do nothing")] = False,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Make a published table again: train, score and compare; what is done is not done again."""
    from rwae_kit.errors import did_you_mean
    from rwae_kit.reproduce.tables import BUDGETS, find_table

    registry = find_registry(plugin)
    if table is None:
        _listing(registry, json)
        return
    if budget not in BUDGETS:
        raise RecipeError(f"--budget {budget}: no such budget. {did_you_mean(budget, BUDGETS)}")
    if max_minutes is not None and not max_minutes > 0:
        raise RecipeError(f"--max-minutes {max_minutes:g}: needs a number above 0")
    chosen = find_table(table)

    from rwae_kit.reproduce.execute import prepare, reproduce as run
    from rwae_kit.reproduce.work import device_for

    place = device_for(budget, device)  # before anything is opened
    plan, work = prepare(
        chosen, data=data, budget=budget, epochs=epochs, seeds=seeds, only=only or (), search=search, out=out, registry=registry
    )
    if dry_run:
        _show_plan(plan, json)
        return
    if budget == "smoke":
        note("a smoke test: two steps for each run, and a judge that learns nothing. Its figures mean nothing")
    done = run(plan, work, max_minutes=max_minutes, device=place, registry=registry, say=note)
    if json:
        made = [step.words() for step in done.made]
        emit({"folder": str(plan.folder), "ended": done.ended, "made": made, "skipped": len(plan.steps) - len(plan.left())})
    elif done.ended == "done":
        say(f"{plan.folder / 'RESULTS.md'}: the table{', of which no figure means anything' if budget == 'smoke' else ''}")
        say(f"look at: {plan.folder / 'compare.html'}")
    else:
        say(f"{plan.folder}: stopped by {'--max-minutes' if done.ended == 'time' else 'a signal'}; the same command goes on")
    if done.ended == "signal":
        raise typer.Exit(130)


def _show_plan(plan: Plan, json: bool) -> None:
    if json:
        steps = [{"step": step.words(), "state": step.state, "folder": str(step.folder)} for step in plan.steps]
        emit(
            {
                "table": plan.table.name,
                "budget": plan.budget,
                "epochs": plan.epochs,
                "data": plan.data,
                "folder": str(plan.folder),
                "steps": steps,
            }
        )
        return
    show(f"{plan.table.papers}: {plan.table.title}", ("step", "state"), [(step.words(), step.state) for step in plan.steps])
    minutes = "" if plan.chosen.minutes is None else f", at most {plan.chosen.minutes:g} minutes each"
    runs = sum(step.kind == "train" for step in plan.steps)
    say(f"{plan.folder}: {len(plan.left())} of {len(plan.steps)} steps are left; {runs} runs{minutes}")


def _listing(registry: Registry, json: bool) -> None:
    """All tables: one line for each data set that they can be made on."""
    from rwae_kit.reproduce.tables import paper_tables

    rows = [_row(table, name, registry) for table in paper_tables() for name in table.data]
    if json:
        emit(rows)
        return
    shown = [
        [", ".join(value) if isinstance(value, list) else value for key, value in row.items() if key != "title"] for row in rows
    ]
    show("", [key for key in rows[0] if key != "title"], shown)
    say("make one: rwk reproduce TABLE --budget cpu    see that it runs: --budget smoke    other data: --data NAME")


def _row(table: PaperTable, data: str, registry: Registry) -> dict[str, Any]:
    """What there is to say of a table on some data; `clips` and `judge` are those of the budget cpu."""
    from rwae_kit.evaluation.judges import find_judge
    from rwae_kit.reproduce.work import open_work

    budget = table.data[data].cpu
    try:
        work = open_work(table, data, "cpu", Path(), registry)
        clips, judge = "there", "none is asked" if work.judge is None else "trained" if find_judge(work.info) else "not trained"
    except DataError:
        clips, judge = "rwk data build", "–"
    return {
        "table": table.name,
        "paper": table.papers,
        "title": table.title,
        "data": data,
        "methods": list(dict.fromkeys(method.recipe.partition(":")[0] for method in budget.methods)),
        "protocol": [one.protocol for one in table.scoring],
        "clips": clips,
        "judge": judge,
    }
