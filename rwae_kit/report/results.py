"""What `rwk eval --protocol` found, from the files of a run: each protocol a table of scores with their intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from rwae_kit.convert import flat
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Result
from rwae_kit.evaluation.compare import short_hash
from rwae_kit.evaluation.result_tables import interval_words, value_words

FOLDER = "results"
WIDE = 8
"""More scores than that are rows instead of columns."""


class Cell(NamedTuple):
    """A score and its 95 % interval in words; the interval is "" where there is none."""

    value: str
    interval: str = ""


class ResultTable(NamedTuple):
    """A protocol's table: models are rows and scores columns, or the other way round where the scores are many."""

    title: str
    headers: list[str]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str]
    """How it was measured."""
    long: bool


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
    cells = {
        model: [Cell(value_words(name, row.get(name)), interval_words(name, row.get(name))) for name in scores]
        for model, row in result.rows.items()
    }
    long = len(scores) > WIDE
    rows = [(name, [row[k] for row in cells.values()]) for k, name in enumerate(scores)] if long else list(cells.items())
    headers = list(cells) if long else scores
    return ResultTable(title=result.protocol, headers=headers, rows=rows, notes=_notes(result, data_hash), long=long)


def _notes(result: Result, data_hash: str) -> list[str]:
    drawn = f", {result.draws} draws for each" if result.draws > 1 else ""
    measured = f"{result.clips:,} clips of {result.data} ({result.split}){drawn}, seed {result.seed}."
    said = [f"{measured} {_intervals(result)}"]
    if data_hash and result.data_hash != data_hash:
        hashes = f"sha256 {short_hash(result.data_hash)}, not {short_hash(data_hash)}"
        said.append(f"These are not the data that the model was trained on ({hashes}).")
    if result.judge:
        own = ", ".join(f"{factor} {100 * share:.1f} %" for factor, share in result.judge_accuracy.items())
        said.append(f"Judge {short_hash(result.judge)}" + (f", right on real clips: {own}." if own else "."))
    if result.settings:
        said.append("Settings: " + "; ".join(f"{name} = {in_words(value)}" for name, value in flat(result.settings).items()) + ".")
    return said


def _intervals(result: Result) -> str:
    if result.recordings == 1:
        return "There are no intervals: all clips are of one recording."
    return f"The smaller numbers are 95 % intervals, by bootstrap over {result.intervals_over}."


def in_words(value: Any) -> str:
    """A value as it is read, a list without its brackets."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
