"""Batches of clips in a seeded order, on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from rwae_kit import distributed
from rwae_kit.data import Clips
from rwae_kit.errors import TrainingError
from rwae_kit.latents import Batch
from rwae_kit.training.course import Course

SHARE = 0.5
"""Clips move to the accelerator if they take no more than this share of its free memory."""


class Batches:
    """The endless stream of training batches: every epoch is a permutation of the clips that follows from (seed, epoch).

    With several processes each takes its slice of every batch.
    """

    def __init__(self, clips: Clips, course: Course, seed: int, device: torch.device) -> None:
        self._clips, self._course, self._seed, self._device = resident(clips, device), course, seed, device
        self._slice = own_slice(course.batch_size)
        self._epoch, self._order = -1, torch.empty(0)

    def __getitem__(self, place: int) -> Batch:
        """The batch at a place of the stream, counted from the first epoch's first."""
        epoch, i = divmod(place, self._course.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(len(self._clips), self._seed, epoch).to(self._clips.frames.device)
        size = self._course.batch_size
        return on_device(self._clips.batch(self._order[i * size : (i + 1) * size][self._slice]), self._device)

    def step(self, step: int) -> list[Batch]:
        """The batches of a step."""
        first = step * self._course.batches_per_step
        return [self[first + i] for i in range(self._course.batches_per_step)]


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch. NumPy mixes both numbers whole; torch's CPU generator reads only 32 bits of a seed."""
    return torch.from_numpy(np.random.default_rng((epoch, seed)).permutation(n))


def in_order(clips: Clips, batch_size: int, device: torch.device, limit: int) -> Iterator[Batch]:
    """Whole batches of the first `limit` clips, in order; a single smaller one where there are fewer than `batch_size`."""
    n = min(len(clips), max(limit, batch_size))
    size = min(batch_size, n // distributed.world_size() * distributed.world_size())
    for first in range(0, n - size + 1, size):
        index = torch.arange(first, first + size)[own_slice(size)]
        yield on_device(clips.batch(index), device)


def own_slice(batch_size: int) -> slice:
    """This process's part of a batch.

    Raises:
        TrainingError: the batch does not split evenly.
    """
    n, rank = distributed.world_size(), distributed.rank()
    if batch_size % n or batch_size == 0:
        raise TrainingError(f"training.batch_size is {batch_size}; with {n} processes it must be a multiple of {n}")
    each = batch_size // n
    return slice(rank * each, (rank + 1) * each)


def resident(clips: Clips, device: torch.device) -> Clips:
    """The clips on the device, if they fit well."""
    if device.type == "cpu" or clips.frames.device == device:
        return clips
    if device.type == "cuda" and clips.frames.nbytes > SHARE * torch.cuda.mem_get_info(device)[0]:
        return clips
    return clips.to(device)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with all tensors on the device."""
    if batch.x.device == device:
        return batch
    mask = None if batch.mask is None else batch.mask.to(device)
    factors = None if batch.factors is None else {name: labels.to(device) for name, labels in batch.factors.items()}
    return evolve(batch, x=batch.x.to(device, non_blocking=True), index=batch.index.to(device), mask=mask, factors=factors)
