"""What can be read of a Triton program without a card: registers, spills, shared memory, instructions for each pair."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

POINTERS = {
    "high": "*bf16", "low": "*bf16", "counters": "*i32", "partials": "*fp64", "totals": "*fp64", "length": "fp32",
    "at_zero": "fp32", "cross_counts": "fp32",
}  # fmt: skip
FLOATS = {
    "x", "y", "weight_x", "weight_y", "unit", "gradient_x", "gradient_y", "value", "middle", "norm", "weight",
}  # fmt: skip
ALIGNED = {"x_row", "y_row", "x_group", "y_group"}
"""Strides that are a multiple of 16 where draws are 16, 32, ... long."""


@frozen
class Static:
    """Of one compiled program. `instructions` are those of its hottest loop, for each pair of draws."""

    registers: int
    spilled: int
    shared: int
    instructions: float


def compiled(kernel: Any, constants: Mapping[str, Any], launch: Mapping[str, Any], capability: int) -> Static:
    """Compile for a capability (80, 90) and read the machine code."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = list(kernel.arg_names)
    signature = {
        name: "constexpr" if name in constants else POINTERS.get(name) or ("*fp32" if name in FLOATS else "i32") for name in names
    }
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name][0] == "*" or name in ALIGNED}
    source = ASTSource(kernel, signature=signature, constexprs=dict(constants), attrs=aligned)
    found = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=dict(launch))
    pairs = constants["BM"] * constants.get("BN", 0) / (32 * launch["num_warps"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.cubin"
        file.write_bytes(found.asm["cubin"])
        usage, code = (_cuobjdump(flag, file) for flag in ("--dump-resource-usage", "-sass"))
    numbers = {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    hot = hottest_loop(code)
    return Static(numbers["REG"], numbers["STACK"] + numbers["LOCAL"], found.metadata.shared, hot / pairs if pairs else 0)


def _cuobjdump(flag: str, file: Path) -> str:
    from triton import knobs

    return subprocess.run([knobs.nvidia.cuobjdump.path, flag, str(file)], capture_output=True, text=True, check=True).stdout


def hottest_loop(code: str) -> int:
    """Instructions of the longest loop that holds an exponential or a reciprocal and no other such loop."""
    at: dict[int, str] = {int(place, 16): text for place, text in re.findall(r"/\*([0-9a-f]{4,})\*/\s+([^;/]+;)", code)}
    loops = []
    for place, text in at.items():
        jump = re.search(r"\bBRA\S*\s.*?(0x[0-9a-f]+)", text)
        if jump and (target := int(jump.group(1), 16)) < place:
            inside = [t for p, t in at.items() if target <= p <= place]
            if any("MUFU" in t for t in inside):
                loops.append((target, place, len(inside)))
    inner = [size for a, b, size in loops if not any((c, e) != (a, b) and a <= c and e <= b for c, e, _ in loops)]
    return max(inner, default=0)
