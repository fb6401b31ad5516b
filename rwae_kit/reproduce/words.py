"""RESULTS.md: the table as a person reads it, with what has to be known beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import tomlkit

from rwae_kit.evaluation import Result
from rwae_kit.evaluation.result_tables import words
from rwae_kit.reproduce.made import Made, method_of

BUDGETS: Mapping[str, str] = {
    "smoke": "**These figures mean nothing.** Each run had two steps on a few clips, and a judge that is trained here has learned "
    "nothing: this shows that everything runs through.",
    "cpu": "Small models, at 32 pixels where there are pixels, trained for minutes. The figures compare these methods with each "
    "other at this size, under the same budget; beside those of the papers they tell whether an order is the same, no more.",
    "full": "The papers' sizes and lengths of training, as far as the papers give them; the recipes say of each number where it is "
    "from.",
}

SEARCHED = (
    "What the papers leave open was searched, with as many trials of the same length for every method, and without labels: the "
    "static codes of validation clips are decoded with motions drawn from their prior, the dynamic ones with static codes drawn "
    "from theirs; the clips that come out are encoded, and what is found of the codes that were kept is counted in nats. The score "
    "of a trial is the harmonic mean of the two, times the share of the variance that reconstructions explain. No run of the "
    "tables is one of the trials."
)
CHOSEN = "The model of a run is the one with the lowest validation loss; no label was used to choose it."


def results_page(made: Made) -> str:
    """The page: tables with published rows, every run, how it was made, and what is not as in the paper."""
    return page([f"# {made.title}", BUDGETS[made.budget], *scores(made, "##"), *record(made, "##")])


def page(blocks: Iterable[str]) -> str:
    """Paragraphs, headings, tables and lists as Markdown; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def scores(made: Made, head: str, said: Collection[str] = ()) -> list[str]:
    """The tables with published rows, under headings of a level ("##"); of their notes those that are not `said` already."""
    _, choice = made.table.choose(made.data)
    blocks = [choice.note.strip()]
    for one, notes in made.shown():
        blocks += [f"{head} {one.title}", markdown(one.headers, one.rows), bullets(note for note in notes if note not in said)]
    return blocks


def record(made: Made, head: str, said: Collection[str] = ()) -> list[str]:
    """Every run, how it was made, and what is not as in the paper, but for what is `said` already."""
    notes = [note for note in (*_honest(made.runs, made.results, made.budget), *made.table.notes) if note not in said]
    told = f"Values, with 95 % intervals over the {intervals_over(made.results)}; the CSV file of a table has all scores and rows."
    return [
        f"{head} Every run",
        told,
        *_every_run(made),
        f"{head} How it was made",
        _runs(made.runs),
        _changed(made),
        *_searches(made, said),
        bullets(notes),
    ]


def bullets(notes: Iterable[str]) -> str:
    """A list in Markdown."""
    return "\n".join(f"- {note}" for note in notes)


def markdown(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    body = [[str(cell).replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (body[0], ["---"] * len(headers), *body[1:]))


def intervals_over(results: Sequence[Mapping[str, Result]]) -> str:
    """What the intervals of all results are over, such as "test clips" or "8 recordings of the test clips"."""
    found = [one for each in results for one in each.values()]
    words = ["test clips" if one.recordings is None else f"{one.intervals_over} of the test clips" for one in found]
    said = {word: [one.protocol for one, own in zip(found, words, strict=True) if own == word] for word in words}
    if len(said) == 1:
        return words[0]
    return ", ".join(f"{word} ({' and '.join(dict.fromkeys(protocols))})" for word, protocols in said.items())


def _every_run(made: Made) -> list[str]:
    tables = []
    for scoring in made.table.scoring:
        scored = [found[scoring.protocol].rows["model"] for found in made.results]
        names = [name for name in scored[0] if not scoring.show or any(part in name for part in scoring.show)]
        rows = [
            [said["title"], said["seed"], *(words(name, scores.get(name)) for name in names)]
            for said, scores in zip(made.runs, scored, strict=True)
        ]
        tables.append(markdown([scoring.protocol, "seed", *names], rows))
    return tables


def _runs(about: Sequence[Mapping[str, Any]]) -> str:
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


def _changed(made: Made) -> str:
    """What the table sets over the values of recipes, in all methods and in single ones."""
    titles = {method_of(run): run["title"] for run in made.runs}
    _, choice = made.table.choose(made.data)
    budget = choice.budget(made.budget)
    found = {"Every method": _assignments(budget.set)}
    for one in budget.methods:
        if one.called() in titles:
            begin = [f"what the search chose for `{one.like}`"] if one.like else []
            begin += [f"begins from the weights of `{one.init}` of the same seed"] if one.init else []
            begin += [f"`training.epochs = {one.epochs}`"] if one.epochs else []
            found[titles[one.called()]] = [*begin, *_assignments(one.set), *(f"no `{path}`" for path in one.remove)]
    lines = [f"{who}: {', '.join(values)}" for who, values in found.items() if values]
    return "\n\n".join(["What the table sets over the recipes' own values:", bullets(lines)]) if lines else ""


def _assignments(values: Mapping[str, Any]) -> list[str]:
    """As a recipe's file has them."""
    return [f"`{path} = {_inline(value)}`" for path, value in values.items()]


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + " }"
    written: str = tomlkit.item(value).as_string()
    return written


def _searches(made: Made, said: Collection[str]) -> list[str]:
    """How the values of methods were chosen, and what it changed."""
    if not made.searches:
        return ["Weights and learning rates were not searched for this table."]
    titles = {method_of(run): run["title"] for run in made.runs}
    rows = []
    for name, found in made.searches.items():
        best, first = found.best(), found.trials[0]
        values = ", ".join(_assignments(best.values)) or "the recipe as it is"
        rows.append(
            [titles[name], values, f"{best.score:.2f}", f"{first.score:.2f}", len(found.trials), first.steps, found.looks or "–"]
        )
    headers = ["searched", "chosen", "score", "the recipe's own", "trials", "steps of each", "view"]
    about = "" if SEARCHED in said else SEARCHED
    views = {found.looks for found in made.searches.values()} - {""}
    told = "Dynamic codes are those of clips whose looks the view has changed, so that what they tell of looks does not count."
    return [about, markdown(headers, rows), told if views else ""]


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
        notes.append(CHOSEN)
    return notes
