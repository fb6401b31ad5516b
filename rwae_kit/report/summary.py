"""A run in a few words and numbers: what a page begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rwae_kit.evaluation import Evaluation

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder


def summary(recipe: Mapping[str, Any], model: SequenceAutoencoder) -> list[tuple[str, str]]:
    """The parts of a recipe in a few words each."""

    def part(key: str) -> str:
        table = recipe.get(key, {})
        frames = table.get("frames", {}).get("name")
        return f"{table.get('name', '')}, {frames} frames" if frames else str(table.get("name", ""))

    penalties = [
        f"{_weight(entry)} {name} on {latent}"
        for latent, entries in recipe.get("penalty", {}).items()
        for name, entry in entries.items()
    ]
    terms = [f"{_weight(entry)} {key}" for key, entry in recipe.get("term", {}).items()]
    training = recipe.get("training", {})
    length = [f"{training['epochs']} epochs"] if "epochs" in training else []
    parameters = sum(p.numel() for p in model.parameters())
    said = {
        "data": model.info.name,
        "latents": f"static {model.spec.static}, dynamic {model.spec.dynamic}"
        + (f", action {model.spec.action}" if model.spec.action else ""),
        "encoder": part("encoder"),
        "prior": part("prior"),
        "decoder": part("decoder"),
        "cost": " + ".join([part("reconstruction"), *penalties, *terms]),
        "training": ", ".join([str(training.get("schedule", "joint")), *length]),
        "size": f"{parameters / 1e6:.2f} M parameters" if parameters >= 1e4 else f"{parameters} parameters",
    }
    return [(key, value) for key, value in said.items() if value.strip(" ,+")]


def numbers(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """What to look at first: a value, its name, and the untrained model's beside it."""
    own, untrained = evaluation.model, evaluation.untrained
    found = [
        (
            f"{100 * own.reconstruction.explained:.1f} %",
            "of the variance reconstructed",
            f"untrained {100 * untrained.reconstruction.explained:.1f} %" if untrained else "mean clip 0 %",
        )
    ]
    if swap := own.swap.get("swap"):
        worst = min(swap, key=lambda name: swap[name])
        beside = f", untrained {100 * untrained.swap['swap'][worst]:.1f} %" if untrained else ""
        found.append((f"{100 * swap[worst]:.1f} %", "of swaps right, worst factor", worst + beside))
    if leaks := own.leaks():
        worst = max(leaks, key=lambda name: leaks[name])
        beside = f", untrained {100 * untrained.leaks()[worst]:+.1f}" if untrained else ""
        found.append((f"{100 * leaks[worst]:+.1f}", "points over chance, worst leak", worst + beside))
    return found


def _weight(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('weight', 1):g} ×"
