"""The C++ path: built once by `build` (`rwk doctor --build`), never unasked, and found again in the user's cache folder.

The library is plain C++ and takes pointers, so it holds for any version of torch and is built in seconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd.chains import chains
from rwae_kit.kernels.mmd.mixtures import GaussianMixture, Mixture
from rwae_kit.kernels.mmd.problem import Problem, Result

SOURCE = Path(__file__).parent / "csrc" / "mmd.cpp"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fno-math-errno", "-shared", "-fPIC", "-pthread")


class _Link(ctypes.Structure):
    _fields_ = (("rate", ctypes.c_float), ("squarings", ctypes.c_int32), ("value", ctypes.c_float), ("slope", ctypes.c_float))


class _Task(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y", "weight_x", "weight_y", "unit", "value", "gradient_x", "gradient_y")),
        *((name, ctypes.c_int64) for name in ("g", "n", "m", "d")),
        ("links", ctypes.POINTER(_Link)),
        *((name, ctypes.c_int32) for name in ("count", "gaussian", "unbiased", "paired", "threads")),
        ("length", ctypes.c_float),
        ("at_zero", ctypes.c_double),
    )


def library_file() -> Path:
    """Where the library lies, or would: a name for each source, set of flags and processor."""
    processor = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.is_file():
        lines = about.read_text(encoding="utf-8").splitlines()
        processor += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode() + processor.encode()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "rwae_kit" / f"mmd-{key}.so"


def build() -> Path:
    """Compile the library into the cache folder, if it is not there, and return its place.

    Raises:
        RwaeError: no compiler, or one that refuses.
    """
    target = library_file()
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            _compile(made)
            made.replace(target)
    _library.cache_clear()
    return target


def _compile(made: Path) -> None:
    from torch.utils.cpp_extension import get_cxx_compiler

    compiler = str(get_cxx_compiler())  # type: ignore[no-untyped-call]
    try:
        done = subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(made)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RwaeError(
            f"no C++ compiler: {compiler!r} does not start ({error.strerror}). Install g++ or clang++, or set CXX"
        ) from error
    if done.returncode:
        raise RwaeError(f"{compiler} does not build {SOURCE.name}: {done.stderr.strip()[-800:]}")


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def is_built() -> bool:
    """Whether the library has been built for this processor."""
    return _library() is not None


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    place = library_file()
    return ctypes.CDLL(str(place)) if place.is_file() else None


def compute(x: Tensor, y: Tensor, problem: Problem) -> Result:
    """MMD^2 of checked float32 draws `[g, n, d]`, `[g, m, d]` on a CPU, and the gradients that the problem wants."""
    library = _library()
    assert library is not None
    kernel, links = problem.kernel, _links(problem.kernel)
    x, y = x.detach().contiguous(), y.detach().contiguous()
    weight_x, weight_y, unit = (
        None if given is None else given.to(x).contiguous() for given in (problem.weight_x, problem.weight_y, problem.unit)
    )
    value = x.new_empty(len(x))
    gradient_x = torch.empty_like(x) if problem.want_x else None
    gradient_y = torch.empty_like(y) if problem.want_y else None
    task = _Task(
        x.data_ptr(),
        y.data_ptr(),
        *(None if tensor is None else tensor.data_ptr() for tensor in (weight_x, weight_y, unit)),
        value.data_ptr(),
        *(None if tensor is None else tensor.data_ptr() for tensor in (gradient_x, gradient_y)),
        *x.shape[:2],
        y.shape[1],
        x.shape[2],
        links,
        len(links),
        isinstance(kernel, GaussianMixture),
        problem.unbiased,
        problem.paired,
        torch.get_num_threads(),
        chains(kernel)[0] if isinstance(kernel, GaussianMixture) else 1.0,
        sum(kernel.coefficients),
    )
    library.rwae_mmd(ctypes.byref(task))
    return value, gradient_x, gradient_y


@lru_cache(maxsize=64)
def _links(kernel: Mixture) -> ctypes.Array[_Link]:
    if isinstance(kernel, GaussianMixture):
        found = [
            _Link(chain.rate if place == 0 else 0, link.squarings, link.weight, link.weight * link.rate)
            for chain in chains(kernel)[1]
            for place, link in enumerate(chain.links)
        ]
    else:
        pairs = zip(kernel.scales, kernel.coefficients, strict=True)
        found = [_Link(scale**2, 0, weight * scale**2, 2 * weight * scale**2) for scale, weight in pairs]
    return (_Link * len(found))(*found)
