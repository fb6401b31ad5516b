"""The pictures and the page of a run."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from attrs import evolve

from rwae_kit.data import Clips
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Evaluation, encode_clips
from rwae_kit.evaluation.codes import some
from rwae_kit.report import codes_map
from rwae_kit.report.codes_picture import codes_picture
from rwae_kit.report.html import CodesMap, Picture, page
from rwae_kit.report.pictures import (
    Moving,
    choose,
    matrix_picture,
    reconstruction_picture,
    sample_pictures,
    swap_picture,
    traversal_picture,
    unpadded,
)
from rwae_kit.report.results import read_results
from rwae_kit.report.words import words

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

LONG = 100
"""Frames of the long samples."""
SIDE = 6
"""Clips that give the static codes of the matrix, and as many the dynamic ones."""
CODES = "codes.png"
"""The picture of the codes' maps; on the page they are drawings, with their classes' names."""


def pictures(model: SequenceAutoencoder, clips: Clips, folder: Path, seed: int = 0, long: int = LONG) -> list[Picture]:
    """Write all pictures of a model into `folder`.

    Arguments:
        clips: held-out clips of the kind that the model was trained on; those that are shown differ in their labels.
        long: frames of the samples that are longer than the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors = len(model.spec.frame) == 1
    shown = unpadded(clips, choose(clips, 8 if vectors else 4, seed))

    def save(name: str, moving: Moving, t: int = 0) -> Picture:
        section, alt, caption = words(name, model.spec.frame, t)
        still, *rest = moving.save(folder / name, model.info.fps)
        return Picture(section=section, still=still, moving=rest[0] if rest else None, alt=alt, caption=caption)

    made = [save("reconstructions", Moving(still=reconstruction_picture(model, shown)))]
    if len(clips) > 1:
        pairs = choose(clips, 12 if vectors else 4, seed + 1)
        half = len(pairs) // 2
        a, b = torch.split(unpadded(clips, pairs[: 2 * half]), half)
        made.append(save("swap", Moving(still=swap_picture(model, a, b))))
        looks, moves = choose(clips, SIDE, seed + 2, "static"), choose(clips, SIDE, seed + 2, "dynamic")
        static, dynamic = torch.split(unpadded(clips, torch.cat([looks, moves])), [len(looks), len(moves)])
        made.append(save("matrix", matrix_picture(model, static, dynamic)))
    made.append(evolve(save("samples", sample_pictures(model, 12, seed=seed), model.info.length), strips=True))
    if long > model.info.length:
        made.append(save("samples_long", sample_pictures(model, 12, long, seed), long))
    made.append(save("traversal", traversal_picture(model, shown[0], clips)))
    return made


def write_report(
    folder: Path,
    model: SequenceAutoencoder,
    clips: Clips,
    *,
    evaluation: Evaluation | None = None,
    warnings: Sequence[str] | None = None,
    title: str = "",
    seed: int = 0,
    long: int = LONG,
) -> Path:
    """Write `pictures/` and `report.html`, one file that needs no other, into a run folder.

    What the run folder holds beside the model is told too: recipe.toml, metrics.jsonl, environment.json, evaluation.json, results/.

    Arguments:
        evaluation: None reads evaluation.json, if there is one.
        warnings: sentences that a reader should see before anything else; they are kept in warnings.json. None reads that.
        title: "" takes the recipe's.

    Raises:
        RwaeError: a file in the run folder is broken.
    """
    folder = Path(folder)
    toml = _text(folder / "recipe.toml")
    recipe = tomllib.loads(toml) if toml else dict(model.origin.get("recipe", {}))
    if evaluation is None and (saved := _json(folder / "evaluation.json")):
        evaluation = Evaluation.from_dict(saved)
    told: dict[str, Any] = {  # first what may be broken, then what takes time
        "records": read_records(folder / "metrics.jsonl"),
        "results": read_results(folder),
        "warnings": _kept(warnings, folder / "warnings.json"),
        "environment": _environment(folder, model),
    }
    html = page(
        title=title or recipe.get("title") or folder.resolve().name,
        recipe=recipe,
        recipe_text=toml or json.dumps(recipe, indent=2),
        model=model,
        pictures=pictures(model, clips, folder / "pictures", seed, long),
        codes=_map_of(model, clips, seed, folder / "pictures" / CODES),
        evaluation=evaluation,
        **told,
    )
    path = folder / "report.html"
    _replace(path, html)
    return path


def _map_of(model: SequenceAutoencoder, clips: Clips, seed: int, file: Path) -> CodesMap:
    """The map of the static codes; with that of the dynamic ones, where they have one, it is also a picture in a file."""
    codes = encode_clips(model, some(clips, codes_map.MOST, seed))
    file.unlink(missing_ok=True)
    rows: dict[str, Sequence[codes_map.Panel]] = {}
    reasons: dict[str, str] = {}
    latents: tuple[Literal["static", "dynamic"], ...] = ("static", "dynamic")
    for latent in latents:
        try:
            rows[latent] = codes_map.panels(codes, clips.info, latent)
        except RwaeError as error:
            reasons[latent] = str(error)
    if rows:
        codes_picture(rows).save(file, optimize=True)
    return CodesMap(panels=rows.get("static", ()), clips=len(codes), reason=reasons.get("static", ""))


def _kept(warnings: Sequence[str] | None, file: Path) -> list[str]:
    """What training warned of; a page that is made anew still tells it."""
    if warnings is None:
        return list(_json(file) or [])
    if warnings or file.exists():
        _replace(file, json.dumps(list(warnings), indent=1))
    return list(warnings)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _json(path: Path) -> Any:
    """None where there is no such file."""
    try:
        return json.loads(text) if (text := _text(path)) else None
    except json.JSONDecodeError as error:
        raise RwaeError(f"{path}: this is not JSON: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Write a file that is the old one until it is wholly the new one."""
    half = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def read_records(path: Path) -> list[Mapping[str, Any]]:
    """All complete lines: a run that was killed may have left half a line at the end."""
    records = []
    for number, line in enumerate(_text(path).split("\n")[:-1], start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise RwaeError(f"{path}: line {number} is not JSON: {line[:40]!r}") from error
    return records


def _environment(folder: Path, model: SequenceAutoencoder) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _json(folder / "environment.json") or {"torch": torch.__version__}
    return {**found, "parts": model.origin["parts"]} if "parts" in model.origin and "parts" not in found else found
