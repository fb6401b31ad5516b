"""The ways to compute an MMD^2, and which of them is taken."""

from __future__ import annotations

from collections.abc import Collection

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.kernels.mmd import cpp, torch_ops, triton_path
from rwae_kit.kernels.mmd.problem import Engine

NAMES = ("reference", "torch", "triton", "cpp")
PRECISIONS = ("highest", "high", "medium")
_ENGINES: dict[str, Engine] = {"torch": torch_ops.compute, "triton": triton_path.compute, "cpp": cpp.compute}


def choose_path(device: str, dtype: str, *, available: Collection[str], precision: str = "high") -> str:
    """The fastest of the `available` paths for a type of device, a dtype ("float32", "float64") and the least precision allowed.

    Pure: it looks at nothing but its arguments.

    Example:
        >>> choose_path("cpu", "float32", available=("reference", "torch", "cpp"))
        'cpp'
        >>> choose_path("cpu", "float64", available=("reference", "torch", "cpp"))
        'torch'
        >>> choose_path("cuda", "float32", available=("reference", "torch", "triton"))
        'triton'
    """
    if device == "cuda" and dtype != "float64" and precision != "highest" and "triton" in available:
        return "triton"
    if device == "cpu" and dtype != "float64" and "cpp" in available:
        return "cpp"
    return "reference" if device == "mps" else "torch"


def available_paths() -> tuple[str, ...]:
    """The paths that can run in this process."""
    there = {"triton": triton_path.is_there(), "cpp": cpp.is_built()}
    return tuple(name for name in NAMES if there.get(name, True))


def engine(path: str) -> Engine:
    """What computes value and gradient together on a path."""
    return _ENGINES[path]


def check_precision(precision: str) -> None:
    """Refuse a word that is none.

    Raises:
        RwaeError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise RwaeError(f"mmd2: unknown precision {precision!r}. {did_you_mean(precision, PRECISIONS)}")


def check_path(path: str, device: str, dtype: str, precision: str = "high") -> None:
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
    if path == "triton":
        _check_triton(device, dtype, precision)
    if path == "torch" and device == "mps":
        raise RwaeError("mmd2: path 'torch' on mps. It sums in float64, which mps lacks; path 'reference' does not")


def _check_triton(device: str, dtype: str, precision: str) -> None:
    if not triton_path.is_installed():
        raise RwaeError("mmd2: path 'triton' without triton. Install it: pip install 'rwae-kit[gpu]'")
    if dtype == "float64" or (device != "cuda" and not (device == "cpu" and triton_path.interpreted())):
        raise RwaeError(f"mmd2: path 'triton' with {dtype} on {device}. It computes float32 on cuda; path 'torch' takes these")
    if precision == "highest":
        raise RwaeError("mmd2: path 'triton' with precision 'highest'. It has 'high' and 'medium'; path 'torch' has 'highest'")
    if not triton_path.is_there():
        raise RwaeError("mmd2: path 'triton' on this card. It needs compute capability 8.0 or more; path 'torch' runs")
