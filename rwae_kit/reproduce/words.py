"""RESULTS.md: the table as a person reads it, with what has to be known beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rwae_kit.evaluation import Result, Table
from rwae_kit.evaluation.result_tables import words
from rwae_kit.reproduce.plan import Plan

BUDGETS: Mapping[str, str] = {
    "smoke": "**These figures mean nothing.** Each run had two steps on a few clips, and a judge that is trained here has learned "
    "nothing: this shows that everything runs through.",
    "cpu": "Small models, at 32 pixels where there are pixels, trained for minutes. The figures compare these methods with each "
    "other at this size, under the same budget; beside those of the papers they tell whether an order is the same, no more. "
    "Weights and learning rates were not searched for this table.",
    "full": "The papers' sizes and lengths of training, as far as the papers give them; the recipes say of each number where it is "
    "from. Weights and learning rates were not searched for this table.",
}


def results_page(
    plan: Plan,
    about: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Result]],
    tables: Sequence[tuple[Table, Sequence[str]]],
) -> str:
    """The page: tables with published rows, every run, how it was made, and what is not as in the paper."""
    table, (_, choice) = plan.table, plan.table.choose(plan.data)
    lines = [f"# {table.papers}: {table.title}", "", BUDGETS[plan.budget], ""]
    if choice.note:
        lines += [choice.note.strip(), ""]
    for one, notes in tables:
        lines += [f"## {one.title}", "", *markdown(one.headers, one.rows), "", *[f"- {note}" for note in notes], ""]
    over = intervals_over(results)
    lines += ["## Every run", "", f"Values, with 95 % intervals over the {over}; table.csv has all scores and rows.", ""]
    lines += [*_every_run(plan, about, results), ""]
    lines += ["## How it was made", "", *_runs(about), ""]
    lines += [f"- {note}" for note in (*_honest(about, results, plan.budget), *table.notes)]
    return "\n".join(lines) + "\n"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A table in Markdown."""
    body = [[str(cell).replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    return ["| " + " | ".join(row) + " |" for row in (body[0], ["---"] * len(headers), *body[1:])]


def intervals_over(results: Sequence[Mapping[str, Result]]) -> str:
    """What the intervals of all results are over, such as "test clips" or "8 recordings of the test clips"."""
    found = [one for each in results for one in each.values()]
    words = ["test clips" if one.recordings is None else f"{one.intervals_over} of the test clips" for one in found]
    said = {word: [one.protocol for one, own in zip(found, words, strict=True) if own == word] for word in words}
    if len(said) == 1:
        return words[0]
    return ", ".join(f"{word} ({' and '.join(dict.fromkeys(protocols))})" for word, protocols in said.items())


def _every_run(plan: Plan, about: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Result]]) -> list[str]:
    lines: list[str] = []
    for scoring in plan.table.scoring:
        scored = [found[scoring.protocol].rows["model"] for found in results]
        names = [name for name in scored[0] if not scoring.show or any(part in name for part in scoring.show)]
        rows = [
            [said["title"], said["seed"], *(words(name, scores.get(name)) for name in names)]
            for said, scores in zip(about, scored, strict=True)
        ]
        lines += [*([""] if lines else []), *markdown([f"{scoring.protocol}", "seed", *names], rows)]
    return lines


def _runs(about: Sequence[Mapping[str, Any]]) -> list[str]:
    headers = ["recipe", "seed", "parameters", "epochs", "steps", "minutes", "ended by", "hardware", "threads", "rwae_kit"]
    rows = [
        [
            f"`{said['recipe']}`",
            said["seed"],
            f"{said['parameters']:,}",
            f"{said['epochs']} of {said['epochs_planned']}",
            f"{said['steps']:,}",
            f"{said['seconds'] / 60:.1f}",
            "its length" if said["stopped"] == "finished" else "the time",
            said["hardware"],
            said["threads"],
            said["rwae_kit"],
        ]
        for said in about
    ]
    return markdown(headers, rows)


def _honest(about: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Result]], budget: str) -> list[str]:
    """What a careful reader asks."""
    first = next(iter(results[0].values()))
    notes = [f"Data {first.data}, sha256 {first.data_hash}."]
    for protocol, one in results[0].items():
        if one.judge:
            read = ", ".join(f"{name} {100 * share:.2f} %" for name, share in one.judge_accuracy.items())
            notes.append(f"Judge of {protocol}: {one.judge}; on the real test clips it reads {read}.")
    seeds = {said["title"]: [other["seed"] for other in about if other["title"] == said["title"]] for said in about}
    fewest = min(map(len, seeds.values()))
    if fewest == 1:
        notes.append("A method with one seed has no deviation: its intervals say nothing of another training.")
    elif fewest < 5:
        notes.append(f"{fewest} seeds tell the deviation only roughly.")
    if len({len(found) for found in seeds.values()}) > 1:
        notes.append("Methods have different numbers of seeds: " + ", ".join(f"{k} {len(v)}" for k, v in seeds.items()) + ".")
    if short := [f"{said['title']} (seed {said['seed']})" for said in about if said["stopped"] != "finished"]:
        notes.append(f"Ended by the time before their epochs were done: {', '.join(short)}.")
    notes += [f"{said['title']} (seed {said['seed']}) warned: {text}" for said in about for text in said["warnings"]]
    if budget != "smoke":
        notes.append("The model of a run is the one with the lowest validation loss; no label was used to choose it.")
    return notes
