"""What is installed is what is here: the wheel, the extras, the pinned versions and the papers to cite."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import rwae_kit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file())
IMPORTED_AS = {"scikit-learn": "sklearn", "pillow": "PIL"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s<>=!~;\[]", requirement)[0].lower() for requirement in requirements} - {"rwae-kit"}


def sources() -> list[Path]:
    roots = [ROOT / "rwae_kit", *(ROOT / "plugins" / name for name in PLUGINS)]
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", entry) for entry in entries)
    return dict(entry.split("==") for entry in entries)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_holds_every_file_of_the_core_and_the_plugins_and_no_other(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == {path.relative_to(ROOT).as_posix().removeprefix("plugins/") for path in sources()}
    assert {"rwae_kit/py.typed", "rwae_kit/recipes/quickstart.toml"} <= inside


def test_the_wheel_names_the_command_the_plugins_and_the_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    text = archive.read(points).decode()
    assert "rwk = rwae_kit.cli:main" in text
    assert all(f"{name} = {name}" in text for name in PLUGINS)
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_the_source_distribution_holds_what_its_tests_and_documentation_need(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        inside = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    other = ["README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "docs/conf.py", "tests/test_packaging.py"]
    assert {path.relative_to(ROOT).as_posix() for path in sources()} | set(other) <= inside


def test_every_plugin_folder_is_an_entry_point_a_package_of_the_wheel_and_checked_for_types() -> None:
    assert sorted(PROJECT["project"]["entry-points"]["rwae_kit"]) == PLUGINS
    assert sorted(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == [
        *(f"plugins/{p}" for p in PLUGINS),
        "rwae_kit",
    ]
    assert sorted(PROJECT["tool"]["mypy"]["packages"]) == sorted([*PLUGINS, "rwae_kit"])


def test_constraints_pin_every_declared_requirement_and_bring_no_cuda() -> None:
    pinned, project = pins(), PROJECT["project"]
    declared = names([*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)])
    assert declared <= {*pinned, "triton"}  # a torch with CUDA asks for one version of triton: a pin would stand against it
    assert pinned["torch"] == "2.13.0"
    assert not [name for name in pinned if name.startswith(("nvidia", "triton", "cuda"))]


def test_every_import_is_declared() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    declared = names([*project["dependencies"], *(one for extra in set(extras) - {"dev"} for one in extras[extra])])
    declared |= {"pykeops"}  # measured against where it is installed, and nothing else
    known = {IMPORTED_AS.get(name, name) for name in declared} | set(sys.stdlib_module_names) | {"rwae_kit", *PLUGINS}
    unknown = {f"{path.relative_to(ROOT)}: {name}" for path in sources() if path.suffix == ".py" for name in imported(path) - known}
    assert not unknown


def test_an_extra_that_is_named_to_users_exists_and_is_used() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    pages = [*sources(), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "plugins").glob("*.md")]
    named = {
        name for path in pages for name in re.findall(r"rwae-kit\[(\w+)\]", path.read_text(encoding="utf-8", errors="replace"))
    }
    assert named <= set(extras)
    used = {name for path in sources() if path.suffix == ".py" for name in imported(path)}
    for extra in set(extras) - {"dev"}:
        assert {IMPORTED_AS.get(name, name) for name in names(extras[extra])} & used, f"nothing uses the extra {extra!r}"


def test_one_version_stands_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert rwae_kit.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_both_papers_can_be_cited() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for title in (
        "Disentangled Recurrent Wasserstein Autoencoder",
        "Contrastively Disentangled Sequential Variational Autoencoder",
    ):
        assert f'title: "{title}"' in text


def test_the_licence_is_apache_2_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert text.rstrip().endswith("limitations under the License.")


def test_the_check_script_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    (command,) = re.findall(r"^pip install .*&& pytest$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command in script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
