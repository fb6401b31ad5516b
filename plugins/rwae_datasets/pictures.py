"""Images from files: read, freed of transparency, cut to the middle square and scaled."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwae_kit import DataError

Bytes = NDArray[np.uint8]
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for a damaged file."""


def open_picture(path: Path) -> Image.Image:
    """An image as RGB, on black where it is transparent.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with Image.open(path) as opened:
            return on_black(opened)
    except UNREADABLE as error:
        raise DataError(f"cannot be read: {error}") from error


def on_black(image: Image.Image) -> Image.Image:
    """The image as RGB, composed on black."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    ground.alpha_composite(layer)
    return ground.convert("RGB")


def frame_of(image: Image.Image, pixels: int, colour: Literal["rgb", "grey"]) -> Bytes:
    """The largest square in the middle, scaled: `[pixels, pixels, 3]`, or 1 channel."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)) if image.width != image.height else image
    scaled = square if side == pixels else square.resize((pixels, pixels), Image.Resampling.LANCZOS)
    frame = np.asarray(scaled.convert("L" if colour == "grey" else "RGB"), dtype=np.uint8)
    return frame.reshape(pixels, pixels, -1)
