"""A store of speech from labelled recordings: what `timit` and `speech_folder` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from rwae_datasets.labelled_files import Recording
from rwae_datasets.sound_files import Floats, read_sound
from rwae_datasets.speech_frontend import SpeechOptions, fit_normaliser, log_frames
from rwae_kit import DataError, DataInfo, Factor
from rwae_kit.data import BadFiles, in_order, new_store, padded, tracked, windows


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
    split_by: str,
    licence: str,
    source: str,
) -> None:
    """Read the recordings, cut them into clips and write the store.

    Arguments:
        recordings: with their splits; the store keeps their names, and which of them a clip was cut from.
        kinds: the factors, with all their classes.
        split_by: the factor that no two splits share, if any.

    Raises:
        DataError: bad files, a split without clips, or the store cannot be written.
    """
    read = _read(recordings, bad, options, rate)
    bad.settle(len(read))
    train = [one.frames for one in read if one.recording.split == "train"]
    if not train:
        raise DataError(f"{name}: no recording is left to train on")
    normalise = fit_normaliser(train, rate, options)
    length = options.length or max(len(one.frames) for one in read)
    cut = [(i, start) for i, one in enumerate(read) for start in _starts(len(one.frames), options)]
    try:
        order, sizes = in_order([read[i].recording.split for i, _ in cut])
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    info = DataInfo(
        name=name,
        frame=(train[0].shape[1],),
        length=length,
        factors=kinds,
        fps=1 / options.hop,
        licence=licence,
        source=source,
        **normalise.in_info(),
    )
    masked = options.length == 0 or options.tail == "pad"
    with new_store(
        target,
        info=info,
        splits=sizes,
        dtype="float32",
        scale=1.0,
        masked=masked,
        recordings=[one.recording.name for one in read],
        split_by=split_by,
        left_out=bad.left_out,
    ) as store:
        for row, k in enumerate(tracked(order, "writing")):
            i, start = cut[k]
            one = read[i]
            clip, mask = padded(normalise(one.frames[start : start + length]), length)
            labels = {name: factor.classes.index(one.recording.labels[name]) for name, factor in kinds.items()}
            store.put(row, clip[None], labels, mask[None] if masked else None, i)


def _read(recordings: Sequence[Recording], bad: BadFiles, options: SpeechOptions, rate: int) -> list[_Read]:
    read = []
    for recording in tracked(recordings, "reading"):
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
    return windows(frames, options.length, options.stride, options.tail == "pad") if options.length else [0]
