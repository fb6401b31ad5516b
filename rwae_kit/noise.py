"""The one source of randomness of a model: seeded, checkpointed, apart from torch's global state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Noise:
    """A random generator that all parts of a model share.

    The global random state is neither read nor written, so a notebook's own draws are left alone, and a checkpoint of this object
    continues a run bit for bit.
    """

    def __init__(self, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.drawing = False
        """True: latents are sampled in eval mode too (see `fork`)."""

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """Standard normal draws of the given shape, in `like`'s dtype and on its device."""
        return torch.randn(shape, generator=self._on(like.device), device=like.device, dtype=like.dtype)

    def uniform(self, *shape: int, like: Tensor) -> Tensor:
        """Draws from U(0, 1) of the given shape, in `like`'s dtype and on its device."""
        return torch.rand(shape, generator=self._on(like.device), device=like.device, dtype=like.dtype)

    def permutation(self, n: int, device: torch.device) -> Tensor:
        """A random order of 0..n-1."""
        return torch.randperm(n, generator=self._on(device), device=device)

    @contextmanager
    def fork(self, seed: int) -> Iterator[None]:
        """Draw from a fresh generator for a while, in eval mode too, and leave this one where it was.

        Validation and pictures use it: how often they run changes nothing in the training that follows.
        """
        kept, was = self._generator, self.drawing
        self._generator, self.drawing = torch.Generator(kept.device).manual_seed(seed), True
        try:
            yield
        finally:
            self._generator, self.drawing = kept, was

    def state(self) -> Tensor:
        """The generator's state, as a byte tensor on the CPU."""
        return self._generator.get_state()

    def restore(self, state: Tensor, device: torch.device | str = "cpu") -> None:
        """Continue from a state that `state` gave on the same kind of device."""
        generator = torch.Generator(device)
        generator.set_state(state.cpu().clone())  # a view into a larger tensor crashes torch 2.13
        self._generator = generator

    def _on(self, device: torch.device) -> torch.Generator:
        if self._generator.device.type != device.type:
            self._generator = torch.Generator(device).manual_seed(self._generator.initial_seed())
        return self._generator
