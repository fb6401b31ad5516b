"""What a launch on a card would run, compiled on a machine without one: registers, spills, shared memory, instructions a pair."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen

from rwae_kit.kernels.mmd import triton_path


@frozen
class Static:
    """Of one compiled program. `instructions` are those of its hottest loop, for each pair of draws."""

    name: str
    registers: int
    spilled: int
    shared: int
    instructions: float


@contextmanager
def launches_compiled(capability: int, into: list[Any]) -> Iterator[None]:
    """Inside, a launch compiles for a card of this capability (80, 90) what its arguments ask for, and runs nothing."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    run = JITFunction.run

    def warm_up(self: Any, *given: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        into.append((run(self, *given, grid=grid, warmup=True, **options), options))

    target = GPUTarget("cuda", capability, 32)
    card = SimpleNamespace(
        get_current_target=lambda: target,
        get_current_device=lambda: capability,
        get_current_stream=lambda _: 0,
        is_active=lambda: True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JITFunction, "run", warm_up)
        patch.setattr(triton_path, "_capability", lambda _: capability // 10)
        patch.setattr(driver, "_active", card)
        yield


def compiled(call: Callable[[], object], capability: int) -> list[Static]:
    """What a call launches, in order."""
    found: list[Any] = []
    with launches_compiled(capability, found):
        call()
    return [_read(program, options) for program, options in found]


def _read(program: Any, options: dict[str, Any]) -> Static:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.cubin"
        file.write_bytes(program.asm["cubin"])
        usage, code = (_cuobjdump(flag, file) for flag in ("--dump-resource-usage", "-sass"))
    numbers = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    pairs = options["BM"] * options.get("BN", 0) / (32 * options["num_warps"])
    spilled = numbers["STACK"] + numbers["LOCAL"]
    instructions = hottest_loop(code) / pairs if pairs else 0.0
    return Static(program.metadata.name, numbers["REG"], spilled, program.metadata.shared, instructions)


def _cuobjdump(flag: str, file: Path) -> str:
    from triton import knobs

    return subprocess.run([knobs.nvidia.cuobjdump.path, flag, str(file)], capture_output=True, text=True, check=True).stdout


def hottest_loop(code: str) -> int:
    """Instructions of the longest loop that holds an exponential or a reciprocal and no other such loop.

    What a branch inside it jumps over, the diagonal's mask, counts as well.
    """
    at = {int(place, 16): text for place, text in re.findall(r"/\*([0-9a-f]{4,})\*/\s+([^;/]+;)", code)}
    loops = []
    for place, text in at.items():
        jump = re.search(r"\bBRA\S*\s.*?(0x[0-9a-f]+)", text)
        if jump and (target := int(jump.group(1), 16)) < place:
            inside = [instruction for where, instruction in at.items() if target <= where <= place]
            if any("MUFU" in instruction for instruction in inside):
                loops.append((target, place, len(inside)))
    innermost = [n for a, b, n in loops if not any((c, e) != (a, b) and a <= c and e <= b for c, e, _ in loops)]
    return max(innermost, default=0)
