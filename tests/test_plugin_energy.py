"""A stranger's plugin, built to a wheel and installed beside the package, comes in by the same door as ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rwae_kit import interfaces
from rwae_kit.latents import Latent
from rwae_kit.registry import KINDS, Registry
from rwae_kit.testing import check_component

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
SMALL = ["data.train_clips=16", "data.validation_clips=4", "data.test_clips=4", "training.batch_size=8", "training.log_every=1"]


def python(*words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    given = [str(path)] if path else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*given, *filter(None, [os.environ.get("PYTHONPATH")])])}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel of `examples/rwae_energy` is installed into."""
    place = tmp_path_factory.mktemp("stranger")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / "wheels"), str(ROOT / "examples" / "rwae_energy")]
    built = python(*build)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (place / "wheels").glob("*.whl")
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(place / "site")]
    installed = python("-m", "pip", "install", *offline, str(wheel))
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return place / "site"


def test_the_installed_plugin_is_registered_with_its_distribution_and_version(site: Path) -> None:
    code = """
import json, sys
from rwae_kit.registry import Registry
registry = Registry.installed()
entry = registry.find("divergence", "energy")
facts = {"distribution": entry.distribution, "version": entry.version, "plugin": entry.plugin, "broken": dict(registry.broken)}
print(json.dumps({**facts, "torch": "torch" in sys.modules, "ours": "mmd" in registry.names("divergence")}))
"""
    found = python("-c", code, path=site)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == {
        "distribution": "rwae-energy",
        "version": "1.2.3",
        "plugin": "rwae_energy",
        "broken": {},
        "torch": False,
        "ours": True,
    }


def test_without_the_plugin_its_name_is_unknown() -> None:
    found = python("-c", "from rwae_kit.registry import Registry; Registry.installed().find('divergence', 'energy')")
    assert found.returncode == 1
    assert "unknown divergence 'energy'" in found.stderr


def test_the_installed_plugin_keeps_the_contract_and_its_formula(site: Path) -> None:
    code = """
import torch
from rwae_energy.distance import EnergyDistance
from rwae_kit import Latent
from rwae_kit.registry import Registry
from rwae_kit.testing import check_component
found = Registry.installed().get("divergence", "energy")
assert found is EnergyDistance
check_component("divergence", found)
x, y = Latent(sample=torch.tensor([[0.0], [2.0]])), Latent(sample=torch.tensor([[1.0], [1.0], [5.0]]))
print(found(found.Config(), 1)(x, y).item())
"""
    found = python("-c", code, path=site)
    assert found.returncode == 0, found.stderr
    # E|x-y| = (1 + 1 + 5 + 1 + 1 + 3) / 6 = 2, E|x-x'| = 1, E|y-y'| = 16 / 9
    assert float(found.stdout) == pytest.approx(2 * 2 - 1 - 16 / 9)


def test_the_command_line_trains_with_the_installed_plugin(site: Path, tmp_path: Path) -> None:
    words = [
        "-m",
        "rwae_kit",
        "train",
        "--penalty",
        "dynamic=energy",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "run"),
    ]
    trained = python(*words, *(word for setting in SMALL for word in ("--set", setting)), path=site)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line for line in records if any("penalty.dynamic.energy" in str(key) for key in flat(line))]
    assert "[penalty.dynamic.energy]" in (tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8")


def flat(record: object, prefix: str = "") -> list[str]:
    """The dotted keys of a record."""
    if not isinstance(record, dict):
        return [prefix]
    return [key for name, value in record.items() for key in flat(value, f"{prefix}.{name}" if prefix else name)]


def test_the_example_of_the_guide_works_as_a_file(tmp_path: Path) -> None:
    example = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "energy.py").write_text(example, encoding="utf-8")
    found = Registry.installed([tmp_path / "energy.py"]).get("divergence", "energy")
    check_component("divergence", found)
    near, far = (Latent(sample=torch.linspace(0, 1, 8)[:, None] + shift) for shift in (0.0, 3.0))
    measured = found(found.Config(), 1)
    assert measured(near, near) == 0
    assert measured(near, far) > 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_guides_table_names_the_interfaces_and_arguments_of_every_hook(kind: str) -> None:
    (row,) = [line.split("|") for line in GUIDE.splitlines() if line.startswith(f"| `{KINDS[kind].hook}` |")]
    assert set(KINDS[kind].interfaces) <= set(re.findall(r"`(\w+)`", row[2]))
    if issubclass(getattr(interfaces, next(iter(KINDS[kind].interfaces), ""), object), interfaces.Component):
        stated = getattr(interfaces, KINDS[kind].interfaces[0]).__doc__
        assert re.search(r"Built as `(\(.*?\))`", stated).group(1) == row[3].strip(" `")
