from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from rwae_kit.report.curves import BOTTOM, COLOURS, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, Chart, charts, overlaid, svg


def _line(drawing, place=0):
    points = ElementTree.fromstring(drawing).findall("polyline")[place].get("points")
    return [tuple(map(float, pair.split(","))) for pair in points.split()]


def test_each_loss_has_a_chart_with_training_and_validation():
    records = [
        {"step": 1, "parts": {"reconstruction": 9.0, "scale.static": 1.0, "scale.dynamic": 2.0}},
        {"step": 2, "validation": {"reconstruction": 7.0, "scale.static": 5.0}},
        {"step": 3, "parts": {"reconstruction": 5.0, "scale.static": 1.5, "scale.dynamic": math.nan}},
        {"step": 4, "parts": {"reconstruction": math.inf}},
    ]
    assert charts(records) == [
        Chart(title="reconstruction", curves={"training": [(1.0, 9.0), (3.0, 5.0)], "validation": [(2.0, 7.0)]}),
        Chart(title="scale of the latents", curves={"static": [(1.0, 1.0), (3.0, 1.5)], "dynamic": [(1.0, 2.0)]}),
    ]
    assert charts([]) == charts(records[:1]) == []


def test_a_curve_stays_inside_its_axes_and_falls_where_the_values_fall():
    line = _line(svg(Chart(title="a", curves={"training": [(0, 10.0), (50, 6.0), (100, 5.5)]})))
    assert [x for x, _ in line] == [LEFT, pytest.approx((LEFT + WIDTH - RIGHT) / 2), WIDTH - RIGHT]
    heights = [y for _, y in line]
    assert TOP <= heights[0] < heights[1] < heights[2] <= HEIGHT - BOTTOM


def test_values_over_decades_get_a_logarithmic_axis_and_equal_factors_equal_steps():
    drawing = svg(Chart(title="a", curves={"training": [(1, 1000.0), (2, 100.0), (3, 10.0)]}))
    (_, first), (_, second), (_, third) = _line(drawing)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert "logarithmic" in drawing
    assert "logarithmic" not in svg(Chart(title="a", curves={"training": [(1, 1000.0), (2, -1.0)]}))


@pytest.mark.parametrize("values", [(0.0, 0.0), (3.0, 3.0), (-2.0, -2.0), (1e-9, 2e-9), (-1e6, 1e6), (0.0, 1e5), (5e4, 2e6)])
def test_any_values_make_a_well_formed_drawing_with_readable_ticks(values):
    drawing = svg(Chart(title='a < "b"', curves={"training": list(enumerate(values))}))
    words = [text.text for text in ElementTree.fromstring(drawing).findall("text")]
    assert 2 <= len(words) <= 16
    assert all(re.fullmatch(r"-?[\d.]+(e[-+]\d+)?k?", word) for word in words), words
    assert not re.search(r"nan|inf", drawing)


def test_a_long_curve_is_thinned_by_means_and_keeps_its_ends():
    points = [(float(step), float(step % 2)) for step in range(10_000)]
    line = _line(svg(Chart(title="a", curves={"training": points})))
    assert len(line) <= MOST_POINTS
    assert (line[0][0], line[-1][0]) == (LEFT, WIDTH - RIGHT)
    assert max(y for _, y in line[1:-2]) - min(y for _, y in line[1:-2]) < 10


def test_a_drawing_says_in_words_what_it_shows():
    root = ElementTree.fromstring(svg(Chart(title="penalty", curves={"training": [(0, 4.0), (20_000, 2.0)]})))
    assert root.get("role") == "img"
    assert root.get("aria-label") == "penalty over 20k steps: training from 4 to 2"


def test_the_losses_of_several_runs_share_charts_and_a_run_without_a_loss_has_no_curve_there():
    runs = {
        "a": [{"step": 1, "parts": {"total": 3.0, "critic": 1.0}}, {"step": 2, "validation": {"total": 2.0}}],
        "b": [{"step": 1, "parts": {"total": 5.0}}, {"step": 4, "parts": {"total": math.nan}}],
        "c": [],
    }
    assert overlaid(runs) == {
        "training": [
            Chart(title="total", curves={"a": [(1.0, 3.0)], "b": [(1.0, 5.0)]}),
            Chart(title="critic", curves={"a": [(1.0, 1.0)]}),
        ],
        "validation": [Chart(title="total", curves={"a": [(2.0, 2.0)]})],
    }


def test_a_run_keeps_its_colour_in_every_chart():
    drawing = svg(Chart(title="a", curves={"second": [(0, 1.0), (1, 2.0)]}), ["first", "second"])
    (line,) = ElementTree.fromstring(drawing).findall("polyline")
    assert line.get("class") == "curve curve-1"
    many = [str(n) for n in range(COLOURS + 2)]
    lines = ElementTree.fromstring(svg(Chart(title="a", curves={name: [(0, 1.0), (1, 2.0)] for name in many}))).findall("polyline")
    assert [line.get("class") for line in lines] == [f"curve curve-{n % COLOURS}" for n in range(COLOURS + 2)]


def test_a_single_value_is_a_dot():
    drawing = svg(Chart(title="a", curves={"training": [(0, 1.0), (9, 2.0)], "validation": [(9, 1.5)]}))
    lone = ElementTree.fromstring(drawing).findall("polyline")[1]
    assert lone.get("class") == "curve curve-1 lone"
    first, second = _line(drawing, 1)
    assert first == second
    assert first[0] == WIDTH - RIGHT
