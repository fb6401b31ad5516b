"""What does it save that known frames are not encoded again, that views are not decoded, and that recurrences are one call?

    python benchmarks/views.py [--pairs 9] [--batch 32] [--threads 2]

Training steps (forward, backward, Adam) of the recipe `cdsvae-official` on random clips of 8 frames of 64 x 64 pixels, in float32
on the CPU, against the plain way of `plain_cdsvae.py`: three passes through encoder, prior and decoder for each step, the frames of
the shuffled clip encoded again, the prior a loop over LSTM cells. Both begin with the same weights and draw the same noise and the
same views, by the same code; the losses of the first steps are compared, in float64. Then steps of the two take turns, each with a
ratio of the elapsed time, and one of the processors' time, which other work on the machine touches less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch
from plain_cdsvae import Pass, PlainCdsvae, losses
from rows import RESULTS, write_rows
from torch import Tensor, nn

from rwae_kit import Batch, Component, DataInfo, Recipe, Registry, SequenceAutoencoder
from rwae_kit.build import build, resolve
from rwae_kit.composition import recipe_values
from rwae_kit.interop import save_cdsvae
from rwae_kit.noise import Noise
from rwae_kit.training.optimizers import make_groups
from rwae_kit.training.schedules import Learner

FRAMES, PIXELS, DATASET = 8, 64, 9000
COMPARED, CLOSE = 4, 1e-4
"""Clips of the steps whose losses are compared, and how near these must be, relative to each (or to 1 where it is smaller)."""
WEIGHTS = {"term.static_information": 10.0, "term.dynamic_information": 10.0}

Step = Callable[[Batch], Mapping[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", type=int, default=3, help="steps whose losses are compared first")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    compare(*both_steps(torch.float64), words.compare)
    ours, plain = both_steps(torch.float32)
    for step in (ours, plain):  # the first step allocates
        step(clips(words.batch, 0, torch.float32))
    rows = []
    for pair in range(words.pairs):
        batch = clips(words.batch, pair + 1, torch.float32)
        turns = [("rwae_kit", ours), ("plain", plain)]
        spent = {name: timed(step, batch) for name, step in (turns if pair % 2 else turns[::-1])}
        ratios = (of_plain / of_ours for of_plain, of_ours in zip(spent["plain"], spent["rwae_kit"], strict=True))
        common = {"batch": words.batch, "threads": words.threads, "pair": pair + 1}
        rows.append({**common, **dict(zip(("elapsed", "processor"), (f"{ratio:.2f}" for ratio in ratios), strict=True))})
        print(rows[-1], flush=True)
        write_rows(rows, RESULTS / "views.csv")
    for clock in ("elapsed", "processor") if rows else ():
        found = sorted(float(row[clock]) for row in rows)
        print(f"plain / rwae_kit, {clock} time: median {median(found):.2f}, from {found[0]:.2f} to {found[-1]:.2f}")


def both_steps(dtype: torch.dtype) -> tuple[Step, Step]:
    """A training step of the recipe and one of the plain model, from the same weights, noise and views."""
    registry = Registry.installed()
    recipe = resolve(Recipe.from_dict(recipe_values("cdsvae-official", registry)), registry)
    info = DataInfo(name="sprites", frame=(3, PIXELS, PIXELS), length=FRAMES)
    model, objective = build(recipe, registry, info)
    model.to(dtype).train()
    objective.to(dtype).train()
    groups = make_groups(model, objective, recipe.training)
    learner = Learner(model=model, objective=objective, groups=groups, config=recipe.training)

    def ours(batch: Batch) -> Mapping[str, float]:
        parts = learner.step([batch], 0)
        return {name: value.item() * WEIGHTS.get(name, 1.0) for name, value in parts.items()}

    _, twin = build(recipe, registry, info)
    views = {name: view for term in twin.terms for name, view in term.views.items()}
    return ours, plain_step(model, views, recipe.training.encoder.learning_rate)


def plain_step(like: SequenceAutoencoder, views: Mapping[str, nn.Module], learning_rate: float) -> Step:
    """A training step of the plain model."""
    model = PlainCdsvae(like.spec.static, like.spec.dynamic).train().to(next(like.parameters()).dtype)
    with tempfile.TemporaryDirectory() as folder:
        save_cdsvae(like, Path(folder) / "model.pth")
        model.load_state_dict(torch.load(Path(folder) / "model.pth", weights_only=True)["model"])
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    noise = Noise()
    noise.restore(like.noise.state())
    for part in (part for view in views.values() for part in view.modules()):
        if isinstance(part, Component):
            part.noise = noise

    def run(x: Tensor) -> Pass:
        found = model(x, lambda mean: noise.normal(*mean.shape, like=mean))
        noise.normal(len(x), like.spec.static, like=x)  # rwae_kit draws from both priors beside it
        noise.normal(*found.dynamic.shape, like=x)
        return found

    def step(batch: Batch) -> Mapping[str, float]:
        clip = run(batch.x)
        order = views["shuffle"](batch)
        reordered = run(batch.x[torch.arange(len(order))[:, None], order])
        relooked = run(views["augment"](batch))
        parts = losses(clip, reordered, relooked, batch.x, batch.dataset_size)
        total = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        return {"total": total.item(), **{name: value.item() for name, value in parts.items()}}

    return step


def compare(ours: Step, plain: Step, steps: int) -> None:
    """Stop where a loss of the two is too far apart in the first steps.

    In float64: Adam divides each gradient by its size, so that of gradients near 0 it makes steps as large as any, whose signs are
    those of rounding errors. In float32 two orders of the same sums are further apart than this after a step or two.
    """
    for seed in range(steps):
        one, two = (step(clips(COMPARED, seed, torch.float64)) for step in (ours, plain))
        apart = {name: abs(one[name] - value) / max(1.0, abs(value)) for name, value in two.items()}
        worst = max(apart, key=lambda name: apart[name])
        print(f"step {seed + 1}: total {two['total']:.6g}; farthest apart {apart[worst]:.1e} ({worst})", flush=True)
        if apart[worst] > CLOSE:
            raise SystemExit(f"{worst} is {one[worst]:.6g} in rwae_kit, {two[worst]:.6g} in the plain way")


def timed(step: Step, batch: Batch) -> tuple[float, float]:
    """Seconds of a step: elapsed, and of all processors."""
    elapsed, processor = time.perf_counter(), time.process_time()
    step(batch)
    return time.perf_counter() - elapsed, time.process_time() - processor


def clips(b: int, seed: int, dtype: torch.dtype) -> Batch:
    """Smooth random clips: noise of 8 x 8 pixels, drawn large."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(b * FRAMES, 3, 8, 8, generator=generator, dtype=dtype)
    x = nn.functional.interpolate(coarse, PIXELS, mode="bilinear").unflatten(0, (b, FRAMES))
    return Batch(x=x, index=torch.arange(b), dataset_size=DATASET)


if __name__ == "__main__":
    main()
