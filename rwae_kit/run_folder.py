"""What a run folder says of its run: the resolved recipe, and what the run depended on besides."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rwae_kit import __version__, checkpoint, distributed
from rwae_kit.convert import changes
from rwae_kit.errors import CheckpointError, RecipeError
from rwae_kit.kernels.mmd import available_paths, choose_path
from rwae_kit.recipe import Recipe, read_toml
from rwae_kit.training.config import FREE


def saved_recipe(folder: Path | str) -> Recipe:
    """The recipe of a run folder, as it was resolved when the run began.

    Raises:
        CheckpointError: not a run folder.
    """
    file = Path(folder) / "recipe.toml"
    if not file.is_file():
        raise CheckpointError(f"{folder}: no recipe.toml: this is no run folder")
    return Recipe.from_dict(read_toml(file), str(file))


def next_folder(recipe: Recipe) -> Path:
    """The first of `runs/DATA-1`, `runs/DATA-2`, ... that does not exist."""
    return next(path for k in range(1, sys.maxsize) if not (path := Path("runs") / f"{recipe.data.name}-{k}").exists())


def begin(folder: Path, plan: Recipe, about: Mapping[str, Any], *, before: Recipe | None) -> None:
    """Write the resolved recipe and the `surroundings`, before training begins.

    Arguments:
        before: the recipe of the run that is resumed; None begins a new one.

    Raises:
        CheckpointError: a run is there already, or the folder cannot be written.
        RecipeError: another recipe than the run's that is resumed.
    """
    if before is not None:
        _check_same(before, plan, folder)
    elif (folder / "recipe.toml").exists():
        raise CheckpointError(f"{folder}: there is a run already. Resume it (--resume {folder}), or choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.replace_file(folder / "recipe.toml", plan.to_toml().encode())
        about = {**about, **({} if before is None else _began_from(folder))}
        checkpoint.replace_file(folder / "environment.json", json.dumps(about, indent=1).encode())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}") from error


def surroundings(device: torch.device, init: Path | None = None) -> dict[str, Any]:
    """What a run depended on besides its recipe: versions, machine, threads, the path that computes MMD, weights to begin from."""
    packages = ("numpy", "attrs", "cattrs", "einops", "safetensors")
    return {
        "rwae_kit": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in packages},
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
        "mmd": choose_path(device.type, "float32", available=available_paths()),
        **({} if init is None else {"init": str(init), "init_sha256": checkpoint.weights_digest(init)}),
    }


def _began_from(folder: Path) -> dict[str, Any]:
    """What the surroundings of a run say of the weights that it began from: a run that goes on began there all the same."""
    try:
        before = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in before.items() if key.startswith("init")}


def _check_same(old: Recipe, new: Recipe, folder: Path) -> None:
    """Resuming may change how long and how often, nothing else."""
    if changed := changes(old.to_dict(), new.to_dict(), FREE):
        raise RecipeError(
            f"{folder}: cannot resume: {changed}. Only {', '.join(FREE)} may change. To go on from these weights with other "
            f"options, begin a new run with --init {folder}"
        )
