"""What a protocol found, as values that go to JSON and back: scores with intervals, one row for each model that was scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from attrs import asdict, field, frozen


@frozen(kw_only=True)
class Score:
    """A score, and the ends of its 95 % bootstrap interval over clips or recordings; None where a score has no interval."""

    value: float
    low: float | None = None
    high: float | None = None


@frozen(kw_only=True)
class Result:
    """What one protocol found on one data set.

    `rows` holds, for each model that was scored ("model", "untrained", and trivial ones such as "constant", "noise", "copy",
    "oracle"), its scores by name.
    """

    protocol: str
    data: str
    data_hash: str
    split: str = "test"
    clips: int
    recordings: int | None = None
    """How many recordings the clips were cut from, which the intervals are over; None where they are over clips."""
    draws: int = 1
    """How often the sampled part was drawn anew for each clip."""
    seed: int = 0
    settings: Mapping[str, Any] = field(factory=dict)
    """What the protocol leaves open or does in its own way, by name."""
    judge: str = ""
    """The judge's hash; "" where none was asked."""
    judge_accuracy: Mapping[str, float] = field(factory=dict)
    """The judge's accuracy on real test clips, per factor."""
    rows: Mapping[str, Mapping[str, Score]]

    @property
    def intervals_over(self) -> str:
        """What was drawn again for the intervals, in words: "clips", or "8 recordings"."""
        return "clips" if self.recordings is None else f"{self.recordings:,} recording" + "s" * (self.recordings != 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, by way of JSON."""
        rows = {row: {name: Score(**score) for name, score in scores.items()} for row, scores in values["rows"].items()}
        return cls(**{**values, "rows": rows})
