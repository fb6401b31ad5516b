"""What a run needs to go on bit for bit, to a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from attrs import define
from torch import Tensor

from rwae_kit import checkpoint, distributed
from rwae_kit.data import DataInfo
from rwae_kit.errors import CheckpointError, TrainingError
from rwae_kit.training.config import Adam, TrainingConfig, check_resumable
from rwae_kit.training.course import Course
from rwae_kit.training.optimizers import optimizer_tensors, restore_optimizers
from rwae_kit.training.records import Running
from rwae_kit.training.schedules import Learner


@define
class Progress:
    """How far a run is; all that changes beside tensors."""

    step: int = 0
    """Steps done."""
    best: float | None = None
    """The lowest validation loss."""
    seconds: float = 0.0
    records: int = 0
    """Lines in metrics.jsonl."""


def save_state(run: Path, learner: Learner, running: Running, progress: Progress, course: Course, info: DataInfo) -> Path:
    """Write the checkpoint of a step, and remove all but the newest. Every rank must call it; the first one writes.

    Raises:
        CheckpointError: it cannot be written; older ones are as they were.
    """
    noise = distributed.gather(learner.model.noise.state()[None].to(distributed.collective_device()))
    folder = checkpoint.step_folder(run, progress.step)
    if not distributed.is_main():
        return folder
    training = {f"objective.{key}": value for key, value in learner.objective.state_dict().items()}
    training |= optimizer_tensors(learner.groups) | {"noise": noise, "running": running.table()}
    meta = {
        "progress": attrs.asdict(progress),
        "sampler": {"seed": learner.config.seed, "epoch": course.epoch(progress.step), "batch": _batch(course, progress.step)},
        "config": attrs.asdict(learner.config),
        "running": running.names(),
        "noise_device": learner.model.device.type,
        "processes": distributed.world_size(),
        "data": {"name": info.name, "hash": info.hash, "clips": course.clips},
        "torch": torch.__version__,
    }
    checkpoint.save(folder, {"model": learner.model.state_dict(), "training": training}, meta)
    checkpoint.prune(run)
    return folder


def restore_state(folder: Path, learner: Learner, course: Course, info: DataInfo) -> tuple[Running, Progress, list[str]]:
    """Put a checkpoint into model, objective, optimisers and noise; gives the rest, and remarks for the user.

    Raises:
        CheckpointError: the checkpoint is damaged, or of another model.
        TrainingError: options, data or number of processes differ.
    """
    groups, meta = checkpoint.read(folder)
    config = _config(meta["config"], folder)
    check_resumable(config, learner.config)
    _check_surroundings(folder, meta, course, info)
    training = groups["training"]
    own = {key.removeprefix("objective."): value for key, value in training.items() if key.startswith("objective.")}
    checkpoint.restore(learner.model, groups["model"], folder / "model.safetensors")
    checkpoint.restore(learner.objective, own, folder / "training.safetensors")
    restore_optimizers(learner.groups, training, str(folder / "training.safetensors"))
    remarks = []
    device = learner.model.device
    if meta["noise_device"] == device.type:
        # cloned: set_state of a view into a larger tensor crashes (torch 2.13, CPU)
        learner.model.noise.restore(training["noise"][distributed.rank()].clone(), device)
    else:
        remarks.append(
            f"the run was on {meta['noise_device']} and goes on on {device.type}: its noise begins anew, so it is not step-exact"
        )
    if config.epochs != learner.config.epochs and config.decay == "linear":
        remarks.append(f"epochs was {config.epochs}, is {learner.config.epochs}: linear decay now follows the new length")
    return Running(training["running"], meta["running"]), Progress(**meta["progress"]), remarks


def _check_surroundings(folder: Path, meta: Mapping[str, Any], course: Course, info: DataInfo) -> None:
    if meta["processes"] != distributed.world_size():
        raise TrainingError(
            f"cannot resume {folder}: it was written by {meta['processes']} processes, here are {distributed.world_size()}. Use as "
            f"many, or begin a new run with --init"
        )
    now = {"name": info.name, "hash": info.hash, "clips": course.clips}
    if meta["data"] != now:
        changed = ", ".join(f"{key} was {meta['data'][key]!r}, is {now[key]!r}" for key in now if meta["data"][key] != now[key])
        raise TrainingError(f"cannot resume {folder}: other training data: {changed}. Use the same, or begin a new run with --init")


def _config(values: Mapping[str, Any], folder: Path) -> TrainingConfig:
    try:
        restored: dict[str, Any] = {key: Adam(**value) if isinstance(value, dict) else value for key, value in values.items()}
        restored |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return TrainingConfig(**restored)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: its options are not this version's ({error}). Resume with the version that wrote it"
        ) from error


def _batch(course: Course, step: int) -> int:
    return step * course.batches_per_step % course.batches_per_epoch


def all_tensors(learner: Learner) -> list[Tensor]:
    """Weights and buffers of model and objective."""
    return [t for module in (learner.model, learner.objective) for t in (*module.parameters(), *module.buffers())]
