"""The ways to compute an MMD^2, and which of them is taken."""

from __future__ import annotations

from collections.abc import Collection

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.kernels.mmd import torch_ops
from rwae_kit.kernels.mmd.problem import Engine

NAMES = ("reference", "torch")


def choose_path(device: str, dtype: str, d: int, *, available: Collection[str]) -> str:
    """The fastest of the `available` paths for draws of size d, of a dtype ("float32", "float64"), on a type of device.

    Pure: it looks at nothing but its arguments.

    Example:
        >>> choose_path("cpu", "float64", 12, available=("reference", "torch"))
        'torch'
    """
    return "reference" if device == "mps" else "torch"


def available_paths() -> tuple[str, ...]:
    """The paths that can run in this process."""
    return NAMES


def engine(path: str) -> Engine:
    """What computes value and gradient together on a path."""
    return {"torch": torch_ops.compute}[path]


def check_path(path: str, device: str, dtype: str) -> None:
    """Refuse a path that cannot run.

    Raises:
        RwaeError: an unknown path, or one that is named and cannot run here.
    """
    if path not in NAMES:
        raise RwaeError(f"mmd2: unknown path {path!r}. {did_you_mean(path, ['auto', *NAMES])}")
