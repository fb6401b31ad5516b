"""`long`: whether samples much longer than the training clips keep their static factors to the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import evolve, field, frozen
from attrs.validators import ge
from numpy.typing import NDArray

from rwae_kit.data import Clips, DataInfo
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import some
from rwae_kit.evaluation.protocols.generation import fix_static
from rwae_kit.evaluation.protocols.readings import Ints, Known, Mode, known, made_clips, read_clips, stand_ins
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

MOST = 16
"""Windows that have a score each; with more of them nobody would read the table."""


@frozen(kw_only=True)
class Settings:
    """How long, and how it is read."""

    length: int = field(default=100, validator=ge(1), metadata={"help": "frames of a sample"})
    window: int = field(
        default=0,
        validator=ge(0),
        metadata={"help": "frames that the judge reads at a time; 0: as many as a clip of the data has, as it was trained"},
    )
    clips: int = field(default=0, validator=ge(0), metadata={"help": "test clips that are taken, at most, drawn at random; 0: all"})


def run(subject: Subject, settings: Settings) -> Result:
    """Score long samples: s encoded (the posterior's mean), the motion drawn from the prior by ancestral sampling.

    The judge reads windows side by side, at frames 0, w, 2w, ... Where the length is no multiple of w, one more window ends with
    the last frame; it overlaps the one before, and counts as much as any other. Only static factors are asked for.

    Of each static factor: the "error" is the share of clips in which the judge does not read the source clip's class, in the first
    window (all that a sample of w frames has), in the last one, and the mean over all; the "agreement" is the share of later
    windows that are read as the first one, whatever the label is. "static error" is the mean over static factors, where there are
    several. "accuracy, frames A to B" is the course over time, window by window: of the only static factor, or of the mean over
    them; left out where there are more than `MOST` windows. Clips that are not generated (real, reconstruction, ...) are one
    window, the first w frames of the data's clips, and have no score that takes more.

    Raises:
        DataError: a sample shorter than a window, a window longer than a clip, or no static factor that the judge reads.

    Source: R-WAE (Han et al. 2021), section 5.3, judges samples of 100 frames of SM-MNIST by eye; s is drawn there. The figures are
    ours, and s is encoded, so that there is a class to be kept.
    """
    if settings.clips:
        subject = evolve(subject, test=some(subject.test, settings.clips, subject.seed))
    info = subject.test.info
    window = settings.window or info.length
    _check(info, settings.length, window)
    cut = evolve(subject, test=_cut(subject.test, window), train=None if subject.train is None else _cut(subject.train, window))
    _, asked = cut.asked("long")
    static = {name: k for name, k in asked.items() if info.factors[name].kind == "static"}
    if not static:
        raise DataError(
            f"long: the judge reads no static factor of {info.name}, only {', '.join(asked)}: there is nothing that a sample "
            "should keep"
        )
    about = known(cut, "long", cut.test)
    mode = Mode(
        name="static",
        make=lambda model, own, other, seed: fix_static(model, own, seed, settings.length),
        keeps={"static": "own"},
    )
    others, expected = stand_ins(cut, about, cut.test, mode)
    starts = window_starts(settings.length, window)
    read = {row: _read(subject, about, static, model, mode, starts, window) for row, model in subject.models().items()}
    read |= {row: {name: reading.read(name)[..., None] for name in static} for row, reading in others.items()}
    return subject.result(
        "long",
        evolve(settings, window=window),
        {row: _scores(subject, classes, expected, starts, window) for row, classes in read.items()},
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy={name: float((read["real"][name][..., 0] == labels).mean()) for name, labels in expected.items()},
    )


def window_starts(length: int, window: int) -> list[int]:
    """First frames of windows side by side, and of one more that ends with the last frame where something is left.

    Example:
        >>> window_starts(10, 4)
        [0, 4, 6]
    """
    return [*range(0, length - window + 1, window), *([length - window] if length % window else [])]


def _check(info: DataInfo, length: int, window: int) -> None:
    if window > info.length:
        raise DataError(
            f"long: window = {window}, but clips of {info.name} have {info.length} frames, and their judge knows no longer ones: "
            f"take {info.length} or less, or 0 for all of them"
        )
    if length < window:
        raise DataError(f"long: length = {length}, but the judge reads windows of {window} frames: take at least {window}")


def _cut(clips: Clips, t: int) -> Clips:
    """The first t frames of all clips."""
    mask = None if clips.mask is None else clips.mask[:, :t]
    return evolve(clips, info=evolve(clips.info, length=t), frames=clips.frames[:, :t], mask=mask)


def _read(
    subject: Subject,
    about: Known,
    static: Mapping[str, int],
    model: SequenceAutoencoder,
    mode: Mode,
    starts: list[int],
    window: int,
) -> dict[str, Ints]:
    """The class that is read in each window of generated clips, `[n, draws, windows]`."""
    clips = subject.test
    # no more frames at a time than in a batch of the data's clips
    few = evolve(subject, batch_size=max(1, subject.batch_size * clips.info.length // (starts[-1] + window)))
    found: dict[str, list[Ints]] = {name: [] for name in static}
    for draw in range(subject.draws):
        for x, _ in made_clips(few, model, clips, mode, draw):
            windows = torch.stack([x[:, start : start + window] for start in starts], 1)
            reading = read_clips(about.judge, static, [(windows.flatten(0, 1), None)])
            for name, parts in found.items():
                parts.append(reading.read(name).reshape(len(x), len(starts)))
    shape = (subject.draws, len(clips), len(starts))
    return {name: np.concatenate(parts).reshape(shape).swapaxes(0, 1) for name, parts in found.items()}


def _scores(
    subject: Subject, read: Mapping[str, Ints], expected: Mapping[str, Ints], starts: list[int], window: int
) -> dict[str, Score]:
    """Of one row; of classes `[n, draws, 1]` the scores of the first window alone."""
    wrong = {name: (classes != expected[name][..., None]).astype(np.float64) for name, classes in read.items()}
    if len(wrong) > 1:
        wrong["static"] = np.mean(list(wrong.values()), axis=0)
    found: dict[str, NDArray[np.float64]] = {}
    several = next(iter(read.values())).shape[-1] > 1
    for name, values in wrong.items():
        found[f"{name} error, first window"] = values[..., :1]
        if several:
            found |= {f"{name} error, last window": values[..., -1:], f"{name} error, all windows": values}
        if several and name in read:
            found[f"{name} agreement"] = (read[name][..., 1:] == read[name][..., :1]).astype(np.float64)
    if several and len(starts) <= MOST:
        name, values = list(wrong.items())[-1]  # the mean, where there is one
        for k, start in enumerate(starts):
            found[f"{name} accuracy, frames {start + 1} to {start + window}"] = 1 - values[..., k : k + 1]
    return {name: subject.bootstrap(values.mean((1, 2))) for name, values in found.items()}


PROTOCOL = Protocol(settings=Settings, run=run, about="s encoded, a long motion sampled: static factors over time")
