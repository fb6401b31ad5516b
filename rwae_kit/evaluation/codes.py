"""Codes of whole splits: what probes and metrics read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.latents import Batch, SequencePosterior

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

Array = NDArray[Any]


@frozen(kw_only=True, eq=False)
class Codes:
    """The posterior means of some clips.

    Shape:
        static: `[n, d_s]`, float32.
        dynamic: `[n, t, d_d]`, float32.
        factors: per factor `[n]`, integer classes.
        mask: `[n, t]`, 0 where a frame is padding; None if every frame is real.
        recordings: `[n]`, which recording each clip was cut from; None where that is not known.
    """

    static: Array
    dynamic: Array
    factors: Mapping[str, Array] = field(factory=dict)
    mask: Array | None = None
    recordings: Array | None = None

    def __len__(self) -> int:
        return len(self.static)

    def dynamic_mean(self) -> Array:
        """The dynamic code averaged over the frames that are not padding: `[n, d_d]`."""
        if self.mask is None:
            return np.asarray(self.dynamic.mean(axis=1))
        weight = self.mask[..., None].astype(self.dynamic.dtype)
        return np.asarray((self.dynamic * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1))

    def trajectory(self) -> Array:
        """The dynamic codes of all frames side by side, 0 where a frame is padding: `[n, t * d_d]`."""
        dynamic = self.dynamic if self.mask is None else self.dynamic * (self.mask[..., None] > 0)
        return np.asarray(dynamic.reshape(len(self), -1))


def batches(clips: Clips, batch_size: int) -> Iterator[Batch]:
    """All clips in order, none left out."""
    for index in places(len(clips), batch_size):
        yield clips.batch(index)


def places(n: int, batch_size: int) -> Iterator[Tensor]:
    """0..n-1 in pieces of `batch_size`; the last one may be smaller."""
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}, but has to be at least 1")
    for start in range(0, n, batch_size):
        yield torch.arange(start, min(start + batch_size, n))


def encode_clips(model: SequenceAutoencoder, clips: Clips, batch_size: int = 256) -> Codes:
    """Encode all clips to their posterior means.

    Means are taken all along the chain: where the dynamic posterior feeds z back, z_t's mean is given the means of z_<t.
    """
    posteriors = [model.encode(batch.x, batch.mask) for batch in batches(clips, batch_size)]
    return Codes(
        static=np.concatenate([code_of(p, "static") for p in posteriors]),
        dynamic=np.concatenate([code_of(p, "dynamic") for p in posteriors]),
        factors={name: labels.cpu().numpy() for name, labels in clips.factors.items()},
        mask=None if clips.mask is None else clips.mask.cpu().numpy(),
        recordings=None if clips.recordings is None else clips.recordings.cpu().numpy(),
    )


def some(clips: Clips, most: int, seed: int) -> Clips:
    """At most `most` of the clips, drawn without replacement; all of them, in order, where there are no more."""
    if len(clips) <= most:
        return clips
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
    return clips.subset(order[:most].sort().values.to(clips.frames.device))


def code_of(posterior: SequencePosterior, name: Literal["static", "dynamic"]) -> Array:
    """The means of a latent where it has means, else its draws, as float32."""
    latent = posterior.static if name == "static" else posterior.dynamic
    value: Tensor = latent.sample if latent.mean is None else latent.mean
    result: Array = value.detach().float().cpu().numpy()
    return result
