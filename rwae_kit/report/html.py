"""The page of a run: one HTML file with its pictures inside, that asks nothing of the network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from rwae_kit.convert import flat
from rwae_kit.evaluation import NOTES, Evaluation, tables
from rwae_kit.report.curves import charts, svg

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

_TYPES = {".png": "image/png", ".gif": "image/gif"}


@frozen(kw_only=True)
class Picture:
    """A picture on disk; `moving` is its animation. `alt` says what is to be seen, `caption` what to look for.

    `strips`: the still shows more than a moment of the animation, so the page has both.
    """

    section: str
    still: Path
    alt: str
    caption: str
    moving: Path | None = None
    strips: bool = False


def page(
    *,
    title: str,
    recipe: Mapping[str, Any],
    recipe_text: str,
    model: SequenceAutoencoder,
    pictures: Sequence[Picture],
    records: Sequence[Mapping[str, Any]],
    evaluation: Evaluation | None,
    warnings: Sequence[str],
    environment: Mapping[str, Any],
) -> str:
    """The whole page as text.

    Arguments:
        recipe: as plain values; `recipe_text` is how it is printed.
        records: the lines of `metrics.jsonl`.
        environment: what is told of the machine and of the packages.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("template.html.j2").render(
        title=title,
        about=" ".join(str(recipe.get("about", "")).split()),
        summary=summary(recipe, model),
        numbers=numbers(evaluation) if evaluation else [],
        sections=_sections(pictures),
        charts=[(chart, svg(chart)) for chart in charts(records)],
        tables=[(table, NOTES[table.title]) for table in tables(evaluation)] if evaluation else [],
        test_clips=evaluation.clips if evaluation else 0,
        warnings=warnings,
        recipe=recipe_text,
        environment=[(path, _words(value)) for path, value in flat(environment).items()],
        info=model.info,
    )


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


def _sections(pictures: Sequence[Picture]) -> dict[str, list[dict[str, Any]]]:
    """Per section its pictures, each with its size and its data as URLs."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        path = picture.moving or picture.still
        with Image.open(path) as image:
            shown = {"picture": picture, "width": image.width, "height": image.height, "src": _url(path.read_bytes(), path.suffix)}
            shown["calm"] = _moment(image) if picture.moving else ""
        shown["strips"] = _url(picture.still.read_bytes(), ".png") if picture.moving and picture.strips else ""
        sections.setdefault(picture.section, []).append(shown)
    return sections


def _moment(animation: Image.Image) -> str:
    """The middle of an animation, for those who asked their system for less motion."""
    animation.seek(getattr(animation, "n_frames", 1) // 2)
    file = io.BytesIO()
    animation.convert("RGBA").save(file, format="PNG", optimize=True)
    return _url(file.getvalue(), ".png")


def _url(data: bytes, suffix: str) -> str:
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(data).decode()}"


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
