"""Moving pictures as strips: images that show the frames of a recording side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from attrs import field, frozen
from attrs.validators import ge

from rwae_datasets.labelled_files import find_recordings, fits_pattern
from rwae_datasets.pictures import SUFFIXES, Bytes, frame_of, open_picture
from rwae_datasets.video_store import VideoOptions, write_videos
from rwae_kit import Clips, DataError, DataInfo, StoredDataset
from rwae_kit.data import BUILDS, BadFiles, open_built


@final
class ImageStrips(StoredDataset):
    """A folder of images that hold the frames of a recording side by side, such as the Weizmann actions as MoCoGAN has them.

    Labels come from the images' names by a pattern, or from a table; one may follow from a number in another (`derive`). Every
    strip gives as many clips as fit, or one, padded, where whole strips are wanted. Splits are by strip, or by a label; no strip is
    in two of them.

    Source: ours; the layout is that of the action data of MoCoGAN (Tulyakov et al. 2018).
    """

    @frozen(kw_only=True)
    class Config(VideoOptions):
        """Where labels stand, and how to make clips."""

        pattern: str = field(
            default="{action}/{take}",
            validator=fits_pattern,
            metadata={"help": "labels in a strip's name; with a / in its path below the source", **BUILDS},
        )
        frame_width: int = field(
            default=0, validator=ge(0), metadata={"help": "of the frames in a strip, in pixels; 0: as wide as high", **BUILDS}
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("image_strips", config.skip_bad)
        paths = [path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
        recordings = find_recordings(config, source, bad, paths)
        write_videos("image_strips", config, recordings, partial(read_strip, config), bad, target)

    def info(self) -> DataInfo:
        return open_built("image_strips", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("image_strips", self.config).clips(split)


def read_strip(config: Any, path: Path) -> Bytes:
    """Every `step`-th frame of a strip: `[t, pixels, pixels, channels]`.

    Raises:
        DataError: it cannot be read, or does not hold whole frames.
    """
    strip = open_picture(path)
    width = config.frame_width or strip.height
    if strip.width % width:
        raise DataError(
            f"it is {strip.width} x {strip.height} pixels, and its width is no multiple of a frame's, {width} (frame_width)"
        )
    starts = range(0, strip.width, width * config.step)
    frames = [frame_of(strip.crop((left, 0, left + width, strip.height)), config.pixels, config.colour) for left in starts]
    return np.stack(frames)
