"""A run that a command was given: its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rwae_kit.cli.output import emit, say
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from rwae_kit.data import Clips
    from rwae_kit.model import SequenceAutoencoder

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="a run folder, as rwk train wrote it")]
SplitName = Annotated[str, typer.Option("--split", metavar="NAME", help="the clips: test, validation or train")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="where to compute")]


def open_model(run: Path, registry: Registry, device: str) -> SequenceAutoencoder:
    """The run's model, in eval mode."""
    from rwae_kit.build import load
    from rwae_kit.run import choose_device

    return load(run, registry=registry, device=str(choose_device(device)))


def open_clips(model: SequenceAutoencoder, registry: Registry, split: str) -> Clips:
    """Clips of the data set that the model was trained on."""
    from rwae_kit.run import dataset_of

    return dataset_of(model, registry).clips(split)


def pick(clips: Clips, places: list[int]) -> Tensor:
    """The clips at these places, `[n, t, *frame]`; cut to the shortest of them where they are padded.

    Raises:
        DataError: there is no such clip.
    """
    import torch

    from rwae_kit.report.pictures import unpadded

    for place in places:
        if not 0 <= place < len(clips):
            raise DataError(f"{clips.info.name}: there is no clip {place}; the split has 0..{len(clips) - 1}")
    return unpadded(clips, torch.tensor(places))


def check_out(out: Path | None, suffix: str, option: str = "--out") -> None:
    """Refuse a file whose ending says another format, before the work.

    Raises:
        RwaeError: another ending.
    """
    if out is not None and out.suffix.lower() != suffix:
        raise RwaeError(f"{option} {out}: a file that ends in {suffix}, such as {out.with_suffix(suffix)}")


def picture_file(out: Path | None, run: Path, name: str) -> Path:
    """Where a picture goes: `out`, or `name` in the run's pictures; the folder is made."""
    file = out or run / "pictures" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def wrote(files: Sequence[Path], json: bool) -> None:
    """Say what was written."""
    if json:
        emit({"written": [str(file) for file in files]})
        return
    for file in files:
        say(f"{file}: written")
