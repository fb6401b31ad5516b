from pathlib import Path
from typing import Any

import pytest
import torch
from fabricated import write_mug, write_timit

from rwae_datasets.mug import MUG
from rwae_datasets.timit import TIMIT
from rwae_kit import SequenceDataset, train
from rwae_kit.data import store_path


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
