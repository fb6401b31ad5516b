"""Results as tables of words: scores with their intervals."""

from __future__ import annotations

from rwae_kit.evaluation.results import Result, Score
from rwae_kit.evaluation.tables import Table

LEARNED = ("model", "untrained")
"""Columns that show intervals."""
NATS = ("IS", "H(y|x)", "H(y)")
"""Endings of the names of scores that are numbers; `percentage` says which others are."""


def result_table(result: Result) -> Table:
    """One row for each score, one column for each model that was scored; trivial ones without intervals, to be readable."""
    models = list(result.rows)
    names = list(dict.fromkeys(name for scores in result.rows.values() for name in scores))
    rows = [[name, *(words(name, result.rows[model].get(name), model in LEARNED) for model in models)] for name in names]
    return Table(f"{result.protocol}: {result.data}, {result.clips:,} clips", ["", *models], rows)


def words(name: str, score: Score | None, ends_too: bool = True) -> str:
    """A score and its interval, such as "81.0 % (78.2 to 83.5)" or "8.516 (8.41 to 8.60)"; a dash for none."""
    if score is None or score.value != score.value:
        return "–"
    if percentage(name):
        value, ends = f"{100 * score.value:.1f} %", [f"{100 * end:.1f}" for end in _ends(score)]
    else:
        value, ends = f"{score.value:.4g}", [f"{end:.3g}" for end in _ends(score)]
    return f"{value} ({ends[0]} to {ends[1]})" if ends and ends_too else value


def percentage(name: str) -> bool:
    """Whether a score of this name is a share, and is shown in percent."""
    return not (name.endswith(NATS) or any(word in name for word in ("FID", "Frechet", "MSE", "SSE", "std", "scale")))


def _ends(score: Score) -> list[float]:
    return [] if score.low is None or score.high is None else [score.low, score.high]
