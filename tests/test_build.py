"""From a recipe to a model and back from disk."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any, final

import pytest
import torch
from attrs import frozen
from torch import Tensor, nn

from rwae_kit import (
    ActionEncoder,
    CategoricalLatent,
    CheckpointError,
    DataInfo,
    PluginError,
    RecipeError,
    Registry,
    Spec,
    from_pretrained,
    hookimpl,
    load,
    save_pretrained,
)
from rwae_kit.build import build, resolve
from rwae_kit.recipe import Recipe, merge

INFO = DataInfo(name="toy", frame=(1, 16, 16), length=4)


@final
class SoftAction(ActionEncoder):
    """q(a | x, z): a softmax of a linear map."""

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec, h: int) -> None:
        super().__init__(config)
        self.net = nn.Linear(spec.dynamic + h, spec.action)

    def forward(self, dynamic: Tensor, features: Tensor, mask: Tensor | None = None) -> CategoricalLatent:
        logits = self.net(torch.cat([dynamic, features], -1).mean(1))
        return CategoricalLatent(sample=logits.softmax(-1), logits=logits)


def with_actions() -> Registry:
    module = types.ModuleType("actions")
    module.rwae_action_encoders = hookimpl(specname="rwae_action_encoders")(lambda: {"soft": SoftAction})  # type: ignore[attr-defined]
    return Registry.installed().with_plugin(module, name="actions", distribution="actions-dist", version="2.0")


def test_resolving_fills_in_every_default_and_changes_nothing_that_was_said(tiny: dict[str, Any]) -> None:
    recipe = resolve(Recipe.from_dict(tiny), Registry.installed())
    assert recipe.encoder.options["hidden"] == 8
    assert recipe.encoder.options["log_var"] == -2.0
    assert recipe.static_prior.name == "standard_normal"
    assert "bandwidths" in next(e for e in recipe.penalties if e.part.name == "mmd").part.options
    assert resolve(recipe, Registry.installed()) == recipe


def test_a_model_is_built_from_its_seed_alone(tiny: dict[str, Any]) -> None:
    state = torch.get_rng_state()
    one = build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0].state_dict()
    torch.rand(3)
    two = build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0].state_dict()
    other = build(Recipe.from_dict(merge(tiny, "training.seed", 1)), Registry.installed(), INFO)[0].state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    torch.set_rng_state(state)


def test_building_leaves_the_global_random_state_alone(tiny: dict[str, Any]) -> None:
    state = torch.get_rng_state()
    build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("prior.name", "lstn", r"prior: unknown prior 'lstn'. Did you mean 'lstm'\?"),
        ("encoder.name", "mmd", r"encoder: unknown encoder 'mmd'. It is a divergence."),
        ("encoder.frames.name", "convv", r"encoder.frames: unknown frame encoder 'convv'"),
        ("prior.hiden", 3, r"prior: unknown key 'hiden'. Did you mean 'hidden'\?"),
        ("encoder.frames.chanels", [3], r"encoder.frames: unknown key 'chanels'. Did you mean 'channels'\?"),
        ("penalty.dynamic.mmd.bandwith", [1.0], r"penalty.dynamic.mmd: unknown key 'bandwith'. Did you mean 'bandwidths'\?"),
        ("penalty.dynamic.mdm", {"weight": 1.0}, r"penalty.dynamic.mdm: unknown divergence 'mdm'"),
        ("data.train_clips", "many", r"data.train_clips: needs a whole number, not 'many'"),
    ],
)
def test_a_mistake_in_a_component_is_named_with_its_path(tiny: dict[str, Any], path: str, value: Any, message: str) -> None:
    with pytest.raises((RecipeError, PluginError), match=message):
        resolve(Recipe.from_dict(merge(tiny, path, value)), Registry.installed())


def test_a_net_that_cannot_take_the_frames_says_so_with_its_place(tiny: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"encoder.frames .*\(1, 18, 18\)"):
        build(Recipe.from_dict(tiny), Registry.installed(), DataInfo(name="toy", frame=(1, 18, 18), length=4))


def test_a_view_has_the_options_of_its_table_and_its_defaults_where_it_has_none(tiny: dict[str, Any]) -> None:
    tiny["term"] = {"look": {"name": "info_nce", "of": "dynamic", "weight": 1.0}, "order": {"name": "info_nce", "weight": 1.0}}
    tiny["view"] = {"augment": {"crop": {"area": 0.7}}}
    recipe = resolve(Recipe.from_dict(tiny), Registry.installed())
    assert recipe.views[0].options["crop"] == {"area": 0.7, "aspect": 4 / 3}
    _, objective = build(recipe, Registry.installed(), INFO)
    config = objective.terms[0].views["augment"].config
    assert (config.crop.area, config.blur.sigma) == (0.7, type(config.blur)().sigma)
    with pytest.raises(RecipeError, match=r"view\.augment\.crop\.area: must be <= 1, not 2"):
        build(Recipe.from_dict(merge(tiny, "view.augment.crop.area", 2)), Registry.installed(), INFO)
    with pytest.raises(RecipeError, match=r"view\.blur: no term reads this view\. Leave it out"):
        build(Recipe.from_dict(merge(tiny, "view.blur.sigma", 2)), Registry.installed(), INFO)


def test_a_continuous_penalty_on_the_action_latent_is_refused(tiny: dict[str, Any]) -> None:
    tiny["latents"]["action"], tiny["action"] = 3, "soft"
    tiny["penalty"]["action"] = {"mmd": {"weight": 1.0}}
    with pytest.raises(RecipeError, match=r"penalty.action.mmd: the action latent is categorical"):
        build(Recipe.from_dict(tiny), with_actions(), INFO)


def test_an_action_latent_goes_through_encode_decode_swap_and_sample(tiny: dict[str, Any]) -> None:
    tiny["latents"]["action"], tiny["action"] = 3, "soft"
    model, _ = build(Recipe.from_dict(tiny), with_actions(), INFO)
    x, y = torch.rand(2, 4, 1, 16, 16), torch.rand(2, 4, 1, 16, 16)
    posterior = model.encode(y)
    assert posterior.action is not None
    assert posterior.action.sample.shape == (2, 3)
    expected = model.decode(model.encode(x).static.sample, posterior.dynamic.sample, posterior.action.sample)
    assert torch.equal(model.swap(x, y), expected)
    assert model.sample(2, 6).shape == (2, 6, 1, 16, 16)
    assert model.traverse(x[0], "static", 0, [0.0]).shape == (1, 4, 1, 16, 16)


def test_a_saved_model_comes_back_with_the_same_outputs(tiny: dict[str, Any], tmp_path: Path) -> None:
    model, _ = build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    save_pretrained(model, tmp_path / "m")
    again = from_pretrained(tmp_path / "m")
    assert not again.training
    x = torch.rand(2, 4, 1, 16, 16)
    assert torch.equal(again.reconstruct(x), model.reconstruct(x))
    assert again.info == INFO
    assert load is from_pretrained


def test_a_model_whose_parts_plugin_is_missing_names_what_to_install(tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny["latents"]["action"], tiny["action"] = 3, "soft"
    save_pretrained(build(Recipe.from_dict(tiny), with_actions(), INFO)[0], tmp_path)
    with pytest.raises(PluginError, match=r"action encoder 'soft' comes from actions-dist 2.0.*pip install 'actions-dist==2.0'"):
        from_pretrained(tmp_path)


def test_a_model_is_loaded_without_the_plugin_of_a_penalty_that_trained_it(tiny: dict[str, Any], tmp_path: Path) -> None:
    save_pretrained(build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0], tmp_path)
    everything = Registry.installed()
    without = Registry({key: entry for key, entry in everything.entries.items() if key[0] != "divergence"})
    assert from_pretrained(tmp_path, registry=without).spec.static == 3


def test_a_folder_that_holds_no_model_and_a_damaged_one_are_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model.safetensors"):
        from_pretrained(tmp_path / "nothing")
    save_pretrained(build(Recipe.from_dict(tiny), Registry.installed(), INFO)[0], tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match=r"model.safetensors: cannot be read"):
        from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    meta = json.loads((tmp_path / "model.json").read_text())
    del meta["origin"]
    (tmp_path / "model.json").write_text(json.dumps(meta))
    with pytest.raises(CheckpointError, match=r"model.json: 'origin' is missing"):
        from_pretrained(tmp_path)


def test_a_model_put_together_by_hand_is_not_saved_as_if_it_could_be_built_again(tiny: dict[str, Any], tmp_path: Path) -> None:
    model, _ = build(Recipe.from_dict(tiny), Registry.installed(), INFO)
    model.origin = {}
    with pytest.raises(CheckpointError, match="was not built from a recipe"):
        save_pretrained(model, tmp_path)
