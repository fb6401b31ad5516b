"""How fast is a whole step of training, where does its time go, and what does a plain implementation take?

    python benchmarks/training_step.py [--only RECIPE ...] [--batch 32] [--rounds 5] [--threads N] [--compile] [--losses]

Nets are those of the recipes at full size, clips are noise of 8 frames (64 x 64 pixels; quickstart 32 x 32). Subjects take their
steps in turn, and a speed is the median over rounds of the ratio within a round: of `benchmarks/plain_rwae.py` or
`benchmarks/plain_cdsvae.py` where there is one, else of the same recipe in float32 without channels last. Times are not written
down, but on a GPU, whose name says what they mean. `--losses` compares the losses of 20 steps with the plain ones' and stops.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import plain_cdsvae
import plain_rwae
import torch
from attrs import frozen
from instruments import PARTS, Clock, machine, make_clock, peak_memory, shares
from rows import RESULTS, read_rows, write_rows
from torch import Tensor

from rwae_kit import Registry
from rwae_kit.build import build, resolve
from rwae_kit.data import Clips, DataInfo
from rwae_kit.interfaces import Component
from rwae_kit.interop import save_cdsvae
from rwae_kit.noise import Noise
from rwae_kit.recipe import Recipe
from rwae_kit.run import choose_device, compose
from rwae_kit.training.batches import Batches
from rwae_kit.training.compiled import compile_frame_nets
from rwae_kit.training.course import Course
from rwae_kit.training.optimizers import make_groups
from rwae_kit.training.schedules import Learner

RECIPES = ("quickstart", "rwae-mmd", "rwae-gan", "cdsvae", "cdsvae-official", "dsvae-full")
MODES: dict[str, dict[str, Any]] = {
    "float32": {"training.channels_last": False},
    "float32, channels last": {"training.channels_last": True},
    "bf16, channels last": {"training.channels_last": True, "training.precision": "bf16"},
}
COMPILED = {"bf16, channels last, compiled": {**MODES["bf16, channels last"], "training.compile": True}}
LENGTH, WARM, SEED = 8, 10**6, 3


class Subject(Protocol):
    """Something that takes steps."""

    def step(self) -> Mapping[str, Any]:
        """One whole step; the losses, as tensors or numbers."""
        ...


def random_clips(recipe: str, n: int, pixels: int, device: torch.device) -> Clips:
    frames = torch.randint(0, 256, (n, LENGTH, 3, pixels, pixels), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Clips(info=DataInfo(name=recipe, frame=(3, pixels, pixels), length=LENGTH), frames=frames, scale=1 / 255).to(device)


class Ours:
    """A recipe, stepped as `rwk train` steps it, on clips of noise if none are given; losses stay on the device."""

    def __init__(
        self,
        recipe: str,
        options: Mapping[str, Any],
        batch: int,
        device: torch.device,
        *,
        pixels: int | None = None,
        clips: Clips | None = None,
    ) -> None:
        registry = Registry.installed()
        pixels = pixels or (32 if recipe == "quickstart" else 64)
        plan = resolve(compose(recipe, {**options, "training.batch_size": batch}, registry, given=True), registry)
        self.plan: Recipe = plan
        inner = plan.training.inner_steps if plan.training.schedule == "alternating" else 1
        self.clips = random_clips(recipe, 2 * inner * batch, pixels, device) if clips is None else clips.to(device)
        self.model, self.objective = build(plan, registry, self.clips.info)
        self.model.to(device).train()
        self.objective.to(device).train()
        if plan.training.compile:
            compile_frame_nets(self.model, device)
        self.model.noise.restore(torch.Generator(device).manual_seed(SEED).get_state(), device)
        groups = make_groups(self.model, self.objective, plan.training)
        self.learner = Learner(model=self.model, objective=self.objective, groups=groups, config=plan.training)
        course = Course(clips=len(self.clips), batch_size=batch, batches_per_step=inner, epochs=10**6)
        self.batches, self.done = Batches(self.clips, course, SEED, device), 0

    def step(self) -> Mapping[str, Tensor]:
        batches = self.batches.step(self.done)
        self.done += 1
        return self.learner.step(batches, WARM)


class PlainRwae:
    """`plain_rwae` on the clips, weights and noise of another."""

    def __init__(self, ours: Ours) -> None:
        channels = ours.plan.encoder.frames.options["channels"]  # type: ignore[union-attr]
        pixels, spec, device = ours.model.spec.frame[1], ours.model.spec, ours.model.device
        size = ours.plan.prior.options["hidden"]
        self.model = plain_rwae.PlainRwae(pixels, channels, size, spec.static, spec.dynamic)
        self.model.load_state_dict(rwae_weights(ours))
        self.model.to(device).train()
        self.adams, self.feed = plain_rwae.optimizers(self.model), Feed(ours)
        generator = torch.Generator(device).manual_seed(SEED)
        self.draw = lambda like: torch.randn(like.shape, generator=generator, device=like.device)

    def step(self) -> Mapping[str, float]:
        return plain_rwae.step(self.model, self.adams, [x for x, _ in self.feed.step()], self.draw)


class PlainCdsvae:
    """`plain_cdsvae` on the clips, weights, noise and views of another: three whole passes and Adam."""

    def __init__(self, ours: Ours, folder: Path) -> None:
        device = ours.model.device
        save_cdsvae(ours.model.cpu(), folder / "weights.pth")
        ours.model.to(device)
        self.model = plain_cdsvae.PlainCdsvae().to(device).train()
        self.model.load_state_dict(torch.load(folder / "weights.pth", weights_only=True)["model"])
        self.model.to(device)
        self.adam, self.feed = torch.optim.Adam(self.model.parameters(), lr=1e-3), Feed(ours)
        self.noise = Noise()
        self.noise.restore(torch.Generator(device).manual_seed(SEED).get_state(), device)
        self.views = {
            name: type(view)(view.config, ours.model.spec) for t in ours.objective.terms for name, view in t.views.items()
        }
        for part in (part for view in self.views.values() for part in view.modules() if isinstance(part, Component)):
            part.noise = self.noise

    def step(self) -> Mapping[str, float]:
        ((x, batch),) = self.feed.step()
        clip = self._pass(x)
        order = self.views["shuffle"](batch)
        reordered = self._pass(x[torch.arange(len(x), device=x.device)[:, None], order])
        relooked = self._pass(self.views["augment"](batch))
        parts = plain_cdsvae.losses(clip, reordered, relooked, x, batch.dataset_size)
        total = torch.stack(list(parts.values())).sum()
        self.adam.zero_grad()
        total.backward()
        self.adam.step()
        return {"total": total.item(), **{name: value.item() for name, value in parts.items()}}

    def _pass(self, x: Tensor) -> plain_cdsvae.Pass:
        found = self.model(x, self._draw)
        for like in (found.static, found.dynamic):  # ours draws from the priors too
            self._draw(like)
        return found

    def _draw(self, like: Tensor) -> Tensor:
        return self.noise.normal(*like.shape, like=like)


class Feed:
    """The batches of another, from clips that lie in memory as numbers."""

    def __init__(self, ours: Ours) -> None:
        self.batches, self.done = Batches(ours.clips, ours.batches._course, SEED, ours.model.device), 0
        self.frames = ours.clips.frames.to(torch.get_default_dtype()) * ours.clips.scale

    def step(self) -> list[tuple[Tensor, Any]]:
        found = [(self.frames[batch.index], batch) for batch in self.batches.step(self.done)]
        self.done += 1
        return found


def rwae_weights(ours: Ours) -> dict[str, Tensor]:
    """The weights of an R-WAE(MMD) by the names of `plain_rwae`."""
    state = ours.model.state_dict()
    found = {}
    renamed = {
        "encoder.frames.convolutions.": "encoder.convolutions.",
        "encoder.frames.fully_connected.0.": "encoder.fully_connected.",
        "encoder.static.net.": "encoder.of_static.",
        "encoder.static.head.both.": "encoder.static.both.",
        "encoder.head.both.": "encoder.dynamic.both.",
        "prior.chain.head.both.": "prior.head.both.",
        "decoder.inputs.0.": "decoder.inputs.",
        "decoder.recurrence.": "decoder.recurrence.",
        "decoder.outputs.0.": "decoder.outputs.",
        "decoder.frames.fully_connected.0.": "decoder.fully_connected.",
        "decoder.frames.convolutions.": "decoder.convolutions.",
    }
    for key, value in state.items():
        for before, after in renamed.items():
            if key.startswith(before):
                found[after + key.removeprefix(before)] = value
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        found[f"prior.cell.{name}"] = state[f"prior.chain.recurrence.{name}_l0"]
    of_state = state["encoder.recurrence.state.weight"]
    hidden = len(of_state) // 4
    found["encoder.cell.weight_ih"] = torch.cat((state["encoder.recurrence.inputs.weight"], of_state[:, hidden:]), dim=1)
    found["encoder.cell.weight_hh"] = of_state[:, :hidden]
    found["encoder.cell.bias_ih"] = state["encoder.recurrence.inputs.bias"]
    found["encoder.cell.bias_hh"] = torch.zeros_like(found["encoder.cell.bias_ih"])
    critic = next(p.divergence for p in ours.objective.penalties if p.name == "scaled_mmd")
    return found | {f"critic.{key}": value for key, value in critic.state_dict().items()}


def plain(recipe: str, ours: Ours, folder: Path) -> Subject | None:
    """The plain implementation of a recipe, if there is one."""
    if recipe == "rwae-mmd":
        return PlainRwae(ours)
    return PlainCdsvae(ours, folder) if recipe == "cdsvae-official" else None


def in_turn(subjects: Mapping[str, Subject], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of a step of each, one after the other, round by round; the first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for count in range(rounds + 1):
        for name, subject in subjects.items():
            began = clock()
            subject.step()
            taken = clock() - began
            if count:
                found[name].append(taken)
            print(f"  round {count or 'of warm-up'}, {name}: {taken:.2f} s", file=sys.stderr, flush=True)
    return found


def speeds(found: Mapping[str, Sequence[float]], reference: str) -> dict[str, float]:
    """How many times as fast as the reference each is: the median of the ratios within a round."""
    return {name: statistics.median(a / b for a, b in zip(found[reference], values, strict=True)) for name, values in found.items()}


def largest_difference(ours: Subject, other: Subject, steps: int = 20) -> float:
    """The largest relative difference of a step's total loss, over steps from the same weights and noise."""
    worst = 0.0
    for _ in range(steps):
        a, b = float(ours.step()["total"]), float(other.step()["total"])
        worst = max(worst, abs(a - b) / abs(b))
    return worst


@frozen(kw_only=True)
class Setting:
    """What one call of the benchmark was told."""

    batch: int
    rounds: int
    device: torch.device
    clock: Clock
    note: str
    folder: Path
    modes: Mapping[str, Mapping[str, Any]]


def rows(recipe: str, setting: Setting) -> list[dict[str, Any]]:
    """A row for each mode of a recipe, and one for the plain implementation."""
    device = setting.device
    ours = {name: Ours(recipe, options, setting.batch, device) for name, options in setting.modes.items()}
    other = plain(recipe, Ours(recipe, MODES["float32"], setting.batch, device), setting.folder)
    subjects: dict[str, Subject] = {**({"plain": other} if other is not None else {}), **ours}
    reference = "plain" if other is not None else "float32"
    found = in_turn(subjects, setting.rounds, setting.clock)
    speed = speeds(found, reference)
    about = {"recipe": recipe, "batch": setting.batch, "machine": machine(device) + setting.note}
    table = []
    for name, subject in subjects.items():
        row = {**about, "mode": name, "against": reference, "speed": f"{speed[name]:.2f}"}
        row["clips per second"] = ""
        if device.type == "cuda":
            inner = ours[next(iter(ours))].batches._course.batches_per_step
            row["clips per second"] = f"{setting.batch * inner / statistics.median(found[name]):.0f}"
        row["peak memory (MB)"] = f"{peak_memory(subject, device):.0f}"
        parts = shares(subject, setting.clock) if isinstance(subject, Ours) else {}
        table.append({**row, **{part: f"{parts[part]:.3f}" if parts else "" for part in (*PARTS, "rest")}})
        print("  ".join(str(value) for value in table[-1].values()), flush=True)
    return table


def compare_losses(folder: Path, device: torch.device, batch: int) -> None:
    for recipe in ("rwae-mmd", "cdsvae-official"):
        for name in ("float32", "float32, channels last"):
            ours = Ours(recipe, MODES[name], batch, device)
            other = plain(recipe, ours, folder)
            assert other is not None
            print(f"{recipe}, {name}: largest relative difference over 20 steps {largest_difference(ours, other):.1e}", flush=True)
    ours = Ours("cdsvae-official", MODES["float32"], batch, device)
    first, second = (PlainCdsvae(ours, folder) for _ in range(2))
    second.model.to(memory_format=torch.channels_last)
    print(f"the plain cdsvae-official and itself in channels last: {largest_difference(first, second):.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--processor-time", action="store_true", help="instead of that of the wall: for a busy machine, one thread")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="the last mode compiled, too")
    parser.add_argument("--losses", action="store_true")
    words = parser.parse_args()
    device = choose_device(words.device)
    if words.threads:
        torch.set_num_threads(words.threads)
    with tempfile.TemporaryDirectory() as name:
        if words.losses:
            compare_losses(Path(name), device, words.batch)
            return
        modes = {**MODES, **(COMPILED if words.compile else {})}
        clock = make_clock(device, processor=words.processor_time)
        note = ", processor time" if words.processor_time else ""
        setting = Setting(
            batch=words.batch, rounds=words.rounds, device=device, clock=clock, note=note, folder=Path(name), modes=modes
        )
        write([row for recipe in words.only for row in rows(recipe, setting)], device)


def write(table: Sequence[Mapping[str, Any]], device: torch.device) -> None:
    """Replace the rows of these recipes in the results; those of others stay."""
    file = RESULTS / f"training-step-{device.type}.csv"
    measured = {row["recipe"] for row in table}
    kept = [row for row in read_rows(file) if row["recipe"] not in measured] if file.exists() else []
    write_rows(sorted([*kept, *table], key=lambda row: RECIPES.index(row["recipe"])), file)


if __name__ == "__main__":
    main()
