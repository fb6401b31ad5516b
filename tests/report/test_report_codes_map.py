from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from rwae_kit.data import DataInfo, Factor
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Codes
from rwae_kit.report.codes_map import COLOURS, MARGIN, SIDE, panels
from rwae_kit.report.codes_picture import COLOURS as DRAWN, codes_picture


def _info(**kinds):
    classes = tuple(str(n) for n in range(20))
    return DataInfo(name="toy", frame=(4,), length=2, factors={name: Factor(classes=classes, kind=k) for name, k in kinds.items()})


def _codes(static, **factors):
    static = np.asarray(static, dtype=np.float32)
    return Codes(static=static, dynamic=np.zeros((len(static), 2, 1), np.float32), factors=factors)


def _groups(n=60, groups=3, seed=0):
    """Codes in groups that are far apart, and the number of each one's group."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % groups
    return (rng.normal(size=(groups, 5)) * 50)[labels] + rng.normal(size=(n, 5)), labels


def _dots(drawing):
    """Per class of colour the places of its points, in the order in which they are drawn."""
    found = {}
    for path in ElementTree.fromstring(drawing).findall("path"):
        places = re.findall(r"M([\d.]+) ([\d.]+)h0", path.get("d"))
        found.setdefault(path.get("class").removeprefix("dot dot-"), []).extend((float(x), float(y)) for x, y in places)
    return found


def test_groups_of_codes_stay_groups_on_the_map_in_colours_of_their_own():
    static, labels = _groups()
    (panel,) = panels(_codes(static, who=labels), _info(who="static"))
    dots = _dots(panel.drawing)
    assert [len(dots[str(label)]) for label in range(3)] == [20, 20, 20]
    centres = {label: np.mean(points, axis=0) for label, points in dots.items()}
    for label, points in dots.items():
        for point in points:
            assert min(centres, key=lambda one: np.hypot(*(centres[one] - point))) == label
    places = np.concatenate([np.array(points) for points in dots.values()])
    assert places.min() == pytest.approx(MARGIN, abs=0.06)
    assert places.max() == pytest.approx(SIDE - MARGIN, abs=0.06)


def test_agreement_is_that_of_nearest_codes_and_chance_that_of_any_two_clips():
    static = [[0.0], [0.1], [5.0], [5.1], [9.0], [9.1], [20.0], [20.1], [30.0], [30.1], [40.0], [40.1]]
    pairs = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0])
    (panel,) = panels(_codes(static, who=pairs), _info(who="static"))
    assert panel.agreement == pytest.approx(8 / 12)
    assert panel.chance == pytest.approx(2 * (6 * 5) / (12 * 11))
    assert "the nearest code is of the same class for 67% of them" in panel.drawing


def test_static_factors_come_first_and_all_panels_show_the_same_points():
    static, labels = _groups()
    found = panels(_codes(static, moves=(np.arange(60) // 3) % 2, who=labels), _info(moves="dynamic", who="static"))
    assert [(panel.factor, panel.kind) for panel in found] == [("who", "static"), ("moves", "dynamic")]
    first, second = ({point for points in _dots(panel.drawing).values() for point in points} for panel in found)
    assert first == second
    assert found[0].agreement == 1.0
    assert found[1].agreement < 0.8


def test_the_most_frequent_classes_have_colours_and_the_others_share_a_grey():
    static, _ = _groups(n=150)
    labels = np.concatenate([np.repeat(np.arange(12), 10), np.repeat([3, 7], 15)])
    (panel,) = panels(_codes(static, who=labels), _info(who="static"))
    assert len(panel.classes) == COLOURS
    assert panel.others == 2
    assert {"3", "7"} <= set(panel.classes)
    assert list(panel.classes) == sorted(panel.classes, key=int)
    assert len(_dots(panel.drawing)["others"]) == 20


def test_no_class_is_drawn_wholly_over_another():
    static, labels = _groups(n=90)
    (panel,) = panels(_codes(static, who=labels), _info(who="static"))
    order = [path.get("class") for path in ElementTree.fromstring(panel.drawing).findall("path")]
    assert order[:3] == order[3:6] == ["dot dot-0", "dot dot-1", "dot dot-2"]
    assert len(order) == 24


def test_the_same_codes_draw_the_same_map():
    static, labels = _groups()
    maps = [panels(_codes(static, who=labels), _info(who="static")) for _ in range(2)]
    assert maps[0] == maps[1]


def test_a_factor_with_nearly_as_many_classes_as_clips_is_left_out():
    static, labels = _groups(n=18)
    (panel,) = panels(_codes(static, who=labels, clip=np.arange(18)), _info(who="static", clip="static"))
    assert panel.factor == "who"
    with pytest.raises(RwaeError, match="too many classes for 18 clips"):
        panels(_codes(static, clip=np.arange(18)), _info(clip="static"))


@pytest.mark.parametrize(
    ("static", "complaint"),
    [
        (np.ones((20, 3)), "all clips have the same one"),
        (np.random.default_rng(0).normal(size=(9, 3)), "it takes 10 clips or more, not 9"),
        (np.full((20, 3), np.nan), "not finite"),
    ],
)
def test_codes_that_cannot_be_mapped_are_refused_with_the_reason(static, complaint):
    with pytest.raises(RwaeError, match=complaint):
        panels(_codes(static, who=np.zeros(len(static), int)), _info(who="static"))


def test_without_labels_there_is_nothing_to_colour():
    with pytest.raises(RwaeError, match="toy has no labels"):
        panels(_codes(_groups()[0]), _info())


def test_without_scikit_learn_the_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    static, labels = _groups()
    with pytest.raises(RwaeError, match=r"pip install 'rwae-kit\[eval\]'"):
        panels(_codes(static, who=labels), _info(who="static"))


def test_the_map_of_dynamic_codes_is_of_whole_trajectories():
    values, labels = _groups()
    mirrored = np.stack([values, -values], axis=1)  # the mean over a clip's frames is 0 for all
    codes = Codes(static=np.zeros((60, 2), np.float32), dynamic=mirrored.astype(np.float32), factors={"moves": labels})
    (panel,) = panels(codes, _info(moves="dynamic"), "dynamic")
    assert panel.agreement == 1.0
    assert "The dynamic codes of 60 clips, by moves" in panel.drawing


def test_the_picture_of_the_maps_has_a_row_for_each_latent_and_every_point_in_its_colour():
    values, labels = _groups()
    codes = Codes(static=values.astype(np.float32), dynamic=values[:, None].astype(np.float32), factors={"who": labels})
    rows = {"static": panels(codes, _info(who="static")), "dynamic": panels(codes, _info(who="static"), "dynamic")}
    picture = np.array(codes_picture(rows))
    alone = np.array(codes_picture({"static": rows["static"]}))
    assert len(DRAWN) == COLOURS
    for colour in DRAWN[:3]:
        inked = [(one == [*ImageColor.getrgb(colour), 255]).all(axis=-1).sum() for one in (picture, alone)]
        assert inked[0] == 2 * inked[1] > 0
