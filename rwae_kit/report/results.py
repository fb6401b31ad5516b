"""What `rwk eval --protocol` found, from the files of a run: each protocol a table of scores with their intervals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from rwae_kit.convert import flat
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Result, Score

FOLDER = "results"


class Cell(NamedTuple):
    """A score and its 95 % interval in words; the interval is "" where there is none."""

    value: str
    interval: str = ""


class ResultTable(NamedTuple):
    """A protocol's table: `rows` are the models with a cell for each of the `scores`; `notes` say how it was measured."""

    title: str
    scores: list[str]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str]


def read_results(folder: Path) -> list[Result]:
    """The results in a run folder, in the order of their names; none where nothing was measured.

    Raises:
        RwaeError: a file that holds no result.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            found.append(Result.from_dict(json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            hint = f"Write it anew (rwk eval {folder} --protocol {path.stem}), or take it away"
            raise RwaeError(f"{path}: this is no result of a protocol ({type(error).__name__}: {error}). {hint}") from error
    return found


def result_table(result: Result, data_hash: str = "") -> ResultTable:
    """A result as words.

    Arguments:
        data_hash: of the data that the model was trained on; a result on others says so. "" leaves that out.
    """
    scores = list(dict.fromkeys(name for row in result.rows.values() for name in row))
    rows = [(model, [_cell(row.get(name)) for name in scores]) for model, row in result.rows.items()]
    return ResultTable(title=result.protocol, scores=scores, rows=rows, notes=_notes(result, data_hash))


def _notes(result: Result, data_hash: str) -> list[str]:
    drawn = f", {result.draws} draws for each" if result.draws > 1 else ""
    measured = f"{result.clips} clips of {result.data} ({result.split}){drawn}, seed {result.seed}."
    said = [f"{measured} In brackets: 95 % intervals, by bootstrap over clips."]
    if data_hash and result.data_hash != data_hash:
        said.append(f"These are not the data that the model was trained on (sha256 {result.data_hash[:12]}, not {data_hash[:12]}).")
    if result.judge:
        own = ", ".join(f"{factor} {100 * share:.1f} %" for factor, share in result.judge_accuracy.items())
        said.append(f"Judge {result.judge[:12]}" + (f", right on real clips: {own}." if own else "."))
    if result.settings:
        said.append("Settings: " + "; ".join(f"{name} = {in_words(value)}" for name, value in flat(result.settings).items()) + ".")
    return said


def in_words(value: Any) -> str:
    """A value as it is read, a list without its brackets."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("–")
    if score.low is None or score.high is None:
        return Cell(_short(score.value))
    return Cell(_short(score.value), f"[{_short(score.low)}, {_short(score.high)}]")


def _short(value: float) -> str:
    """Four digits: an accuracy of 0.9998 is not 1."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
