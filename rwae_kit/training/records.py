"""The record of a run: `metrics.jsonl`, the trackers beside it, and the means that go into it.

A line is a JSON object with `step` (steps done), `epoch`, `seconds`, and either `lr` (by group) and `parts` (losses by name, means
over the steps since the last such line) or `validation` (losses by name, at full weight, without labels) and `best`. But for
`seconds`, a resumed run's lines are those of an uninterrupted one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rwae_kit import distributed
from rwae_kit.interfaces import Tracker


class Records:
    """Appends records to a run's `metrics.jsonl` and hands them to trackers; only the first rank writes.

    `keep`: number of lines that stay, those a resumed checkpoint knows of.
    """

    def __init__(self, run: Path, trackers: Sequence[Tracker], warn: Callable[[str], None], *, keep: int) -> None:
        self._writes, self._warn, self.count = distributed.is_main(), warn, keep
        self._trackers = list(trackers) if self._writes else []
        if self._writes:
            path = run / "metrics.jsonl"
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            self.count = min(keep, len(lines))
            self._file = path.open("a", encoding="utf-8")
            self._file.truncate(sum(len(line) for line in lines[:keep]))

    def add(self, record: Mapping[str, Any]) -> None:
        """Write a record. A tracker that raises is switched off with a warning."""
        self.count += 1
        if self._writes:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        for tracker in list(self._trackers):
            self._guard(tracker, lambda t: t.log(record))

    def sync(self) -> None:
        """Have what was written on the disk, so that a checkpoint's number of lines holds after a loss of power."""
        if self._writes:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and the trackers."""
        if self._writes:
            self._file.close()
        for tracker in list(self._trackers):
            self._guard(tracker, lambda t: t.close())

    def _guard(self, tracker: Tracker, call: Callable[[Tracker], None]) -> None:
        try:
            call(tracker)
        except Exception as error:
            self._trackers.remove(tracker)
            self._warn(f"tracker {type(tracker).__name__} is switched off: {type(error).__name__}: {error}")


class Running:
    """Sums of losses over steps. Scalars stay on the device, unread, until somebody asks; then one transfer brings them all."""

    def __init__(self, sums: Tensor | None = None, names: Sequence[str] = ()) -> None:
        self._sums: dict[str, list[float]] = {} if sums is None else dict(zip(names, sums.tolist(), strict=True))
        self._unread: list[tuple[str, Tensor]] = []

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Add a step's losses (scalars). A loss may be absent in some steps (a critic whose penalty warms up)."""
        self._unread.extend(parts.items())

    def means(self) -> dict[str, float]:
        """The mean of each loss over steps and over ranks."""
        self._read()
        if not self._sums:
            return {}
        table = distributed.mean(self.table().to(distributed.collective_device()))
        return dict(zip(self._sums, (table[:, 0] / table[:, 1]).tolist(), strict=True))

    def names(self) -> list[str]:
        """The losses that were added."""
        self._read()
        return list(self._sums)

    def table(self) -> Tensor:
        """Sum and count `[losses, 2]`, for a checkpoint."""
        self._read()
        return torch.tensor(list(self._sums.values()), dtype=torch.float64).reshape(-1, 2)

    def clear(self) -> None:
        """Begin anew."""
        self._sums.clear()
        self._unread.clear()

    def _read(self) -> None:
        if not self._unread:
            return
        values = torch.stack([value.detach().float() for _, value in self._unread]).tolist()
        for (name, _), value in zip(self._unread, values, strict=True):
            entry = self._sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        self._unread.clear()
