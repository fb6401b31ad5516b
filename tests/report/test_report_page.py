from __future__ import annotations

import json
import sys
from itertools import pairwise

import pytest
import torch
from attrs import evolve
from PIL import Image
from report_toys import RECIPE, Page, toy_result, write_run

from rwae_kit.errors import RwaeError
from rwae_kit.report import pictures, write_report


@pytest.fixture
def run(tmp_path, world):
    return write_run(tmp_path / "run", world()[1].info)


@pytest.fixture
def page(run, world):
    model, clips = world()
    path = write_report(run, model, clips, warnings=["beware of <this>"], long=6)
    assert path == run / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(page, run):
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/"))
        assert not [name for name in attributes if name.startswith("on")]
    style = (run / "report.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_every_picture_has_words_and_every_link_its_target(page):
    images = page.all("img")
    assert len(images) == 11
    assert all(len(image["alt"]) > 20 for image in images)
    assert all(int(image["width"]) > 0 and int(image["height"]) > 0 for image in images)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in page.all("a")]
    assert links == ["main", "reconstructions", "swap", "samples", "traversal", "codes", "losses", "evaluation", "run"]
    labels = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(links) | set(labels) <= set(ids)


def test_the_first_thing_that_the_tab_key_finds_leads_past_the_header(page):
    reached = [attributes for tag, attributes in page.elements if tag in {"a", "input"} or "tabindex" in attributes]
    assert reached[0]["href"] == "#main"
    assert [attributes["id"] for attributes in page.all("main")] == ["main"]


def test_every_animation_has_a_labelled_switch_and_a_moment_to_stand_still_at(page):
    moving = [image for image in page.all("img") if image["class"] == "moving"]
    calm = [image for image in page.all("img") if image["class"] == "calm"]
    assert len(moving) == len(calm) == 4
    for one, other in zip(moving, calm, strict=True):
        assert one["src"].startswith("data:image/gif;base64,")
        assert other["src"].startswith("data:image/png;base64,")
        assert (one["width"], one["height"]) == (other["width"], other["height"])
    assert sum("image/gif" in image["src"] for image in page.all("img")) == 4
    switches = page.all("input")
    assert [switch["type"] for switch in switches] == ["checkbox"] * 4
    assert [label["for"] for label in page.all("label")] == [switch["id"] for switch in switches]
    # The rules that stop an animation need the switch to stand before its picture, in the same figure.
    order = [attributes.get("class", tag) for tag, attributes in page.elements if tag in {"figure", "input", "div", "img"}]
    for place, name in enumerate(order):
        if name == "hold":
            assert order[place - 1] == "figure"
            assert order[place + 1 : place + 5] == ["pictures", "picture", "moving", "calm"]


def test_headings_do_not_skip_a_level_and_wide_things_can_be_scrolled_by_keyboard(page):
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    regions = [attributes for _, attributes in page.elements if attributes.get("role") == "region"]
    assert len(regions) == len(page.all("table"))
    scrolled = [attributes for _, attributes in page.elements if attributes.get("class") in ("scroll", "picture")]
    assert len(scrolled) == len(regions) + 7
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in scrolled)


def test_the_page_tells_what_the_run_folder_holds(page):
    for said in (
        "Title <of> the recipe",
        "Some words.",
        "beware of <this>",
        "93.4 %",
        "untrained -20.0 %",
        "87.6 %",
        "level, untrained 30.0 %",
        "+5.0",
        "autoregressive, conv frames",
        "100 × scaled_mmd on static",
        "joint, 3 epochs",
        "packages.torch",
        "toy <&>",
        "CC0",
        RECIPE.split()[-1],
    ):
        assert said in page.text
    (drawing,) = (one for one in page.all("svg") if "steps" in one["aria-label"])
    assert drawing["aria-label"] == "penalty.static.scaled_mmd over 8 steps: training from 1 to 0.125"


def test_the_results_of_protocols_stand_with_their_intervals_and_their_judge(run, world):
    model, clips = world()
    (run / "results").mkdir()
    (run / "results" / "swap.json").write_text(json.dumps(toy_result().to_dict()))
    said = Page(write_report(run, model, clips, long=6).read_text(encoding="utf-8")).text
    for words in ("Protocol swap", "99.2 %", "98.0 to 100.0", "copy <it>", "Judge abababab", "level 99.8 %", "k = 1, 2"):
        assert words in said


def test_clips_with_labels_have_a_map_of_their_static_codes(page):
    assert "The static codes of 12 held-out clips" in page.text
    assert "level (static)" in page.text
    assert "path (dynamic)" in page.text
    assert page.all("svg")[0]["aria-label"].startswith("The static codes of 12 clips, by level:")


def test_the_maps_of_both_codes_are_a_picture_in_a_file_too(page, run):
    with Image.open(run / "pictures" / "codes.png") as image:
        assert image.width > 2 * 168
        assert image.height > 2 * 168


def test_without_scikit_learn_the_page_says_what_is_missing_and_how_to_get_it(run, world, monkeypatch):
    model, clips = world()
    (run / "pictures").mkdir()
    (run / "pictures" / "codes.png").write_bytes(b"of an older page")
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    said = Page(write_report(run, model, clips, long=6).read_text(encoding="utf-8")).text
    assert "No map of the static codes" in said
    assert "pip install 'rwae-kit[eval]'" in said
    assert not (run / "pictures" / "codes.png").exists()


def test_a_fresh_run_without_records_or_evaluation_has_a_page_too(tmp_path, world):
    model, clips = world()
    page = Page(write_report(tmp_path, model, clips, long=6).read_text(encoding="utf-8"))
    assert "rwk eval RUN" in page.text
    assert "from the origin" in page.text
    assert "parts.toy" in page.text
    assert not [one for one in page.all("svg") if "steps" in one["aria-label"]]


def test_a_page_that_is_made_anew_still_tells_what_training_warned_of(run, world):
    model, clips = world()
    write_report(run, model, clips, warnings=["the critic <ran> away"], long=6)
    assert "the critic <ran> away" in Page(write_report(run, model, clips, long=6).read_text(encoding="utf-8")).text
    write_report(run, model, clips, warnings=[], long=6)
    assert "ran" not in Page(write_report(run, model, clips, long=6).read_text(encoding="utf-8")).text.split()


def test_the_same_seed_writes_the_same_page(tmp_path, world):
    model, clips = world()
    pages = [write_report(tmp_path, model, clips, seed=seed, long=6).read_text(encoding="utf-8") for seed in (0, 0, 1)]
    assert pages[0] == pages[1] != pages[2]


def test_a_page_weighs_little_more_than_its_pictures(run, world):
    model, clips = world()
    page = write_report(run, model, clips, long=6)
    pictures = sum(path.stat().st_size for path in (run / "pictures").iterdir())
    assert page.stat().st_size < 4 / 3 * 1.5 * pictures + 60_000  # base64, the moments of animations, text and style


def test_all_pictures_of_images_are_written_and_told(tmp_path, world):
    model, clips = world()
    made = pictures(model, clips, tmp_path / "pictures", long=6)
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    stems = ("matrix", "samples", "samples_long", "traversal")
    assert names == {"reconstructions.png", "swap.png", *(f"{stem}{end}" for stem in stems for end in (".png", ".gif"))}
    assert {path.name for picture in made for path in (picture.still, picture.moving) if path} == names
    with Image.open(tmp_path / "pictures" / "samples_long.gif") as image:
        assert image.n_frames == 6
    with Image.open(tmp_path / "pictures" / "samples.gif") as image:
        assert image.n_frames == clips.info.length


def test_vectors_and_a_single_clip_have_pages(tmp_path, world):
    model, clips = world(frame=(6,), length=5)
    page = Page(write_report(tmp_path, model, clips, long=6).read_text(encoding="utf-8"))
    assert page.all("input") == []
    assert "time to the right, low frequencies (the first features) at the bottom" in page.text
    model, clips = world()
    one = clips.subset(clips.factors["level"].nonzero()[0])
    page = Page(write_report(tmp_path, model, one, long=6).read_text(encoding="utf-8"))
    assert "#swap" not in {link["href"] for link in page.all("a")}
    assert "it takes 10 clips or more, not 1" in page.text
    bare = evolve(clips, factors={})
    page = Page(write_report(tmp_path, model, bare, long=6).read_text(encoding="utf-8"))
    assert len(page.all("img")) == 11
    assert "has no labels" in page.text


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("metrics.jsonl", '{"step": 1}\nnonsense\n', r"metrics.jsonl: line 2 is not JSON: 'nonsense'"),
        ("evaluation.json", "{", r"evaluation.json: this is not JSON"),
        ("results/swap.json", '{"protocol": "swap"}', r"results/swap.json: this is no result .*rwk eval .* --protocol swap"),
    ],
)
def test_a_broken_file_is_named_before_anything_is_drawn(run, world, name, text, complaint):
    model, clips = world()
    (run / "results").mkdir()
    (run / name).write_text(text)
    with pytest.raises(RwaeError, match=complaint):
        write_report(run, model, clips, long=6)
    assert not (run / "pictures").exists()


def test_a_page_that_cannot_be_finished_leaves_the_old_one(run, world, monkeypatch):
    model, clips = world()
    page = write_report(run, model, clips, long=6)
    before = page.read_bytes()

    def fail(x):
        raise RuntimeError("no memory")

    monkeypatch.setattr(model, "reconstruct", fail)
    with pytest.raises(RuntimeError):
        write_report(run, model, clips, long=6)
    assert page.read_bytes() == before
    assert not list(run.glob(".*"))


def test_codes_that_do_not_differ_are_said_to_be_so(run, world):
    model, clips = world()
    clips = evolve(clips, frames=torch.ones_like(clips.frames))
    assert "all clips have the same one" in Page(write_report(run, model, clips, long=6).read_text(encoding="utf-8")).text
