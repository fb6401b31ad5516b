"""Models of others: checkpoints of C-DSVAE's published code, to a model of the recipe `cdsvae-official` and back.

Their file is what `torch.save` makes of `{"model": state_dict, "optimizer": ...}`. It is read without running code from it: tensors
and containers alone (`weights_only`).

Source:
    Names, shapes and the order [z, s] of the decoder's input were read in both published versions of the code of Bai et al.
    (NeurIPS 2021), as were what their files hold and how they are read again. Their file of trained weights was not at hand.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from rwae_kit import checkpoint
from rwae_kit.build import build, resolve
from rwae_kit.composition import recipe_values
from rwae_kit.convert import changes
from rwae_kit.data import DataInfo
from rwae_kit.errors import CheckpointError
from rwae_kit.model import SequenceAutoencoder
from rwae_kit.recipe import Recipe, merge
from rwae_kit.registry import Registry

RECIPE: Final = "cdsvae-official"
LENGTH: Final = 8
"""Frames in a clip of theirs."""
FRAME: Final = (3, 64, 64)

_CELL: Final = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_NAMES: Final = {
    **{f"encoder.frames.stages.{k - 1}": f"encoder.c{k}.main" for k in range(1, 5)},
    "encoder.frames.stages.4": "encoder.c5",
    "encoder.net.both_ways": "z_lstm",
    "encoder.net.recurrence": "z_rnn",
    "encoder.net.static_mean": "f_mean.model.0",
    "encoder.net.static_log_var": "f_logvar.model.0",
    "encoder.net.dynamic_mean": "z_mean",
    "encoder.net.dynamic_log_var": "z_logvar",
    "decoder.frames.stages.0": "decoder.upc1",
    **{f"decoder.frames.stages.{k - 1}": f"decoder.upc{k}.main" for k in range(2, 5)},
    "decoder.frames.stages.4": "decoder.upc5.0",
}
"""Our modules and theirs."""
_CELLS: Final = {f"prior.chain.recurrence.{name}_l{k}": f"z_prior_lstm_ly{k + 1}.{name}" for k in range(2) for name in _CELL}
"""Single tensors: layers of ours are cells of theirs."""
_HEAD: Final = "prior.chain.head.both."
_HEADS: Final = ("z_prior_mean.", "z_prior_logvar.")
"""One linear layer of ours is two of theirs."""
_ENTRY: Final = "decoder.frames.stages.0.0.weight"
"""The weights that read the latents: ours in the order [s, z], theirs [z, s]."""
_SIZES: Final = {"f_mean.model.0.bias": 1, "z_mean.weight": 2, "encoder.c5.1.bias": 1}
"""Tensors of theirs, with their dimensions, that tell all sizes."""
_BEGINNINGS: Final = (
    "encoder.log_var",
    "prior.log_var",
    "prior.log_var_range",
    "decoder.frames.output_bias",
    "latents.action_prior",
)
"""Options that say where weights begin, or nothing, so that they may differ."""


def load_cdsvae(path: Path | str, *, info: DataInfo | None = None, registry: Registry | None = None) -> SequenceAutoencoder:
    """The model of a checkpoint that C-DSVAE's code wrote (`model100.pth`), in eval mode.

    The sizes of latents, features and states are those of the checkpoint.

    Args:
        path: the file; a dictionary with the weights under "model" or "state_dict", or the weights themselves.
        info: of the data that it is for, such as `Sprites(...).info()`; None for clips of 8 frames of 3 x 64 x 64 in [0, 1].
        registry: what is registered; None for all installed plugins.

    Raises:
        CheckpointError: no such checkpoint, a pickled module, or weights that are missing, unknown or of another shape.
    """
    theirs = _read(Path(path))
    plan = _plan(theirs, registry or Registry.installed(), str(path))
    info = info or DataInfo(name=plan.data.name, frame=FRAME, length=LENGTH)
    if info.frame != FRAME:
        raise CheckpointError(f"{path}: a model for frames {FRAME}; those of {info.name} are {info.frame}")
    model, _ = build(plan, registry or Registry.installed(), info)
    _check(theirs, _to_theirs(model.state_dict(), model.spec.static), path)
    checkpoint.restore(model, _to_ours(theirs, list(model.state_dict()), model.spec.dynamic), path)
    return model.eval()


def save_cdsvae(model: SequenceAutoencoder, path: Path | str, *, registry: Registry | None = None) -> None:
    """Write a model of the recipe `cdsvae-official` as C-DSVAE's code reads it: `{"model": state_dict}`.

    Raises:
        CheckpointError: a model of another architecture, or a file that cannot be written.
    """
    where = f"{path}: only a model of the recipe {RECIPE!r} can be written as a checkpoint of C-DSVAE's code"
    if "recipe" not in model.origin:
        raise CheckpointError(f"{where}, and this one was put together by hand")
    if model.spec.frame != FRAME:
        raise CheckpointError(f"{where}, of frames {FRAME}; this one's are {model.spec.frame}")
    own = _architecture(Recipe.from_dict(model.origin["recipe"]))
    hidden, features = own["encoder"].get("hidden", 0), own["encoder"]["frames"].get("features", 0)
    plan = _sized(registry or Registry.installed(), model.spec.static, model.spec.dynamic, hidden or 256, features or 128)
    if changed := changes(_architecture(plan), own, _BEGINNINGS):
        raise CheckpointError(f"{where}. There, and here: {changed}")
    stream = io.BytesIO()
    torch.save({"model": _to_theirs(model.state_dict(), model.spec.static)}, stream)
    try:
        checkpoint.replace_file(Path(path), stream.getvalue())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by their names."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        values: Any = None if foreign else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of torch.save (of torch 1.6 or newer), or a damaged one") from error
    if foreign:
        raise CheckpointError(
            f"{path}: holds a pickled object ({', '.join(sorted(foreign)[:3])}), not weights alone, and rwae_kit runs no code from "
            f"files. Where that class can be imported, write its weights: "
            f"saved = torch.load({path.name!r}, weights_only=False); model = saved['model'] if isinstance(saved, dict) else saved; "
            f"torch.save({{'model': model.state_dict()}}, 'weights.pth')"
        )
    for key in ("model", "state_dict"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping) or not values or not all(isinstance(value, Tensor) for value in values.values()):
        raise CheckpointError(f"{path}: holds no weights, nor any under 'model' or 'state_dict'. Is it a checkpoint of C-DSVAE?")
    return {str(key).removeprefix("module."): value for key, value in values.items()}  # "module.": it was on several GPUs


def _plan(theirs: Mapping[str, Tensor], registry: Registry, where: str) -> Recipe:
    """The recipe, with the sizes of a checkpoint."""
    for key, dimensions in _SIZES.items():
        if key not in theirs or theirs[key].ndim != dimensions:
            raise CheckpointError(f"{where}: no {key!r} of {dimensions} dimensions. Is it a checkpoint of C-DSVAE?")
    (static,), (dynamic, hidden), (features,) = (theirs[key].shape for key in _SIZES)
    return _sized(registry, static, dynamic, hidden, features)


def _sized(registry: Registry, static: int, dynamic: int, hidden: int, features: int) -> Recipe:
    """The recipe with other sizes, resolved."""
    values = recipe_values(RECIPE, registry)
    options = {
        "latents.static": static,
        "latents.dynamic": dynamic,
        "encoder.hidden": hidden,
        "encoder.frames.features": features,
        "prior.hidden": hidden,
    }
    for place, size in options.items():
        values = merge(values, place, size)
    return resolve(Recipe.from_dict(values, RECIPE), registry)


def _architecture(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides which function the weights compute."""
    values = recipe.to_dict()
    parts = ("latents", "encoder", "action", "static_prior", "prior", "decoder", "reconstruction")
    return {part: values[part] for part in parts if part in values}


def _check(theirs: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: Path | str) -> None:
    """Names and shapes, said with the names of their code."""
    for key, value in expected.items():
        if key not in theirs:
            raise CheckpointError(f"{where}: {key!r} {tuple(value.shape)} is missing. Is it a checkpoint of C-DSVAE?")
        if theirs[key].shape != value.shape:
            raise CheckpointError(f"{where}: {key!r} is {tuple(theirs[key].shape)}; C-DSVAE's code has {tuple(value.shape)}")
    if unknown := [key for key in theirs if key not in expected]:
        raise CheckpointError(f"{where}: C-DSVAE's code has no {unknown[0]!r} ({len(unknown)} such names)")


def _to_theirs(state: Mapping[str, Tensor], static: int) -> dict[str, Tensor]:
    """Our weights, as their code names and lays them."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(_HEAD):
            halves = value.chunk(2)
            found |= {head + key.removeprefix(_HEAD): half.clone() for head, half in zip(_HEADS, halves, strict=True)}
        else:
            found[_name(key)] = torch.cat((value[static:], value[:static])) if key == _ENTRY else value.clone()
    return found


def _to_ours(theirs: Mapping[str, Tensor], keys: Iterable[str], dynamic: int) -> dict[str, Tensor]:
    """Their weights, by our keys."""
    found = {}
    for key in keys:
        if key.startswith(_HEAD):
            found[key] = torch.cat([theirs[head + key.removeprefix(_HEAD)] for head in _HEADS])
        else:
            value = theirs[_name(key)]
            found[key] = torch.cat((value[dynamic:], value[:dynamic])) if key == _ENTRY else value
    return found


def _name(key: str) -> str:
    """Their name of a tensor of ours."""
    if key in _CELLS:
        return _CELLS[key]
    (ours,) = (module for module in _NAMES if key.startswith(f"{module}."))
    return _NAMES[ours] + key.removeprefix(ours)
