"""A store of speech from labelled recordings: what `timit` and `speech_folder` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from rwae_datasets.sound_files import Floats, read_sound
from rwae_datasets.speech_frontend import SpeechOptions, fit_normaliser, log_frames
from rwae_kit import DataError, DataInfo, Factor
from rwae_kit.data import BadFiles, in_order, new_store, windows


@frozen(kw_only=True)
class Recording:
    """A file, the split it belongs to, and its labels by name."""

    path: Path
    split: str
    utterance: str
    labels: Mapping[str, str]


@frozen(kw_only=True, eq=False)
class _Read:
    recording: Recording
    frames: Floats = field(repr=False)


def write_speech(
    name: str,
    recordings: Sequence[Recording],
    bad: BadFiles,
    target: Path,
    options: SpeechOptions,
    *,
    rate: int,
    kinds: Mapping[str, Factor],
    licence: str,
    source: str,
) -> None:
    """Read the recordings, cut them into clips and write the store.

    Arguments:
        kinds: the factors, with all their classes; "utterance" is added, one class for each recording that is used.

    Raises:
        DataError: bad files, a split without clips, or the store cannot be written.
    """
    read = _read(recordings, bad, options, rate)
    bad.settle(len(read))
    train = [one.frames for one in read if one.recording.split == "train"]
    if not train:
        raise DataError(f"{name}: no recording is left to train on")
    normalise = fit_normaliser(train, rate, options)
    cut = [(i, start) for i, one in enumerate(read) for start in _starts(len(one.frames), options)]
    try:
        order, sizes = in_order([read[i].recording.split for i, _ in cut])
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    info = DataInfo(
        name=name,
        frame=(train[0].shape[1],),
        length=options.length,
        factors={**kinds, "utterance": Factor(classes=tuple(one.recording.utterance for one in read), kind="static")},
        fps=1 / options.hop,
        licence=licence,
        source=source,
        **normalise.in_info(),
    )
    padded = options.tail == "pad"
    with new_store(target, info=info, splits=sizes, dtype="float32", scale=1.0, masked=padded) as store:
        for row, k in enumerate(order):
            i, start = cut[k]
            one = read[i]
            clip, mask = _padded(normalise(one.frames[start : start + options.length]), options.length)
            labels = {factor: kinds[factor].classes.index(value) for factor, value in one.recording.labels.items()}
            store.put(row, clip[None], {**labels, "utterance": i}, mask[None] if padded else None)


def _read(recordings: Sequence[Recording], bad: BadFiles, options: SpeechOptions, rate: int) -> list[_Read]:
    read = []
    for recording in recordings:
        try:
            sound = read_sound(recording.path)
            if sound.rate != rate:
                raise DataError(f"it has {sound.rate} samples a second, not {rate}")
            frames = log_frames(sound, options)
        except DataError as error:
            bad.add(recording.path, str(error))
        else:
            if _starts(len(frames), options):
                read.append(_Read(recording=recording, frames=frames))
            else:
                bad.add_short(recording.path, f"{len(frames)} frames; a clip has {options.length}")
    return read


def _starts(frames: int, options: SpeechOptions) -> list[int]:
    """Where clips begin; the last one may reach beyond the end where that is padded."""
    starts = windows(frames, options.length, options.stride)
    following = starts[-1] + (options.stride or options.length) if starts else 0
    covered = starts[-1] + options.length if starts else 0
    return [*starts, following] if options.tail == "pad" and covered < frames and following < frames else starts


def _padded(values: Floats, length: int) -> tuple[Floats, NDArray[np.float32]]:
    mask = (np.arange(length) < len(values)).astype(np.float32)
    return np.pad(values, ((0, length - len(values)), (0, 0)), mode="edge"), mask
