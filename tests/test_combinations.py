"""Any encoder, prior, decoder and penalties compose: every registered part is walked through training, saving and sampling."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from combinations_of_parts import REGISTRY, Combination, missing, to_cover, walk
from torch import Tensor, nn

from rwae_kit import Clips, SequenceAutoencoder, load, save_pretrained
from rwae_kit.build import build
from rwae_kit.objective import Objective
from rwae_kit.recipe import Recipe
from rwae_kit.training.loop import train_loop
from rwae_kit.training.progress import Reporter

WALK = walk(least=110, most=250)


def clips_of(combination: Combination) -> Clips:
    """Eight clips of noise; where they are padded, two are shorter."""
    generator = torch.Generator().manual_seed(0)
    info = combination.info
    low, high = info.value_range
    frames = low + (high - low) * torch.rand(8, info.length, *info.frame, generator=generator)
    lengths = torch.tensor([1, info.length - 1, *[info.length] * 6])
    mask = (torch.arange(info.length) < lengths[:, None]).float() if combination.padded else None
    return Clips(info=info, frames=frames, mask=mask)


def weights_of(model: SequenceAutoencoder, objective: Objective) -> dict[str, Tensor]:
    modules: tuple[tuple[str, nn.Module], ...] = (("model", model), ("objective", objective))
    return {f"{name}.{key}": p.detach().clone() for name, module in modules for key, p in module.named_parameters()}


@pytest.mark.parametrize("combination", WALK, ids=[c.name for c in WALK])
def test_a_combination_trains_two_steps_is_saved_and_comes_back_to_sample(combination: Combination, tmp_path: Path) -> None:
    recipe = Recipe.from_dict(combination.values)
    model, objective = build(recipe, REGISTRY, combination.info)
    clips, before = clips_of(combination), weights_of(model, objective)
    outcome = train_loop(model, objective, clips, None, recipe.training, tmp_path / "run", reporter=Reporter())
    assert outcome.step == 2
    check_losses(combination, tmp_path / "run")
    still = [key for key, value in weights_of(model, objective).items() if torch.equal(value, before[key])]
    assert [
        key for key in still if not (key.startswith("objective") and key.endswith("bias"))
    ] == []  # of differences there is none
    model.eval()
    save_pretrained(model, tmp_path / "model")
    again, x = load(tmp_path / "model", registry=REGISTRY), clips.frames
    for one, two in zip(latents(model, x), latents(again, x), strict=True):
        assert torch.equal(one, two)
    check_sample(combination, again.sample(2, 100))


def check_losses(combination: Combination, run: Path) -> None:
    """Each part of the objective was computed in both steps and is finite."""
    records = [json.loads(line)["parts"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 2
    penalties = {f"penalty.{latent}.{name}" for latent, tables in combination.values["penalty"].items() for name in tables}
    terms = {f"term.{key}" for key in combination.values.get("term", {})}
    for parts in records:
        assert {"total", "reconstruction"} | penalties | terms <= parts.keys()
        assert all(math.isfinite(value) for value in parts.values())


def latents(model: SequenceAutoencoder, x: Tensor) -> list[Tensor]:
    q = model.encode(x)
    found: list[Any] = [q.static.mean, q.static.log_var, q.dynamic.mean, q.dynamic.log_var]
    return found if q.action is None else [*found, q.action.logits]


def check_sample(combination: Combination, clips: Tensor) -> None:
    info = combination.info
    assert clips.shape == (2, 100, *info.frame)
    assert bool(clips.isfinite().all())
    if combination.values["reconstruction"].get("link") != "identity":
        assert info.value_range[0] <= float(clips.min()) <= float(clips.max()) <= info.value_range[1]


def test_the_walk_meets_every_part_every_choice_and_every_pair() -> None:
    assert not missing(WALK, to_cover())
