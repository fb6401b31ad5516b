from pathlib import Path
from typing import Any

import pytest
import torch
from fabricated import voice, write_mug, write_strips, write_timit, write_videos, write_wave

from rwae_datasets.arrays import Arrays
from rwae_datasets.hdf5 import Hdf5
from rwae_datasets.image_strips import ImageStrips
from rwae_datasets.moving_shapes import MovingShapes
from rwae_datasets.mug import MUG
from rwae_datasets.speech_folder import SpeechFolder
from rwae_datasets.timit import TIMIT
from rwae_datasets.video_folder import VideoFolder
from rwae_kit import SequenceDataset, evaluate, load, train
from rwae_kit.data import export_clips, store_path


@pytest.fixture
def steps(tiny: dict[str, Any]) -> dict[str, Any]:
    """The tiny recipe for one epoch of few clips."""
    return {**tiny, "training": {**tiny["training"], "epochs": 1, "batch_size": 12}}


def trained(recipe: dict[str, Any], out: Path) -> torch.Tensor:
    run = train(recipe, out=out, report=False, device="cpu")
    assert run.outcome.step >= 2
    return run.model.sample(2, 5)


def build(cls: type[SequenceDataset], name: str, source: Path, **options: Any) -> dict[str, Any]:
    config = cls.Config(**options)
    cls.build(config, source, store_path(name, config))
    return {"name": name, **options}


def test_a_fabricated_timit_tree_is_built_and_trained_on(steps, tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    write_timit(tmp_path / "TIMIT")
    frames = {"name": "mlp", "hidden": [8], "features": 8}
    recipe = {
        **steps,
        "data": build(TIMIT, "timit", tmp_path / "TIMIT"),
        "encoder": {**steps["encoder"], "frames": frames},
        "decoder": {**steps["decoder"], "frames": frames},
        "reconstruction": {"name": "squared_error", "link": "identity"},
    }
    assert trained(recipe, tmp_path / "run").shape == (2, 5, 200)


def test_a_fabricated_mug_tree_is_built_and_trained_on(steps, tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    write_mug(tmp_path / "mug", subjects=3, frames=32)
    recipe = {**steps, "data": build(MUG, "mug", tmp_path / "mug", length=8, pixels=16)}
    assert trained(recipe, tmp_path / "run").shape == (2, 5, 3, 16, 16)


@pytest.mark.parametrize(
    ("cls", "name", "write", "options"),
    [
        (ImageStrips, "image_strips", write_strips, {"derive": "person = take // 2", "length": 4}),
        (ImageStrips, "image_strips", write_strips, {"derive": "person = take // 2", "length": 0}),
        (VideoFolder, "video_folder", write_videos, {"length": 8, "tail": "pad"}),
    ],
    ids=["strips", "whole strips", "videos with padded tails"],
)
def test_moving_pictures_are_built_trained_on_and_evaluated(steps, tmp_path, monkeypatch, cls, name, write, options):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    write(tmp_path / "raw")
    steps["training"]["batch_size"] = 3
    recipe = {**steps, "data": build(cls, name, tmp_path / "raw", pixels=16, **options)}
    assert trained(recipe, tmp_path / "run").shape == (2, 5, 3, 16, 16)
    scores = evaluate(load(tmp_path / "run")).model
    assert {probe.factor for probe in scores.probes} == {"action", "person"}


@pytest.mark.parametrize(("cls", "name", "form"), [(Arrays, "arrays", "npz"), (Hdf5, "hdf5", "hdf5")])
def test_exported_clips_are_built_and_trained_on(steps, tmp_path, monkeypatch, cls, name, form):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    dataset = MovingShapes(MovingShapes.Config(train_clips=24, validation_clips=8, test_clips=8))
    (tmp_path / "raw").mkdir()
    export_clips(
        {split: dataset.clips(split) for split in ("train", "validation", "test")}, tmp_path / "raw" / f"clips.{form}", form
    )
    recipe = {**steps, "data": build(cls, name, tmp_path / "raw", file=f"clips.{form}")}
    assert trained(recipe, tmp_path / "run").shape == (2, 5, 3, 32, 32)


def test_whole_recordings_of_speech_are_built_and_trained_on(steps, tmp_path, monkeypatch):
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "stores"))
    for take in range(36):
        write_wave(tmp_path / "speech" / f"{take % 2}_anna_{take}.wav", voice(0.1 + 0.004 * take, 100, 8_000))
    frames = {"name": "mlp", "hidden": [8], "features": 8}
    recipe = {
        **steps,
        "data": build(SpeechFolder, "speech_folder", tmp_path / "speech", length=0),
        "encoder": {**steps["encoder"], "frames": frames},
        "decoder": {**steps["decoder"], "frames": frames},
        "reconstruction": {"name": "squared_error", "link": "identity"},
    }
    assert trained(recipe, tmp_path / "run").shape == (2, 5, 100)
