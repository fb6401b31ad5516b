"""Between two records training never waits for a number: on a GPU every step would pay for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_toys import toy_clips, toy_config, toy_model

from rwae_kit import Registry
from rwae_kit.build import build, open_dataset, resolve
from rwae_kit.recipe import Recipe, merge
from rwae_kit.training.config import TrainingConfig
from rwae_kit.training.loop import train_loop
from rwae_kit.training.progress import Reporter

STEPS = 5
READS = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__")


class Counter(TorchDispatchMode):
    """Counts what brings a tensor's values to the host: operators, and the methods that read memory without one."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.count += 1
        return function(*args, **(kwargs or {}))


class CountsSteps(Reporter):
    """Notes how often something was read by the end of each step, its record not yet written."""

    def __init__(self, counter: Counter) -> None:
        self.counter, self.counts = counter, []

    def advance(self, done: int) -> None:
        self.counts.append(self.counter.count)


def reads(monkeypatch, folder, model, objective, clips, config: TrainingConfig) -> list[int]:
    """How often each step but the first read something; what stands between two steps counts for the later one."""
    counter = Counter()
    for name in READS:
        original = getattr(torch.Tensor, name)

        def read(tensor: torch.Tensor, *given: Any, original: Any = original, **more: Any) -> Any:
            counter.count += 1
            return original(tensor, *given, **more)

        monkeypatch.setattr(torch.Tensor, name, read)
    reporter = CountsSteps(counter)
    with counter:
        train_loop(model, objective, clips, None, config, folder, reporter=reporter)
    return [after - before for before, after in zip(reporter.counts, reporter.counts[1:], strict=False)]


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_no_step_between_two_records_reads_a_number(schedule, tmp_path, monkeypatch):
    config = toy_config(schedule=schedule, epochs=3, log_every=10**6, checkpoint_every=100)
    found = reads(monkeypatch, tmp_path, *toy_model(), toy_clips(), config)
    assert len(found) > STEPS
    assert set(found) == {0}


def test_a_record_at_every_step_is_seen_to_read(tmp_path, monkeypatch):
    found = reads(monkeypatch, tmp_path, *toy_model(), toy_clips(), toy_config(epochs=3, log_every=1, checkpoint_every=100))
    assert min(found) > 0


GAN = {"penalty.static.js_gan.weight": 1.0, "penalty.static.js_gan.hidden": [8]}
TERMS = {
    "term.static_information": {"name": "info_nce", "of": "static", "view": "shuffle", "weight": 1.0},
    "term.dynamic_information": {"name": "info_nce", "of": "dynamic", "view": "augment", "weight": 1.0},
    "term.leak": {"name": "weighted_sampling", "of": ["static", "dynamic"], "weight": 1.0},
}
KINDS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "alternating": {"training.schedule": "alternating", "training.inner_steps": 2},
    "ancestral": {"penalty.dynamic.mmd.conditioning": "ancestral"},
    "adversarial": GAN,
    "contrastive": TERMS,
    "independent": {"term.leak": {"name": "hsic", "weight": 1.0}},
    "code": {"encoder": {"name": "cdsvae", "form": "code", "hidden": 8, "frames": {"name": "conv", "features": 8}}},
    "bf16": {"training.precision": "bf16", "training.channels_last": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_the_recipes_read_no_number_either(kind, tiny, tmp_path, monkeypatch):
    values = tiny
    for path, value in {**KINDS[kind], "training.log_every": 10**6, "training.checkpoint_every": 100}.items():
        values = merge(values, path, value)
    registry = Registry.installed()
    plan = resolve(Recipe.from_dict(values), registry)
    clips = open_dataset(plan, registry).clips("train")
    found = reads(monkeypatch, tmp_path, *build(plan, registry, clips.info), clips, plan.training)
    assert found
    assert set(found) == {0}
