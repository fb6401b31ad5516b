"""Curves of a run's losses as inline SVG: one small chart for each loss, in the colours of the page it stands in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from markupsafe import Markup, escape

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 12, 26
MOST_POINTS = 240
"""A longer curve is drawn by the means of its pieces."""
COLOURS = 8
"""Colours of curves that a page has; a further curve takes the first again."""
LOG_FROM = 30.0
"""Positive values that span more than this factor get a logarithmic axis."""

Points = list[tuple[float, float]]


@frozen(kw_only=True)
class Chart:
    """A title and its curves by name, each a list of (step, value)."""

    title: str
    curves: Mapping[str, Points]


def charts(records: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """A chart for each loss in the records of `metrics.jsonl`: "training", and "validation" where there is one.

    The scales of the two latents in training share one chart. Values that are not finite are left out.
    """
    found: dict[str, dict[str, Points]] = {}
    for record in records:
        for key, curve in (("parts", "training"), ("validation", "validation")):
            for name, value in record.get(key, {}).items():
                title, label = name, curve
                if name.startswith("scale."):
                    if key == "validation":
                        continue
                    title, label = "scale of the latents", name.removeprefix("scale.")
                if isinstance(value, int | float) and math.isfinite(value):
                    found.setdefault(title, {}).setdefault(label, []).append((float(record["step"]), float(value)))
    return [Chart(title=title, curves=curves) for title, curves in found.items() if any(len(c) > 1 for c in curves.values())]


def overlaid(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Chart]]:
    """The same losses of several runs in one chart each: by "training" and "validation", a curve for each run that has the loss.

    Arguments:
        runs: the records of `metrics.jsonl` by the run's name.
    """
    made = {}
    for key, kind in (("parts", "training"), ("validation", "validation")):
        found: dict[str, dict[str, Points]] = {}
        for run, records in runs.items():
            for record in records:
                for title, value in record.get(key, {}).items():
                    if isinstance(value, int | float) and math.isfinite(value):
                        found.setdefault(title, {}).setdefault(run, []).append((float(record["step"]), float(value)))
        made[kind] = [Chart(title=title, curves=curves) for title, curves in found.items()]
    return made


def svg(chart: Chart, order: Sequence[str] = ()) -> Markup:
    """A chart as an `<svg>` element. It takes the page's text colour, and `--curve-0`, `--curve-1`, ... for the curves.

    Arguments:
        order: names in the order of their colours, the same in all charts of a page; () takes the chart's own.
    """
    colours = list(order or chart.curves)
    curves = {name: _thinned(points) for name, points in chart.curves.items()}
    values = [value for points in curves.values() for _, value in points]
    log = min(values) > 0 and max(values) / min(values) > LOG_FROM
    low, high = _limits(values, log)
    last = max(step for points in curves.values() for step, _ in points)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1)

    def y(value: float) -> float:
        a, b, c = (math.log10(v) if log else v for v in (low, value, high))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (b - a) / (c - a)

    parts = [_level(y(value), _short(value)) for value in _ticks(low, high, log)]
    parts += [_moment(x(step), _short(step)) for step in _ticks(0, max(last, 1), False)]
    for name, points in curves.items():
        place = colours.index(name) % COLOURS
        lone = " lone" if len(points) == 1 else ""  # a line from a point to itself, whose round ends are a dot
        line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in (points * 2 if lone else points))
        parts.append(f'<polyline class="curve curve-{place}{lone}" points="{line}"><title>{escape(name)}</title></polyline>')
    words = "; ".join(f"{name} from {_short(points[0][1])} to {_short(points[-1][1])}" for name, points in curves.items())
    label = escape(f"{chart.title} over {_short(last)} steps: {words}{', logarithmic axis' if log else ''}")
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("".join(parts))
    )


def _level(y: float, word: str) -> str:
    line = f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{escape(word)}</text>'


def _moment(x: float, word: str) -> str:
    anchor = "end" if x > WIDTH - RIGHT - 14 else "middle"
    return f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(word)}</text>'


def _thinned(points: Points) -> Points:
    """At most `MOST_POINTS` points, means of neighbours, the first and last one kept."""
    if len(points) <= MOST_POINTS:
        return points
    size = -(-(len(points) - 2) // (MOST_POINTS - 2))
    pieces = [points[start : min(start + size, len(points) - 1)] for start in range(1, len(points) - 1, size)]
    means = [(sum(s for s, _ in piece) / len(piece), sum(v for _, v in piece) / len(piece)) for piece in pieces]
    return [points[0], *means, points[-1]]


def _limits(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return low / 1.1, high * 1.1
    if low > 0 and low < 0.5 * high:
        low = 0.0
    pad = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return (low if low == 0 else low - pad), high + pad


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers in between, three to six of them."""
    if log:
        decades = [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
        steps = (1, 2, 5) if len(decades) <= 3 else (1,)
        marks = [d * s for d in decades for s in steps if low <= d * s <= high]
        return marks[:: -(-len(marks) // 6)]
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * s for s in (1, 2, 2.5, 5, 10) if unit * s >= rough)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    """A number in few letters: 12k, 0.05."""
    if abs(value) >= 10_000:
        return f"{value / 1000:.4g}k"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
