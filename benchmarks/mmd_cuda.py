"""On a CUDA card: is every case right, what can the card do, and how near do the goals come? Without one: what would be run.

    python benchmarks/mmd_cuda.py

First every path and case against float64 on the card; a wrong one ends the script, so that no figure comes from a red test. Then
the card's ceilings (matrix products, copies), then the goals, in milliseconds for value and both gradients
(results/mmd-cuda.csv).
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, mmd2
from rwae_kit.kernels.mmd.bench import KERNEL, baselines, parse

RESULTS = Path(__file__).parent / "results" / "mmd-cuda.csv"
ESTIMATORS = ({}, {"paired": True}, {"unbiased": False})
KERNELS = (KERNEL, GaussianMixture((0.7, 1.1, 1.9)), InverseMultiquadricMixture((1, 3)))
CASES = [(g, n, d) for g, n in ((3, 33), (1, 700), (1, 5000)) for d in (1, 3, 12, 64, 130)]
GOALS = {"1x10240x64": 0.75, "1x65536x64": 28.0, "1x65536x1": 12.0}
RATIOS = {"8x60x12": 8.0, "15x128x32": 8.0, "1x10240x64": 40.0}


def check() -> None:
    generator = torch.Generator().manual_seed(0)
    for (g, n, d), kernel, options in ((c, k, o) for c in CASES for k in KERNELS for o in ESTIMATORS):
        x, y = (torch.randn(g, n, d, generator=generator).cuda().requires_grad_() for _ in range(2))
        found = []
        for kind, path in ((torch.float32, "torch"), (torch.float64, "reference")):
            value = mmd2(x.to(kind), y.to(kind), kernel, path=path, **options)
            found.append((value.detach(), *torch.autograd.grad(value.sum(), (x, y))))
        (value, *gradients), (wanted, *others) = found
        error = [float((value - wanted).abs().max())]
        error += [float((a - b).norm() / b.norm()) for a, b in zip(gradients, others, strict=True)]
        if error[0] > 5e-7 or max(error[1:]) > 1e-5:
            raise SystemExit(f"wrong: {g}x{n}x{d}, {kernel}, {options}: errors {error}")
    print(f"{len(CASES) * len(KERNELS) * len(ESTIMATORS)} cases are right")


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
    a = torch.randn(8192, 8192, device="cuda")
    half, flops = a.bfloat16(), 2 * 8192**3 / 1e9
    return {
        "bf16 TFLOP/s": f"{flops / milliseconds(lambda: half @ half):.0f}",
        "fp32 TFLOP/s": f"{flops / milliseconds(lambda: a @ a):.0f}",
        "copy TB/s": f"{2 * a.numel() * 4 / 1e9 / milliseconds(a.clone):.2f}",
    }


def goals() -> list[dict[str, str]]:
    rows = []
    for shape in dict.fromkeys([*RATIOS, *GOALS]):
        x, y = (torch.randn(parse(shape), device="cuda", requires_grad=True) for _ in range(2))
        ours = milliseconds(lambda x=x, y=y: torch.autograd.grad(mmd2(x, y, KERNEL).sum(), (x, y)))
        row = {"shape": shape, "ms": f"{ours:.3f}", "goal ms": str(GOALS.get(shape, "")), "times faster": "", "goal": ""}
        if shape in RATIOS:
            eager = milliseconds(lambda x=x, y=y: torch.autograd.grad(baselines()["gemm"](x, y).sum(), (x, y)))
            row |= {"times faster": f"{eager / ours:.1f}", "goal": str(RATIOS[shape])}
        rows.append(row)
    return rows


def main() -> None:
    if not torch.cuda.is_available():
        print(f"no CUDA device. It would check {len(CASES) * len(KERNELS) * len(ESTIMATORS)} cases against float64,")
        print(f"measure the card's matrix products and copies, and time {', '.join(dict.fromkeys([*RATIOS, *GOALS]))}")
        return
    check()
    about = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, **ceilings()}
    rows = [{**about, **row} for row in goals()]
    for row in rows:
        print(row)
    with RESULTS.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
