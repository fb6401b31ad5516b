"""`rwk bench`: how fast this machine is at what this package does."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated

import attrs
import typer

from rwae_kit.cli.options import JsonFlag
from rwae_kit.cli.output import emit, note, show

app = typer.Typer(help="Measure this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure this machine."""


@app.command("mmd")
def mmd(
    shape: Annotated[list[str] | None, typer.Option(metavar="GxNxD", help="problems x draws x size (may be repeated)")] = None,
    path: Annotated[list[str] | None, typer.Option(help="a path of mmd2 (may be repeated); without it all that can run")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="gemm, compile, cdist, broadcast, chunked or keops (may be repeated); without it gemm")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="interleaved pairs of runs, of which the median counts")] = 7,
    keep_pages: Annotated[bool, typer.Option(help="let glibc keep freed memory: the baselines then pay no page faults")] = False,
    device: Annotated[str, typer.Option(help="cpu (one thread) or cuda")] = "cpu",
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="write the table there as well")] = None,
    json: JsonFlag = False,
) -> None:
    """MMD^2 with its gradients, against what one would write by hand: ratios of times, peak memory."""
    from rwae_kit.kernels.mmd import available_paths, bench

    if keep_pages and sys.platform.startswith("linux"):
        bench.keep_pages()
    rows = []
    for one in shape or ["8x60x12", "15x128x32", "1x2048x64"]:
        for name in path or available_paths()[1:]:
            for baseline in against or ["gemm"]:
                row = attrs.asdict(bench.compare(one, name, baseline, pairs=pairs, device=device))
                rows.append({**row, "pages": "kept" if keep_pages else "returned"})
    printed = [{key: _number(value) for key, value in row.items()} for row in rows]
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, printed[0])
            writer.writeheader()
            writer.writerows(printed)
        note(f"wrote {out}")
    if json:
        emit(rows)
        return
    show("times faster, and peak memory beyond the draws in MB", tuple(printed[0]), [tuple(row.values()) for row in printed])


def _number(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
