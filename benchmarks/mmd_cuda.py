"""On a CUDA card: is every case right, what can the card do, and which goals are reached? Without one: what would be run.

    python benchmarks/mmd_cuda.py [--quick]

First every case of every path against float64 on the card; a wrong one ends the script, so that no figure comes from a red test.
Then the card's ceilings (matrix products, copies), then the goals one by one (results/mmd-cuda.csv). `--quick` leaves out what
takes minutes: a million draws, and KeOps.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from importlib.util import find_spec

import torch
from attrs import frozen
from rows import RESULTS, write_rows
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, available_paths, mmd2
from rwae_kit.kernels.mmd.bench import KERNEL, MEGABYTE, baselines, parse

ESTIMATORS = ({}, {"paired": True}, {"unbiased": False})
KERNELS = (KERNEL, GaussianMixture((0.7, 1.1, 1.9)), InverseMultiquadricMixture((1, 3)))
SHAPES = ("8x60x12", "15x128x32", "3x33x1", "3x33x3", "2x33x64", "2x33x128", "400x60x12", "400x60x64", "400x60x128")
LARGE = tuple(f"1x{n}x{d}" for n in (1100, 5000) for d in (1, 2, 3, 12, 32, 64, 79, 128, 130, 256))
WEIGHTED = ("3x33x12", "3x33x2", "1x1100x64")
TOLERANCE = {"high": 1e-5, "medium": 5e-3}
WANTED = {"value": (False, False), "x": (True, False), "both": (True, True)}
MILLION = 2**20


@frozen
class Goal:
    """One thing to reach: `what` of a shape, with which gradients and products, at most or (of a ratio) at least `goal`."""

    shape: str
    what: str
    goal: float
    wanted: str = "both"
    precision: str = "high"
    at_least: bool = False

    def reached(self, found: float) -> bool:
        return found >= self.goal if self.at_least else found <= self.goal


GOALS = (
    Goal("8x60x12", "launches", 4),
    Goal("15x128x32", "launches", 4),
    Goal("8x60x12", "graph us", 12),
    Goal("15x128x32", "graph us", 15),
    Goal("8x60x12", "times gemm", 8, at_least=True),
    Goal("15x128x32", "times gemm", 8, at_least=True),
    Goal("8x60x12", "times compile", 1.5, at_least=True),
    Goal("15x128x32", "times compile", 1.5, at_least=True),
    Goal("1x10240x64", "ms", 0.75),
    Goal("1x10240x64", "ms", 0.36, precision="medium"),
    Goal("1x10240x64", "times gemm", 40, at_least=True),
    Goal("1x10240x64", "times compile", 3, at_least=True),
    Goal("1x10240x64", "times keops", 10, at_least=True),
    Goal("1x65536x64", "ms", 7, wanted="value"),
    Goal("1x65536x64", "ms", 14.5, precision="medium"),
    Goal("1x65536x64", "ms", 28),
    Goal("1x65536x64", "share of both", 0.6, wanted="x"),
    Goal("1x65536x1", "ms", 12),
    Goal(f"1x{MILLION}x64", "ms", 1800, wanted="value"),
    Goal(f"1x{MILLION}x64", "ms", 3700, precision="medium"),
    Goal(f"1x{MILLION}x64", "ms", 7100),
    Goal(f"1x{MILLION}x64", "extra MB", 2.5 * 2 * MILLION * 64 * 4 / MEGABYTE + 64),
)


def cases() -> list[tuple[str, str, int, int, str]]:
    """Shape, precision, place of the estimator, place of the kernel, and which gradients."""
    every = [
        (shape, precision, estimator, kernel, "both")
        for shape in (*SHAPES, *LARGE)
        for precision in TOLERANCE
        for estimator in range(len(ESTIMATORS))
        for kernel in range(len(KERNELS))
    ]
    sides = [(shape, "high", 0, 0, wanted) for shape in (*SHAPES, *LARGE) for wanted in ("value", "x")]
    return every + sides


def draws(shape: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    g, n, d = parse(shape)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(g, n, d, generator=generator).cuda() for _ in range(2))
    return x, 1.2 * y


def check() -> None:
    """End the script at the first case that is wrong."""
    for shape, precision, estimator, kernel, wanted in cases():
        x, y = draws(shape)
        check_one(x, y, precision, KERNELS[kernel], ESTIMATORS[estimator], wanted, f"{shape}, kernel {kernel}")
    for shape in WEIGHTED:
        x, y = draws(shape)
        options = {"weight_x": x[..., 0].abs(), "weight_y": (y[..., 0] > 0).float(), "unit": x.new_ones(len(x)) * 2}
        check_one(x, y, "high", KERNEL, options, "both", f"{shape} with weights")
    print(f"{len(cases()) + len(WEIGHTED)} cases are right on {', '.join(available_paths())}")


def check_one(x: Tensor, y: Tensor, precision: str, kernel, options: dict, wanted: str, what: str) -> None:
    kernel = type(kernel)([x.shape[-1] ** 0.5 * length for length in getattr(kernel, "bandwidths", None) or kernel.scales])
    found = []
    for kind, path in ((torch.float32, "auto"), (torch.float64, "torch")):
        a, b = (z.to(kind).requires_grad_(want) for z, want in zip((x, y), WANTED[wanted], strict=True))
        value = mmd2(a, b, kernel, path=path, precision=precision, **options)
        leaves = [z for z in (a, b) if z.requires_grad]
        found.append((value.detach(), *(torch.autograd.grad(value.sum(), leaves) if leaves else ())))
    (value, *gradients), (exact, *others) = found
    strength = sum(kernel.coefficients)  # a value's error is of the kernel, which is at most this
    errors = [float((value - exact).abs().max()) / strength]
    errors += [float((a - b).norm() / b.norm()) for a, b in zip(gradients, others, strict=True)]
    allowed = TOLERANCE[precision]
    if not errors[0] <= (1e-7 if precision == "high" else allowed) or not all(error <= allowed for error in errors[1:]):
        raise SystemExit(f"wrong: {what}, {precision}, {options.keys()}, {wanted}: errors {errors}")


def milliseconds(call: Callable[[], object], repeats: int = 20) -> float:
    for _ in range(3):
        call()
    found = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        stop.synchronize()
        found.append(start.elapsed_time(stop))
    return statistics.median(found)


def ceilings() -> dict[str, str]:
    """What the card reaches in matrix products and copies."""
    a = torch.randn(8192, 8192, device="cuda")
    half, flops = a.bfloat16(), 2 * 8192**3 / 1e9
    return {
        "bf16 TFLOP/s": f"{flops / milliseconds(lambda: half @ half):.0f}",
        "fp32 TFLOP/s": f"{flops / milliseconds(lambda: a @ a):.0f}",
        "copy TB/s": f"{2 * a.numel() * 4 / 1e9 / milliseconds(a.clone):.2f}",
    }


def step_of(goal: Goal) -> Callable[[], object]:
    """Value and wanted gradients."""
    want = WANTED[goal.wanted]
    x, y = (z.requires_grad_(w) for z, w in zip(draws(goal.shape), want, strict=True))
    leaves = [z for z in (x, y) if z.requires_grad]

    def step() -> object:
        value = mmd2(x, y, KERNEL, precision=goal.precision)
        return torch.autograd.grad(value.sum(), leaves) if leaves else value

    return step


def launches(step: Callable[[], object]) -> int:
    """Programs of one step but for the sum over problems and its gradient, which are the objective's."""
    step()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        torch.cuda.synchronize()
    names = [event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    objective = [name for name in names if "reduce_kernel" in name or "FillFunctor" in name]
    return len(names) - len(objective)


def graph_microseconds(step: Callable[[], object]) -> float:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return 1000 * milliseconds(graph.replay, 100)


def extra_megabytes(step: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MEGABYTE


def against(name: str, shape: str) -> float:
    """Milliseconds of a baseline, value and both gradients."""
    x, y = (z.requires_grad_() for z in draws(shape))
    loss = baselines()[name]
    return milliseconds(lambda: torch.autograd.grad(loss(x, y).sum(), (x, y)), 10)


def measure(goal: Goal) -> float:
    step = step_of(goal)
    match goal.what.split():
        case ["launches"]:
            return launches(step)
        case ["graph", _]:
            return graph_microseconds(step)
        case ["extra", _]:
            return extra_megabytes(step)
        case ["times", name]:
            return against(name, goal.shape) / milliseconds(step)
        case ["share", *_]:
            return milliseconds(step, 5) / milliseconds(step_of(Goal(goal.shape, "ms", 0)), 5)
        case ["ms"]:
            return milliseconds(step, 3 if str(MILLION) in goal.shape else 20)
    raise RwaeError(f"goal {goal.what!r}. It is launches, graph us, extra MB, times NAME, share of both or ms")


def chosen(quick: bool) -> list[Goal]:
    """The goals that can be measured here."""
    keops_is_there = find_spec("pykeops") is not None and not quick
    return [
        goal for goal in GOALS if (keops_is_there or not goal.what.endswith("keops")) and not (quick and str(MILLION) in goal.shape)
    ]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(words).quick
    if not torch.cuda.is_available():
        print(f"no CUDA device. It would check {len(cases()) + len(WEIGHTED)} cases against float64,")
        print(f"measure the card's matrix products and copies, and then {len(chosen(quick))} goals:")
        for goal in chosen(quick):
            bound = ">=" if goal.at_least else "<="
            print(f"  {goal.shape:>14}  {goal.wanted:5}  {goal.precision:6}  {goal.what} {bound} {goal.goal:g}")
        return
    check()
    about = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, **ceilings()}
    rows = []
    for goal in chosen(quick):
        found = measure(goal)
        rows.append(
            {
                **about, "shape": goal.shape, "gradients": goal.wanted, "precision": goal.precision, "what": goal.what,
                "found": f"{found:.4g}", "goal": f"{goal.goal:g}", "reached": str(goal.reached(found)).lower(),
            }
        )  # fmt: skip
        print(rows[-1])
    write_rows(rows, RESULTS / "mmd-cuda.csv")


if __name__ == "__main__":
    main()
