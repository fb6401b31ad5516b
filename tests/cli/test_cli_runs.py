from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import rwae_kit
from rwae_kit.build import open_dataset
from rwae_kit.cli.runs import pick

Rwk = Callable[..., Any]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_swap_draws_the_two_clips_that_are_named(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "swap.png"
    assert rwk("swap", tiny_run, "--clips", "3", "1", "--out", out) == (0, f"{out}: written\n", "")
    other = tmp_path / "other.png"
    assert rwk("swap", tiny_run, "--clips", "3", "2", "--out", other).status == 0
    assert size_of(out) == size_of(other)
    assert out.read_bytes() != other.read_bytes()


def test_swap_without_more_words_chooses_two_clips_and_a_file_in_the_run(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    found = rwk("swap", run, "--json")
    (written,) = json.loads(found.out)["written"]
    assert Path(written).parent == run / "pictures"
    assert size_of(Path(written))[0] > 0


def test_sample_draws_clips_of_any_length_and_the_seed_decides(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    def draw(name: str, *words: object) -> Path:
        found = rwk("sample", tiny_run, "--n", "2", "--length", "13", *words, "--out", tmp_path / name)
        assert found.out == "".join(f"{tmp_path / name}: written\n".replace(".png", end) for end in (".png", ".gif"))
        return tmp_path / name

    one, same, other = draw("one.png"), draw("same.png", "--seed", "0"), draw("other.png", "--seed", "1")
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    with Image.open(one.with_suffix(".gif")) as moving:
        assert moving.n_frames == 13
    refused = rwk("sample", tiny_run, "--action", 1)
    assert (refused.status, "action 1, but this model's actions are none" in refused.err) == (2, True)


def test_traverse_takes_the_feature_that_varies_most_unless_one_is_named(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    model = rwae_kit.load(run)
    recipe = rwae_kit.Recipe.from_dict(model.origin["recipe"])
    clips = open_dataset(recipe, rwae_kit.Registry.installed()).clips("test")
    widest = int(model.encode(clips.batch(torch.arange(16)).x).static.sample.std(0).argmax())
    assert rwk("traverse", run).out == f"{run}/pictures/traverse-static-{widest}-clip0.png: written\n"
    found = rwk("traverse", run, "--latent", "dynamic", "--dim", "1", "--clip", "2", "--range", "-3", "3", "--steps", "5")
    assert found.out == f"{run}/pictures/traverse-dynamic-1-clip2.png: written\n"


def test_report_makes_the_page_anew(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    assert rwk("report", run) == (0, f"{run}/report.html: written\n", "")
    first = (run / "report.html").read_bytes()
    assert b"<html" in first
    assert rwk("report", run, "--seed", "1").status == 0
    assert (run / "report.html").read_bytes() != first
    assert rwk("report", run).status == 0
    assert (run / "report.html").read_bytes() == first


def test_compare_writes_one_page_with_the_pictures_of_the_runs(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    runs = [Path(shutil.copytree(tiny_run, tmp_path / name)) for name in ("one", "two")]
    score = {"value": 0.5, "low": None, "high": None}
    result = {"protocol": "swap", "data": "moving_shapes", "data_hash": "", "clips": 16, "rows": {"model": {"shape": score}}}
    for run in runs:
        (run / "results").mkdir()
        (run / "results" / "swap.json").write_text(json.dumps(result))
    assert rwk("report", runs[0]).status == 0
    page = tmp_path / "deep" / "page.html"
    found = rwk("compare", *runs, "--html", page)
    assert (found.status, found.err.split()[-1]) == (0, "written")
    text = page.read_text()
    assert text.count("<h4>one</h4>") == 4
    assert "two has no pictures yet" in text
    assert "swap: moving_shapes" in text
    found = rwk("compare", *runs, "--html", tmp_path / "page.png")
    assert found.status == 2
    assert "a file that ends in .html" in found.err


def test_eval_writes_the_scores_and_prints_the_same_as_json(rwk: Rwk, tiny_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    found = rwk("eval", run, "--json", "--no-untrained", "--seed", "3")
    assert (found.status, found.err) == (0, "")
    scores = json.loads(found.out)
    assert scores == json.loads((run / "evaluation.json").read_text())
    assert (scores["data"], scores["clips"], scores["seed"], scores["untrained"]) == ("moving_shapes", 16, 3, None)
    assert scores["model"]["swap"]["real"]["shape"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["swap", "--clips", "0", "16"], "moving_shapes: there is no clip 16; the split has 0..15"),
        (["swap", "--split", "tset"], "moving_shapes: unknown split 'tset'. Did you mean 'test'?"),
        (["swap", "--out", "swap.jpg"], "--out swap.jpg: a file that ends in .png, such as swap.png"),
        (["traverse", "--dim", "3"], "--dim 3: the static latent has features 0..2"),
        (["eval", "--device", "tpu"], "device: 'tpu' is no device: auto, cpu, cuda, cuda:0 or mps"),
    ],
)
def test_what_a_run_has_not_got_is_told(rwk: Rwk, tiny_run: Path, words: list[str], message: str) -> None:
    command, *rest = words
    assert rwk(command, tiny_run, *rest) == (2, "", f"error: {message}\n")


def test_a_run_on_data_from_python_says_that_only_python_has_them(rwk: Rwk, tmp_path: Path) -> None:
    clips = torch.rand(24, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    options = {"training.epochs": 1, "training.batch_size": 8}
    rwae_kit.train(data=clips, out=tmp_path / "run", options=options, device="cpu", report=False)
    found = rwk("swap", tmp_path / "run")
    assert (found.status, "passed from Python" in found.err) == (2, True)
    assert rwk("sample", tmp_path / "run", "--n", "1").status == 0


def test_padded_clips_are_cut_to_the_shortest_that_is_picked() -> None:
    info = rwae_kit.DataInfo(name="toy", frame=(2,), length=4)
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]])
    clips = rwae_kit.Clips(info=info, frames=torch.rand(3, 4, 2), mask=mask)
    assert torch.equal(pick(clips, [0, 1]), clips.frames[:2, :3])
    assert torch.equal(pick(clips, [2]), clips.frames[2:, :1])
