"""Several processes as one: ranks, a gather that carries gradients, averaged gradients. Everything is a no-op with one process.

The rule that makes N processes equal one: every rank gathers the latents of the global batch, computes the same penalties from
them, and gradients of parameters are *averaged* over ranks. The backward pass of `gather` therefore sums over ranks before it takes
its own slice; a gather that only slices would need summed gradients, and averages them to 1/N of the truth without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number, 0 with one process."""
    return dist.get_rank() if _active() else 0


def local_rank() -> int:
    """This process's number on its machine: which of the machine's devices is its own."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _active() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _active() else 1


def is_main() -> bool:
    """Whether this process writes files and reports."""
    return rank() == 0


def start(device_type: str = "cpu") -> None:
    """Join the process group that torchrun's environment describes: nccl for CUDA, else gloo. Without one, nothing happens."""
    if _active() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return
    if device_type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")


def stop() -> None:
    """Leave the process group."""
    if _active():
        dist.destroy_process_group()


def gather(tensor: Tensor) -> Tensor:
    """The tensors of all ranks, in their order, along dimension 0; with gradient. Shape: `[b, ...] -> [N b, ...]`."""
    if world_size() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


def mean(tensor: Tensor) -> Tensor:
    """The mean over ranks, without gradient."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / world_size()


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over ranks, in one message. All ranks must hold gradients of the same parameters."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, piece in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view(gradient.shape))


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors with rank 0's, so that all ranks begin alike."""
    if world_size() == 1:
        return
    for tensor in tensors:
        received = tensor.detach().contiguous()
        dist.broadcast(received, src=0)
        tensor.detach().copy_(received)


def any_rank(flag: bool) -> bool:
    """Whether the flag is up on any rank: all ranks learn it at the same time."""
    if world_size() == 1:
        return flag
    raised = torch.tensor([int(flag)], device=collective_device())
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return bool(raised.item())


def agreed(number: int) -> int:
    """Rank 0's number: a decision that all ranks must take alike."""
    if world_size() == 1:
        return number
    chosen = torch.tensor([number], device=collective_device())
    dist.broadcast(chosen, src=0)
    return int(chosen.item())


def collective_device() -> torch.device:
    """Where a tensor must lie to be sent: nccl reads only the GPU's memory."""
    return torch.device("cuda", torch.cuda.current_device()) if _active() and dist.get_backend() == "nccl" else torch.device("cpu")


def _active() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]
