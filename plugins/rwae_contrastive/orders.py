"""Views that keep the static latent: the frames of a clip in another order. Padding stays behind."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit import Batch, OrderView, Spec


class Shuffle(OrderView):
    """The real frames of every clip in a random order of its own.

    Shape: `Batch` -> `[b, t]`.

    Source: C-DSVAE Sec. 2.3.
    """

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)

    def forward(self, batch: Batch) -> Tensor:
        return _order(self.noise.uniform(*batch.x.shape[:2], like=batch.x.new_zeros((), dtype=torch.float32)), batch)


class Reverse(OrderView):
    """The real frames of every clip from last to first.

    Shape: `Batch` -> `[b, t]`.

    Source: C-DSVAE Sec. 2.3.
    """

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)

    def forward(self, batch: Batch) -> Tensor:
        b, t = batch.x.shape[:2]
        return _order(-torch.arange(t, device=batch.x.device).expand(b, t), batch)


def _order(key: Tensor, batch: Batch) -> Tensor:
    """The times of each clip by rising key `[b, t]` (at most 1); padding keeps its order, behind."""
    if batch.mask is None:
        return key.argsort(1)
    behind = torch.arange(2, 2 + key.shape[1], device=key.device).to(key)
    return torch.where(batch.mask > 0, key, behind).argsort(1)
