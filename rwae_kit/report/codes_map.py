"""The static codes of some clips on a plane, by t-SNE: one panel for each factor, the same places in that factor's colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from attrs import frozen
from markupsafe import Markup, escape
from numpy.typing import NDArray

from rwae_kit.data import DataInfo, Factor
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Codes

MOST = 1000
"""Clips on a map, at most."""
FEWEST = 10
COLOURS = 10
"""Classes with a colour of their own: the most frequent ones. The others share a grey."""
LEAST = 3
"""Clips of a class, on average, that make its colour worth a look; a factor with more classes than that is left out."""
ROUNDS = 8
"""The classes are drawn by turns, an eighth of each at a time: drawn whole, the last would cover the others where they mix."""
SIDE, MARGIN = 320, 8


@frozen(kw_only=True)
class Panel:
    """A factor, its classes in the order of their colours, and the map as `<svg>`.

    `others`: how many further classes share the grey. `agreement`: the share of clips whose nearest static code is that of a clip
    of the same class; `chance`: what that share would be among neighbours at random.
    """

    factor: str
    kind: str
    classes: tuple[str, ...]
    others: int
    agreement: float
    chance: float
    drawing: Markup


def panels(codes: Codes, info: DataInfo) -> list[Panel]:
    """A panel for each labelled factor, static ones first: they should fall into groups, dynamic ones should be mixed.

    Raises:
        RwaeError: no factor to colour by, too few clips, codes that do not differ or are not finite, or no scikit-learn.

    Source: R-WAE, Fig. 6, which shows the digits of SM-MNIST. The dynamic factors beside them are ours, for contrast.
    """
    static = codes.static.astype(np.float64)
    factors = [name for name, labels in codes.factors.items() if LEAST * len(np.unique(labels)) <= len(labels)]
    if len(static) < FEWEST:
        raise RwaeError(f"it takes {FEWEST} clips or more, not {len(static)}")
    if not np.isfinite(static).all():
        raise RwaeError("some are not finite")
    if float(np.ptp(static, axis=0).max()) == 0:
        raise RwaeError("all clips have the same one")
    if not factors:
        raise RwaeError(f"{info.name} has no labels to colour them by, or too many classes for {len(static)} clips")
    places, nearest = _plane(static), _nearest(static)
    factors.sort(key=lambda name: info.factors[name].kind == "dynamic")
    return [_panel(name, info.factors[name], codes.factors[name], places, nearest) for name in factors]


def _plane(static: NDArray[Any]) -> NDArray[Any]:
    """Places `[n, 2]` within 0..1, the longer side filled.

    The same codes have the same places: they start from their principal components, and one thread adds up in one order.
    """
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn
    except ImportError as error:
        raise RwaeError("t-SNE needs scikit-learn, which is not installed: pip install 'rwae-kit[eval]'") from error
    if static.shape[1] == 1:
        static = np.concatenate([static, np.zeros_like(static)], axis=1)
    perplexity = min(30.0, (len(static) - 1) / 3)
    with threadpool_limits(limits=1):
        found = TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(static.astype(np.float32))
    low, high = found.min(axis=0), found.max(axis=0)
    extent = max(float((high - low).max()), 1e-12)
    return np.asarray((found - (low + high) / 2) / extent + 0.5)


def _nearest(static: NDArray[Any]) -> NDArray[Any]:
    distance = torch.cdist(torch.from_numpy(static), torch.from_numpy(static))
    return np.asarray(distance.fill_diagonal_(torch.inf).argmin(dim=1).numpy())


def _panel(name: str, factor: Factor, labels: NDArray[Any], places: NDArray[Any], nearest: NDArray[Any]) -> Panel:
    counts = np.bincount(labels, minlength=len(factor.classes))
    present = [int(label) for label in np.flatnonzero(counts)]
    coloured = sorted(sorted(present, key=lambda label: -counts[label])[:COLOURS])
    rest = [label for label in present if label not in coloured]
    agreement = float((labels[nearest] == labels).mean())
    chance = float((counts * (counts - 1.0)).sum() / (len(labels) * (len(labels) - 1.0)))
    words = f"The static codes of {len(labels)} clips, by {name}: the nearest code is of the same class for {agreement:.0%} of them"
    groups = [("others", places[np.isin(labels, rest)])] if rest else []
    groups += [(str(colour), places[labels == label]) for colour, label in enumerate(coloured)]
    turns = [(colour, points[turn::ROUNDS]) for turn in range(ROUNDS) for colour, points in groups]
    drawn = [f'<path class="dot dot-{colour}" d="{_dots(points)}"/>' for colour, points in turns if len(points)]
    return Panel(
        factor=name,
        kind=factor.kind,
        classes=tuple(factor.classes[label] for label in coloured),
        others=len(rest),
        agreement=agreement,
        chance=chance,
        drawing=Markup('<svg viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
            SIDE, escape(words), Markup("".join(drawn))
        ),
    )


def _dots(places: NDArray[Any]) -> str:
    """Lines of no length: with round ends each is a dot, in a fraction of the letters of a `<circle>`."""
    across, down = (MARGIN + places * (SIDE - 2 * MARGIN)).T
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(across, down, strict=True))
