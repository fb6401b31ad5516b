from __future__ import annotations

import json
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from attrs import evolve
from PIL import Image

from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Evaluation, ProbeScore, ReconstructionScore, Scores
from rwae_kit.report import pictures, write_report

VOID = {"meta", "img", "source", "br", "line"}
RECIPE = """title = "Title <of> the recipe"
about = "Some words."

[latents]
static = 1

[prior]
name = "lstm"

[encoder]
name = "autoregressive"
frames = { name = "conv" }

[penalty.static.scaled_mmd]
weight = 100.0

[training]
schedule = "joint"
epochs = 3
"""


class Page(HTMLParser):
    """All elements with their attributes, and the text; complains of tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style"} & set(self._open):
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def _evaluation():
    def scores(explained, swap, leak):
        probes = [
            ProbeScore(code=code, factor=factor, kind=kind, probe=probe, accuracy=leak, chance=0.4)
            for code in ("static", "dynamic mean", "dynamic trajectory")
            for factor, kind in (("level", "static"), ("path", "dynamic"))
            for probe in ("linear", "mlp")
        ]
        return Scores(
            reconstruction=ReconstructionScore(explained=explained, mse=0.01, sse=3.0),
            scale={"static": 1.0, "dynamic": 0.5},
            probes=tuple(probes),
            swap={"real": {"level": 1.0, "path": 1.0}, "swap": {"level": swap, "path": 0.99}},
        )

    return Evaluation(
        data="toy",
        clips=12,
        seed=0,
        kinds={"level": "static", "path": "dynamic"},
        model=scores(0.934, 0.876, 0.45),
        mean_clip=ReconstructionScore(explained=0.0, mse=0.1, sse=30.0),
        untrained=scores(-0.2, 0.3, 0.6),
    )


@pytest.fixture
def run(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "environment.json").write_text(json.dumps({"python": "3.99", "packages": {"torch": "2.x"}}))
    lines = [{"step": s, "parts": {"penalty.static.scaled_mmd": 1.0 / s}} for s in range(1, 9)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "par')
    (tmp_path / "evaluation.json").write_text(json.dumps(_evaluation().to_dict()))
    return tmp_path


@pytest.fixture
def page(run, world):
    model, clips = world()
    path = write_report(run, model, clips, warnings=["beware of <this>"], long=6)
    assert path == run / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(page):
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/"))
        assert not [name for name in attributes if name.startswith("on")]


def test_every_picture_has_words_and_every_link_its_target(page):
    images = page.all("img")
    assert len(images) == 7
    assert all(len(image["alt"]) > 20 for image in images)
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [link["href"][1:] for link in page.all("a")]
    assert links == ["reconstructions", "swap", "samples", "traversal", "losses", "evaluation", "run"]
    assert set(links) <= targets
    labels = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(labels) <= targets


def test_moving_pictures_stand_still_for_those_who_ask_for_less_motion(page):
    sources = page.all("source")
    assert len(sources) == 4
    for source in sources:
        assert source["media"] == "(prefers-reduced-motion: reduce)"
        assert source["srcset"].startswith("data:image/png;base64,")
    assert sum(image["src"].startswith("data:image/gif") for image in page.all("img")) == 4


def test_headings_do_not_skip_a_level_and_wide_tables_can_be_scrolled_by_keyboard(page):
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    regions = [attributes for tag, attributes in page.elements if attributes.get("role") == "region"]
    assert len(regions) == len(page.all("table"))
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_the_page_tells_what_the_run_folder_holds(page):
    words = " ".join(" ".join(page.words).split())
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
        assert said in words
    (drawing,) = page.all("svg")
    assert drawing["aria-label"] == "penalty.static.scaled_mmd over 8 steps: training from 1 to 0.125"


def test_a_fresh_run_without_records_or_evaluation_has_a_page_too(tmp_path, world):
    model, clips = world()
    page = Page(write_report(tmp_path, model, clips, long=6).read_text(encoding="utf-8"))
    words = " ".join(page.words)
    assert "rwk eval RUN" in words
    assert "from the origin" in words
    assert "parts.toy" in words
    assert page.all("svg") == []


def test_the_same_seed_writes_the_same_page(tmp_path, world):
    model, clips = world()
    pages = [write_report(tmp_path, model, clips, seed=seed, long=6).read_text(encoding="utf-8") for seed in (0, 0, 1)]
    assert pages[0] == pages[1] != pages[2]


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
    assert page.all("source") == []
    model, clips = world()
    one = clips.subset(clips.factors["level"].nonzero()[0])
    assert "swap" not in {link["href"] for link in Page(write_report(tmp_path, model, one, long=6).read_text()).all("a")}
    bare = evolve(clips, factors={})
    assert len(Page(write_report(tmp_path, model, bare, long=6).read_text()).all("img")) == 7


def test_a_broken_record_is_named(run, world):
    model, clips = world()
    (run / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n')
    with pytest.raises(RwaeError, match=r"metrics.jsonl: line 2 is not JSON: 'nonsense'"):
        write_report(run, model, clips, long=6)
