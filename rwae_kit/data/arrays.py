"""Clips from what a user has at hand: a tensor, an array, a torch `Dataset` or a `DataLoader`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rwae_kit.data.clips import Clips, DataInfo, Factor
from rwae_kit.errors import DataError

_CHUNK = 256


@frozen(kw_only=True, eq=False)
class _Given:
    """Clips `[n, t, *frame]` and their labels `[n]` as they were given."""

    frames: Tensor
    labels: Mapping[str, Tensor] = field(factory=dict)


def clips_from(
    data: Any,
    name: str = "given",
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    value_range: tuple[float, float] | None = None,
    factors: Mapping[str, Any] | None = None,
    dynamic: Collection[str] = (),
    fps: float = 8.0,
) -> dict[str, Clips]:
    """Split clips at random into "train", "validation" and "test".

    Bytes 0..255 become values 0..1. Floats keep their values; without a `value_range` it is (0, 1) or (-1, 1) where they fit into
    it, else their own least and greatest value.

    Arguments:
        data: `[n, t, channels, height, width]` or `[n, t, features]`, a tensor or an array; or a map-style `Dataset` or a
            `DataLoader` whose items are clips, pairs (clip, label) or (clip, {factor: label}), or mappings with the clip under "x".
            `Clips` are split as they are.
        validation, test: shares of the clips; a split with the share 0 is left out.
        factors: labels by name, `[n]` integers from 0 on, beside those that the items have.
        dynamic: names of the factors that change within a clip; the others are static.

    Raises:
        DataError: clips of unequal shapes, values that are not finite, labels that do not fit, too few clips.

    Example:
        >>> clips_from(torch.zeros(20, 8, 1, 16, 16, dtype=torch.uint8))["train"].frames.shape
        torch.Size([16, 8, 1, 16, 16])
    """
    if isinstance(data, Clips):
        return _split(data, validation, test, seed)
    given = _read(data, name)
    frames = _checked(given.frames, name)
    as_bytes = frames.dtype == torch.uint8
    if as_bytes and value_range is not None:
        raise DataError(f"{name}: value_range {value_range} was given, but bytes have the range (0, 1)")
    labels = dict(given.labels) | {factor: _labels(values, factor, name) for factor, values in (factors or {}).items()}
    if unknown := sorted(set(dynamic) - set(labels)):
        raise DataError(f"{name}: dynamic names {unknown}, but the factors are {sorted(labels)}")
    for factor, values in labels.items():
        if values.shape != (len(frames),) or int(values.min()) < 0:
            raise DataError(f"{name}: factor {factor!r} is {tuple(values.shape)}; it needs {len(frames)} labels from 0 on")
    info = DataInfo(
        name=name,
        frame=tuple(frames.shape[2:]),
        length=frames.shape[1],
        value_range=(0.0, 1.0) if as_bytes else _value_range(frames, value_range, name),
        factors={
            factor: Factor(
                classes=tuple(str(i) for i in range(int(values.max()) + 1)), kind="dynamic" if factor in dynamic else "static"
            )
            for factor, values in labels.items()
        },
        fps=fps,
        hash=_sha256(frames, labels),
        source="given in Python",
    )
    return _split(Clips(info=info, frames=frames, scale=1 / 255 if as_bytes else 1.0, factors=labels), validation, test, seed)


def _split(clips: Clips, validation: float, test: float, seed: int) -> dict[str, Clips]:
    """Split at random; the same seed gives the same splits."""
    if validation < 0 or test < 0 or validation + test >= 1:
        raise DataError(
            f"{clips.info.name}: shares validation = {validation} and test = {test} must not be negative, and sum to less than 1"
        )
    n = len(clips)
    sizes = {split: max(1, round(share * n)) for split, share in (("validation", validation), ("test", test)) if share > 0}
    rest = n - sum(sizes.values())
    if rest < 2:
        raise DataError(f"{clips.info.name}: {n} clips are too few: two to train on and one for each of {sorted(sizes)} are needed")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    pieces = torch.split(order, [rest, *sizes.values()])
    return {split: clips.subset(piece.sort().values) for split, piece in zip(["train", *sizes], pieces, strict=True)}


def _read(data: Any, name: str) -> _Given:
    if isinstance(data, np.ndarray):
        return _Given(frames=_tensor(np.require(data, requirements=["C", "W"]), name))  # torch warns of arrays it must not write
    if isinstance(data, Tensor):
        return _Given(frames=data.detach())
    if isinstance(data, DataLoader):
        return _stack([_item(batch, name) for batch in data], name, torch.cat)
    if isinstance(data, Sequence | Dataset) and isinstance(data, Sized):
        return _stack([_item(data[i], name) for i in range(len(data))], name, torch.stack)
    raise DataError(
        f"{name}: data of type {type(data).__name__} cannot be read. Give a tensor or array [n, t, ...], a torch Dataset with a "
        "length, or a DataLoader"
    )


def _item(item: Any, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """A clip, or a batch of them, and its labels."""
    if isinstance(item, Mapping):
        if "x" not in item:
            raise DataError(f"{name}: an item has the keys {sorted(map(str, item))}, but none is 'x', the clip")
        clip: Any = item["x"]
        labels: Mapping[Any, Any] = {key: value for key, value in item.items() if key != "x"}
    elif isinstance(item, tuple | list):
        if len(item) > 2 or not item:
            raise DataError(f"{name}: an item has {len(item)} parts; it should be a clip, or a clip and its labels")
        clip = item[0]
        labels = {} if len(item) == 1 else item[1] if isinstance(item[1], Mapping) else {"label": item[1]}
    else:
        clip, labels = item, {}
    return _tensor(clip, name), {str(key): _labels(value, str(key), name) for key, value in labels.items()}


def _tensor(clip: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(clip).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: a clip of type {type(clip).__name__} is no tensor: {error}") from error


def _labels(values: Any, factor: str, name: str) -> Tensor:
    try:
        labels = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: factor {factor!r}: labels must be integers, not {values!r}") from error
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{name}: factor {factor!r}: labels must be integers, not {labels.dtype}")
    return labels.long()


def _stack(items: list[tuple[Tensor, dict[str, Tensor]]], name: str, join: Any) -> _Given:
    if not items:
        raise DataError(f"{name}: there are no clips")
    first, labels = items[0]
    for i, (clip, found) in enumerate(items):
        different = clip.shape[join is torch.cat :] != first.shape[join is torch.cat :]
        if different or clip.dtype != first.dtype:
            raise DataError(
                f"{name}: item {i} is {clip.dtype} {tuple(clip.shape)}, but item 0 is {first.dtype} {tuple(first.shape)}. All "
                "clips must have one shape: crop or pad them"
            )
        if set(found) != set(labels):
            raise DataError(f"{name}: item {i} has the labels {sorted(found)}, but item 0 has {sorted(labels)}")
    return _Given(
        frames=join([clip for clip, _ in items]), labels={factor: join([found[factor] for _, found in items]) for factor in labels}
    )


def _checked(frames: Tensor, name: str) -> Tensor:
    """Frames of a form that a model can take, as bytes or float32."""
    shape = tuple(frames.shape)
    if frames.ndim not in (3, 5) or 0 in shape:
        raise DataError(f"{name}: clips must be [n, t, channels, height, width] or [n, t, features], not {shape}")
    if frames.ndim == 5 and shape[2] > 4 >= shape[4]:
        raise DataError(f"{name}: clips {shape} seem to have channels last. Put them first: permute(0, 1, 4, 2, 3)")
    if frames.dtype == torch.uint8:
        return frames
    if frames.dtype == torch.bool:
        return frames.float()
    if not frames.is_floating_point():
        raise DataError(f"{name}: clips of type {frames.dtype} have no known range. Give uint8 (0..255) or floats")
    frames = frames.float()
    check_finite(frames, name)
    return frames


def check_finite(frames: Tensor, name: str) -> None:
    """Raise `DataError` at the first value of the clips `[n, t, *frame]` that is not finite; bytes always are."""
    for start in range(0, len(frames) if frames.is_floating_point() else 0, _CHUNK):
        wrong = ~torch.isfinite(frames[start : start + _CHUNK])
        if bool(wrong.any()):
            place = wrong.nonzero()[0].tolist()
            place[0] += start
            value = float(frames[tuple(place)])
            where = f"clip {place[0]}, frame {place[1]}, at {tuple(place[2:])}"
            raise DataError(f"{name}: {where} is {value}. All values must be finite")


def _value_range(frames: Tensor, wanted: tuple[float, float] | None, name: str) -> tuple[float, float]:
    low, high = float(frames.min()), float(frames.max())
    if wanted is not None:
        if not wanted[0] <= low <= high <= wanted[1] or wanted[0] == wanted[1]:
            raise DataError(f"{name}: value_range is {wanted}, but the values are {low:g}..{high:g}")
        return (float(wanted[0]), float(wanted[1]))
    for usual in ((0.0, 1.0), (-1.0, 1.0)):
        if usual[0] <= low and high <= usual[1]:
            return usual
    if low == high:
        raise DataError(f"{name}: every value is {low:g}; there is nothing to learn")
    return (low, high)


def _sha256(frames: Tensor, labels: Mapping[str, Tensor]) -> str:
    pinned = hashlib.sha256(f"{frames.dtype} {tuple(frames.shape)} {sorted(labels)}".encode())
    parts = (frames[i : i + _CHUNK] for i in range(0, len(frames), _CHUNK))
    for part in (*parts, *(labels[name] for name in sorted(labels))):
        pinned.update(part.cpu().contiguous().numpy().tobytes())
    return pinned.hexdigest()
