"""MUG: people who show six facial expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from attrs import field, frozen
from attrs.validators import and_, ge, gt, in_, le, lt
from numpy.typing import NDArray
from PIL import Image

from rwae_kit import Clips, DataError, DataInfo, Factor, StoredDataset
from rwae_kit.data import BUILDS, BadFiles, in_order, new_store, open_built, read_table, split_groups, tracked, windows

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
LEFT_OUT = ("neutral", "mixed")
"""Folders of MUG beside the expressions, which are passed over."""
FPS = 19.0
"""Of MUG's cameras."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
COLUMNS = ("subject", "expression", "take", "left", "top", "width", "height")
Bytes = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def _box(instance: object, attribute: Any, value: tuple[int, ...]) -> None:
    if value and (len(value) != 4 or min(value[:2]) < 0 or min(value[2:]) < 1):
        raise ValueError(f"'{attribute.name}' must be empty or (left, top, width, height): {value}")


@frozen(kw_only=True)
class Video:
    """The images of a take in their order, and what its folders say."""

    subject: str
    expression: str
    take: str
    images: tuple[Path, ...]


@final
class MUG(StoredDataset):
    """Faces of 86 people who show six expressions, at every other frame, cropped and scaled.

    The folders are SUBJECT/EXPRESSION/TAKE with the images of a take; levels between (sessions) count as part of the take. Every
    take gives as many clips as fit, one after the other, all in one split: by take, as published (80 % train, 20 % test), or by
    subject, so that nobody is in two splits. A tenth of all validates, taken from the training share.

    Source: R-WAE App. C (64 x 64 pixels, every other frame, T = 10; Fig. 10 says 8), C-DSVAE Sec. 4 (T = 15); Aifanti et al. 2010.
    How faces were cropped is not said: give boxes, or the largest square in the middle is taken.
    """

    @frozen(kw_only=True)
    class Config:
        """How to make clips of the takes."""

        length: int = field(default=10, validator=and_(ge(2), le(256)), metadata={"help": "frames in a clip, T", **BUILDS})
        step: int = field(default=2, validator=ge(1), metadata={"help": "2 takes every other image", **BUILDS})
        stride: int = field(
            default=0, validator=ge(0), metadata={"help": "frames from one clip to the next; 0: as many as a clip has", **BUILDS}
        )
        pixels: int = field(default=64, validator=and_(ge(16), le(256)), metadata={"help": "height and width of a frame", **BUILDS})
        split: Literal["video", "subject"] = field(
            default="video", validator=in_(("video", "subject")), metadata={"help": "what is whole in a split", **BUILDS}
        )
        test: float = field(default=0.2, validator=and_(gt(0.0), lt(0.9)), metadata={"help": "share that tests", **BUILDS})
        validation: float = field(
            default=0.1, validator=and_(gt(0.0), lt(0.5)), metadata={"help": "share that validates", **BUILDS}
        )
        seed: int = field(default=0, validator=ge(0), metadata={"help": "of the splits", **BUILDS})
        box: tuple[int, ...] = field(
            default=(),
            validator=_box,
            metadata={"help": "left, top, width, height of all faces; empty: the middle square", **BUILDS},
        )
        boxes: str = field(
            default="",
            metadata={"help": "a CSV file, in the source folder, with " + ", ".join(COLUMNS) + ": the face of each take", **BUILDS},
        )
        skip_bad: bool = field(default=False, metadata={"help": "build: leave out files that cannot be used, instead of stopping"})

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def build(cls, config: Any, source: Path, target: Path) -> None:
        bad = BadFiles("mug", config.skip_bad)
        videos = find_videos(source, bad)
        if not videos and not bad.found:
            raise DataError(f"mug: {source} has no images. They should be SUBJECT/EXPRESSION/TAKE/*.jpg below it")
        boxes = read_boxes(source / config.boxes) if config.boxes else {}
        read = [(video, frames) for video in tracked(videos, "reading") if (frames := _read(video, boxes, config, bad)) is not None]
        bad.settle(len(read))
        write_videos(config, read, target, bad.left_out)

    def info(self) -> DataInfo:
        return open_built("mug", self.config).info

    def clips(self, split: str) -> Clips:
        return open_built("mug", self.config).clips(split)


def find_videos(source: Path, bad: BadFiles) -> list[Video]:
    """The takes, by the folders that hold images, in the order of their names."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            folders.setdefault(path.parent, []).append(path)
    videos = []
    for folder, images in folders.items():
        parts = folder.relative_to(source).parts
        lower = [part.lower() for part in parts]
        if any(part in LEFT_OUT for part in lower[1:]):
            continue
        named = [i for i, part in enumerate(lower) if i > 0 and part in EXPRESSIONS]
        if len(named) != 1:
            bad.add(folder, f"it should be SUBJECT/EXPRESSION/TAKE with one of {', '.join(EXPRESSIONS)}")
            continue
        take = "/".join(part for i, part in enumerate(parts[1:], 1) if i != named[0])
        videos.append(Video(subject=parts[0], expression=lower[named[0]], take=take, images=tuple(images)))
    return videos


def read_boxes(path: Path) -> dict[tuple[str, str, str], Box]:
    """The box of each take from a CSV file; an empty take stands for all of the subject's takes of the expression.

    Raises:
        DataError: it cannot be read, a column is missing, or a row is no box.
    """
    try:
        rows = read_table(path, COLUMNS)
    except DataError as error:
        raise DataError(f"mug: {error}") from error
    boxes: dict[tuple[str, str, str], Box] = {}
    for number, row in enumerate(rows, 2):
        try:
            left, top, width, height = (int(row[column]) for column in COLUMNS[3:])
        except (TypeError, ValueError) as error:
            raise DataError(f"mug: {path}, line {number}: {error}; left, top, width and height should be whole numbers") from error
        if min(left, top) < 0 or min(width, height) < 1:
            raise DataError(f"mug: {path}, line {number}: ({left}, {top}, {width}, {height}) is no box")
        boxes[row["subject"], row["expression"].lower(), row["take"]] = (left, top, width, height)
    return boxes


def _read(video: Video, boxes: Mapping[tuple[str, str, str], Box], config: Any, bad: BadFiles) -> Bytes | None:
    """The frames `[t, pixels, pixels, 3]` of a take; None, and the file noted, where it cannot be used."""
    box = tuple(config.box)
    if config.boxes:
        given = boxes.get((video.subject, video.expression, video.take)) or boxes.get((video.subject, video.expression, ""))
        if given is None:
            bad.add(video.images[0].parent, f"{config.boxes} has no box for it")
            return None
        box = given
    chosen = video.images[:: config.step]
    if len(chosen) < config.length:
        bad.add_short(
            video.images[0].parent, f"{len(video.images)} images are {len(chosen)} frames, but a clip has {config.length}"
        )
        return None
    frames = np.empty((len(chosen), config.pixels, config.pixels, 3), np.uint8)
    for i, path in enumerate(chosen):
        try:
            frames[i] = read_face(path, box, config.pixels)
        except DataError as error:
            bad.add(path, str(error))
            return None
    return frames


def read_face(path: Path, box: Sequence[int], pixels: int) -> Bytes:
    """An image cropped to the box (left, top, width, height), or to the largest square in its middle, and scaled.

    Raises:
        DataError: it cannot be read, or the box reaches beyond it.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"cannot be read: {error}") from error
    side = min(image.size)
    left, top, width, height = box or ((image.width - side) // 2, (image.height - side) // 2, side, side)
    if left + width > image.width or top + height > image.height:
        raise DataError(f"it is {image.width} x {image.height} pixels, and the box {(left, top, width, height)} reaches beyond it")
    # Cropped first: `resize` with a box would let pixels around the box in.
    face = image.crop((left, top, left + width, top + height)).resize((pixels, pixels), Image.Resampling.LANCZOS)
    return np.asarray(face, dtype=np.uint8)


def write_videos(config: Any, read: Sequence[tuple[Video, Bytes]], target: Path, left_out: Sequence[str] = ()) -> None:
    """Split the takes, cut them into clips and write the store.

    Raises:
        DataError: too few takes or subjects for three splits, or the store cannot be written.
    """
    takes = [f"{v.subject}/{v.expression}/{v.take}" for v, _ in read]
    by_video = config.split == "video"
    groups = takes if by_video else [v.subject for v, _ in read]
    try:
        split = split_groups(groups, {"validation": config.validation, "test": config.test}, config.seed)
    except DataError as error:
        raise DataError(f"mug: split = {config.split!r}: {error}") from error
    cut = [(i, start) for i, (_, frames) in enumerate(read) for start in windows(len(frames), config.length, config.stride)]
    order, sizes = in_order([split[groups[i]] for i, _ in cut])
    subjects = tuple(sorted({video.subject for video, _ in read}))
    info = DataInfo(
        name="mug",
        frame=(3, config.pixels, config.pixels),
        length=config.length,
        factors={
            "subject": Factor(classes=subjects, kind="static"),
            "expression": Factor(classes=EXPRESSIONS, kind="dynamic"),
        },
        fps=FPS / config.step,
        licence="MUG: research only, by agreement with its authors",
        source="MUG facial expression database, Aifanti et al. 2010",
    )
    with new_store(
        target,
        info=info,
        splits=sizes,
        dtype="uint8",
        scale=1 / 255,
        channels="last",
        recordings=takes,
        split_by="" if by_video else "subject",
        left_out=left_out,
    ) as store:
        for row, k in enumerate(tracked(order, "writing")):
            i, start = cut[k]
            video, frames = read[i]
            labels = {"subject": subjects.index(video.subject), "expression": EXPRESSIONS.index(video.expression)}
            store.put(row, frames[None, start : start + config.length], labels, recording=i)
