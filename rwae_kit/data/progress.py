"""Tells how far a build is, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is."""
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one; a listener is told after each.

    Example:
        >>> with listening(lambda what, done, total: print(f"{what}: {done} of {total}")):
        ...     letters = list(tracked("ab", "reading"))
        reading: 0 of 2
        reading: 1 of 2
        reading: 2 of 2
    """
    tell = _listener.get()
    if tell is None:
        yield from items
        return
    tell(what, 0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        tell(what, done, len(items))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of all progress while this lasts."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
