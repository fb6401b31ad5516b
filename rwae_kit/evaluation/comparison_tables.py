"""Comparisons as tables of words, for the terminal and for a page, and as plain rows for a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rwae_kit.evaluation.compare import Comparison, Line
from rwae_kit.evaluation.result_tables import percentage, words
from rwae_kit.evaluation.tables import Table

COLUMNS = 5
"""Scores in one table; more stand in further tables with the same rows."""
FLAG = " !"
CSV_HEADERS = ("protocol", "data", "row", "kind", "runs", "score", "mean", "std", "low", "high", "source", "broken identity")


def comparison_tables(comparison: Comparison, only: Sequence[str] = ()) -> list[Table]:
    """The comparison as tables of at most `COLUMNS` scores, a row for each method, trivial stand-in and published method.

    Arguments:
        only: parts of the names of the scores to show; all if empty.
    """
    names = [name for name in comparison.names() if not only or any(part in name for part in only)]
    pieces = [names[start : start + COLUMNS] for start in range(0, len(names), COLUMNS)]
    sources, made = _numbered(comparison), []
    for place, piece in enumerate(pieces, 1):
        said = f" ({place} of {len(pieces)})" if len(pieces) > 1 else ""
        lines = [line for line in comparison.lines if any(name in line.scores for name in piece)]
        rows = [
            [
                line.name + FLAG * bool(line.broken),
                _seeds(line),
                *(_cell(line, name) for name in piece),
                sources.get(line.source, ""),
            ]
            for line in lines
        ]
        title = f"{comparison.protocol}: {comparison.data}{said}" + (f", {comparison.apart}" if comparison.apart else "")
        made.append(Table(title, ["", "seeds", *piece, "source"], rows))
    return made


def footnotes(comparison: Comparison) -> list[str]:
    """What a reader has to know beside the tables."""
    notes = []
    about = comparison.about
    if about:
        judge = f"; judge {str(about['judge'])[:12]}" if about["judge"] else ""
        notes.append(
            f"{about['clips']:,} clips of the split {about['split']}{judge}. Several seeds: mean ± standard deviation over them;"
        )
        notes[-1] += " one: its value and the 95 % interval over clips."
    sources = _numbered(comparison)
    notes += [f"{number} {source}." for source, number in sources.items()]
    if sources and about:
        notes.append("Published rows come from other judges, splits and draws: they tell of an order of magnitude, not of a rank.")
    notes += [f"! {line.name}: {line.broken}." for line in comparison.lines if line.broken]
    return [*notes, *comparison.notes]


def csv_rows(comparisons: Sequence[Comparison]) -> list[list[Any]]:
    """One row for each score of each line, in full precision, under `CSV_HEADERS`."""
    return [
        [
            comparison.protocol,
            comparison.data,
            line.name,
            line.kind,
            "" if line.kind == "published" else line.runs,
            name,
            score.value,
            line.std.get(name, ""),
            "" if score.low is None else score.low,
            "" if score.high is None else score.high,
            line.source,
            line.broken,
        ]
        for comparison in comparisons
        for line in comparison.lines
        for name, score in line.scores.items()
    ]


def _cell(line: Line, name: str) -> str:
    score = line.scores.get(name)
    if score is not None and line.kind == "published" and percentage(name):
        return f"{100 * score.value:.2f} %"  # as printed
    if score is None or name not in line.std:
        return words(name, score)
    if percentage(name):
        return f"{100 * score.value:.1f} ± {100 * line.std[name]:.1f} %"
    return f"{score.value:.4g} ± {line.std[name]:.2g}"


def _seeds(line: Line) -> str:
    return str(line.runs) if line.kind == "model" else ""


def _numbered(comparison: Comparison) -> dict[str, str]:
    """Each source and its number, "[1]"."""
    sources = dict.fromkeys(line.source for line in comparison.lines if line.source)
    return {source: f"[{place}]" for place, source in enumerate(sources, 1)}
