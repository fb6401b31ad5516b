"""The documentation is true: its commands exist, its examples run, its links lead somewhere, and nothing is left out of it."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from rwae_kit.cli import assemble, main
from rwae_kit.hookspecs import Hooks
from rwae_kit.registry import KINDS, Registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACES = ("*.md", "docs/*.md", "plugins/**/*.md", "examples/**/*.md", "rwae_kit/**/*.md", "benchmarks/**/*.md")
PAGES = sorted(path for place in PLACES for path in ROOT.glob(place))
HOOKS = sorted(name for name in vars(Hooks) if name.startswith("rwae_"))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(*programs: str) -> list[str]:
    """Every line of a shell example that calls one of the programs, without its comment; examples/ needs its own packages."""
    pages = [page for page in PAGES if "examples" not in page.relative_to(ROOT).parts]
    lines = [line for page in pages for block in blocks(page.read_text(encoding="utf-8"), "bash") for line in block.splitlines()]
    parts = [part.split(" #")[0].strip() for line in lines for part in line.split("&&")]
    return sorted({part for part in parts if part.split(" ")[0] in programs})


def section(heading: str) -> str:
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "_ext" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_the_readme_is_at_most_200_lines() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("line", [c for c in commands("rwk") if c.split()[1:2] == ["train"]])
def test_a_documented_training_command_is_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe,) = blocks((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), "toml")
    (tmp_path / "my.toml").write_text(recipe, encoding="utf-8")
    guide = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    (tmp_path / "energy.py").write_text(blocks(guide, "python")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    continues = {"--resume", "--init"} & set(words)  # of a run that is not there: its option is looked up instead
    try:
        main(["train", "--help"] if continues else [*words, "--dry-run"])
    except SystemExit:
        assert "rwk data build" in capsys.readouterr().err  # all is right but for a store that has to be built first
        return
    printed = capsys.readouterr().out
    assert all(flag in printed for flag in continues)
    assert "Usage" in printed or "[training]" in printed


@pytest.mark.parametrize("line", [c for c in commands("rwk") if c.split()[1:2] != ["train"]])
def test_a_documented_command_and_its_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    tree = typer.main.get_command(assemble(words))
    path = []
    for word in words:
        if word not in getattr(tree, "commands", {}):
            break
        tree = tree.commands[word]  # type: ignore[attr-defined]
        path.append(word)
    assert path, f"{line}: no such command"
    main([*path, "--help"])
    printed = capsys.readouterr().out
    assert all(word.split("=")[0] in printed for word in words if word.startswith("--"))


def test_every_command_stands_in_the_tour() -> None:
    tour = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    known = typer.main.get_command(assemble([])).commands  # type: ignore[attr-defined]
    assert not [name for name in known if f"rwk {name}" not in tour]


def test_the_library_example_of_the_readme_runs(tmp_path: Path) -> None:
    (example,) = blocks(README, "python")
    assert len([line for line in example.splitlines() if line]) <= 12
    done = run_python(example, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 8, 3, 32, 32]) torch.Size([4, 24, 3, 32, 32])" in done.stdout
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


def test_the_examples_of_the_library_page_run(tmp_path: Path) -> None:
    before = (
        "import torch, rwae_kit\nclips, labels = torch.rand(64, 4, 3, 32, 32), torch.arange(64) % 2\n"
        "x, y, index = clips[:2], clips[2:4], torch.arange(4)\n"
        "info = rwae_kit.DataInfo(name='mine', frame=(3, 32, 32), length=4)\nsplit = rwae_kit.Clips(info=info, frames=clips)\n"
    )
    first, *rest = blocks((ROOT / "docs" / "library.md").read_text(encoding="utf-8"), "python")
    code = before + first + "values = model.origin['recipe']\n" + "\n".join(rest)
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_hook_stands_in_write_a_plugin_and_in_the_table_of_the_readme() -> None:
    guide = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    assert not [hook for hook in HOOKS if not re.search(rf"\b{hook}\b", guide)]
    assert not [hook for hook in HOOKS if f"`{hook}`" not in section("I want a new ...")]


def test_every_registered_component_stands_on_the_components_page() -> None:
    registry, module = Registry.installed(), tables()
    page = module.components(registry)
    assert set(module.HEADINGS) == set(KINDS)
    for kind, heading in module.HEADINGS.items():
        of_kind = page.split(f"## {heading}\n")[1].split("\n## ")[0]
        assert re.findall(r"^### `(.*)`$", of_kind, re.MULTILINE) == registry.names(kind)


def test_every_option_has_a_word_of_help() -> None:
    for page in (tables().components(Registry.installed()), tables().training()):
        assert not re.findall(r"^\| `.*\|  \|$", page, re.MULTILINE)


def test_the_methods_table_and_the_shipped_recipes_are_the_same() -> None:
    shipped = {path.stem for path in (ROOT / "rwae_kit" / "recipes").glob("*.toml")}
    named = {cells[4].strip().strip("`") for cells in (row.split("|") for row in section("Methods").splitlines()) if len(cells) > 5}
    assert named - {"recipe", "---"} == shipped


def test_the_first_party_parts_that_the_readme_names_are_those_that_there_are() -> None:
    parts = section("Methods").split("The parts:")[1].split("Of the recipes")[0]
    kinds = [kind for kind in KINDS if kind not in ("recipe", "static_prior")]
    registry = Registry.installed()
    ours = {name for kind in kinds for name in registry.names(kind) if registry.find(kind, name).distribution == "rwae-kit"}
    assert set(re.findall(r"`([a-z0-9_]+)`", parts)) == ours


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{target} is not there"
        if anchor:
            linked = found.read_text(encoding="utf-8")
            headings = {
                re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in re.findall(r"^#+ (.*)$", linked, re.MULTILINE)
            }
            assert anchor in headings | set(re.findall(r'<a id="(.*?)">', linked))


def test_the_glossary_has_the_words_of_the_house() -> None:
    rows = [line.split("|")[1] for line in section("Glossary").splitlines() if line.startswith("|")]
    said = set(re.findall(r"[a-z]+", " ".join(rows)))
    words = {"static", "dynamic", "posterior", "prior", "divergence", "penalty", "term", "critic", "reconstruction", "bandwidth"}
    assert words | {"recipe", "run", "view", "judge"} <= said


def modules() -> list[str]:
    names = ["rwae_kit", *sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file())]
    inside = [i.name for name in names for i in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}.")]
    return [name for name in names + inside if not name.endswith("__main__")]


def test_docstring_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = {name: doctest.testmod(importlib.import_module(name), report=True) for name in modules()}
    assert sum(result.attempted for result in results.values()) > 0
    assert not {name: result for name, result in results.items() if result.failed}
