"""What papers print, and which of it cannot be: inception scores that do not fit their own entropies."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from attrs import frozen

TOLERANCE = 0.01
"""Printed values are rounded to three or four digits; more than this is no rounding."""
_ENTROPIES = ("H(y|x)", "H(y)")


@frozen(kw_only=True)
class Published:
    """One row of a paper's table."""

    method: str
    protocol: str
    """The protocol here that is nearest to the paper's."""
    data: str
    source: str
    """The paper and its table, in words."""
    scores: Mapping[str, float]


@cache
def published() -> tuple[Published, ...]:
    """All rows of `published.toml`, in its order."""
    values = tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))
    return tuple(Published(**{**row, "source": values["sources"][row["source"]]}) for row in values["row"])


def broken_identity(scores: Mapping[str, float]) -> str:
    """How scores break IS = exp(H(y) - H(y|x)) by more than 1 %, in words; "" where they do not, or where they are not all there.

    The three belong together where their names differ in nothing but the ending.

    Example:
        >>> broken_identity({"IS": 7.163, "H(y|x)": 0.145, "H(y)": 2.176})
        'IS 7.163, but exp(H(y) - H(y|x)) is 7.622'
        >>> broken_identity({"IS": 8.516, "H(y|x)": 0.055, "H(y)": 2.197})
        ''
    """
    for name, score in scores.items():
        if not name.endswith("IS"):
            continue
        conditional, marginal = (scores.get(name.removesuffix("IS") + ending) for ending in _ENTROPIES)
        if conditional is None or marginal is None:
            continue
        implied = float(np.exp(marginal - conditional))
        if not abs(score / implied - 1) <= TOLERANCE:
            return f"{name} {score:.4g}, but exp(H(y) - H(y|x)) is {implied:.4g}"
    return ""
