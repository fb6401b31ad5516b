from __future__ import annotations

import json
from itertools import pairwise

import pytest
from report_toys import RECIPE, Page, write_run

from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Table
from rwae_kit.report import pictures
from rwae_kit.report.compare import PICTURES, compare_page

TABLE = Table("swap <of> toy", ["", "seeds", "Acc"], [["R-WAE", "2", "0.9 ± 0.1"], ["published & known", "1", "98.98"]])


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory):
    """Two runs with pictures, of different seeds, and one without."""
    folder = tmp_path_factory.mktemp("runs")
    model, clips = world()
    made = [write_run(folder / name, clips.info) for name in ("first", "second", "bare")]
    for seed, run in enumerate(made[:2]):
        (run / "recipe.toml").write_text(RECIPE.replace("seed = 0", f"seed = {seed}"))
        pictures(model, clips, run / "pictures", seed=seed, long=6)
    for run, total in zip(made, (3.0, 2.0, 1.0), strict=True):
        lines = [{"step": 4, "parts": {"total": total + 1}}, {"step": 8, "validation": {"total": total}}]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return made


@pytest.fixture(scope="module")
def page(runs):
    return Page(compare_page([TABLE], runs, notes=[["Seeds differ."]]))


def test_the_tables_stand_as_they_were_given(page):
    for said in ("swap <of> toy", "0.9 ± 0.1", "published & known", "Seeds differ."):
        assert said in page.text
    captions = [tag for tag, _ in page.elements if tag == "caption"]
    assert len(captions) == 1


def test_every_run_has_its_row_and_the_recipes_are_compared(page):
    for name, seed, loss in (("first", 0, "3"), ("second", 1, "2"), ("bare", 0, "1")):
        assert f"{name} Title <of> the recipe toy {seed} 8 {loss} " in page.text
    assert "Where the recipes differ" in page.text
    assert "training.seed 0 1 0" in page.text
    assert "prior.name" not in page.text


def test_the_same_picture_of_each_run_stands_beside_the_others(page):
    images = [image for image in page.all("img") if image["class"] != "calm"]
    assert len(images) == 2 * len(PICTURES)
    for first, second in zip(images[::2], images[1::2], strict=True):
        assert first["alt"].startswith("first: ")
        assert second["alt"].startswith("second: ")
        assert first["alt"].removeprefix("first") == second["alt"].removeprefix("second")
        assert first["src"] != second["src"]
    assert "bare has no pictures yet" in page.text
    assert "3 frames long" in " ".join(image["alt"] for image in images)


def test_the_losses_of_all_runs_are_drawn_together(page):
    drawn = [one["aria-label"] for one in page.all("svg")]
    assert drawn == [
        "total over 4 steps: first from 4 to 4; second from 3 to 3; bare from 2 to 2",
        "total over 8 steps: first from 3 to 3; second from 2 to 2; bare from 1 to 1",
    ]


def test_a_comparison_is_as_self_contained_and_as_usable_as_a_report(page):
    assert page.all("script") == page.all("link") == []
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)
    assert {label["for"] for label in page.all("label")} == {switch["id"] for switch in page.all("input")}
    assert len(page.all("input")) == 4
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_same_runs_make_the_same_page(runs):
    assert compare_page([TABLE], runs) == compare_page([TABLE], runs)


def test_one_run_needs_no_differences_and_no_tables(runs):
    page = Page(compare_page([], runs[:1], title="Mine"))
    assert "Mine" in page.text
    assert "Where the recipes differ" not in page.text
    assert "#scores" not in {link["href"] for link in page.all("a")}


def test_runs_of_the_same_name_are_told_apart_by_their_folders(world, tmp_path):
    info = world()[1].info
    page = Page(compare_page([], [write_run(tmp_path / name / "run", info) for name in ("one", "two")]))
    assert "one/run" in page.text
    assert "two/run" in page.text


def test_tables_alone_and_results_of_another_program_have_pages_too(tmp_path):
    page = Page(compare_page([TABLE], []))
    assert "Scores compared" in page.text
    assert "swap <of> toy" in page.text
    assert [link["href"] for link in page.all("a")] == ["#main", "#scores"]
    assert page.all("img") == []
    (tmp_path / "foreign" / "results").mkdir(parents=True)
    page = Page(compare_page([TABLE], [tmp_path / "foreign"]))
    assert "The run foreign" in page.text
    assert "foreign has no pictures" in page.text


def test_what_is_no_run_is_refused(runs, tmp_path):
    with pytest.raises(RwaeError, match="at least one run folder, or a table"):
        compare_page([], [])
    with pytest.raises(RwaeError, match=rf"{tmp_path}: this is no run folder: there is no recipe.toml"):
        compare_page([], [tmp_path])
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(RwaeError, match=r"recipe.toml or model.json cannot be read"):
        compare_page([], [tmp_path])
    with pytest.raises(RwaeError, match="named 2 times"):
        compare_page([], [runs[0], runs[0]])
