"""What can go wrong, in words a user can act on.

Every error of this package that a user can cause, or can mend, is a `RwaeError`. Its message says where, what (with the value) and
what would be right. The command line prints it without a traceback and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RwaeError(Exception):
    """A user's mistake, or something outside that stopped the work."""


class RecipeError(RwaeError):
    """A recipe, an option or a combination of parts that cannot be built."""


class PluginError(RwaeError):
    """A plugin that is missing, broken, or in conflict with another."""


class DataError(RwaeError):
    """A data set that is missing, damaged, or not of the declared form."""


class CheckpointError(RwaeError):
    """A run folder or checkpoint that is missing, damaged, or does not fit."""


class TrainingError(RwaeError):
    """Training that cannot go on: a loss that is not finite, a full disk, no memory."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known word, or lists what is known.

    Example:
        >>> did_you_mean("bandwith", ["weight", "bandwidths"])
        "Did you mean 'bandwidths'?"
        >>> did_you_mean("zzz", ["b", "a"])
        'Known: a, b.'
    """
    words = sorted(known)
    close = get_close_matches(name, words, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(words)}." if words else "None is known."
