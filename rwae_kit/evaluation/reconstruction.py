"""How much of the data a model gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import batches

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder


@frozen(kw_only=True)
class ReconstructionScore:
    """Error of reconstructions, over all frames that are not padding.

    `explained` is `1 - SSE / SSE(mean clip)`: 1 for a perfect copy, 0 for the mean clip, negative for worse. `mse` is the mean
    squared error of one value (a pixel's channel) in the data's own range, `sse` the sum of squares of one clip.
    """

    explained: float
    mse: float
    sse: float


def mean_clip(clips: Clips, batch_size: int = 256) -> Tensor:
    """The mean of all clips `[t, *frame]`, float64; of each time's real frames where there is padding."""
    frames = torch.zeros(clips.frames.shape[1:], dtype=torch.float64)
    count = torch.zeros(clips.frames.shape[1], dtype=torch.float64)
    for batch in batches(clips, batch_size):
        x, weight = batch.x.double().cpu(), _weight(batch.x, batch.mask)
        frames += (x * weight).sum(0)
        count += weight.flatten(2)[..., 0].sum(0)
    return frames / count.clamp(min=1).reshape(-1, *[1] * (frames.dim() - 1))


def reconstruction_score(
    model: SequenceAutoencoder, clips: Clips, mean: Tensor, batch_size: int = 256
) -> tuple[ReconstructionScore, ReconstructionScore]:
    """Score the model's reconstructions of `clips`, and the mean clip beside it (the score of a constant code at its best).

    Arguments:
        mean: `mean_clip` of the *training* split, the best that a constant code can give: it knows nothing of the test clips.

    Raises:
        DataError: if the clips are all the mean clip, so that there is nothing to explain.
    """
    error, trivial, values = 0.0, 0.0, 0.0
    for batch in batches(clips, batch_size):
        x, weight = batch.x.double().cpu(), _weight(batch.x, batch.mask)
        error += float(((model.reconstruct(batch.x, batch.mask).double().cpu() - x).square() * weight).sum())
        trivial += float(((mean - x).square() * weight).sum())
        values += float(weight.sum()) * x[0, 0].numel()
    if trivial == 0:
        raise DataError(f"{clips.info.name}: every clip is the mean clip, so there is no variance to explain")
    return tuple(  # type: ignore[return-value]
        ReconstructionScore(explained=1 - sse / trivial, mse=sse / values, sse=sse / len(clips)) for sse in (error, trivial)
    )


def _weight(x: Tensor, mask: Tensor | None) -> Tensor:
    """1 for a real frame, 0 for padding: `[b, t, 1, ...]`, float64."""
    weight = torch.ones(x.shape[:2], dtype=torch.float64) if mask is None else mask.double().cpu()
    return weight.reshape(*x.shape[:2], *[1] * (x.dim() - 2))
