"""Memory for what is made and used up within one call, kept for the next: fresh pages cost as much as what is done in them."""

from __future__ import annotations

import threading

import torch
from torch import Tensor


class _Kept(threading.local):
    def __init__(self) -> None:
        self.rooms: dict[torch.dtype, Tensor] = {}


_KEPT = _Kept()


def workspace(like: Tensor, size: int, count: int) -> tuple[Tensor, ...]:
    """`count` flat tensors of `size` elements, of the tensor's dtype and device, holding anything.

    They are valid until this thread's next call. A CPU's are kept, one set for each thread and dtype; other devices have an
    allocator that keeps them.
    """
    if like.device.type != "cpu":
        return tuple(like.new_empty(size) for _ in range(count))
    kept = _KEPT.rooms
    room = kept.get(like.dtype)
    if room is None or room.numel() < size * count:
        with torch.inference_mode(False):
            room = kept[like.dtype] = torch.empty(size * count, dtype=like.dtype)
    return torch.split(room[: size * count], size)
