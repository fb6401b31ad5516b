from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rwae_kit import Registry
from rwae_kit.cli.skeleton import KINDS

Rwk = Callable[..., Any]

PLUGIN = '''
"""A plugin file."""

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences():
    """One that keeps the contract, or not."""
    from attrs import frozen
    from rwae_kit import Divergence

    class Off(Divergence):
        """Gives a scalar where one value a problem is due."""

        @frozen(kw_only=True)
        class Config:
            """No options."""

        def __init__(self, config, d):
            super().__init__(config)

        def forward(self, posterior, prior):
            return (posterior.sample.mean() - prior.sample.mean()) ** 2

    return {"off": Off}
'''


def test_recipes_are_listed_and_shown_as_the_files_that_they_are(rwk: Rwk) -> None:
    assert "quickstart" in rwk("recipes").out
    shown = rwk("recipes", "show", "quickstart")
    text = Registry.installed().recipe_file("quickstart").read_text(encoding="utf-8")
    assert shown.out == text.rstrip() + "\n"
    assert json.loads(rwk("recipes", "show", "quickstart", "--json").out) == tomllib.loads(text)
    assert {row["name"] for row in json.loads(rwk("recipes", "list", "--json").out)} == set(Registry.installed().names("recipe"))


def test_recipes_are_listed_with_method_paper_data_and_parameters_and_on_demand_with_variants(rwk: Rwk) -> None:
    rows = {row["name"]: row for row in json.loads(rwk("recipes", "list", "--json").out)}
    gan = rows["rwae-gan"]
    assert (gan["method"], gan["paper"], gan["data"]) == ("R-WAE(GAN)", "Han et al. 2021", "sprites")
    assert gan["parameters"] == 8_965_369
    assert "mug" in gan["variants"]
    plain, whole = rwk("recipes").out, rwk("recipes", "list", "--variants").out
    assert "8,965,369" in plain
    assert "rwae-gan:mug" not in plain
    assert "rwae-gan:mug" in whole


def test_a_recipe_is_shown_whole_and_with_variants(rwk: Rwk) -> None:
    assert 'base = "rwae-mmd"' in rwk("recipes", "show", "rwae-gan").out
    whole = tomllib.loads(rwk("recipes", "show", "rwae-gan", "--whole").out)
    assert (whole["latents"]["static"], whole["penalty"]["static"]["js_gan"]["weight"]) == (120, 10.0)
    assert "base" not in whole
    large = tomllib.loads(rwk("recipes", "show", "rwae-gan:c+one-inner-step").out)
    assert large["encoder"]["frames"]["name"] == "resblock"
    assert large["training"]["inner_steps"] == 1
    wrong = rwk("recipes", "show", "rwae-gan:d")
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.startswith("error: rwae-gan: no variant 'd'. ")


def test_a_variant_is_trained_by_its_name(rwk: Rwk) -> None:
    found = json.loads(rwk("train", "--recipe", "cdsvae:no-leak+moving-shape", "--dry-run", "--json").out)["recipe"]
    assert "leak" not in found["term"]
    assert found["data"]["name"] == "moving_shapes"


def test_plugins_are_listed_with_the_distribution_they_come_from(rwk: Rwk) -> None:
    listed = json.loads(rwk("plugins", "list", "--json").out)
    assert {"kind": "divergence", "name": "mmd", "distribution": "rwae-kit"}.items() <= next(
        entry for entry in listed["entries"] if entry["name"] == "mmd"
    ).items()
    assert listed["broken"] == {}


def test_a_component_is_shown_with_its_options(rwk: Rwk) -> None:
    (shown,) = json.loads(rwk("plugins", "show", "mmd", "--json").out)
    assert shown["class"] == "rwae_mmd.mmd:MMD"
    assert next(o for o in shown["options"] if o["option"] == "bandwidths")["default"] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert rwk("plugins", "show", "divergence", "mmd").status == 0
    assert {entry["kind"] for entry in json.loads(rwk("plugins", "show", "conv", "--json").out)} == {
        "frame_encoder",
        "frame_decoder",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "mdm"], "no component 'mdm'. Did you mean 'mmd'?"),
        (["show", "divergance", "mmd"], "unknown kind 'divergance'. Did you mean 'divergence'?"),
        (["show", "prior", "mmd"], "unknown prior 'mmd'. It is a divergence."),
        (["test", "rwae_mdm"], "no plugin or component 'rwae_mdm'. Did you mean 'rwae_mmd'?"),
        (["test", "nowhere.py"], "--plugin nowhere.py: no such file"),
        (["new", "Energy-2"], "plugins new: 'Energy-2' has to be a Python word in lower case, such as energy or sliced_distance"),
        (["new", "energy", "--kind", "divergense"], "plugins new: no skeleton for kind 'divergense'. Did you mean 'divergence'?"),
    ],
)
def test_a_plugin_command_that_cannot_be_followed_says_why(rwk: Rwk, words: list[str], message: str) -> None:
    assert rwk("plugins", *words) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_works_as_it_is(rwk: Rwk, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"own_{kind}"
    found = rwk("plugins", "new", name, "--kind", kind, "--dir", tmp_path)
    project = tmp_path / f"rwae_{name}"
    assert (found.status, str(project) in found.out) == (0, True)

    monkeypatch.syspath_prepend(str(project))
    door = project / f"rwae_{name}" / "__init__.py"
    assert json.loads(rwk("plugins", "test", door, "--json").out) == [{"kind": kind, "name": name, "result": "ok"}]
    spec = importlib.util.spec_from_file_location("own_test", project / "tests" / f"test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    getattr(module, f"test_{name}_keeps_the_contract_of_its_kind")()

    option = f"penalty={name}" if kind == "divergence" else f"{kind}={name}"
    planned = rwk("train", f"--{option}", "--plugin", door, "--dry-run", "--json")
    assert name in planned.out
    assert rwk("plugins", "new", name, "--kind", kind, "--dir", tmp_path).status == 2  # nothing is written over


def test_a_new_plugin_is_a_project_that_builds_into_a_wheel_with_its_entry_point(rwk: Rwk, tmp_path: Path) -> None:
    assert rwk("plugins", "new", "energy", "--dir", tmp_path).status == 0
    project = tmp_path / "rwae_energy"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=project, check=True, capture_output=True)
    (wheel,) = (project / "dist").glob("rwae_energy-0.1.0-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read("rwae_energy-0.1.0.dist-info/entry_points.txt").decode()
        assert "[rwae_kit]\nrwae_energy = rwae_energy" in entries
        assert "rwae_energy/energy.py" in archive.namelist()


def test_the_conformance_checks_fail_with_status_1_and_say_what_is_wrong(rwk: Rwk, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    found = rwk("plugins", "test", file, "--json")
    assert found.status == 1
    (result,) = json.loads(found.out)
    assert result["name"] == "off"
    assert "one value a problem" in result["result"]


def test_all_parts_of_a_plugin_are_tested_by_its_name(rwk: Rwk) -> None:
    assert json.loads(rwk("plugins", "test", "rwae_kl", "--json").out) == [
        {"kind": "divergence", "name": name, "result": "ok"} for name in ("categorical_kl", "kl")
    ]
    assert json.loads(rwk("plugins", "test", "quickstart", "--json").out) == [
        {"kind": "recipe", "name": "quickstart", "result": "ok"}
    ]


def test_a_plugin_file_is_there_for_one_command(rwk: Rwk, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    assert " off " in rwk("plugins", "list", "--plugin", file).out
    assert "off on the static latent" in rwk("train", "--plugin", file, "--penalty", "off", "--help").out
    assert " off " not in rwk("plugins", "list").out


def test_data_sets_are_listed_and_shown_with_factors_and_options(rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    rows = {row["name"]: row["made"] for row in json.loads(rwk("data", "list", "--json").out)}
    assert rows["moving_shapes"] == "on the fly"
    assert rows["sprites"] == "from raw files: rwk data build"
    shown = json.loads(rwk("data", "show", "moving_shapes", "--json").out)
    assert shown["info"]["factors"]["shape"]["kind"] == "static"
    assert "data.pixels" in {option["option"] for option in shown["options"]}
    assert "rwk data build sprites --source DIR" in json.loads(rwk("data", "show", "sprites", "--json").out)["info"]["not at hand"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["moving_shapes", "--source", "."], "there is nothing to build"),
        (["sprites", "--source", "/no/such/folder"], "--source /no/such/folder: no such folder"),
        (["sprites", "--source", ".", "--set", "pixel=32"], "data build sprites: unknown key 'pixel'. Did you mean 'pixels'?"),
        (["sprits", "--source", "."], "unknown dataset 'sprits'. Did you mean 'sprites'?"),
    ],
)
def test_data_that_cannot_be_built_say_why(
    rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], part: str
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path))
    found = rwk("data", "build", *words)
    assert (found.status, found.out) == (2, "")
    assert part in found.err


def test_the_doctor_tells_what_there_is(rwk: Rwk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "not" / "there" / "yet"))
    found = json.loads(rwk("doctor", "--json").out)
    assert found["python"] == sys.version.split()[0]
    assert found["data_root_writable"] is True
    assert found["stores"] == []
    assert found["plugins"]["rwae_mmd"].startswith("rwae-kit ")
    assert isinstance(found["extras"]["eval"], bool)
    assert rwk("doctor").status == 0


def test_the_doctor_tells_of_a_data_folder_that_cannot_be_written(rwk: Rwk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWAE_DATA", "/dev/null/data")
    assert json.loads(rwk("doctor", "--json").out)["data_root_writable"] is False
