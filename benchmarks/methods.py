"""What do five methods make of Sprites at 32 pixels, all else alike? Reconstruction, probes, leaks and swaps of each.

    rwk data build sprites --source DIR     (the layer sheets, once)
    python benchmarks/methods.py [--only NAME ...] [--seed 0] [--runs FOLDER]

Runs that are in the folder already are scored, not trained again, so that several processes may train with `--only`, and a last one
writes the table. Probes: the better of a linear and an MLP one. Swaps: what a net that was trained on real clips reads from clips
with the static code of one test clip and the dynamic codes of another; what it reads from reconstructions is the bar for them.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import Clips, Judge, Registry, evaluate, load, train
from rwae_kit.evaluation import Scores, swap_accuracy
from rwae_kit.run import dataset_of

FRAMES = {"name": "conv", "channels": [32, 64], "strides": [4, 2], "features": 128}
SMALL: dict[str, Any] = {
    "data": {"name": "sprites", "pixels": 32},
    "latents": {"static": 24, "dynamic": 6},
    "prior": {"name": "lstm", "hidden": 64},
    "decoder": {"name": "framewise", "frames": {**FRAMES, "output_bias": -3.0}},
    "reconstruction": {"name": "squared_error"},
    "training": {
        "batch_size": 32,
        "epochs": 30,
        "decay": "linear",
        "decay_from": 0.6,
        **{group: {"learning_rate": 2e-3} for group in ("encoder", "decoder", "prior")},
        "critic": {"learning_rate": 5e-4},
        "channels_last": True,
        "validate_every": 30,
        "checkpoint_every": 30,
    },
}
"""Tables that take the place of those of every recipe."""


def encoder(name: str) -> dict[str, Any]:
    return {"name": name, "hidden": 128, "frames": FRAMES}


def mmd_and(**static: Any) -> dict[str, Any]:
    """R-WAE's penalties; those of the quickstart on the dynamic latent."""
    return {"static": static, "dynamic": {"mmd": {"weight": 60.0}, "kl": {"weight": 1.0}}}


def information(of: str, **options: Any) -> dict[str, Any]:
    return {"name": "info_nce", "of": of, **options} if "view" in options else {"name": "weighted_sampling", "of": [of], **options}


KLS = {"static": {"kl": {"weight": 1.0}}, "dynamic": {"kl": {"weight": 0.25}}}
LEAK = {"name": "weighted_sampling", "of": ["static", "dynamic"], "estimator": "mws", "weight": 0.5}
METHODS: dict[str, dict[str, Any]] = {
    "rwae-mmd": {
        "encoder": encoder("autoregressive"),
        "penalty": mmd_and(scaled_mmd={"weight": 100.0}, kl={"weight": 0.3}),
    },
    "rwae-gan": {"encoder": encoder("autoregressive"), "penalty": mmd_and(js_gan={"weight": 10.0})},
    "cdsvae": {
        "encoder": encoder("cdsvae"),
        "penalty": KLS,
        "term": {
            "static_information": information("static", view="shuffle", weight=1.0),
            "dynamic_information": information("dynamic", view="augment", weight=5.0),
            "leak": LEAK,
        },
    },
    "cdsvae-mws": {
        "encoder": encoder("cdsvae"),
        "penalty": KLS,
        "term": {
            "static_information": information("static", estimator="mws", weight=1.0),
            "dynamic_information": information("dynamic", estimator="mws", weight=2.5),
            "leak": LEAK,
        },
    },
    "dsvae-full": {"encoder": encoder("full"), "penalty": KLS},
}
"""Recipe to the tables in which the methods differ."""

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


def trained_reader(clips: Clips, epochs: int = 8) -> Reader:
    """On real clips with some noise, so that it does not hang on single pixels."""
    torch.manual_seed(0)
    reader = Reader(clips)
    adam = torch.optim.Adam(reader.parameters(), 1e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(clips)).split(64):
            x = clips.batch(index).x
            noisy = (x + 0.05 * torch.rand(len(x), 1, 1, 1, 1) * torch.randn_like(x)).clamp(0, 1)
            losses = [functional.cross_entropy(y, clips.factors[name][index].long()) for name, y in reader(noisy).items()]
            adam.zero_grad()
            torch.stack(losses).sum().backward()
            adam.step()
    return reader.eval()


def row(name: str, scores: Scores) -> dict[str, Any]:
    """Explained variance, the scale of each latent, and the better probe on either code."""
    line: dict[str, Any] = {"method": name, "explained variance": f"{scores.reconstruction.explained:.3f}"}
    line |= {f"{latent} std": f"{scale:.2f}" for latent, scale in scores.scale.items()}
    for code, word in (("static", "static"), ("dynamic trajectory", "dynamic")):
        for factor in FACTORS:
            found = [probe.accuracy for probe in scores.probes if probe.code == code and probe.factor == factor]
            line[f"{factor} from {word}"] = f"{max(found):.3f}"
    return line


def score(folder: Path, file: Path) -> None:
    """The table of all runs in the folder, each with the row of the same model untrained."""
    rows, reader, data = [], None, None
    for name in METHODS:
        model = load(folder / name)
        data = data or {split: dataset_of(model, Registry.installed()).clips(split) for split in ("train", "test")}
        reader = reader or trained_reader(data["train"])
        found = evaluate(model, data)
        assert found.untrained is not None
        read = swap_accuracy(model, data["test"], reader)
        words = {"real": "read from real", "reconstruction": "read from reconstruction", "swap": "swap"}
        seen = {f"{word} {factor}": f"{read[shown][factor]:.3f}" for shown, word in words.items() for factor in FACTORS}
        rows += [row(name, found.model) | seen, row(f"{name}, untrained", found.untrained)]
        print(rows[-2:], flush=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path)
    words = parser.parse_args()
    folder = words.runs or Path(tempfile.mkdtemp())
    for name in words.only:
        if not (folder / name / "model.safetensors").exists():
            train(name, options={**SMALL, **METHODS[name], "training.seed": words.seed}, out=folder / name)
    if len(words.only) == len(METHODS):
        seed = "" if words.seed == 0 else f"-seed-{words.seed}"
        score(folder, Path(__file__).parent / "results" / f"methods-sprites{seed}.csv")


if __name__ == "__main__":
    main()
