"""The codes of some clips on a plane, by t-SNE: one panel for each factor, the same places in that factor's colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from attrs import field, frozen
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
    """A factor, its classes in the order of their colours, and the map.

    `others`: how many further classes share the grey. `agreement`: the share of clips whose nearest code is that of a clip of the
    same class; `chance`: what that share would be among neighbours at random. `points`: what is drawn, in this order: the number of
    a colour, or "others", and places within 0..1. `drawing`: the same as `<svg>`.
    """

    factor: str
    kind: str
    classes: tuple[str, ...]
    others: int
    agreement: float
    chance: float
    points: Sequence[tuple[str, NDArray[Any]]] = field(eq=False, repr=False)
    drawing: Markup


def panels(codes: Codes, info: DataInfo, latent: Literal["static", "dynamic"] = "static") -> list[Panel]:
    """A panel for each labelled factor, static ones first: by the static codes they should fall into groups, dynamic ones be mixed.

    Arguments:
        latent: of the dynamic codes the trajectory of a whole clip is one point.

    Raises:
        RwaeError: no factor to colour by, too few clips, codes that do not differ or are not finite, or no scikit-learn.

    Source: R-WAE, Fig. 6, which shows the digits of SM-MNIST. The dynamic factors beside them, and the dynamic codes, are ours, for
    contrast.
    """
    values = (codes.static if latent == "static" else codes.trajectory()).astype(np.float64)
    factors = [name for name, labels in codes.factors.items() if LEAST * len(np.unique(labels)) <= len(labels)]
    if len(values) < FEWEST:
        raise RwaeError(f"it takes {FEWEST} clips or more, not {len(values)}")
    if not np.isfinite(values).all():
        raise RwaeError("some are not finite")
    if float(np.ptp(values, axis=0).max()) == 0:
        raise RwaeError("all clips have the same one")
    if not factors:
        raise RwaeError(f"{info.name} has no labels to colour them by, or too many classes for {len(values)} clips")
    places, nearest = _plane(values), _nearest(values)
    factors.sort(key=lambda name: info.factors[name].kind == "dynamic")
    return [_panel(latent, name, info.factors[name], codes.factors[name], places, nearest) for name in factors]


def _plane(values: NDArray[Any]) -> NDArray[Any]:
    """Places `[n, 2]` within 0..1, the longer side filled.

    The same codes have the same places: they start from their principal components, and one thread adds up in one order.
    """
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn
    except ImportError as error:
        raise RwaeError("t-SNE needs scikit-learn, which is not installed: pip install 'rwae-kit[eval]'") from error
    if values.shape[1] == 1:
        values = np.concatenate([values, np.zeros_like(values)], axis=1)
    perplexity = min(30.0, (len(values) - 1) / 3)
    with threadpool_limits(limits=1):
        found = TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(values.astype(np.float32))
    low, high = found.min(axis=0), found.max(axis=0)
    extent = max(float((high - low).max()), 1e-12)
    return np.asarray((found - (low + high) / 2) / extent + 0.5)


def _nearest(values: NDArray[Any]) -> NDArray[Any]:
    distance = torch.cdist(torch.from_numpy(values), torch.from_numpy(values))
    return np.asarray(distance.fill_diagonal_(torch.inf).argmin(dim=1).numpy())


def _panel(latent: str, name: str, factor: Factor, labels: NDArray[Any], places: NDArray[Any], nearest: NDArray[Any]) -> Panel:
    counts = np.bincount(labels, minlength=len(factor.classes))
    present = [int(label) for label in np.flatnonzero(counts)]
    coloured = sorted(sorted(present, key=lambda label: -counts[label])[:COLOURS])
    rest = [label for label in present if label not in coloured]
    agreement = float((labels[nearest] == labels).mean())
    chance = float((counts * (counts - 1.0)).sum() / (len(labels) * (len(labels) - 1.0)))
    words = (
        f"The {latent} codes of {len(labels)} clips, by {name}: the nearest code is of the same class for {agreement:.0%} of them"
    )
    groups = [("others", places[np.isin(labels, rest)])] if rest else []
    groups += [(str(colour), places[labels == label]) for colour, label in enumerate(coloured)]
    turns = [(colour, some) for turn in range(ROUNDS) for colour, points in groups if len(some := points[turn::ROUNDS])]
    drawn = [f'<path class="dot dot-{colour}" d="{_dots(points)}"/>' for colour, points in turns]
    return Panel(
        factor=name,
        kind=factor.kind,
        classes=tuple(factor.classes[label] for label in coloured),
        others=len(rest),
        agreement=agreement,
        chance=chance,
        points=turns,
        drawing=Markup('<svg viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
            SIDE, escape(words), Markup("".join(drawn))
        ),
    )


def _dots(places: NDArray[Any]) -> str:
    """Lines of no length: with round ends each is a dot, in a fraction of the letters of a `<circle>`."""
    across, down = (MARGIN + places * (SIDE - 2 * MARGIN)).T
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(across, down, strict=True))
