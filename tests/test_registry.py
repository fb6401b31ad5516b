"""Plugins come in by one door, and every way to get it wrong is named."""

from __future__ import annotations

import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from rwae_kit import hookimpl, registry
from rwae_kit.errors import PluginError
from rwae_kit.registry import KINDS, Registry


def plugin(**hooks: Any) -> types.ModuleType:
    module = types.ModuleType("a_plugin")
    for name, result in hooks.items():
        setattr(module, name, hookimpl(specname=name)(lambda result=result: result))
    return module


def test_the_first_party_plugins_come_in_by_the_entry_point_of_every_plugin() -> None:
    found = Registry.installed()
    assert not found.broken
    assert {"mmd", "scaled_mmd", "kl"} <= set(found.names("divergence"))
    entry = found.find("divergence", "mmd")
    assert (entry.plugin, entry.distribution, entry.path) == ("rwae_mmd", "rwae-kit", "rwae_mmd.mmd:MMD")


def test_every_hook_has_a_kind_and_every_kind_a_hook() -> None:
    from rwae_kit.hookspecs import Hooks

    assert {kind.hook for kind in KINDS.values()} == {name for name in vars(Hooks) if name.startswith("rwae_")}


def test_a_class_may_be_registered_itself() -> None:
    from rwae_mmd.mmd import MMD

    found = Registry().with_plugin(plugin(rwae_divergences={"mine": MMD}), name="mine")
    assert found.get("divergence", "mine") is MMD
    assert found.find("divergence", "mine").path == "rwae_mmd.mmd:MMD"


def test_an_unknown_name_is_answered_with_the_nearest_and_its_place() -> None:
    with pytest.raises(PluginError, match=r"penalty.static: unknown divergence 'scaled_mdm'. Did you mean 'scaled_mmd'\?"):
        Registry.installed().get("divergence", "scaled_mdm", "penalty.static")


def test_a_name_of_another_kind_is_said_to_be_one() -> None:
    with pytest.raises(PluginError, match=r"unknown prior 'mmd'. It is a divergence."):
        Registry.installed().get("prior", "mmd")


def test_a_name_that_is_taken_is_refused_with_both_owners() -> None:
    with pytest.raises(
        PluginError, match=r"divergence 'mmd' is registered twice: by 'rwae_mmd' \(rwae-kit\) and by 'other' \(other-dist\)"
    ):
        Registry.installed().with_plugin(plugin(rwae_divergences={"mmd": "x:Y"}), name="other", distribution="other-dist")


def test_a_misspelt_hook_is_answered_with_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"rwae_divergance.*Did you mean 'rwae_divergences'\?"):
        Registry().with_plugin(plugin(rwae_divergance={}), name="typo")


def test_a_hook_that_gives_no_mapping_is_refused() -> None:
    with pytest.raises(PluginError, match=r"hook rwae_priors must return a mapping of names, not \['lstm'\]"):
        Registry().with_plugin(plugin(rwae_priors=["lstm"]), name="list")


def test_a_class_of_the_wrong_kind_is_refused_when_it_is_taken() -> None:
    found = Registry().with_plugin(plugin(rwae_priors={"odd": "rwae_mmd.mmd:MMD"}), name="odd")
    with pytest.raises(PluginError, match=r"prior 'odd' of plugin 'odd': rwae_mmd.mmd:MMD is no DynamicPrior"):
        found.get("prior", "odd")


def test_a_class_that_leaves_something_abstract_is_refused() -> None:
    from rwae_kit import Divergence

    class Half(Divergence):
        pass

    found = Registry().with_plugin(plugin(rwae_divergences={"half": Half}), name="half")
    with pytest.raises(PluginError, match="does not define forward"):
        found.get("divergence", "half")


def test_an_implementation_that_does_not_import_is_named_with_its_distribution() -> None:
    found = Registry().with_plugin(
        plugin(rwae_priors={"gone": "no_such_module:Prior"}), name="gone", distribution="gone-dist", version="3.1"
    )
    with pytest.raises(
        PluginError, match=r"plugin 'gone' \(gone-dist 3.1\): cannot load 'no_such_module:Prior': ModuleNotFoundError"
    ):
        found.get("prior", "gone")


def test_a_plugin_that_fails_to_import_is_kept_aside_and_named_when_it_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint(name="broken", value="no_such_plugin", group="rwae_kit")
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    found = Registry.installed()
    assert "ModuleNotFoundError" in found.broken["broken"]
    with pytest.raises(PluginError, match=r"unknown divergence 'mmd'.*not loaded: broken"):
        found.get("divergence", "mmd")


def test_a_plugin_file_is_loaded_by_its_path_and_a_bad_one_named(tmp_path: Path) -> None:
    file = tmp_path / "extra.py"
    file.write_text("from rwae_kit import hookimpl\n@hookimpl\ndef rwae_divergences():\n    return {'extra': 'rwae_mmd.mmd:MMD'}\n")
    assert Registry.installed([file]).find("divergence", "extra").distribution == str(file)
    file.write_text("1 / 0\n")
    with pytest.raises(PluginError, match=r"extra.py: ZeroDivisionError"):
        Registry.installed([file])
    with pytest.raises(PluginError, match=r"absent.py: no such file"):
        Registry.installed([tmp_path / "absent.py"])


def test_shipped_recipes_are_found_by_name_and_files_by_path() -> None:
    found = Registry.installed()
    assert found.recipe_file("quickstart").is_file()
    assert found.recipe_file("dir/mine.toml") == Path("dir/mine.toml")
    with pytest.raises(PluginError, match=r"unknown recipe 'quickstrat'. Did you mean 'quickstart'\?"):
        found.recipe_file("quickstrat")
