"""A store of moving pictures from labelled recordings: what `image_strips` and `video_folder` share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field, frozen
from attrs.validators import and_, ge, gt, in_, le

from rwae_datasets.labelled_files import LabelOptions, Recording, factors_of, group_of, whole_or_long, with_splits
from rwae_datasets.pictures import Bytes
from rwae_kit import DataError, DataInfo
from rwae_kit.data import BUILDS, BadFiles, in_order, new_store, padded, tracked, windows

_IN_MEMORY = 2**30
"""Bytes of frames that are held in memory between reading and writing; more go to a temporary file."""


@frozen(kw_only=True)
class VideoOptions(LabelOptions):
    """How to make clips of recordings."""

    length: int = field(
        default=8,
        validator=whole_or_long,
        metadata={"help": "frames in a clip, T; 0: whole recordings, padded to the longest and masked", **BUILDS},
    )
    stride: int = field(
        default=0, validator=ge(0), metadata={"help": "frames from one clip to the next; 0: as many as a clip has", **BUILDS}
    )
    step: int = field(default=1, validator=ge(1), metadata={"help": "2 takes every other frame", **BUILDS})
    pixels: int = field(
        default=64, validator=and_(ge(8), le(512)), metadata={"help": "height and width of a frame, of the middle square", **BUILDS}
    )
    colour: Literal["rgb", "grey"] = field(
        default="rgb", validator=in_(("rgb", "grey")), metadata={"help": "three channels or one", **BUILDS}
    )
    tail: Literal["drop", "pad"] = field(
        default="drop",
        validator=in_(("drop", "pad")),
        metadata={"help": "what is left behind the last whole clip of a recording: dropped, or padded and masked", **BUILDS},
    )
    fps: float = field(default=25.0, validator=gt(0), metadata={"help": "frames a second of the recordings", **BUILDS})


class Reel:
    """Frames of recordings one after the other, in memory, or in a temporary file beside the store where they are many."""

    def __init__(self, near: Path) -> None:
        there = next(folder for folder in near.absolute().parents if folder.is_dir())
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(there))  # noqa: SIM115 (closed by close)
        self._places: list[tuple[int, tuple[int, ...]]] = []

    def add(self, frames: Bytes) -> None:
        """Keep the frames of one more recording."""
        self._places.append((self._file.seek(0, 2), frames.shape))
        self._file.write(frames.tobytes())

    def lengths(self) -> list[int]:
        """How many frames each recording has."""
        return [shape[0] for _, shape in self._places]

    def cut(self, i: int, start: int, length: int) -> Bytes:
        """Frames of the i-th recording; fewer than `length` where it ends."""
        begin, shape = self._places[i]
        size, count = int(np.prod(shape[1:])), min(length, shape[0] - start)
        self._file.seek(begin + start * size)
        return np.frombuffer(self._file.read(count * size), np.uint8).reshape(count, *shape[1:])

    def close(self) -> None:
        """Forget all frames."""
        self._file.close()


def write_videos(
    name: str,
    options: VideoOptions,
    recordings: Sequence[Recording],
    read: Callable[[Path], Bytes],
    bad: BadFiles,
    target: Path,
) -> None:
    """Read the recordings, split them, cut them into clips and write the store.

    Arguments:
        read: a path to frames `[t, pixels, pixels, channels]`; raises `DataError` if it is bad.

    Raises:
        DataError: bad files, too few recordings or labels for three splits, or the store cannot be written.
    """
    if not recordings:
        bad.settle(0)
    factors_of(name, options, recordings)  # an option that does not fit is told before hours of reading
    reel = Reel(target)
    try:
        good = _read(options, recordings, read, bad, reel)
        bad.settle(len(good))
        _write(name, options, good, reel, bad, target)
    except OSError as error:
        raise DataError(f"{name}: frames cannot be kept: {error.strerror or error}") from error
    finally:
        reel.close()


def _read(
    options: VideoOptions, recordings: Sequence[Recording], read: Callable[[Path], Bytes], bad: BadFiles, reel: Reel
) -> list[Recording]:
    good = []
    for one in tracked(recordings, "reading"):
        try:
            frames = read(one.path)
        except DataError as error:
            bad.add(one.path, str(error))
            continue
        if windows(len(frames), options.length or len(frames), options.stride, options.tail == "pad"):
            reel.add(frames)
            good.append(one)
        else:
            bad.add_short(one.path, f"{len(frames)} frames, but a clip has {options.length}")
    return good


def _write(name: str, options: VideoOptions, good: Sequence[Recording], reel: Reel, bad: BadFiles, target: Path) -> None:
    factors = factors_of(name, options, good)
    split = [one.split for one in with_splits(name, options, good)]
    length, whole = options.length or max(reel.lengths()), options.length == 0
    masked = whole or options.tail == "pad"
    cut = [
        (i, start)
        for i, frames in enumerate(reel.lengths())
        for start in ([0] if whole else windows(frames, length, options.stride, masked))
    ]
    try:
        order, sizes = in_order([split[i] for i, _ in cut])
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    info = DataInfo(
        name=name,
        frame=(1 if options.colour == "grey" else 3, options.pixels, options.pixels),
        length=length,
        factors=factors,
        fps=options.fps / options.step,
        licence="the user's",
        source="the user's",
    )
    with new_store(
        target,
        info=info,
        splits=sizes,
        dtype="uint8",
        scale=1 / 255,
        channels="last",
        masked=masked,
        recordings=[one.name for one in good],
        split_by=group_of(options, factors),
        left_out=bad.left_out,
    ) as store:
        for row, k in enumerate(tracked(order, "writing")):
            i, start = cut[k]
            clip, mask = padded(reel.cut(i, start, length), length)
            labels = {label: factor.classes.index(good[i].labels[label]) for label, factor in factors.items()}
            store.put(row, clip[None], labels, mask[None] if masked else None, i)
