"""The ways to compute an MMD^2, and which of them is taken."""

from __future__ import annotations

from collections.abc import Collection

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.kernels.mmd import cpp, torch_ops
from rwae_kit.kernels.mmd.problem import Engine

NAMES = ("reference", "torch", "cpp")
_ENGINES: dict[str, Engine] = {"torch": torch_ops.compute, "cpp": cpp.compute}


def choose_path(device: str, dtype: str, *, available: Collection[str]) -> str:
    """The fastest of the `available` paths for a type of device and a dtype ("float32", "float64").

    Pure: it looks at nothing but its arguments.

    Example:
        >>> choose_path("cpu", "float32", available=("reference", "torch", "cpp"))
        'cpp'
        >>> choose_path("cpu", "float64", available=("reference", "torch", "cpp"))
        'torch'
    """
    if device == "cpu" and dtype != "float64" and "cpp" in available:
        return "cpp"
    return "reference" if device == "mps" else "torch"


def available_paths() -> tuple[str, ...]:
    """The paths that can run in this process."""
    return NAMES if cpp.is_built() else NAMES[:-1]


def engine(path: str) -> Engine:
    """What computes value and gradient together on a path."""
    return _ENGINES[path]


def check_path(path: str, device: str, dtype: str) -> None:
    """Refuse a path that cannot run.

    Raises:
        RwaeError: an unknown path, or one that is named and cannot run here.
    """
    if path not in NAMES:
        raise RwaeError(f"mmd2: unknown path {path!r}. {did_you_mean(path, ['auto', *NAMES])}")
    if path == "cpp" and (device != "cpu" or dtype == "float64"):
        raise RwaeError(f"mmd2: path 'cpp' with {dtype} on {device}. It computes float32 on the CPU; path 'torch' takes these")
    if path == "cpp" and not cpp.is_built():
        raise RwaeError("mmd2: path 'cpp' is not built here. Build it once: rwk doctor --build")
    if path == "torch" and device == "mps":
        raise RwaeError("mmd2: path 'torch' on mps. It sums in float64, which mps lacks; path 'reference' does not")
