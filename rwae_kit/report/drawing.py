"""Frames as pixels, pixels as grids, grids as files. Nearest neighbour throughout: a pixel of the data stays a square.

What lies between the frames is transparent; words and outlines are in a grey of equal contrast to black and white (4.5 to 1), so a
picture can stand on a white and on a black ground.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from rwae_kit.errors import RwaeError

Pixels = NDArray[np.uint8]

GREY = (118, 118, 118, 255)
GAP = 4
BREAK = 14
"""Pixels between two frames, and further pixels between two groups of rows."""
EDGE = 1
"""Each frame has an outline: black frames on a black page are still frames."""
STRIP = 96
"""Least size of a frame in a film strip."""
FONT_SIZE = 14
_SOLID = 80
"""Least opacity of a pixel that a GIF shows: it knows no half transparency, and thin letters should not lose their ends."""

_GRADES = 16
"""Of grey that is half transparent, in a small picture's palette."""
_TRIED = ((1, 240), (1, 96), (1, 32), (2, 96), (2, 32), (4, 32))
"""How a small picture is tried: the side of the square of pixels that becomes one, and colours."""

_SPECTRUM = np.array(
    [
        (68, 1, 84),
        (71, 45, 123),
        (59, 82, 139),
        (44, 114, 142),
        (33, 145, 140),
        (40, 174, 128),
        (94, 201, 98),
        (173, 220, 48),
        (253, 231, 37),
    ]
)
"""Nine points of the colour map viridis, which stays readable in grey and for the colour-blind."""


def pictures_of(clips: Tensor, value_range: tuple[float, float]) -> Pixels:
    """The pictures that show clips: `[n, k, height, width, 3]`.

    Clips of images are k = t pictures, grey (the mean over channels) unless there are 3 channels. Clips of vectors are k = 1
    picture, time to the right, the first feature at the bottom, as in a spectrogram. Values are clipped to the range, which becomes
    0..255.

    Shape:
        clips: `[n, t, c, h, w]` or `[n, t, features]`.
    """
    low, high = value_range
    values = clips.detach().float().cpu().numpy()
    level = np.rint((np.nan_to_num(values, nan=low) - low) / (high - low) * 255).clip(0, 255)
    if level.ndim == 3:
        place = level.transpose(0, 2, 1)[:, None, ::-1] / 255 * (len(_SPECTRUM) - 1)
        colours = [np.interp(place, np.arange(len(_SPECTRUM)), channel) for channel in _SPECTRUM.T]
        return np.asarray(np.rint(np.stack(colours, axis=-1)), dtype=np.uint8)
    if level.ndim != 5:
        raise RwaeError(f"a picture shows clips [n, t, channels, height, width] or [n, t, features], not {tuple(clips.shape)}")
    image = np.moveaxis(level, 2, -1)
    if image.shape[-1] != 3:
        image = np.rint(image.mean(axis=-1, keepdims=True)).repeat(3, axis=-1)
    return np.asarray(image, dtype=np.uint8)


def enlarged(picture: Pixels, shown: int) -> Pixels:
    """`[height, width, 3]` with each pixel a square of pixels, the least that makes the smaller side `shown` or more."""
    factor = max(1, -(-shown // min(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def grid(
    cells: Sequence[Sequence[Pixels | None]],
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    breaks: Collection[int] = (),
    shown: int = STRIP,
) -> Image.Image:
    """Pictures of one size `[height, width, 3]` in rows, with gaps, on transparent ground; None leaves a place empty.

    Arguments:
        rows: words to the left of each row.
        columns: words over each column.
        breaks: numbers of the rows that have more space above them.
        shown: least size of a picture's smaller side.
    """
    drawn = [[None if cell is None else enlarged(cell, shown) for cell in row] for row in cells]
    height, width = next(cell for row in drawn for cell in row if cell is not None).shape[:2]
    font = ImageFont.load_default(FONT_SIZE)
    left = max((int(font.getlength(word)) + 14 for word in rows), default=EDGE)
    above = FONT_SIZE + 8 if columns else EDGE
    across = max(len(row) for row in drawn)
    tops = [above + r * (height + GAP) + BREAK * sum(b <= r for b in breaks) for r in range(len(drawn))]
    image = Image.new("RGBA", (left + across * (width + GAP) - GAP + EDGE, tops[-1] + height + EDGE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for row, top in zip(drawn, tops, strict=True):
        for c, cell in enumerate(row):
            if cell is not None:
                x = left + c * (width + GAP)
                draw.rectangle((x - EDGE, top - EDGE, x + width, top + height), outline=GREY)
                image.paste(Image.fromarray(cell), (x, top))
    for word, top in zip(rows, tops, strict=False):
        draw.text((left - 10, top + height // 2), word, fill=GREY, font=font, anchor="rm")
    for c, word in enumerate(columns):
        draw.text((left + c * (width + GAP) + width // 2, above - 6), word, fill=GREY, font=font, anchor="ms")
    return image


def save_animation(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    """Write frames as a GIF that runs for ever, with one palette for all of them, so that nothing flickers.

    The format counts time in hundredths of a second; frames that do not change are joined, for the same total time.
    """
    alpha = [np.asarray(frame)[..., 3] < _SOLID for frame in frames]
    colours = [frame.convert("RGB") for frame in frames]
    some = colours[:: -(-len(colours) // 24)]
    mosaic = Image.fromarray(np.concatenate([np.asarray(frame) for frame in some]))
    palette = mosaic.quantize(255, method=Image.Quantize.MEDIANCUT)
    ready = []
    for frame, empty in zip(colours, alpha, strict=True):
        index = np.array(frame.quantize(palette=palette, dither=Image.Dither.NONE))
        index[empty] = 255
        one = Image.fromarray(index, mode="P")
        one.putpalette(_full(palette))
        ready.append(one)
    duration = max(20, round(100 / fps) * 10)
    options: dict[str, Any] = {"duration": duration, "loop": 0, "transparency": 255, "disposal": 2, "optimize": False}
    ready[0].save(path, format="GIF", save_all=True, append_images=ready[1:], **options)


def _full(palette: Image.Image) -> list[int]:
    """256 colours; the last is the transparent one."""
    colours = list(palette.getpalette() or [])[: 255 * 3]
    return [*colours, *[0] * (256 * 3 - len(colours))]


def save_small(image: Image.Image, path: Path, most: int) -> None:
    """Write a picture as a PNG of at most `most` bytes: with a palette; with fewer colours, then smaller, if need be.

    Letters keep their soft edges: what is half transparent has colours of its own, grey in grades.

    Raises:
        RwaeError: it does not fit at any size that could be seen.
    """
    image = image.convert("RGBA")
    for square, colours in _TRIED:
        data = _with_palette(image.reduce(square), colours)
        if len(data) <= most:
            path.write_bytes(data)
            return
    raise RwaeError(f"{path}: {image.width} x {image.height} pixels do not fit into {most:,} bytes")


def _with_palette(image: Image.Image, colours: int) -> bytes:
    """The bytes of a PNG: colours of opaque pixels, then grades of grey from transparent on."""
    alpha = np.asarray(image)[..., 3]
    coloured = image.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = list(coloured.getpalette() or [])[: 3 * colours]
    soft, index = alpha < 255, np.array(coloured)
    index[soft] = colours + alpha[soft].astype(int) * _GRADES // 255
    small = Image.fromarray(index)
    small.putpalette([*palette, *[0] * (3 * colours - len(palette)), *GREY[:3] * _GRADES])
    opacity = bytes([255] * colours + [255 * grade // _GRADES for grade in range(_GRADES)])
    file = io.BytesIO()
    small.save(file, format="PNG", optimize=True, transparency=opacity)
    return file.getvalue()
