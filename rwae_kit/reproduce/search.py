"""Choosing what the papers leave open: a few short trainings for each method, told apart by a score without labels.

The values that are tried are listed in the table. The record of a search lies in the table's folder; one that was made for this
package lies in `searches/`, and counts where the folder has none.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from attrs import asdict, field, frozen

from rwae_kit.checkpoint import replace_file
from rwae_kit.convert import flat
from rwae_kit.errors import DataError
from rwae_kit.evaluation.cycle import CycleScore
from rwae_kit.reproduce.tables import Method, SearchBudget

SEED: Final = 1000
"""Of the trials' trainings: none that a table has."""
SHIPPED: Final = Path(__file__).parent / "searches"
FOLDER: Final = "searches"


@frozen(kw_only=True)
class Trial:
    """A short training, and what became of it."""

    values: Mapping[str, Any]
    """Over those of the recipe, by path; empty for the recipe as it is."""
    static: float
    dynamic: float
    explained: float
    score: float
    """See `CycleScore`."""
    epochs: int
    steps: int
    seconds: float
    warnings: tuple[str, ...] = ()

    @classmethod
    def scored(cls, values: Mapping[str, Any], score: CycleScore, **more: Any) -> Self:
        """A trial of its score."""
        return cls(values=values, static=score.static, dynamic=score.dynamic, explained=score.explained, score=score.value, **more)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values, as JSON has them."""
        return cls(**{**values, "warnings": tuple(values["warnings"])})


@frozen(kw_only=True)
class SearchRecord:
    """All trials of a method, and what they were made with."""

    recipe: str
    data: str
    data_hash: str
    looks: str
    """The view that clips are changed by before their dynamic codes are kept; "" for none."""
    seed: int = SEED
    hardware: str
    threads: int
    rwae_kit: str
    trials: tuple[Trial, ...] = field()

    def best(self) -> Trial:
        """The trial with the highest score; of equal ones the first."""
        return max(self.trials, key=lambda trial: trial.score)

    def save(self, file: Path) -> None:
        """Write it whole, or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, (json.dumps(asdict(self), indent=1, allow_nan=False) + "\n").encode())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values, as JSON has them."""
        return cls(**{**values, "trials": tuple(Trial.from_dict(one) for one in values["trials"])})

    @classmethod
    def load(cls, file: Path) -> Self:
        """What `save` wrote.

        Raises:
            DataError: it is damaged or of another version.
        """
        try:
            return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{file}: is no record of a search ({error}); remove it, and it is made again") from error


def record_file(folder: Path, method: Method) -> Path:
    """Where the record of a method's search lies in the folder of a table."""
    return folder / FOLDER / f"{method.called()}.json"


def find_record(folder: Path, shipped: str, method: Method) -> SearchRecord | None:
    """The record in the table's folder, else the one that comes with the package.

    Arguments:
        shipped: the name of the package's folder of records for the table, its data and its budget.
    """
    for file in (record_file(folder, method), SHIPPED / shipped / f"{method.called()}.json"):
        if file.is_file():
            return SearchRecord.load(file)
    return None


def trial_values(method: Method, budget: SearchBudget, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each trial changes: nothing in the first; each other one is a random point of the method's grid, none twice.

    The points are drawn by the method's name, so that they stay what they are when another method is added or the recipe changes.

    Arguments:
        own: the recipe as it is, as plain values: the first trial's point of the grid is not drawn again.
    """
    points = [dict(zip(method.search, values, strict=True)) for values in itertools.product(*method.search.values())]
    random.Random(method.called()).shuffle(points)
    known = flat(own)
    others = (point for point in points if any(known.get(path) != value for path, value in point.items()))
    return [{}, *itertools.islice(others, budget.trials - 1)]
