"""The pictures and the page of a run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from rwae_kit.data import Clips
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Evaluation
from rwae_kit.report.html import Picture, page
from rwae_kit.report.pictures import (
    Moving,
    choose,
    matrix_picture,
    reconstruction_picture,
    sample_pictures,
    swap_picture,
    traversal_picture,
)

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

LONG = 100
"""Frames of the long samples."""


def pictures(model: SequenceAutoencoder, clips: Clips, folder: Path, seed: int = 0, long: int = LONG) -> list[Picture]:
    """Write all pictures of a model into `folder`.

    Arguments:
        clips: held-out clips of the kind that the model was trained on; those that are shown differ in their labels.
        long: frames of the samples that are longer than the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = clips.batch(choose(clips, 4, seed)).x
    made = [
        _save(folder, "reconstructions", "Reconstructions", Moving(still=reconstruction_picture(model, shown)), *_RECONSTRUCTIONS),
        *_swaps(model, clips, folder, seed),
        *_samples(model, folder, seed, long),
    ]
    fps = model.info.fps
    made.append(_save(folder, "traversal", "Traversal", traversal_picture(model, shown[0], clips), *_TRAVERSAL, fps=fps))
    return made


def write_report(
    folder: Path,
    model: SequenceAutoencoder,
    clips: Clips,
    *,
    evaluation: Evaluation | None = None,
    warnings: Sequence[str] = (),
    title: str = "",
    seed: int = 0,
    long: int = LONG,
) -> Path:
    """Write `pictures/` and `report.html`, one file that needs no other, into a run folder.

    What the run folder holds beside the model is told too: recipe.toml, metrics.jsonl, environment.json, evaluation.json.

    Arguments:
        evaluation: None reads evaluation.json, if there is one.
        warnings: sentences that a reader should see before anything else.
        title: "" takes the recipe's.
    """
    folder = Path(folder)
    toml = _text(folder / "recipe.toml")
    recipe = tomllib.loads(toml) if toml else dict(model.origin.get("recipe", {}))
    if evaluation is None and (text := _text(folder / "evaluation.json")):
        evaluation = Evaluation.from_dict(json.loads(text))
    html = page(
        title=title or recipe.get("title") or folder.resolve().name,
        recipe=recipe,
        recipe_text=toml or json.dumps(recipe, indent=2),
        model=model,
        pictures=pictures(model, clips, folder / "pictures", seed, long),
        records=_records(folder / "metrics.jsonl"),
        evaluation=evaluation,
        warnings=warnings,
        environment=_environment(folder, model),
    )
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


_RECONSTRUCTIONS = (
    "Film strips of four held-out clips, each over its reconstruction by the model.",
    "Held-out clips, each over its reconstruction.",
)
_SWAP = (
    "Film strips in groups of four rows: clip A, A's static code with B's motion, B's static code with A's motion, clip B.",
    "The second row should look like A and move like B, the third look like B and move like A.",
)
_MATRIX = (
    "A table of clips: the first row gives the motion, the first column the looks, every other cell combines the two.",
    "Each row should keep its looks, each column its motion.",
)
_SAMPLES = (
    "Film strips of clips drawn from the priors, with their animation.",
    "Static and dynamic codes drawn from the priors, as long as the clips of the data; below, the first of them frame by frame.",
)
_LONG = (
    "Animation of clips drawn from the priors, {t} frames long.",
    "Others, {t} frames long: the learned prior goes on where the training clips ended.",
)
_TRAVERSAL = (
    "A table of frames: in each row one feature of a code goes from two standard deviations below its mean to two above it.",
    "The features that vary most, one at a time, in standard deviations. Static ones should change looks, dynamic ones motion.",
)


def _swaps(model: SequenceAutoencoder, clips: Clips, folder: Path, seed: int) -> list[Picture]:
    if len(clips) < 2:
        return []
    pair = choose(clips, 4, seed + 1)
    half = len(pair) // 2
    a, b = (clips.batch(places).x for places in (pair[:half], pair[half : 2 * half]))
    static, dynamic = (clips.batch(choose(clips, 5, seed + 2, kind)).x for kind in ("static", "dynamic"))
    return [
        _save(folder, "swap", "Swap", Moving(still=swap_picture(model, a, b)), *_SWAP),
        _save(folder, "matrix", "Swap", matrix_picture(model, static, dynamic), *_MATRIX, fps=model.info.fps),
    ]


def _samples(model: SequenceAutoencoder, folder: Path, seed: int, long: int) -> list[Picture]:
    fps = model.info.fps
    made = [evolve(_save(folder, "samples", "Samples", sample_pictures(model, 12, seed=seed), *_SAMPLES, fps=fps), strips=True)]
    if long > model.info.length:
        alt, caption = (words.format(t=long) for words in _LONG)
        made.append(_save(folder, "samples_long", "Samples", sample_pictures(model, 12, long, seed), alt, caption, fps=fps))
    return made


def _save(folder: Path, name: str, section: str, moving: Moving, alt: str, caption: str, fps: float = 0.0) -> Picture:
    still, *rest = moving.save(folder / name, fps)
    return Picture(section=section, still=still, moving=rest[0] if rest else None, alt=alt, caption=caption)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _records(path: Path) -> list[Mapping[str, Any]]:
    """All complete lines: a run that was killed may have left half a line at the end."""
    records = []
    for number, line in enumerate(_text(path).split("\n")[:-1], start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise RwaeError(f"{path}: line {number} is not JSON: {line[:40]!r}") from error
    return records


def _environment(folder: Path, model: SequenceAutoencoder) -> Mapping[str, Any]:
    text = _text(folder / "environment.json")
    found: Mapping[str, Any] = json.loads(text) if text else {"torch": torch.__version__}
    return {**found, "parts": model.origin["parts"]} if "parts" in model.origin and "parts" not in found else found
