"""One of two processes: MMD^2 of gathered halves, on every path, and the averaged gradient of a shared parameter."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from rwae_kit import distributed
from rwae_kit.kernels.mmd import GaussianMixture, mmd2


def penalty(own: slice, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The penalty and the parameter's gradient, from the part of the batch that is this process's own."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(24, 3, 5, generator=generator) for _ in range(2))
    parameter = torch.full((5,), 0.7, requires_grad=True)
    gathered = [distributed.gather(part) for part in (x[own] * parameter, y[own] + parameter)]
    value = mmd2(*(g.transpose(0, 1) for g in gathered), GaussianMixture((1, 2, 4)), paired=True, path=path)
    value.sum().backward()
    distributed.average_gradients([parameter])
    assert parameter.grad is not None
    return value.detach(), parameter.grad


if __name__ == "__main__":
    distributed.start()
    mine = slice(12 * distributed.rank(), 12 * (distributed.rank() + 1))
    value, gradient = penalty(mine, "torch")
    save_file({"value": value, "gradient": gradient}, Path(sys.argv[1]) / f"rank-{distributed.rank()}.safetensors")
    distributed.stop()
