"""Results as tables of words: scores with their intervals."""

from __future__ import annotations

from rwae_kit.evaluation.results import Result, Score
from rwae_kit.evaluation.tables import Table

BUILT = ("model", "untrained")
"""Rows whose intervals are shown; those of real clips and stand-ins are in the result."""
NATS = ("IS", "H(y|x)", "H(y)")
"""Endings of the names of scores that are numbers; `percentage` says which others are."""


def result_table(result: Result) -> Table:
    """One row for each score, one column for each model that was scored; those that were built have one for intervals too."""
    names = list(dict.fromkeys(name for scores in result.rows.values() for name in scores))
    headers, columns = [""], [names]
    for model, scores in result.rows.items():
        headers.append(model)
        columns.append([value_words(name, scores.get(name)) for name in names])
        if model in BUILT and any(_ends(score) for score in scores.values()):
            headers.append("95 %")
            columns.append([interval_words(name, scores.get(name)) for name in names])
    rows = [list(row) for row in zip(*columns, strict=True)]
    over = f"; intervals over {result.intervals_over}" if result.recordings is not None else ""
    return Table(f"{result.protocol}: {result.data}, {result.clips:,} clips{over}", headers, rows)


def words(name: str, score: Score | None) -> str:
    """A score and its interval, such as "81.0 % (78.2 to 83.5)" or "8.516 (8.41 to 8.60)"; a dash for none."""
    ends = interval_words(name, score)
    return f"{value_words(name, score)} ({ends})" if ends else value_words(name, score)


def value_words(name: str, score: Score | None) -> str:
    """A score alone, such as "81.0 %" or "8.516"; a dash for none."""
    if score is None or score.value != score.value:
        return "–"
    return f"{100 * score.value:.1f} %" if percentage(name) else f"{score.value:.4g}"


def interval_words(name: str, score: Score | None) -> str:
    """The ends of a score's interval, such as "78.2 to 83.5"; "" where it has none."""
    if score is None:
        return ""
    return " to ".join(f"{100 * end:.1f}" if percentage(name) else f"{end:.3g}" for end in _ends(score))


def percentage(name: str) -> bool:
    """Whether a score of this name is a share, and is shown in percent."""
    return not (name.endswith(NATS) or any(word in name for word in ("FID", "Frechet", "MSE", "SSE", "std", "scale")))


def _ends(score: Score) -> list[float]:
    return [] if score.low is None or score.high is None else [score.low, score.high]
