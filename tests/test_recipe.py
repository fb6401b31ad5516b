"""Recipes as data: to TOML and back, with errors that carry the path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rwae_kit.errors import RecipeError
from rwae_kit.recipe import Recipe, merge, parse_value, read_toml


def test_a_recipe_comes_back_from_its_toml_unchanged(tiny: dict[str, Any]) -> None:
    tiny["term"] = {"leak": {"name": "anything", "weight": 2.0, "warmup_steps": 3, "of": ["static"]}}
    tiny["view"] = {"blur": {"sigma": 2.0}, "augment": {"crop": {"area": 0.7}}}
    recipe = Recipe.from_dict(tiny)
    again = Recipe.from_dict(tomllib.loads(recipe.to_toml()))
    assert again == recipe
    assert again.terms[0].part.options == {"of": ["static"]}
    assert again.terms[0].weighing.warmup_steps == 3
    assert {view.name: view.options for view in again.views} == tiny["view"]


def test_penalties_keep_their_latent_their_weight_and_their_own_options(tiny: dict[str, Any]) -> None:
    tiny["penalty"]["dynamic"]["mmd"] |= {"bandwidths": [1.0, 4.0], "conditioning": "ancestral"}
    entry = next(e for e in Recipe.from_dict(tiny).penalties if e.part.name == "mmd")
    assert (entry.latent, entry.weighing.weight, entry.weighing.conditioning) == ("dynamic", 5.0, "ancestral")
    assert entry.part.options == {"bandwidths": [1.0, 4.0]}


def test_a_part_may_be_a_bare_name(tiny: dict[str, Any]) -> None:
    tiny["prior"] = "gru"
    assert Recipe.from_dict(tiny).prior.name == "gru"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("penalti", {}, "unknown key 'penalti'. Did you mean 'penalty'?"),
        ("penalty.static.mmd", {}, "penalty.static.mmd: 'weight' is missing"),
        ("penalty.statik.mmd.weight", 1.0, "penalty.statik: unknown latent 'statik'. Did you mean 'static'?"),
        ("penalty.static.scaled_mmd.weight", -1.0, "penalty.static.scaled_mmd.weight: must be >= 0, not -1.0"),
        ("penalty.static", 3, "penalty.static: needs a table, not 3"),
        ("latents.static", 0, "latents.static: must be >= 1, not 0"),
        ("latents.sttic", 2, "latents: unknown key 'sttic'. Did you mean 'static'?"),
        ("latents.action", 3, "latents.action is 3: an action latent needs both"),
        ("prior", {"hidden": 3}, "prior: needs a table with a 'name'"),
        ("encoder.frames", {"features": 3}, "encoder.frames: needs a table with a 'name'"),
        ("training.bach_size", 3, "training: unknown key 'bach_size'. Did you mean 'batch_size'?"),
        ("training.critic.learning_rate", "fast", "training.critic.learning_rate: needs a number, not 'fast'"),
        ("title", 3, "title: needs a word, not 3"),
        ("view", 3, "view: needs a table, not 3"),
        ("view.blur", 3, "view.blur: needs a table, not 3"),
    ],
)
def test_a_mistake_is_named_with_its_path(tiny: dict[str, Any], path: str, value: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(merge(tiny, path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["data", "latents", "encoder", "prior", "decoder", "reconstruction"])
def test_a_missing_table_is_named(tiny: dict[str, Any], key: str) -> None:
    del tiny[key]
    with pytest.raises(RecipeError, match=rf"\[{key}\] is missing"):
        Recipe.from_dict(tiny)


def test_an_encoder_without_a_frame_net_is_named(tiny: dict[str, Any]) -> None:
    del tiny["encoder"]["frames"]
    with pytest.raises(RecipeError, match="encoder: 'frames' is missing"):
        Recipe.from_dict(tiny)


def test_merge_changes_a_copy_and_turns_a_bare_name_into_a_table() -> None:
    values = {"prior": "lstm", "a": {"b": 1}}
    assert merge(values, "prior.hidden", 3) == {"prior": {"name": "lstm", "hidden": 3}, "a": {"b": 1}}
    assert values == {"prior": "lstm", "a": {"b": 1}}
    with pytest.raises(RecipeError, match=r"a.b.c: 'b' is 1, not a table"):
        merge(values, "a.b.c", 2)


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("1e-3", 1e-3), ("[1, 2]", [1, 2]), ("lstm", "lstm"), ("true", True)])
def test_values_are_read_as_toml_and_bare_words_are_strings(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_a_file_that_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('title = "x"\nlatents = = 3\n')
    with pytest.raises(RecipeError, match=r"r.toml: not a TOML file: .*line 2"):
        read_toml(file)
    with pytest.raises(RecipeError, match=r"absent.toml: cannot be read: No such file"):
        read_toml(tmp_path / "absent.toml")
