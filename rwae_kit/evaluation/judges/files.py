"""Judges on disk: a folder with the weights and the card, whole or not there at all; and where to look for one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from attrs import evolve

from rwae_kit import checkpoint
from rwae_kit.data import DataInfo, data_root
from rwae_kit.errors import CheckpointError
from rwae_kit.evaluation.judges.judge import JudgeCard, TrainedJudge
from rwae_kit.evaluation.judges.network import JudgeNet

FILES = ("judge.safetensors", "judge.json")


def judge_path(info: DataInfo) -> Path:
    """Where the judge of some data lies, unless it was put elsewhere: beside the stores, one for each hash of the data."""
    return data_root() / "judges" / f"{info.name}-{info.hash[:16]}"


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something, before the work.

    Raises:
        CheckpointError: it is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: there is something already. Remove it, or choose another folder (--out)")


def save_judge(judge: TrainedJudge, folder: Path) -> None:
    """Write `judge.safetensors` and `judge.json`; the folder appears whole, or not at all.

    Raises:
        CheckpointError: something is there already, or the disk refuses.
    """
    check_free(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        checkpoint.write_model(partial, judge.net.state_dict(), judge.card.to_dict(), FILES)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: the judge cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_judge(folder: Path, device: str = "cpu") -> TrainedJudge:
    """A judge that `save_judge` wrote.

    Raises:
        CheckpointError: none is there, or it is damaged: the weights and what the card says of them must give its hash.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. Train a judge: rwk judge train --data NAME --out {folder}")
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder}: no {missing[0]}: this is no judge. Train one: rwk judge train --data NAME")
    state, values = checkpoint.read_model(folder, FILES)
    try:
        card = JudgeCard.from_dict({name: value for name, value in values.items() if name != "format"})
        net = JudgeNet(card.sizes, card.frame, {name: len(factor.classes) for name, factor in card.factors.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / FILES[1]}: {type(error).__name__}: {error}. It is damaged: train the judge again"
        ) from error
    checkpoint.restore(net, state, folder)
    judge = TrainedJudge(net.to(device), evolve(card, hash=""))
    if judge.card.hash != card.hash:
        raise CheckpointError(
            f"{folder / FILES[1]}: its hash is {card.hash[:12]}..., but weights and card give {judge.card.hash[:12]}.... One of "
            "them was changed: train the judge again"
        )
    return judge


def find_judge(info: DataInfo) -> Path | None:
    """The folder of the judge of these data, if one was trained."""
    folder = judge_path(info)
    return folder if info.hash and folder.exists() else None
