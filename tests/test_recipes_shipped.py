"""Every shipped recipe, with each of its variants, resolves, builds at full size, and trains at a reduced one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rwae_kit import DataInfo, Registry
from rwae_kit.build import build, resolve
from rwae_kit.composition import recipe_values, variants_of
from rwae_kit.recipe import Recipe
from rwae_kit.run import train
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
NAMES = REGISTRY.names("recipe")
REFERENCES = [r for name in NAMES for r in (name, *(f"{name}:{variant}" for variant in variants_of(name, REGISTRY)))]
COUNTS = Path(__file__).parents[1] / "rwae_kit" / "recipes" / "parameters.json"
SMALL_NETS: dict[str, dict[str, Any]] = {
    "conv": {"channels": [4, 4], "strides": [4, 2]},
    "dcgan": {"channels": [4, 4]},
    "resblock": {"channels": [4, 4], "features": 6},
    "tfgan": {"channels": [4, 4]},
    "mlp": {"hidden": [8], "features": 8},
}
"""Options that make a frame net small, for frames of 16 pixels."""


def recipe_of(reference: str) -> Recipe:
    return resolve(Recipe.from_dict(recipe_values(reference, REGISTRY), reference), REGISTRY)


def form(recipe: Recipe) -> DataInfo:
    """What the data of a recipe look like, without the data."""
    options = recipe.data.options
    pixels = options.get("pixels", 64)
    frame = {"timit": (200,), "moving_mnist": (1, pixels, pixels)}.get(recipe.data.name, (3, pixels, pixels))
    value_range = (-5.0, 5.0) if recipe.data.name == "timit" else (0.0, 1.0)
    return DataInfo(name=recipe.data.name, frame=frame, length=8, value_range=value_range)


def parameters(reference: str) -> int:
    """Of the model at full size, without its critics."""
    recipe = recipe_of(reference)
    with torch.device("meta"):
        model, _ = build(recipe, REGISTRY, form(recipe))
    return sum(p.numel() for p in model.parameters())


def test_every_recipe_and_variant_builds_with_the_number_of_parameters_that_is_told() -> None:
    pairs = [
        f"{r}+c"
        for r in REFERENCES
        if r.rpartition(":")[2] in ("sm-mnist", "mug", "moving-shape") and f"{r.partition(':')[0]}:c" in REFERENCES
    ]
    counts = {reference: parameters(reference) for reference in sorted([*REFERENCES, *pairs])}
    assert json.loads(COUNTS.read_text(encoding="utf-8")) == counts, json.dumps(counts, indent=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is(name: str) -> None:
    recipe = recipe_of(name)
    assert recipe.title
    assert recipe.method
    assert recipe.paper
    assert recipe.about


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_recipe_trains_two_steps_on_small_clips(reference: str, tmp_path: Path) -> None:
    recipe = recipe_of(reference)
    many = recipe.training.schedule == "alternating" and recipe.training.inner_steps > 1
    options: dict[str, Any] = {"training.batch_size": 4 if many else 8, "training.epochs": 2 if many else 1}
    for side, part in (("encoder", recipe.encoder), ("decoder", recipe.decoder)):
        assert part.frames is not None
        options |= {f"{side}.frames.{key}": value for key, value in SMALL_NETS[part.frames.name].items()}
    frame = (20,) if recipe.data.name == "timit" else (form(recipe).frame[0], 16, 16)
    clips = torch.rand(24, 3, *frame, generator=torch.Generator().manual_seed(0))
    run = train(reference, clips, out=tmp_path / "run", options=options, reporter=Reporter(), report=False)
    assert run.outcome.step == 2
    assert run.model.sample(2, 5).shape == (2, 5, *frame)
