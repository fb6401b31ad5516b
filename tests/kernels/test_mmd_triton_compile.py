"""Every Triton program, compiled for A100 and H100/H200 as its launch would be: nothing spills, and the loops stay as short."""

from __future__ import annotations

import itertools

import pytest
import torch

from rwae_kit.kernels.mmd import GaussianMixture, InverseMultiquadricMixture, triton_path, triton_table
from rwae_kit.kernels.mmd.problem import Problem

pytest.importorskip("triton")
from triton_static import Static, compiled, hottest_loop

DYADIC = GaussianMixture((1, 2, 4, 8, 16), (0.2,) * 5)
SHARED = {80: 99 * 1024, 90: 227 * 1024}
"""Bytes that a program may have: for 8.x those of the smallest card among them (8.6 and 8.9; 8.0 has 163 KB)."""
WANTED = {"both": (True, True), "one": (False, True), "value": (False, False)}


def programs(capability: int, g: int, n: int, d: int, wanted: str = "both", kernel=DYADIC, **options) -> list[Static]:
    x, y = torch.empty(g, n, d), torch.empty(g, n, d)
    want_x, want_y = WANTED[wanted]
    problem = Problem(kernel=kernel, want_x=want_x, want_y=want_y, **options)
    return compiled(lambda: triton_path.compute(x, y, problem), capability)


def hold(found: list[Static], capability: int, names: set[str]) -> None:
    assert {program.name for program in found} == names
    for program in found:
        assert program.spilled == 0, program
        assert program.registers <= 255, program
        assert program.shared <= SHARED[capability], program


# (capability, d, wanted, precision) -> instructions for each pair, measured with triton 3.9, of the program that was named
BUDGET = {
    (90, 64, "both", "high"): ("rows", 35.3),
    (90, 64, "value", "high"): ("values", 21.3),
}
SLOW_BUDGET = {
    (90, 64, "both", "medium"): ("rows", 26.5),
    (80, 64, "both", "medium"): ("rows", 30.6),
    (80, 64, "both", "high"): ("rows", 41.9),
}


@pytest.mark.parametrize(
    ("capability", "d", "wanted", "precision"), [*BUDGET, *(pytest.param(*key, marks=pytest.mark.slow) for key in SLOW_BUDGET)]
)
def test_many_draws_take_no_more_instructions_a_pair_than_measured(capability, d, wanted, precision) -> None:
    found = programs(capability, 1, 1100, d, wanted, precision=precision)
    name, measured = (BUDGET | SLOW_BUDGET)[capability, d, wanted, precision]
    hold(found, capability, {"pack", name})
    assert next(program for program in found if program.name == name).instructions <= 1.1 * measured


@pytest.mark.parametrize(("capability", "g", "n", "d"), [(90, 8, 60, 12), (80, 15, 128, 32), (90, 3, 70, 1)])
def test_a_training_step_is_one_launch_without_spills(capability, g, n, d) -> None:
    hold(programs(capability, g, n, d, paired=True), capability, {"direct" if d == 1 else "small"})


SIZES = [(1, 1100, d) for d in (16, 32, 64, 128, 130)] + [(3, 70, d) for d in (1, 2, 3, 12, 32, 64, 128)]
FULL = [(1, 9000, d) for d in (1, 2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize(("g", "n", "d"), SIZES + FULL)
def test_no_program_spills(capability, precision, wanted, g, n, d) -> None:
    one = d <= 3 or n <= 1024
    if one:
        names = {"direct" if d <= 3 else "small"}
    else:
        names = {"pack", *({"rows"} if wanted == "both" else {"values"} if wanted == "value" else {"rows", "values"})}
    hold(programs(capability, g, n, d, wanted, precision=precision), capability, names)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("n", "d"), list(itertools.product([70, 1100], [2, 12, 64, 130])))
def test_weights_units_and_other_kernels_compile(capability, n, d) -> None:
    weights = {"weight_x": torch.empty(2, n), "weight_y": torch.empty(2, n, dtype=torch.float64), "unit": torch.empty(2)}
    for kernel in (GaussianMixture((0.7, 1.1, 1.9)), InverseMultiquadricMixture((1, 3))):
        for options in ({"paired": True}, {"unbiased": False}):
            for program in programs(capability, 2, n, d, kernel=kernel, **options, **weights):
                assert program.shared <= SHARED[capability]


def test_a_loop_is_found_in_machine_code() -> None:
    code = "\n".join(
        f"        /*{16 * place:04x}*/                   {text} ;"
        for place, text in enumerate(["MOV R1, R2", "FADD R1, R1, R2", "MUFU.EX2 R1, R1", "@P0 BRA 0x10", "BRA 0x0", "EXIT"])
    )
    assert hottest_loop(code) == 3


def test_the_table_names_no_size_twice_and_leaves_none_out() -> None:
    sizes = {16, 32, 64, 128, 0}
    for table in (triton_table.ROWS, triton_table.VALUES):
        assert set(table) == set(itertools.product((8, 9), sizes, (True, False)))
    assert set(triton_table.SMALL) == sizes - {0}
