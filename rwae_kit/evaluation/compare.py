"""Runs side by side: results of the same protocol, put together over seeds where they may be, beside trivial and published rows."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from rwae_kit.errors import DataError
from rwae_kit.evaluation.published import broken_identity, published
from rwae_kit.evaluation.results import Result, Score

OWN = "model"
"""The row of a result that is the run's own."""
POOLED = ("constant", "noise", "oracle")
"""Stand-ins that have nothing of a run but its sizes: one row for all. Any other is one row only where all runs have the same."""
_ABOUT = ("data", "data_hash", "split", "clips", "intervals_over", "judge", "judge_accuracy", "settings", "draws", "seed")
_WORDS = ("title", "method", "paper", "about")
SAID = 3
"""How many differences of a recipe its name tells."""
MUST_AGREE = ("data hash", "split", "judge", "draws", "seed")
"""What has to be the same for scores to stand in one table, beside every one of the settings."""


@frozen(kw_only=True)
class Scored:
    """One run's result under one protocol, and what its recipe says of it."""

    folder: Path
    method: str
    title: str
    seed: int | None
    """The training seed; None where there is no recipe."""
    recipe: Mapping[str, Any]
    """The recipe without its words and the seed: runs that agree here differ in nothing but chance."""
    result: Result


@frozen(kw_only=True)
class Line:
    """One row of a comparison: means over seeds, and what to know of them."""

    name: str
    kind: str
    """"model", "trivial" or "published"."""
    scores: Mapping[str, Score]
    """Means; of a single run with its interval over clips or recordings."""
    std: Mapping[str, float] = field(factory=dict)
    """Sample standard deviation over seeds; empty for a single run."""
    runs: int = 1
    source: str = ""
    broken: str = ""
    """How an inception score breaks its identity, in words; "" where it does not."""


@frozen(kw_only=True)
class Comparison:
    """What may stand in one table."""

    protocol: str
    data: str
    lines: tuple[Line, ...]
    about: Mapping[str, Any] = field(factory=dict)
    """What all its runs have in common: split, judge, settings, ...; empty for published numbers alone."""
    notes: tuple[str, ...] = ()
    apart: str = ""
    """What keeps it from standing in one table with others, in words; "" where there is no other."""

    def names(self) -> list[str]:
        """Names of all scores, those of the runs first."""
        return list(dict.fromkeys(name for line in self.lines for name in line.scores))


def compare(
    folders: Sequence[Path | str], protocol: str | None = None, with_published: bool = False, mixed: bool = False
) -> list[Comparison]:
    """Put the results of runs together.

    Runs whose recipes differ in nothing but the training seed become one row, with mean and standard deviation.

    Arguments:
        folders: with `results/PROTOCOL.json`, as `rwk eval RUN --protocol PROTOCOL` writes it; none for published rows alone.
        protocol: None for every protocol that all runs have a result of.
        with_published: add what papers print for the same protocol and data set.
        mixed: results that do not belong together become comparisons of their own instead of an error.

    Raises:
        DataError: a result that is missing or damaged, or results of different data, judges or settings.
    """
    paths = [Path(folder) for folder in folders]
    twice = [path for i, path in enumerate(paths) if path.resolve() in {other.resolve() for other in paths[:i]}]
    if twice:
        raise DataError(f"{twice[0]}: is given twice")
    if not paths and not with_published:
        raise DataError("compare: no run is given; name run folders, or ask for published numbers (--published)")
    made: list[Comparison] = []
    for name in _protocols(paths, protocol):
        groups = _alike([read_scored(path, name) for path in paths], mixed)
        made += [_together(group, _apart(group, groups)) for group in groups]
    if not paths:
        made = [Comparison(protocol=name, data=data, lines=()) for name, data in _published_tables(protocol)]
    return [_with_published(one) for one in made] if with_published else made


def read_scored(folder: Path, protocol: str) -> Scored:
    """A run's result and its recipe; a folder without a recipe goes by its own name.

    Raises:
        DataError: there is no such result, or a file is damaged.
    """
    file = folder / "results" / f"{protocol}.json"
    if not file.is_file():
        raise DataError(f"{folder}: no result of {protocol!r}. rwk eval {folder} --protocol {protocol} writes it")
    try:
        result = Result.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file}: is damaged or of another version ({error}); write it anew with rwk eval") from error
    if OWN not in result.rows:
        raise DataError(f"{file}: there is no row {OWN!r}; there is {', '.join(result.rows) or 'none'}")
    recipe, name = folder / "recipe.toml", folder.resolve().name
    if not recipe.is_file():
        return Scored(folder=folder, method=name, title=name, seed=None, recipe={"folder": str(folder.resolve())}, result=result)
    try:
        values = tomllib.loads(recipe.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{recipe}: cannot be read ({error})") from error
    training = values.get("training", {})
    return Scored(
        folder=folder,
        method=values.get("method") or values.get("title") or name,
        title=values.get("title") or values.get("method") or name,
        seed=training.get("seed"),
        recipe={key: value for key, value in values.items() if key not in _WORDS}
        | {"training": {key: value for key, value in training.items() if key != "seed"}},
        result=result,
    )


def _protocols(paths: Sequence[Path], protocol: str | None) -> list[str]:
    if protocol is not None or not paths:
        return [protocol] if protocol is not None and paths else []
    has = {path: {file.stem for file in (path / "results").glob("*.json")} for path in paths}
    common = set.intersection(*has.values())
    if not common:
        poorest = min(has, key=lambda path: len(has[path]))
        if not has[poorest]:
            raise DataError(f"{poorest}: there is no result of any protocol. rwk eval {poorest} --protocol NAME writes one")
        listed = "; ".join(f"{path}: {', '.join(sorted(names))}" for path, names in has.items())
        raise DataError(f"compare: there is no protocol that all runs have a result of ({listed})")
    return sorted(common)


def _alike(scored: Sequence[Scored], mixed: bool) -> list[list[Scored]]:
    """The runs in groups that may stand in one table; an error where there is more than one and `mixed` is false."""
    groups: list[list[Scored]] = []
    for one in scored:
        place = next((group for group in groups if not _differs(group[0].result, one.result)), None)
        if place is None:
            groups.append([one])
        else:
            place.append(one)
    if len(groups) > 1 and not mixed:
        first, second = groups[0][0], groups[1][0]
        said = "; ".join(_differs(first.result, second.result))
        raise DataError(
            f"{first.folder} and {second.folder} do not belong in one table of {first.result.protocol}: {said}. Score them alike, "
            "or take --mixed for separate tables"
        )
    return groups


def _conditions(result: Result) -> dict[str, Any]:
    """What a result was measured under, by name; data without a hash go by their name."""
    values = (result.data_hash or result.data, result.split, result.judge, result.draws, result.seed)
    return dict(zip(MUST_AGREE, values, strict=True)) | {f"setting {name!r}": value for name, value in result.settings.items()}


def _differs(one: Result, other: Result) -> list[str]:
    """What keeps two results apart, in words."""
    first, second = _conditions(one), _conditions(other)
    return [
        f"{name} differs ({_short(first.get(name))}, {_short(second.get(name))})"
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]


def _apart(group: Sequence[Scored], groups: Sequence[Sequence[Scored]]) -> str:
    """What this group has and others have not, in words."""
    own = _conditions(group[0].result)
    all_of_them = [_conditions(one[0].result) for one in groups]
    return ", ".join(
        f"{name} {_short(value)}" for name, value in own.items() if any(other.get(name) != value for other in all_of_them)
    )


def _together(scored: Sequence[Scored], apart: str) -> Comparison:
    """One comparison of runs that may be compared."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(json.dumps([one.method, one.title, one.recipe], sort_keys=True, default=str), []).append(one)
    labels = _labels([group[0] for group in groups.values()])
    rows = list(dict.fromkeys(row for one in scored for row in one.result.rows if row != OWN))
    shared = [row for row in rows if row in POOLED or _same(scored, row)]
    lines, notes = [], []
    for label, group in zip(labels, groups.values(), strict=True):
        seeds = [one.seed for one in group if one.seed is not None]
        said = f", seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if seeds else ""
        title = f"{group[0].title}; " if group[0].title != label else ""
        notes.append(f"{label}: {title}{', '.join(str(one.folder) for one in group)}{said}.")
        if len(set(seeds)) < len(seeds):
            notes.append(f"{label}: {len(seeds)} runs, but {len(set(seeds))} different seeds: the deviation is too small.")
        lines += [
            _line(label if row == OWN else f"{row}: {label}" if len(groups) > 1 else row, group, row)
            for row in (OWN, *rows)
            if row not in shared and any(row in one.result.rows for one in group)
        ]
    lines += [_line(row, scored, row, shared=True) for row in shared]
    first = scored[0].result
    notes += [
        f"{one.folder}: its intervals are over {one.result.intervals_over}, not over {first.intervals_over} as the first run's are."
        for one in scored
        if one.result.intervals_over != first.intervals_over
    ]
    return Comparison(
        protocol=first.protocol,
        data=first.data,
        lines=tuple(lines),
        about={name: getattr(first, name) for name in _ABOUT},
        notes=tuple(notes),
        apart=apart,
    )


def _same(scored: Sequence[Scored], row: str) -> bool:
    """Whether all runs that have this row have the same in it, and there is more than one."""
    found = [one.result.rows[row] for one in scored if row in one.result.rows]
    return len(found) > 1 and all(other == found[0] for other in found)


def _line(name: str, group: Sequence[Scored], row: str, shared: bool = False) -> Line:
    rows = [one.result.rows[row] for one in group if row in one.result.rows]
    kind = "trivial" if shared else "model"
    broken = next((said for scores in rows if (said := broken_identity({n: s.value for n, s in scores.items()}))), "")
    if len(rows) == 1 or (shared and all(other == rows[0] for other in rows)):
        return Line(name=name, kind=kind, scores=rows[0], broken=broken)
    names = [score for score in rows[0] if all(score in other for other in rows)]
    values = {score: np.array([scores[score].value for scores in rows]) for score in names}
    return Line(
        name=name,
        kind=kind,
        scores={score: Score(value=float(found.mean())) for score, found in values.items()},
        std={score: float(found.std(ddof=1)) for score, found in values.items()},
        runs=len(rows),
        broken=broken,
    )


def _labels(scored: Sequence[Scored]) -> list[str]:
    """A name for each: its method; where methods agree its title; where these do too, what tells the recipes apart."""
    labels = []
    for one in scored:
        namesakes = [other for other in scored if other.method == one.method]
        if len({other.title for other in namesakes}) == len(namesakes):
            labels.append(one.method if len(namesakes) == 1 else one.title)
            continue
        apart = _differences(one.recipe, [other.recipe for other in namesakes]) or ["otherwise the same"]
        labels.append(f"{one.method} ({', '.join(apart[:SAID])}{', ...' if len(apart) > SAID else ''})")
    return labels


def _differences(own: Mapping[str, Any], others: Sequence[Mapping[str, Any]], prefix: str = "") -> list[str]:
    """What a recipe has and not all others have: a part by its name, a table by its path, an entry with its value."""
    said = []
    for key, value in own.items():
        theirs = [other.get(key) for other in others]
        if all(other == value for other in theirs):
            continue
        if not isinstance(value, Mapping):
            said.append(f"{prefix}{key} {value}")
        elif all(isinstance(other, Mapping) and other.get("name") == value.get("name") for other in theirs):
            said += _differences(value, [dict(other or {}) for other in theirs], f"{prefix}{key}.")
        else:
            said.append(f"{prefix}{key} {value['name']}" if "name" in value else f"{prefix}{key}")
    return said or [f"no {prefix}{key}" for key in dict.fromkeys(key for other in others for key in other) if key not in own]


def _with_published(comparison: Comparison) -> Comparison:
    rows = [row for row in published() if (row.protocol, row.data) == (comparison.protocol, comparison.data)]
    lines = [
        Line(
            name=row.method,
            kind="published",
            scores={name: Score(value=value) for name, value in row.scores.items()},
            source=row.source,
            broken=broken_identity(row.scores),
        )
        for row in rows
    ]
    return evolve(comparison, lines=(*comparison.lines, *lines))


def _published_tables(protocol: str | None) -> list[tuple[str, str]]:
    found = dict.fromkeys((row.protocol, row.data) for row in published() if protocol in (None, row.protocol))
    if not found:
        known = ", ".join(dict.fromkeys(row.protocol for row in published()))
        raise DataError(f"compare: nothing is published for the protocol {protocol!r}; there are {known}")
    return list(found)


def _short(value: Any) -> str:
    if isinstance(value, str):
        return short_hash(value) or "none"
    return "none" if value is None else json.dumps(value, default=str)


def short_hash(text: str) -> str:
    """The first 12 digits of a hash; any other name as it is."""
    return text[:12] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
