"""Videos in a folder: files of moving pictures, and folders of images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from attrs import frozen
from PIL import Image, ImageSequence

from rwae_datasets.labelled_files import find_recordings, natural
from rwae_datasets.pictures import SUFFIXES, UNREADABLE, Bytes, frame_of, on_black, open_picture
from rwae_datasets.video_store import VideoOptions, write_videos
from rwae_kit import Clips, DataError, DataInfo, StoredDataset
from rwae_kit.data import BadFiles, open_built

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_CUT_SHORT = 0.9
"""Share of the frames that a file announces below which it is damaged; a few less are usual, at the edges of an edit."""


@final
class VideoFolder(StoredDataset):
    """Videos (mp4, avi and others by PyAV, gif) and folders of images, in clips of the middle square.

    Labels come from the files' names, or the folders', by a pattern, or from a table. Every recording gives as many clips as fit,
    or one, padded, where whole recordings are wanted. Splits are by recording, or by a label; no recording is in two of them.

    Source: ours.
    """

    @frozen(kw_only=True)
    class Config(VideoOptions):
        """Where labels stand, and how to make clips."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("video_folder", config.skip_bad)
        recordings = find_recordings(config, source, bad, find_videos(source))
        if any(one.path.suffix.lower() in VIDEOS for one in recordings):
            _import_av()
        write_videos("video_folder", config, recordings, partial(read_video, config), bad, target)

    def info(self) -> DataInfo:
        return open_built("video_folder", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("video_folder", self.config).clips(split)


def find_videos(source: Path) -> Iterator[Path]:
    """The video files below the source, the folders that hold images, and those that hold nothing."""
    for path in source.rglob("*"):
        if path.is_dir():
            inside = list(path.iterdir())
            if not inside or any(image.suffix.lower() in SUFFIXES for image in inside):
                yield path
        elif path.suffix.lower() in (*VIDEOS, ".gif"):
            yield path


def read_video(config: Any, path: Path) -> Bytes:
    """Every `step`-th frame: `[t, pixels, pixels, channels]`.

    Raises:
        DataError: it cannot be read, is cut short, or has no frames.
    """
    images = _images if path.is_dir() else _gif if path.suffix.lower() == ".gif" else _decoded
    frames = [frame_of(image, config.pixels, config.colour) for image in images(path, config.step)]
    if not frames:
        raise DataError("there are no frames in it")
    return np.stack(frames)


def _images(folder: Path, step: int) -> Iterator[Image.Image]:
    paths = sorted((path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES), key=lambda path: natural(path.name))
    for path in paths[::step]:
        try:
            yield open_picture(path)
        except DataError as error:
            raise DataError(f"{path.name} {error}") from error


def _gif(path: Path, step: int) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as opened:
            yield from (on_black(frame) for i, frame in enumerate(ImageSequence.Iterator(opened)) if i % step == 0)
    except UNREADABLE as error:
        raise DataError(f"cannot be read: {error}") from error


def _decoded(path: Path, step: int) -> Iterator[Image.Image]:
    av = _import_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError("there is no video in it, or it is cut short")
            stream, count = container.streams.video[0], 0
            for frame in container.decode(stream):
                if count % step == 0:
                    yield frame.to_image()
                count += 1
            if count < _CUT_SHORT * stream.frames:
                raise DataError(f"it is cut short: it announces {stream.frames} frames, but {count} are there")
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error


def _import_av() -> Any:
    try:
        import av
        import av.error
    except ImportError as error:
        raise DataError("video_folder: videos are read by PyAV, which is not installed: pip install 'rwae-kit[video]'") from error
    return av
