"""What do five methods make of Sprites at 32 pixels, all else alike? Reconstruction, probes, leaks and swaps.

    rwk data build sprites --source DIR     (the layer sheets, once)
    python benchmarks/methods.py [--only NAME ...] [--seeds 0] [--runs FOLDER] [--train-only]

Runs that are in the folder already are scored, not trained again: several processes may train, and a last one writes the table.
Probes: the better of a linear and an MLP one. Swaps: what a net that was trained on real clips reads from clips with the static
code of one test clip and the dynamic codes of another; what it reads from reconstructions is the bar for them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rows import RESULTS, write_rows
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import Clips, FrameView, Judge, Registry, evaluate, load, train
from rwae_kit.evaluation import Scores, swap_accuracy
from rwae_kit.run import dataset_of

METHODS = ("rwae-mmd", "rwae-gan", "cdsvae", "cdsvae-mws", "dsvae-full")
"""Recipes; each is taken in its variant `small`."""

FACTORS = ("skin", "pants", "top", "hair", "action")


class Reader(nn.Module, Judge):
    """Reads the looks from the mean over the frames, and the action from their order."""

    def __init__(self, clips: Clips) -> None:
        super().__init__()
        layers = (nn.Conv2d(3, 32, 4, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128))
        self.features = nn.Sequential(*layers, nn.ReLU())
        sizes = {name: len(clips.info.factors[name].classes) for name in FACTORS}
        inputs = {name: 128 * (clips.info.length if name == "action" else 1) for name in sizes}
        self.heads = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(inputs[name], 64), nn.ReLU(), nn.Linear(64, size)) for name, size in sizes.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.features(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return {name: head(features.flatten(1) if name == "action" else features.mean(1)) for name, head in self.heads.items()}

    @torch.no_grad()
    def predict(self, x: Tensor) -> Mapping[str, Tensor]:
        return {name: logits.argmax(1) for name, logits in self(x).items()}


def trained_reader(clips: Clips, epochs: int = 8, view: FrameView | None = None) -> Reader:
    """On real clips, or on a view of them, with some noise, so that it does not hang on single pixels."""
    torch.manual_seed(0)
    reader = Reader(clips)
    adam = torch.optim.Adam(reader.parameters(), 1e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(clips)).split(64):
            batch = clips.batch(index)
            x = batch.x if view is None else view(batch)
            noisy = (x + 0.05 * torch.rand(len(x), 1, 1, 1, 1) * torch.randn_like(x)).clamp(0, 1)
            losses = [functional.cross_entropy(y, clips.factors[name][index].long()) for name, y in reader(noisy).items()]
            adam.zero_grad()
            torch.stack(losses).sum().backward()
            adam.step()
    return reader.eval()


def row(name: str, seed: int, scores: Scores) -> dict[str, Any]:
    """Explained variance, the scale of each latent, and the better probe on either code."""
    line: dict[str, Any] = {"method": name, "seed": seed, "explained variance": f"{scores.reconstruction.explained:.3f}"}
    line |= {f"{latent} std": f"{scale:.2f}" for latent, scale in scores.scale.items()}
    for code, word in (("static", "static"), ("dynamic trajectory", "dynamic")):
        for factor in FACTORS:
            found = [probe.accuracy for probe in scores.probes if probe.code == code and probe.factor == factor]
            line[f"{factor} from {word}"] = f"{max(found):.3f}"
    return line


def score(folder: Path, runs: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The rows of the runs in a folder, each with that of the same model untrained."""
    rows: list[dict[str, Any]] = []
    data = {split: dataset_of(load(folder / called(*runs[0])), Registry.installed()).clips(split) for split in ("train", "test")}
    reader = trained_reader(data["train"])
    for name, seed in runs:
        model = load(folder / called(name, seed))
        found = evaluate(model, data)
        assert found.untrained is not None
        read = swap_accuracy(model, data["test"], reader)
        words = {"real": "read from real", "reconstruction": "read from reconstruction", "swap": "swap"}
        seen = {f"{word} {factor}": f"{read[shown][factor]:.3f}" for shown, word in words.items() for factor in FACTORS}
        rows += [row(name, seed, found.model) | seen, row(f"{name} (untrained)", seed, found.untrained)]
        print(*rows[-2:], sep="\n", flush=True)
    return rows


def called(name: str, seed: int) -> str:
    return f"{name}-{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--train-only", action="store_true")
    words = parser.parse_args()
    folder = words.runs or Path(tempfile.mkdtemp())
    runs = [(name, seed) for name in words.only for seed in words.seeds]
    for name, seed in runs:
        if not (folder / called(name, seed) / "model.safetensors").exists():
            train(f"{name}:small", options={"training.seed": seed}, out=folder / called(name, seed))
    if words.train_only:
        return
    rows = score(folder, runs)
    write_rows(rows, RESULTS / "methods-sprites.csv")


if __name__ == "__main__":
    main()
