"""torch.compile of the frame nets: the same training, and words where it cannot work."""

from __future__ import annotations

import shutil

import pytest
import torch

from rwae_kit import Registry, train
from rwae_kit.build import build, open_dataset, resolve
from rwae_kit.errors import TrainingError
from rwae_kit.recipe import Recipe, merge
from rwae_kit.training import compiled
from rwae_kit.training.compiled import check_compiler, compile_frame_nets, compiling_failed
from rwae_kit.training.optimizers import make_groups
from rwae_kit.training.schedules import Learner

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler looks at its inputs'


def losses(values, backend: str | None, steps: int = 3) -> list[float]:
    registry = Registry.installed()
    plan = resolve(Recipe.from_dict(values), registry)
    clips = open_dataset(plan, registry).clips("train")
    model, objective = build(plan, registry, clips.info)
    model.train()
    if backend is not None:
        compile_frame_nets(model, CPU, backend=backend)
    groups = make_groups(model, objective, plan.training)
    learner = Learner(model=model, objective=objective, groups=groups, config=plan.training)
    batches = [clips.batch(torch.arange(8)), clips.batch(torch.arange(8, 16))]
    return [float(learner.step(batches, 9)["total"]) for _ in range(steps)]


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_compiled_frame_nets_give_the_same_losses(schedule, tiny):
    values = merge(tiny, "training.schedule", schedule)
    values = merge(values, "training.inner_steps", 2)
    torch.testing.assert_close(losses(values, "aot_eager"), losses(values, None), rtol=1e-5, atol=1e-4)


def test_weights_keep_their_names(tiny):
    registry = Registry.installed()
    plan = resolve(Recipe.from_dict(tiny), registry)
    model, _ = build(plan, registry, open_dataset(plan, registry).info())
    before = list(model.state_dict())
    compile_frame_nets(model, CPU, backend="aot_eager")
    assert list(model.state_dict()) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch has deprecated
def test_a_run_with_compiled_frame_nets_trains_and_resumes_to_the_same_bits(tiny, tmp_path):
    options = {"training.compile": True}
    whole = train(tiny, options=options, out=tmp_path / "whole", report=False)
    train(tiny, options={**options, "training.epochs": 1}, out=tmp_path / "parts", report=False)
    parts = train(tiny, options=options, out=tmp_path / "parts", report=False, resume=True)
    state, other = whole.model.state_dict(), parts.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_without_a_cpp_compiler_it_says_what_to_do(monkeypatch, tiny, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TrainingError, match=r"training\.compile: no C\+\+ compiler found .* set training\.compile = false"):
        train(tiny, options={"training.compile": True}, out=tmp_path / "run", report=False)


def test_without_triton_and_on_other_devices_it_says_so(monkeypatch):
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="Triton is not installed"):
        check_compiler(torch.device("cuda"))
    with pytest.raises(TrainingError, match="not on mps"):
        check_compiler(torch.device("mps"))


def test_an_error_of_the_compiler_is_told_from_others():
    class FailedError(RuntimeError):
        pass

    FailedError.__module__ = "torch._dynamo.exc"
    caused = RuntimeError("backward")
    caused.__cause__ = FailedError("no")
    assert compiling_failed(FailedError("no"))
    assert compiling_failed(caused)
    assert not compiling_failed(RuntimeError("out of memory"))
