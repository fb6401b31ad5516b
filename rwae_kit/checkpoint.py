"""Weights and training states on disk: tensors in safetensors, the rest in JSON, each change atomic. No pickle.

A run folder holds the model to use (`model.safetensors`, `model.json`) and, to go on training, `checkpoints/step-00001200/`
with a `.safetensors` file for each group of tensors and `training.json`, which names every file with its size and sha256. A
checkpoint is written into a temporary folder, synchronised to disk and renamed: what has a checkpoint's name is whole, or damaged
later, and then its hash says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from attrs import frozen
from safetensors import SafetensorError
from torch import Tensor, nn

from rwae_kit.errors import CheckpointError

FORMAT: Final = 1
"""Version of the layout; a reader refuses a newer one."""
KEEP: Final = 2
"""Checkpoints kept in a run."""
MODEL: Final = ("model.safetensors", "model.json")
_MANIFEST: Final = "training.json"


@frozen(kw_only=True)
class Fit:
    """What `load_weights` found: names that fitted, that the model has and the file lacks, the reverse, and other shapes."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for what, names in (
            ("not in the source", self.missing),
            ("not in the model", self.unexpected),
            ("of another shape", self.reshaped),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})")
        return "; ".join(parts)


def step_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:08d}"


def save(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint: `tensors` by file and name, `meta` as JSON. The folder appears whole, or not at all.

    Raises:
        CheckpointError: the disk is full, or may not be written; nothing is left behind.
    """
    try:
        _save(folder, tensors, meta)
    except OSError as error:
        raise CheckpointError(f"{folder}: the checkpoint cannot be written: {error.strerror or error}") from error


def read(folder: Path, device: torch.device | str = "cpu") -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors by file and name, and the meta data, of a checkpoint that is checked on the way.

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    manifest = _manifest(folder)
    groups = {}
    for name, expected in manifest["files"].items():
        data = _checked(folder / name, expected)
        groups[Path(name).stem] = {key: tensor.to(device) for key, tensor in safetensors.torch.load(data).items()}
    return groups, manifest["meta"]


def latest(run: Path, warn: Callable[[str], None] | None = None) -> Path | None:
    """The newest checkpoint of a run that is sound; None where there is none at all. A damaged one is warned of and passed over.

    Raises:
        CheckpointError: every checkpoint is damaged.
    """
    found = _checkpoints(run)
    for folder in reversed(found):
        try:
            for name, expected in _manifest(folder)["files"].items():
                _checked(folder / name, expected)
        except CheckpointError as error:
            (warn or _warn)(f"{error}; an older checkpoint is used where there is one")
        else:
            return folder
    if found:
        raise CheckpointError(f"{run / 'checkpoints'}: all {len(found)} checkpoints are damaged. Start again in another folder")
    return None


def prune(run: Path, keep: int = KEEP) -> None:
    """Remove all checkpoints but the newest ones."""
    for folder in _checkpoints(run)[:-keep]:
        # Renamed first: a half-removed folder must not look like a checkpoint.
        doomed = folder.rename(folder.parent / f".{folder.name}.old.tmp")
        shutil.rmtree(doomed, ignore_errors=True)


def write_model(folder: Path, state: Mapping[str, Tensor], meta: Mapping[str, Any], names: tuple[str, str] = MODEL) -> None:
    """Write weights and their description (files of these `names`), one after the other, each atomically.

    Raises:
        CheckpointError: the disk is full, or may not be written; the files are as they were.
    """
    storable = _storable(state)
    # one key: the order of several differs from one writing to the next, and equal weights shall make equal files
    weights = safetensors.torch.save(storable, metadata={"sha256": digest(storable)})
    description = json.dumps({"format": FORMAT, **meta}, indent=1, allow_nan=False).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / names[1], description)
        replace_file(folder / names[0], weights)
    except OSError as error:
        raise CheckpointError(f"{folder}: the model cannot be written: {error.strerror or error}") from error


def read_model(folder: Path, names: tuple[str, str] = MODEL) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights (on the CPU) and description that `write_model` wrote.

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    for name in names:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no {name}. A run folder has one after its first validation; is this a run folder?")
    meta = _json(folder / names[1])
    path = folder / names[0]
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            expected = (file.metadata() or {}).get("sha256")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). The file is damaged: copy it anew, or train again") from error
    if expected is not None and expected != digest(state):
        raise CheckpointError(f"{path}: its content does not match its sha256. The file is damaged: copy it anew, or train again")
    return state, meta


def weights_digest(folder: Path) -> str:
    """The sha256 that `write_model` gave the weights in a folder.

    Raises:
        CheckpointError: there are none, or they cannot be read.
    """
    path = folder / MODEL[0]
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("sha256", ""))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Is {folder} a run folder?") from error


def restore(module: nn.Module, state: Mapping[str, Tensor], where: str | Path) -> None:
    """Copy weights into a module; names and shapes must match.

    Raises:
        CheckpointError: naming the first tensor that is missing, unknown, or of another shape.
    """
    own = module.state_dict()
    for key, value in own.items():
        if key not in state:
            raise CheckpointError(f"{where}: {key!r} {tuple(value.shape)} is missing. The checkpoint is of another model")
        if state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)}, the model's is {tuple(value.shape)}"
            raise CheckpointError(f"{where}: {key!r} is {shapes}. The checkpoint is of another model")
    if unknown := [key for key in state if key not in own]:
        raise CheckpointError(f"{where}: the model has no {unknown[0]!r}. The checkpoint is of another model")
    module.load_state_dict(dict(state))


def load_weights(model: nn.Module, source: Path) -> Fit:
    """Begin from another run: copy all weights of `source/model.safetensors` whose names and shapes fit.

    Raises:
        CheckpointError: the source cannot be read, or nothing fits.
    """
    state, _ = read_model(source)
    own = model.state_dict()
    loaded = tuple(key for key in own if key in state and state[key].shape == own[key].shape)
    fit = Fit(
        loaded=loaded,
        missing=tuple(key for key in own if key not in state),
        unexpected=tuple(key for key in state if key not in own),
        reshaped=tuple(key for key in own if key in state and key not in loaded),
    )
    if not loaded:
        raise CheckpointError(f"{source / MODEL[0]}: nothing fits this model: {fit}. Is it a run of the same architecture?")
    model.load_state_dict({key: state[key] for key in loaded}, strict=False)
    return fit


def replace_file(path: Path, data: bytes) -> None:
    """Write a file atomically: it has the old content, or all of the new."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        _write(temporary, data)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _save(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]) -> None:
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    try:
        temporary.mkdir()
        files = {}
        for name, group in tensors.items():
            data = safetensors.torch.save(_storable(group))
            _write(temporary / f"{name}.safetensors", data)
            files[f"{name}.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest = {"format": FORMAT, "files": files, "meta": meta}
        _write(temporary / _MANIFEST, json.dumps(manifest, indent=1, allow_nan=False).encode())
        _sync(temporary)
        if folder.exists():  # a damaged one: a sound one would have been resumed
            shutil.rmtree(folder)
        temporary.replace(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU; safetensors stores no two that share memory, so such ones (tied weights) are copied."""
    stored: dict[str, Tensor] = {}
    seen = set()
    for key, value in state.items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        if place in seen or tensor.untyped_storage().nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(place)
        stored[key] = tensor
    return stored


def digest(state: Mapping[str, Tensor]) -> str:
    """Sha256 over names and bytes of weights on the CPU.

    It lies in the file's own header, so that no second file can be out of step with it.
    """
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}\n".encode())
        total.update(state[key].reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _checkpoints(run: Path) -> list[Path]:
    return sorted(p for p in (run / "checkpoints").glob("step-*") if p.is_dir())


def _sweep(folder: Path) -> None:
    """Remove what a killed process left."""
    for path in folder.glob(".*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint")
    manifest = _json(folder / _MANIFEST)
    if not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("meta"), dict):
        raise CheckpointError(f"{folder / _MANIFEST}: no list of files. The checkpoint is damaged")
    return manifest


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). The checkpoint is damaged") from error
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise CheckpointError(f"{path}: no format number. The file is damaged, or not of this program")
    if values["format"] > FORMAT:
        raise CheckpointError(f"{path}: format {values['format']}; this version reads up to {FORMAT}. Update rwae-kit")
    return values


def _checked(path: Path, expected: Mapping[str, Any]) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). The checkpoint is damaged") from error
    if len(data) != expected["bytes"]:
        raise CheckpointError(f"{path}: {len(data)} bytes, but {expected['bytes']} were written. The checkpoint is damaged")
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{path}: its content does not match its sha256. The checkpoint is damaged")
    return data


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
