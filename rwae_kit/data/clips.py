"""Clips in memory, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from attrs import asdict, evolve, field, frozen
from torch import Tensor

from rwae_kit.errors import DataError
from rwae_kit.latents import Batch


@frozen(kw_only=True)
class Factor:
    """A labelled factor of variation: its classes by name, and whether it stays over a clip or moves."""

    classes: tuple[str, ...]
    kind: Literal["static", "dynamic"]


@frozen(kw_only=True)
class DataInfo:
    """What a model has to know of a data set; it travels in the checkpoint."""

    name: str
    frame: tuple[int, ...]
    """`(channels, height, width)`, or `(features,)`."""
    length: int
    """Frames in a clip, T."""
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """Of each feature where values were normalised: what they were before is `value * std + mean`. Empty where they were not."""
    factors: Mapping[str, Factor] = field(factory=dict)
    fps: float = 8.0
    hash: str = ""
    """sha256 that pins the content: of the stored arrays, or of the generator's name, version and options."""
    licence: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, by way of JSON."""
        factors = {name: Factor(classes=tuple(e["classes"]), kind=e["kind"]) for name, e in values["factors"].items()}
        tuples = {key: tuple(values.get(key, ())) for key in ("frame", "value_range", "mean", "std")}
        return cls(**{**values, **tuples, "factors": factors})


@frozen(kw_only=True, eq=False)
class Clips:
    """The clips of one split.

    Shape:
        frames: `[n, t, *frame]`, uint8 or float. A pixel's value is `frames * scale`.
        factors: per factor `[n]`, integer classes.
        mask: `[n, t]` or None.
        recordings: `[n]`, which recording (an utterance, say) each clip was cut from; None where that is not known.
    """

    info: DataInfo
    frames: Tensor
    scale: float = 1.0
    factors: Mapping[str, Tensor] = field(factory=dict)
    mask: Tensor | None = None
    recordings: Tensor | None = None

    def __attrs_post_init__(self) -> None:
        expected = (self.info.length, *self.info.frame)
        if tuple(self.frames.shape[1:]) != expected:
            raise DataError(f"{self.info.name}: clips are {tuple(self.frames.shape[1:])}, but {expected} was declared")
        if len(self.frames) == 0:
            raise DataError(f"{self.info.name}: the split is empty")
        for name, labels in self.factors.items():
            classes = len(self.info.factors[name].classes) if name in self.info.factors else 0
            if labels.shape != (len(self),) or (classes and not 0 <= int(labels.min()) <= int(labels.max()) < classes):
                raise DataError(f"{self.info.name}: factor {name!r} needs {len(self)} labels in 0..{classes - 1}")
        if self.recordings is not None and self.recordings.shape != (len(self),):
            raise DataError(f"{self.info.name}: recordings need {len(self)} numbers, but are {tuple(self.recordings.shape)}")

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device | str) -> Self:
        """The same clips with all tensors on another device."""
        mask = None if self.mask is None else self.mask.to(device)
        factors = {name: labels.to(device) for name, labels in self.factors.items()}
        recordings = None if self.recordings is None else self.recordings.to(device)
        return evolve(self, frames=self.frames.to(device), factors=factors, mask=mask, recordings=recordings)

    def subset(self, index: Tensor) -> Self:
        """The clips at the places `index`."""
        mask = None if self.mask is None else self.mask[index]
        recordings = None if self.recordings is None else self.recordings[index]
        factors = {name: labels[index] for name, labels in self.factors.items()}
        return evolve(self, frames=self.frames[index], factors=factors, mask=mask, recordings=recordings)

    def batch(self, index: Tensor) -> Batch:
        """The clips at the places `index` `[b]`, as float frames on the device where the clips lie."""
        index = index.to(self.frames.device)
        frames = self.frames[index]
        return Batch(
            x=frames.to(torch.get_default_dtype()).mul_(self.scale)
            if self.scale != 1.0 or not frames.is_floating_point()
            else frames,
            index=index,
            mask=None if self.mask is None else self.mask[index],
            factors={name: labels[index] for name, labels in self.factors.items()} or None,
            dataset_size=len(self),
        )
