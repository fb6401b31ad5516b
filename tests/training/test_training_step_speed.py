"""The whole step against the plain implementations of the benchmarks: the same losses, and how much faster."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import training_step

CPU = torch.device("cpu")
GATE = 0.75
"""Share of a goal that a run on any machine must reach."""
BF16 = Path("/proc/cpuinfo").exists() and "avx512_bf16" in Path("/proc/cpuinfo").read_text()
SMALL = {
    **{
        f"{part}.frames.{name}": value
        for part in ("encoder", "decoder")
        for name, value in (("channels", [8, 16]), ("features", 12))
    },
    **{f"{part}.hidden": 12 for part in ("encoder", "decoder", "prior")},
    "encoder.frames.strides": [2, 2],
    "decoder.frames.strides": [2, 2],
    "encoder.static_hidden": 12,
    "latents.static": 5,
    "latents.dynamic": 4,
    "training.inner_steps": 2,
}


@pytest.mark.parametrize("mode", ["float32", "float32, channels last"])
def test_twenty_alternating_steps_have_the_losses_of_plain_rwae(mode, tmp_path):
    ours = training_step.Ours("rwae-mmd", {**training_step.MODES[mode], **SMALL}, 6, CPU, pixels=16)
    assert training_step.largest_difference(ours, training_step.plain("rwae-mmd", ours, tmp_path)) < 1e-4


def test_plain_rwae_differs_where_the_noise_does(tmp_path):
    ours = training_step.Ours("rwae-mmd", {**training_step.MODES["float32"], **SMALL}, 6, CPU, pixels=16)
    other = training_step.plain("rwae-mmd", ours, tmp_path)
    ours.model.noise.normal(1, like=torch.zeros(()))
    assert training_step.largest_difference(ours, other, steps=2) > 1e-3


def test_shares_of_a_step_add_up_and_leave_nothing_behind():
    ours = training_step.Ours("rwae-mmd", {**training_step.MODES["float32"], **SMALL}, 6, CPU, pixels=16)
    before = torch.Tensor.backward, dict(ours.model.encoder.__dict__)
    parts = training_step.shares(ours, training_step.make_clock(CPU), steps=1)
    assert sum(parts.values()) == pytest.approx(1)
    assert all(parts[name] > 0 for name in training_step.PARTS)
    assert torch.Tensor.backward is before[0]
    assert "features" not in ours.model.encoder.__dict__


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def one_thread():
    """Several add up in another order for other sizes of a batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("recipe", ["rwae-mmd", "cdsvae-official"])
def test_twenty_steps_at_full_size_have_the_losses_of_the_plain_ones_in_float32(recipe, tmp_path):
    ours = training_step.Ours(recipe, training_step.MODES["float32"], 4, CPU)
    assert training_step.largest_difference(ours, training_step.plain(recipe, ours, tmp_path)) < 1e-4


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("recipe", ["rwae-mmd", "cdsvae-official"])
def test_twenty_steps_at_full_size_have_the_losses_of_the_plain_ones_in_channels_last(recipe, tmp_path):
    ours = training_step.Ours(recipe, training_step.MODES["float32, channels last"], 4, CPU)
    assert training_step.largest_difference(ours, training_step.plain(recipe, ours, tmp_path)) < 1e-4


GOALS = {
    ("cdsvae-official", "float32, channels last"): 1.7,
    ("cdsvae-official", "bf16, channels last"): 3.0,
    ("rwae-mmd", "float32, channels last"): 1.5,
    ("rwae-mmd", "bf16, channels last"): 2.5,
}


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "mode"), GOALS)
def test_a_step_is_faster_than_the_plain_one_by_three_quarters_of_the_goal(recipe, mode, tmp_path):
    if mode.startswith("bf16") and not BF16:
        pytest.skip("this processor has no bf16 instructions")
    ours = training_step.Ours(recipe, training_step.MODES[mode], 32, CPU)
    subjects = {"plain": training_step.plain(recipe, ours, tmp_path), mode: ours}
    speed = training_step.speeds(training_step.in_turn(subjects, 3, training_step.make_clock(CPU)), "plain")[mode]
    assert speed >= GATE * GOALS[recipe, mode]
