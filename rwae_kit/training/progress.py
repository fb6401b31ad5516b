"""What a person sees of training: a live display on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rwae_kit import distributed

QUIET_SECONDS = 10.0
"""Plain lines come no more often, validations apart."""
SHOWN = ("total", "reconstruction", "critic", "total.outer")
"""Losses in the one-line summary; the rest are in metrics.jsonl."""


class Reporter:
    """Says nothing. The others derive from it."""

    def begin(self, steps: int, done: int, clips_per_step: int) -> None:
        """Training starts, or goes on: steps of the whole run, steps done, clips in a step."""

    def advance(self, done: int) -> None:
        """So many steps are done; called at each."""

    def losses(self, record: Mapping[str, Any]) -> None:
        """A record of losses, or of a validation (see `records`)."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def warn(self, text: str) -> None:
        """Something to look into."""

    def end(self) -> None:
        """Training has ended, in whatever way."""


class PlainReporter(Reporter):
    """One line now and then."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._steps, self._clips, self._last, self._since = 0, 0, -QUIET_SECONDS, (0.0, 0)

    def begin(self, steps: int, done: int, clips_per_step: int) -> None:
        self._steps, self._clips, self._since = steps, clips_per_step, (self._clock(), done)
        self._last = self._clock()

    def losses(self, record: Mapping[str, Any]) -> None:
        now = self._clock()
        if "validation" not in record and now - self._last < QUIET_SECONDS:
            return
        self._last = now
        began, done = self._since
        rate = (record["step"] - done) / max(now - began, 1e-9)
        left = f", {_duration((self._steps - record['step']) / rate)} left" if rate > 0 else ""
        place = f"step {record['step']}/{self._steps} epoch {record['epoch']}"
        self.say(f"{place}: {summary(record)} ({rate * self._clips:.0f} clips/s{left})")

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}")


class RichReporter(Reporter):
    """A bar with losses, speed and time left."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._task, self._began, self._clips = TaskID(0), (0.0, 0), 0

    def begin(self, steps: int, done: int, clips_per_step: int) -> None:
        columns = (BarColumn(20), TextColumn("{task.completed}/{task.total} {task.fields[speed]}"), TimeRemainingColumn())
        self._progress = Progress(
            *columns, TextColumn("{task.description}", markup=False), console=self._console, refresh_per_second=2, transient=True
        )
        self._task = self._progress.add_task("", total=steps, completed=done, speed="")
        self._began, self._clips = (time.monotonic(), done), clips_per_step
        self._progress.start()

    def advance(self, done: int) -> None:
        if self._progress is not None:
            began, first = self._began
            speed = f"{(done - first) * self._clips / max(time.monotonic() - began, 1e-9):.0f} clips/s"
            self._progress.update(self._task, completed=done, speed=speed)

    def losses(self, record: Mapping[str, Any]) -> None:
        if "validation" in record:
            self.say(f"step {record['step']} epoch {record['epoch']}: {summary(record)}")
        elif self._progress is not None:
            self._progress.update(self._task, description=summary(record))

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", style="yellow", markup=False, highlight=False)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def make_reporter(*, quiet: bool = False) -> Reporter:
    """The reporter that fits: none if quiet or not the first rank, a live one on a terminal, else plain lines on stderr."""
    if quiet or not distributed.is_main():
        return Reporter()
    return RichReporter() if sys.stderr.isatty() else PlainReporter()


def summary(record: Mapping[str, Any]) -> str:
    """A record in one line.

    Example:
        >>> summary({"step": 1, "parts": {"total": 12.5, "scale.static": 1.0}})
        'total 12.5'
        >>> summary({"step": 1, "validation": {"total": 12.5}, "best": True})
        'validation: total 12.5 (best so far)'
    """
    values = record.get("validation", record.get("parts", {}))
    text = " ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
    return f"validation: {text}{' (best so far)' if record.get('best') else ''}" if "validation" in record else text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
