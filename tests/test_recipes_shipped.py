"""Every shipped recipe resolves, builds at full size, and trains at a reduced one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rwae_kit import DataInfo, Registry
from rwae_kit.build import build, resolve
from rwae_kit.recipe import Recipe, read_toml
from rwae_kit.run import train
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
NAMES = REGISTRY.names("recipe")
FRAMES = {"moving_shapes": (3, 32, 32), "sprites": (3, 64, 64)}
PARAMETERS = {"cdsvae": 11_145_603, "quickstart": 539_939, "rwae-gan": 8_965_369, "rwae-mmd": 8_965_369}
"""Of the model, without its critics."""


def recipe_of(name: str) -> Recipe:
    return resolve(Recipe.from_dict(read_toml(REGISTRY.recipe_file(name))), REGISTRY)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_at_full_size_with_the_parameters_that_the_docs_tell(name: str) -> None:
    recipe = recipe_of(name)
    info = DataInfo(name=recipe.data.name, frame=FRAMES[recipe.data.name], length=8)
    model, _ = build(recipe, REGISTRY, info)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is(name: str) -> None:
    recipe = recipe_of(name)
    assert recipe.title
    assert recipe.about


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_two_steps_on_small_clips(name: str, tmp_path: Path) -> None:
    alternating = recipe_of(name).training.schedule == "alternating"
    options: dict[str, Any] = {
        "training.batch_size": 4 if alternating else 8,
        "training.epochs": 2 if alternating else 1,
        "encoder.frames.channels": [4, 4],
        "encoder.frames.strides": [4, 2],
        "decoder.frames.channels": [4, 4],
        "decoder.frames.strides": [4, 2],
    }
    clips = torch.rand(24, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    run = train(name, clips, out=tmp_path / "run", options=options, reporter=Reporter(), report=False)
    assert run.outcome.step == 2
    assert run.model.sample(2, 5).shape == (2, 5, 3, 16, 16)
