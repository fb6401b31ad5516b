"""The plan of the house, held: who may import whom, how large a room may be, and which words are not used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rwae_kit

ROOT = Path(__file__).parents[1]
CORE = ROOT / "rwae_kit"
PLUGINS = ROOT / "plugins"

# Room -> what it may import of rwae_kit. "name?" is for type annotations alone (under TYPE_CHECKING); "a.b" opens one module of a
# room; "*" opens all. `errors`, the version number and the room itself are open to everybody.
MAY_IMPORT = {
    "errors": "",
    "running_statistics": "",
    "latents": "running_statistics?",
    "noise": "",
    "interfaces": "latents noise data?",
    "hookspecs": "",
    "registry": "hookspecs interfaces",
    "convert": "",
    "recipe": "convert training.config",
    "recipes": "",
    "composition": "recipe registry",
    "data": "latents interfaces?",
    "distributed": "",
    "kernels": "",
    "checkpoint": "noise",
    "model": "interfaces latents noise data running_statistics",
    "objective": "interfaces latents distributed model",  # it asks the model that it is handed for draws and pre-activations
    "training": "convert model objective checkpoint distributed data latents noise interfaces",
    "evaluation": "model data latents interfaces checkpoint",
    "report": "convert model data latents evaluation",  # it shows the tables of an evaluation
    "testing": "interfaces latents noise objective data convert registry?",
    "build": "recipe convert registry interfaces latents model objective checkpoint data evaluation",
    "interop": "build composition recipe registry convert checkpoint data model",
    "run_folder": "convert recipe training.config checkpoint distributed kernels",
    "run": "run_folder build composition convert recipe registry training data evaluation report model objective checkpoint "
    "distributed interfaces",
    "reproduce": "run run_folder build convert recipe registry training checkpoint data evaluation report interfaces",
    "cli": "*",
    "front door": "*",
    "plugins": "kernels data distributed",  # a part that counts does so over all processes
}
FRONT_DOOR = ("__init__", "__main__")

FORBIDDEN_PACKAGES = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "torchvision", "torchaudio", "torchmetrics", "torchcodec", "torchdata",
    "lightning", "pytorch_lightning", "accelerate", "librosa", "imageio_ffmpeg", "yaml",
}  # fmt: skip
EXTRAS = {
    "sklearn",
    "matplotlib",
    "av",
    "soundfile",
    "h5py",
    "optuna",
    "tensorboard",
    "wandb",
    "huggingface_hub",
    "triton",
    "pykeops",
}
"""Packages that a plain install lacks: imported inside the function that needs them."""
EXTRAS_IN_PLACE = {
    "rwae_kit/kernels/mmd/triton_kernels/": {"triton"},  # programs are decorated by it; imported only where one is launched
}

FORBIDDEN_WORDS = {"content", "motion", "f", "zc", "zm", "logvar", "logsigma", "disc", "netD", "cfg", "opt", "args"}
WORDS_IN_PLACE = {
    "plugins/rwae_datasets/": {"motion"},  # a labelled factor of this data set, by the name that its papers give it
}

MODULE_LINES = 400
SHORTER = {"rwae_kit/interfaces.py": 300, "rwae_kit/hookspecs.py": 60}


class Import(NamedTuple):
    """`target` is dotted below rwae_kit ("training.config"), "front door", or a whole module name of another package."""

    target: str
    line: int
    for_types: bool
    at_top: bool


def modules(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    first = path.relative_to(CORE).parts[0].removesuffix(".py")
    return "front door" if first in FRONT_DOOR else first


def is_room(name: str) -> bool:
    return (CORE / f"{name}.py").is_file() or (CORE / name).is_dir()


def imports(path: Path) -> Iterator[Import]:
    """Every import of a module, also those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    stack: list[tuple[ast.AST, bool, bool]] = [(tree, False, True)]
    while stack:
        node, for_types, at_top = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name_of(path)}:{node.lineno}: a relative import"
            for target in targets(node):
                yield Import(target, node.lineno, for_types, at_top)
        at_top = at_top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += [(child, True, at_top) for child in node.body] + [(child, for_types, at_top) for child in node.orelse]
        else:
            stack += [(child, for_types, at_top) for child in ast.iter_child_nodes(node)]


def targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        dotted = [(alias.name, None) for alias in node.names]
    else:
        dotted = [(node.module or "", alias.name) for alias in node.names]
    found = []
    for module, name in dotted:
        if module == "rwae_kit":
            if name != "__version__":
                found.append(name if name and is_room(name) else "front door")
        elif module.startswith("rwae_kit."):
            found.append(module.removeprefix("rwae_kit."))
        else:
            found.append(module)
    return found


def inside(target: str) -> bool:
    return target == "front door" or is_room(target.split(".")[0])


def allowed(room: str, found: Import) -> bool:
    first = found.target.split(".")[0]
    rules = MAY_IMPORT[room].split()
    if first in ("errors", room) or "*" in rules:
        return True
    whole = [rule.removesuffix("?") for rule in rules if found.for_types or not rule.endswith("?")]
    return any(found.target == rule or found.target.startswith(f"{rule}.") for rule in whole)


def test_every_room_stands_in_the_plan_and_the_plan_names_no_other() -> None:
    rooms = {room_of(path) for path in modules(CORE)} | {"recipes", "plugins"}
    assert rooms == set(MAY_IMPORT)


def test_rooms_import_only_what_the_plan_allows() -> None:
    wrong = [
        f"{name_of(path)}:{found.line}: {room_of(path)} may not import {found.target}"
        for path in modules(CORE)
        for found in imports(path)
        if inside(found.target) and not allowed(room_of(path), found)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_plan_has_no_circle() -> None:
    graph = {
        room: {rule.split(".")[0] for rule in rules.split() if not rule.endswith("?")}
        for room, rules in MAY_IMPORT.items()
        if "*" not in rules
    }
    graph["recipe"] -= {"training"}  # of which it may import one module, which imports nothing (see the next test)
    done: set[str] = set()
    while ready := {room for room, needs in graph.items() if needs <= done} - done:
        done |= ready
    assert done == set(graph), f"in a circle: {sorted(set(graph) - done)}"


def test_training_config_imports_nothing_of_the_house_but_errors_and_conversion() -> None:
    assert {found.target for found in imports(CORE / "training" / "config.py") if inside(found.target)} <= {"errors", "convert"}


def test_recipes_hold_no_code() -> None:
    assert {path.suffix for path in (CORE / "recipes").iterdir() if path.name != "__pycache__"} == {".toml", ".json"}


def test_nothing_in_the_core_imports_a_plugin() -> None:
    names = {path.name for path in PLUGINS.iterdir() if path.is_dir()}
    wrong = [
        f"{name_of(path)}:{found.line}" for path in modules(CORE) for found in imports(path) if found.target.split(".")[0] in names
    ]
    assert not wrong


def test_plugins_come_by_the_front_door_and_know_no_other_plugin() -> None:
    names = {path.name for path in PLUGINS.iterdir() if path.is_dir()}
    wrong = []
    for path in modules(PLUGINS):
        own = path.relative_to(PLUGINS).parts[0]
        for found in imports(path):
            first = found.target.split(".")[0]
            public = found.target == "front door" or first in MAY_IMPORT["plugins"].split()
            if (inside(found.target) and not public) or (first in names and first != own):
                wrong.append(f"{name_of(path)}:{found.line}: {found.target}")
    assert not wrong, "\n".join(wrong)


def test_no_pickle_no_torchvision_and_none_of_their_kind() -> None:
    wrong = [
        f"{name_of(path)}:{found.line}: {found.target}"
        for path in modules(CORE, PLUGINS)
        for found in imports(path)
        if found.target.split(".")[0] in FORBIDDEN_PACKAGES
    ]
    assert not wrong, "\n".join(wrong)


def in_place(path: str) -> set[str]:
    return {package for place, packages in EXTRAS_IN_PLACE.items() if path.startswith(place) for package in packages}


def test_extras_are_imported_where_they_are_used_so_that_a_plain_install_works() -> None:
    wrong = [
        f"{name_of(path)}:{found.line}: {found.target}"
        for path in modules(CORE, PLUGINS)
        for found in imports(path)
        if found.at_top and not found.for_types and found.target.split(".")[0] in EXTRAS - in_place(name_of(path))
    ]
    wrong += [
        f"{name_of(path)}:{found.line}: {found.target}"
        for path in modules(CORE, PLUGINS)
        for found in imports(path)
        for place in EXTRAS_IN_PLACE
        if found.at_top and not name_of(path).startswith(place)
        if f"{found.target}.".startswith(place.removeprefix("rwae_kit/").replace("/", "."))
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_are_short() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(CORE, PLUGINS, ROOT / "tests")}
    wrong = {name: n for name, n in lengths.items() if n > SHORTER.get(name, MODULE_LINES)}
    assert not wrong


def defined_names(path: Path) -> Iterator[tuple[str, int]]:
    """Every name that a module gives to something: functions, classes, arguments, variables, attributes, fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias() if node.asname:
                yield node.asname, node.lineno


def forbidden_words(name: str, path: str) -> set[str]:
    in_place = {word for place, words in WORDS_IN_PLACE.items() if path.startswith(place) for word in words}
    return (set(name.split("_")) | {name}) & FORBIDDEN_WORDS - in_place


def test_identifiers_use_the_words_of_the_glossary() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules(CORE, PLUGINS)
        for name, line in defined_names(path)
        if forbidden_words(name, name_of(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_walk_sees_words_and_imports_wherever_they_hide(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text("def g(x):\n    import pickle as p\n    x.z_logvar = [f for f in x]\n", encoding="utf-8")
    assert [(found.target, found.at_top) for found in imports(hidden)] == [("pickle", False)]
    assert {name for name, _ in defined_names(hidden) if forbidden_words(name, "")} == {"z_logvar", "f"}


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["plugins"], ["recipes"]], ids=" ".join)
def test_help_and_lists_import_no_torch(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['rwk', *{arguments!r}]\n"
        "from rwae_kit.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_name_of_the_front_door_is_a_room_whose_import_would_take_its_place() -> None:
    assert not [name for name in rwae_kit.__all__ if is_room(name)]
    assert all(hasattr(rwae_kit, name) for name in rwae_kit.__all__)


def test_the_front_door_and_the_plugins_import_no_torch() -> None:
    names = ["rwae_kit", *sorted(path.name for path in PLUGINS.iterdir() if (path / "__init__.py").is_file())]
    code = f"import sys, {', '.join(names)}\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
