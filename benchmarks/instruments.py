"""What the benchmark of training steps measures with: clocks, the time of each part, peak memory, the name of the machine."""

from __future__ import annotations

import ctypes
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rwae_kit.interfaces import AdversarialDivergence
from rwae_kit.training.optimizers import Group

if TYPE_CHECKING:
    from training_step import Ours, Subject

PARTS = ("encode", "prior", "decode", "penalties and terms", "backward", "optimiser")
Clock = Callable[[], float]


def make_clock(device: torch.device, *, processor: bool = False) -> Clock:
    """Seconds on the wall, or of processor time: on a busy machine the fairer of the two, with one thread."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if processor else time.perf_counter()

    return clock


@contextmanager
def watched(ours: Ours, clock: Clock) -> Iterator[dict[str, float]]:
    """Seconds of each of `PARTS`, without what is called from it, while open."""
    spent: dict[str, float] = defaultdict(float)
    open_parts: list[str] = []
    replaced: list[tuple[Any, str, Any]] = []
    last = clock()

    def turn(part: str | None) -> None:
        nonlocal last
        now = clock()
        spent[open_parts[-1] if open_parts else "rest"] += now - last
        last = now
        if part is None:
            open_parts.pop()
        else:
            open_parts.append(part)

    def watch(owner: Any, name: str, part: str) -> None:
        original = getattr(owner, name)

        def timed(*given: Any, **more: Any) -> Any:
            turn(part)
            try:
                return original(*given, **more)
            finally:
                turn(None)

        replaced.append((owner, name, owner.__dict__.get(name)))
        setattr(owner, name, timed)

    model, objective = ours.model, ours.objective
    places: list[tuple[Any, str, str]] = [
        (model.encoder, "features", "encode"),
        (model.encoder, "posterior", "encode"),
        (model.prior, "forward", "prior"),
        (model.prior, "sample", "prior"),
        (model.static_prior, "forward", "prior"),
        (model.decoder, "forward", "decode"),
        (model.reconstruction, "forward", "decode"),
        *((part, "forward", "penalties and terms") for part in (*objective._divergences.values(), *objective._losses.values())),
        *((part, "forward", "penalties and terms") for part in objective._views.values()),
        *(
            (p, "critic_loss", "penalties and terms")
            for p in objective._divergences.values()
            if isinstance(p, AdversarialDivergence)
        ),
        (torch.Tensor, "backward", "backward"),
        (Group, "step", "optimiser"),
    ]
    for place in places:
        watch(*place)
    try:
        yield spent
        spent["rest"] += clock() - last
    finally:
        for owner, name, original in reversed(replaced):
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def shares(ours: Ours, clock: Clock, steps: int = 1) -> dict[str, float]:
    """The share of the time of steps that each part takes, after others; the rest is batches, gathering, sums."""
    with watched(ours, clock) as spent:
        for _ in range(steps):
            ours.step()
    return {part: spent[part] / sum(spent.values()) for part in (*PARTS, "rest")}


def peak_memory(subject: Subject, device: torch.device) -> float:
    """How much memory a step takes at most over what is taken before it, in MB; nan where the system does not say."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        subject.step()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return float("nan")

    def kilobytes(name: str) -> int:
        return int(status.read_text().split(f"{name}:")[1].split()[0])

    ctypes.CDLL(None).malloc_trim(0)  # memory that is kept for later would hide what a step takes
    clear.write_text("5")  # the high-water mark is what is taken now
    before = kilobytes("VmRSS")
    subject.step()
    return (kilobytes("VmHWM") - before) / 1e3


def machine(device: torch.device) -> str:
    """The processor and the number of threads, or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    kinds = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{names[0] if names else 'CPU'} ({' '.join(kinds)}), {torch.get_num_threads()} threads"
