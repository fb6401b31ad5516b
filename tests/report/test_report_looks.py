"""What can be told of a page's looks without a browser: colours, and what the style sheet promises."""

from __future__ import annotations

import re

import pytest

from rwae_kit.report import codes_map, curves
from rwae_kit.report.drawing import GREY
from rwae_kit.report.html import render

TEXT, SHAPE = 4.5, 3.0
"""Least contrast of words and of shapes that carry a meaning (WCAG 2.2, 1.4.3 and 1.4.11)."""


@pytest.fixture(scope="module")
def style():
    return render("style.css.j2")


@pytest.fixture(scope="module")
def themes(style):
    """The colours of both themes; the dark one changes what it names."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S))
    return {"light": light, "dark": dark}


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] if isinstance(colour, str) else [c / 255 for c in colour[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a, b):
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_it_is_defined():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_themes_have_all_colours_and_none_is_used_that_is_not_there(style, themes):
    assert set(themes["light"]) == set(themes["dark"])
    used = set(re.findall(r"var\(--([\w-]+)\)", style)) - {"wide"}
    assert used == set(themes["light"])
    assert {f"curve-{n}" for n in range(curves.COLOURS)} | {f"dot-{n}" for n in range(codes_map.COLOURS)} <= used


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("words", "ground"),
    [
        ("ink", "ground"),
        ("ink", "sheet"),
        ("soft", "ground"),
        ("accent", "ground"),
        ("accent", "sheet"),
        ("warn-ink", "warn"),
    ],
)
def test_words_can_be_read_in_both_themes(themes, theme, words, ground):
    assert _contrast(themes[theme][words], themes[theme][ground]) >= TEXT


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_within_pictures_can_be_read_on_the_ground_of_pictures(themes, theme):
    assert _contrast(GREY, themes[theme]["picture"]) >= TEXT


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_curves_and_points_stand_out_from_their_ground(themes, theme):
    colours = themes[theme]
    for name, colour in colours.items():
        if name.startswith("curve-"):
            assert _contrast(colour, colours["ground"]) >= SHAPE, name
        if name.startswith("dot-"):
            assert _contrast(colour, colours["sheet"]) >= SHAPE, name


def test_no_two_classes_or_curves_share_a_colour(themes):
    for colours in themes.values():
        for kind in ("curve-", "dot-"):
            some = [colour for name, colour in colours.items() if name.startswith(kind)]
            assert len(some) == len(set(some))


def test_the_keyboard_and_those_who_want_less_motion_are_thought_of(style):
    assert ":focus-visible { outline: 2px solid" in style
    assert "outline: none" not in style
    calm = style.split("@media (prefers-reduced-motion: reduce)")[1]
    assert "scroll-behavior: auto" in calm
    assert "animation:" not in style
    assert "transition:" not in style
