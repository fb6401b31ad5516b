"""Comparisons as tables of words, for the terminal and for a page, and as plain rows for a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rwae_kit.evaluation.compare import Comparison, Line, short_hash
from rwae_kit.evaluation.result_tables import interval_words, percentage
from rwae_kit.evaluation.tables import Table

COLUMNS = 5
"""Scores in one table; more stand in further tables with the same rows."""
FLAG = " !"
PUBLISHED = "Published rows come from other judges, splits and draws: they tell of an order of magnitude, not of a rank."
CSV_HEADERS = ("protocol", "data", "row", "kind", "runs", "score", "mean", "std", "low", "high", "source", "broken identity")


def comparison_tables(comparison: Comparison, only: Sequence[str] = ()) -> list[Table]:
    """The comparison as tables of at most `COLUMNS` scores, a row for each method, trivial stand-in and published method.

    Arguments:
        only: parts of the names of the scores to show; all if empty.
    """
    names = [name for name in comparison.names() if not only or any(part in name for part in only)]
    sources, made = _numbered(comparison), []
    for prefix, piece in _pieces(names):
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
        title = ", ".join(filter(None, [f"{comparison.protocol}: {comparison.data}", comparison.apart, prefix.removesuffix(": ")]))
        made.append(Table(title, ["", "seeds", *(_header(name, prefix) for name in piece), "source"], rows))
    return made


def _pieces(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The scores in pieces of about `COLUMNS`, and what their names begin with up to a colon; IS stays with its entropies."""
    pieces: list[tuple[str, list[str]]] = []
    for prefix, group in _grouped(names, lambda name: name.partition(": ")[0] + ": " if ": " in name else "").items():
        piece: list[str] = []
        for together in _grouped(group, lambda name: name.removesuffix("H(y|x)").removesuffix("H(y)").removesuffix("IS")).values():
            if piece and len(piece) + len(together) > COLUMNS:
                pieces.append((prefix, piece))
                piece = []
            piece = [*piece, *together]
        pieces.append((prefix, piece))
    return pieces


def _grouped(names: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _header(name: str, prefix: str) -> str:
    return name.removeprefix(prefix) + (", %" if percentage(name) else "")


def footnotes(comparison: Comparison) -> list[str]:
    """What a reader has to know beside the tables."""
    notes = []
    about = comparison.about
    if about:
        judge = f"; judge {short_hash(about['judge'])}" if about["judge"] else ""
        notes.append(
            f"{about['clips']:,} clips of the split {about['split']}{judge}. Several seeds: mean ± standard deviation over them;"
        )
        notes[-1] += f" one: its value and the 95 % interval over {about['intervals_over']}."
    sources = _numbered(comparison)
    notes += [f"{number} {source}." for source, number in sources.items()]
    if sources and about:
        notes.append(PUBLISHED)
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
    """The mean with its deviation, or a single run's score with its interval; shares in percent, as the header says."""
    score = line.scores.get(name)
    if score is None or score.value != score.value:
        return "–"
    share = percentage(name)
    value, deviation = (100 if share else 1) * score.value, (100 if share else 1) * line.std.get(name, 0.0)
    if name in line.std:
        return f"{value:.1f}±{deviation:.1f}" if share else f"{value:.4g}±{deviation:.2g}"
    if line.kind == "published":
        return f"{value:.2f}" if share else f"{value:.4g}"  # as printed
    own = f"{value:.1f}" if share else f"{value:.4g}"
    return f"{own} ({interval_words(name, score)})" if line.kind == "model" and score.low is not None else own


def _seeds(line: Line) -> str:
    return str(line.runs) if line.kind == "model" else ""


def _numbered(comparison: Comparison) -> dict[str, str]:
    """Each source and its number, "[1]"."""
    sources = dict.fromkeys(line.source for line in comparison.lines if line.source)
    return {source: f"[{place}]" for place, source in enumerate(sources, 1)}
