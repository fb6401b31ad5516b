"""A polite end: signals set a flag, which the loop reads between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Final, Self

NAMES: Final = ("SIGTERM", "SIGINT", "SIGUSR1")


class Interruption:
    """While open, SIGTERM, SIGINT and SIGUSR1 only set `caught`; a second SIGINT (Ctrl-C) interrupts at once.

    Handlers can be installed in the main thread only; elsewhere nothing is installed. They are as before afterwards.
    """

    def __init__(self) -> None:
        self.caught = ""
        """Name of the signal that came."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (s for s in signal.Signals if s.name in NAMES):
                self._before[number] = signal.signal(number, self._on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on(self, number: int, _: FrameType | None) -> None:
        if self.caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = signal.Signals(number).name
