"""How fast the paths are, as ratios to what one would write by hand; what `rwk bench mmd` and benchmarks/mmd.py run.

A ratio is the median over interleaved pairs of runs: what disturbs the machine disturbs both of a pair. On a CPU one thread runs
and its processor time counts, so that other processes cost little; on a GPU events are read.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.kernels.mmd.mixtures import GaussianMixture
from rwae_kit.kernels.mmd.op import mmd2
from rwae_kit.kernels.mmd.reference import evaluate

KERNEL = GaussianMixture((1, 2, 4, 8, 16), (0.2,) * 5)
CHUNK = 1024
MEGABYTE = 2**20
Loss = Callable[[Tensor, Tensor], Tensor]


def _gemm(a: Tensor, b: Tensor) -> Tensor:
    return a.square().sum(-1, keepdim=True) + b.square().sum(-1, keepdim=True).mT - 2 * a @ b.mT


def _broadcast(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)


def _cdist(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b).square()


def _by(distances: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """The U-statistic as one would write it, from a way to get all squared distances."""

    def loss(x: Tensor, y: Tensor) -> Tensor:
        n, m = x.shape[-2], y.shape[-2]
        own = [evaluate(KERNEL, distances(z, z)) for z in (x, y)]
        same = [(k.sum((-2, -1)) - k.diagonal(dim1=-2, dim2=-1).sum(-1)) / (k.shape[-1] * (k.shape[-1] - 1)) for k in own]
        return same[0] + same[1] - 2 * evaluate(KERNEL, distances(x, y)).sum((-2, -1)) / (n * m)

    return loss


def _chunked(x: Tensor, y: Tensor) -> Tensor:
    """The same a few rows at a time, each chunk's gradient taken at once: what one writes when memory runs out."""
    n, m = x.shape[-2], y.shape[-2]
    leaves = [z.detach().requires_grad_() for z in (x, y)]
    total = x.new_zeros(x.shape[:-2])
    own = sum(KERNEL.coefficients)
    for a, b, factor in ((0, 0, 1 / (n * (n - 1))), (1, 1, 1 / (m * (m - 1))), (0, 1, -2 / (n * m))):
        for rows in torch.split(leaves[a], CHUNK, -2):
            part = evaluate(KERNEL, _gemm(rows, leaves[b])).sum((-2, -1)) * factor
            part.sum().backward()  # type: ignore[no-untyped-call]
            total += part.detach()
    total -= own * (1 / (n - 1) + 1 / (m - 1))
    gradients = [leaf.grad for leaf in leaves]
    # carries the finished gradients to whoever asks for them
    return total + sum(((z - z.detach()) * g).sum((-2, -1)) for z, g in zip((x, y), gradients, strict=True) if g is not None)


def _keops(x: Tensor, y: Tensor) -> Tensor:
    """The same by KeOps' lazy tensors, which keep no matrix."""
    try:
        from pykeops.torch import LazyTensor
    except ImportError as error:
        raise RwaeError("baseline 'keops' needs KeOps: pip install pykeops") from error

    def total(a: Tensor, b: Tensor) -> Tensor:
        squared = ((LazyTensor(a.unsqueeze(-2)) - LazyTensor(b.unsqueeze(-3))) ** 2).sum(-1)
        kernels = [(squared * (-0.5 / s**2)).exp() * w for s, w in zip(KERNEL.bandwidths, KERNEL.coefficients, strict=True)]
        sums: Tensor = sum(kernels[1:], kernels[0]).sum(a.ndim - 1)
        return sums.sum((-2, -1))

    n, m = x.shape[-2], y.shape[-2]
    own = sum(KERNEL.coefficients)
    return (total(x, x) / n - own) / (n - 1) + (total(y, y) / m - own) / (m - 1) - 2 * total(x, y) / (n * m)


@lru_cache(maxsize=1)
def _compiled() -> Loss:
    compiled: Loss = torch.compile(_by(_gemm))
    return compiled


def baselines() -> Mapping[str, Loss]:
    """What one would write by hand, by name."""
    return {
        "gemm": _by(_gemm),
        "broadcast": _by(_broadcast),
        "cdist": _by(_cdist),
        "compile": lambda x, y: _compiled()(x, y),
        "chunked": _chunked,
        "keops": _keops,
    }


@frozen
class Row:
    """One comparison: the ratio of times (above 1: the path is faster), and peak memory beyond the draws in MB (None: unknown).

    `products` is the share of the path's time that torch would take for the matrix products alone, each pair (x, x') once and its
    pull on both its ends: above 1, the path's own products are faster than torch's.
    """

    shape: str
    path: str
    against: str
    ratio: float
    products: float
    memory: float | None
    memory_against: float | None


def parse(shape: str) -> tuple[int, int, int]:
    """ "8x60x12" to problems, draws of each side, size of a draw.

    Raises:
        RwaeError: anything else.
    """
    parts = shape.split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts) or int(parts[1]) < 2:
        raise RwaeError(f"shape {shape!r}. Give problems x draws x size, as in 8x60x12, with two draws or more")
    g, n, d = map(int, parts)
    return g, n, d


def compare(shape: str, path: str, against: str, *, pairs: int = 7, device: str = "cpu", seed: int = 0) -> Row:
    """Value and both gradients of one path against one baseline.

    Raises:
        RwaeError: a shape or baseline that is none, a path that cannot run.
    """
    known = baselines()
    if against not in known:
        raise RwaeError(f"baseline {against!r}. {did_you_mean(against, known)}")
    g, n, d = parse(shape)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(g, n, d, generator=generator).to(device).requires_grad_() for _ in range(2))
    ours, theirs = _step(lambda a, b: mmd2(a, b, KERNEL, path=path), x, y), _step(known[against], x, y)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        memory = [_extra_memory(step, device) for step in (ours, theirs)]
        once = min(_seconds(ours, 1, device), _seconds(ours, 1, device))
        repeats = max(1, min(200, int(0.01 / max(once, 1e-6))))
        products = _products(g, n, d, device)
        found = [
            (_seconds(products, repeats, device), _seconds(theirs, max(1, repeats // 4), device), _seconds(ours, repeats, device))
            for _ in range(pairs)
        ]
    finally:
        torch.set_num_threads(threads)
    share, ratio = (statistics.median(turn[place] / turn[2] for turn in found) for place in (0, 1))
    return Row(shape, path, against, ratio, share, *memory)


def _products(g: int, n: int, d: int, device: str) -> Callable[[], object]:
    """The matrix products of value and gradients for n = m: 2 n^2 distances and 4 n^2 pulls, a block at a time."""
    edge = min(n, 512)
    blocks, rest = divmod(2 * n * n, edge * edge)
    z, square = torch.randn(g, d, edge, device=device), torch.rand(g, edge, edge, device=device)
    pull = torch.zeros_like(z)
    turns = blocks + (rest > 0)

    def run() -> None:
        for _ in range(turns):
            torch.bmm(z.mT, z, out=square)
            pull.baddbmm_(z, square)
            pull.baddbmm_(z, square.mT)

    return run


def _step(loss: Loss, x: Tensor, y: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(loss(x, y).sum(), (x, y))


def _seconds(step: Callable[[], object], repeats: int, device: str) -> float:
    """Of one step: processor time of this process on a CPU, time between events on a GPU."""
    if device == "cuda":
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        for _ in range(repeats):
            step()
        stop.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(stop)) / 1000 / repeats
    start_time = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start_time) / repeats


def _extra_memory(step: Callable[[], object], device: str) -> float | None:
    """Peak memory of one step beyond what was held before, in MB, its gradients among it; after a step to warm up."""
    step()
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return None
    _libc().malloc_trim(0)
    reset.write_text("5", encoding="ascii")  # the peak starts anew
    before = _field(status, "VmRSS")
    step()
    return (_field(status, "VmHWM") - before) / 1024


def _field(status: Path, name: str) -> int:
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def keep_pages() -> None:
    """Let glibc keep freed memory from now on, as a long training would have it: the baselines then pay no page faults."""
    most, mmap_threshold, trim_threshold = 2**30, -3, -1
    _libc().mallopt(mmap_threshold, most)
    _libc().mallopt(trim_threshold, most)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("c"))
