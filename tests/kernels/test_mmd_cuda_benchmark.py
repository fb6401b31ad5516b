"""The benchmark for CUDA cards, as far as it goes without one."""

from __future__ import annotations

import mmd_cuda
import pytest
import torch

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd.bench import baselines, parse


def test_goals_are_shapes_and_measures_that_there_are() -> None:
    for goal in mmd_cuda.GOALS:
        parse(goal.shape)
        assert goal.wanted in mmd_cuda.WANTED
        assert goal.precision in mmd_cuda.TOLERANCE
        if goal.what.startswith("times "):
            assert goal.what.removeprefix("times ") in baselines()


def test_a_goal_is_reached_from_its_own_side() -> None:
    assert mmd_cuda.Goal("8x60x12", "ms", 2).reached(1)
    assert not mmd_cuda.Goal("8x60x12", "ms", 2).reached(3)
    assert mmd_cuda.Goal("8x60x12", "times gemm", 8, at_least=True).reached(9)
    assert not mmd_cuda.Goal("8x60x12", "times gemm", 8, at_least=True).reached(7)


def test_cases_hold_every_precision_estimator_and_set_of_gradients() -> None:
    cases = mmd_cuda.cases()
    assert len(cases) == len(set(cases))
    assert {case[1] for case in cases} == {"high", "medium"}
    assert {case[2] for case in cases} == {0, 1, 2}
    assert {case[4] for case in cases} == {"both", "x", "value"}


def test_quick_leaves_out_what_takes_minutes() -> None:
    assert not [goal for goal in mmd_cuda.chosen(True) if str(mmd_cuda.MILLION) in goal.shape or "keops" in goal.what]


def test_an_unknown_measure_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(mmd_cuda, "step_of", lambda goal: lambda: None)
    with pytest.raises(RwaeError, match="goal 'furlongs'"):
        mmd_cuda.measure(mmd_cuda.Goal("8x60x12", "furlongs", 1))


def test_a_wrong_case_ends_it(monkeypatch) -> None:
    x, y = (torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    mmd_cuda.check_one(x, y, "high", mmd_cuda.KERNEL, {}, "both", "these")
    whole = mmd_cuda.mmd2
    monkeypatch.setattr(
        mmd_cuda, "mmd2", lambda *given, path, **options: whole(*given, path=path, **options) * (1 + (path == "auto"))
    )
    with pytest.raises(SystemExit, match="wrong: these"):
        mmd_cuda.check_one(x, y, "high", mmd_cuda.KERNEL, {}, "both", "these")


def test_without_a_card_it_says_what_it_would_run(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mmd_cuda.main([])
    printed = capsys.readouterr().out
    assert "no CUDA device" in printed
    assert "1x65536x64" in printed
    assert f"{len(mmd_cuda.chosen(False))} goals" in printed
