from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rwae_kit import Batch, Registry, Spec
from rwae_kit.convert import structure


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.installed()


@pytest.fixture
def make(registry: Registry) -> Callable[..., Any]:
    """Build a registered component: `make(kind, name, spec, *further, **options)`."""

    def build(kind: str, name: str, spec: Spec, *further: Any, **options: Any) -> Any:
        cls = registry.get(kind, name)
        return cls(structure(options, cls.Config, f"{kind}.{name}"), spec, *further)

    torch.manual_seed(0)
    return build


@pytest.fixture
def vectors() -> Spec:
    """Small frames that are vectors: fast, and exact in float64."""
    return Spec(frame=(5,), value_range=(0.0, 1.0), static=3, dynamic=2)


@pytest.fixture
def encoder(make: Callable[..., Any], vectors: Spec) -> Callable[..., Any]:
    """A small sequence encoder over vectors in float64: `encoder(name, **options)`."""

    def build(name: str, **options: Any) -> Any:
        frames = make("frame_encoder", "mlp", vectors, hidden=[6], features=7)
        return make("encoder", name, vectors, frames, hidden=8, static_hidden=6, **options).double()

    return build


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Random clips: `batch(b, t, frame=(5,), mask=None)`."""

    def build(b: int = 3, t: int = 4, frame: tuple[int, ...] = (5,), mask: torch.Tensor | None = None) -> Batch:
        x = torch.rand(b, t, *frame, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        return Batch(x=x, index=torch.arange(b), mask=mask, dataset_size=b)

    return build
