"""Running statistics of batch normalisation, kept as if known features had been computed again."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class RunningStatistics:
    """The running statistics of a net's batch normalisations as they are now, before it reads a batch in train mode.

    `repeat`, called after it has read the batch, moves them once more, as if it had read the same frames again: the batch's
    statistics do not depend on the order of frames. Only batch normalisation is seen to; a power iteration of spectral
    normalisation is not repeated.
    """

    def __init__(self, net: nn.Module) -> None:
        self._before: list[tuple[_BatchNorm, tuple[Tensor, Tensor]]] = []
        for layer in net.modules():
            if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None:
                assert layer.running_var is not None
                self._before.append((layer, (layer.running_mean.clone(), layer.running_var.clone())))

    @torch.no_grad()
    def repeat(self) -> None:
        """Move all statistics as the same batch would move them."""
        for layer, before in self._before:
            share = _next_share(layer)
            for now, then in zip((layer.running_mean, layer.running_var), before, strict=True):
                assert now is not None
                moved = now - then
                then.copy_(now)  # a further repetition goes on from here
                now.data.add_(share * moved)  # .data: the backward pass, still to come, does not read what it is told has changed
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.add_(1)


def _next_share(layer: _BatchNorm) -> float | Tensor:
    """How far the second of two equal batches moves, as a share of the first one's way.

    With momentum m, r_1 - r_0 = m (b - r_0) and r_2 - r_1 = m (b - r_1) = (1 - m) (r_1 - r_0). A cumulative mean has m = 1/k for
    its k-th batch, so that the share is (1 - 1/k) k / (k + 1).
    """
    if layer.momentum is not None:
        return 1 - layer.momentum
    assert layer.num_batches_tracked is not None
    k = layer.num_batches_tracked
    return (k - 1) / (k + 1)
