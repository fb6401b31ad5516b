"""Images of handwritten digits, from MNIST's IDX files or from scikit-learn, and their resizing in integer arithmetic."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from rwae_kit import DataError

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

BUNDLED_SHA256 = "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"
"""Of scikit-learn's 1797 images and labels as bytes."""
_BUNDLED_ENDS = (1200, 1400, 1797)
_NAMES = "Their names hold 'images-idx3' or 'labels-idx1'; those of the test set begin with t10k or test"


@frozen(kw_only=True, eq=False)
class DigitImages:
    """Images `[k, h, w]` of 0..255, light on dark, and their digits `[k]`."""

    images: Bytes
    digits: Ints


def bundled() -> dict[str, DigitImages]:
    """The splits of scikit-learn's 1797 digits of 8 x 8 pixels, in their order.

    Raises:
        DataError: scikit-learn is not installed, or its digits are not those that are known.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "moving_mnist: there are no images of digits. Install scikit-learn, which brings some along (pip install "
            "'rwae-kit[eval]'), or build from MNIST's files: rwk data build moving_mnist --source DIR"
        ) from error
    found = load_digits()
    images = ((found.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    digits = found.target.astype(np.int64)
    pinned = hashlib.sha256(images.tobytes() + digits.astype("<i8").tobytes()).hexdigest()
    if pinned != BUNDLED_SHA256:
        raise DataError(f"moving_mnist: scikit-learn's digits have sha256 {pinned}, not {BUNDLED_SHA256}: another version of them")
    starts = (0, *_BUNDLED_ENDS[:-1])
    return {
        split: DigitImages(images=images[a:b], digits=digits[a:b])
        for split, a, b in zip(("train", "validation", "test"), starts, _BUNDLED_ENDS, strict=True)
    }


def read_idx_folder(source: Path) -> dict[str, DigitImages]:
    """The training and the test images of a folder with MNIST's files, as they are or with .gz.

    Raises:
        DataError: a file is missing, there is more than one for a split, or one is damaged.
    """
    return {split: _read_pair(source, split) for split in ("train", "test")}


def _read_pair(source: Path, split: str) -> DigitImages:
    paths = []
    for kind in ("images-idx3", "labels-idx1"):
        found = [p for p in sorted(source.iterdir()) if kind in p.name and (split == "test") == p.name.startswith(("t10k", "test"))]
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise DataError(f"moving_mnist: {source} should have one file of {split} {kind}, and has {names}. {_NAMES}")
        paths.append(found[0])
    images, digits = _read_idx(paths[0], 3), _read_idx(paths[1], 1)
    if len(images) != len(digits):
        raise DataError(f"moving_mnist: {paths[0]} has {len(images)} images, but {paths[1]} has {len(digits)} labels")
    if digits.size == 0 or int(digits.max()) > 9:
        raise DataError(f"moving_mnist: {paths[1]}: labels should be 0..9, {int(digits.max()) if digits.size else 'none'} is there")
    return DigitImages(images=images, digits=digits.astype(np.int64))


def _read_idx(path: Path, dimensions: int) -> Bytes:
    """An IDX file of bytes: 0, 0, 8, dimensions, then each size in four bytes, high byte first, then the values."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"moving_mnist: {path} cannot be read: {error}. It is damaged: fetch it anew") from error
    header = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < header:
        raise DataError(
            f"moving_mnist: {path} is no IDX file of bytes in {dimensions} dimensions: it begins with {data[:4].hex(' ')}"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, 4))
    if len(data) - header != int(np.prod(shape)):
        raise DataError(f"moving_mnist: {path} has {len(data) - header} values, but its header says {shape}. It is damaged")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def resized(images: Bytes, side: int) -> Bytes:
    """Images `[k, h, w]` at `[k, side, side]`: linear interpolation, or a triangle's mean where they shrink; rounded."""
    rows, columns = (_weights(size, side) for size in images.shape[1:])
    total = np.einsum("oi,kij,pj->kop", rows, images.astype(np.int64), columns, optimize=True)
    weight = rows.sum(1)[:, None] * columns.sum(1)
    return np.asarray((2 * total + weight) // (2 * weight), dtype=np.uint8)


def _weights(size: int, side: int) -> Ints:
    """How much each of `size` pixels counts for each of `side` pixels: a triangle as wide as two of the larger ones."""
    apart = (2 * np.arange(side)[:, None] + 1) * size - (2 * np.arange(size) + 1) * side
    return np.asarray(np.maximum(0, 2 * max(size, side) - abs(apart)), dtype=np.int64)
