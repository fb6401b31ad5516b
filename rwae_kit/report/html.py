"""Pages: one HTML file each, with its pictures inside, that asks nothing of the network and runs no script."""

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
from rwae_kit.data import DataInfo
from rwae_kit.evaluation import NOTES, Evaluation, Result, tables
from rwae_kit.report import codes_map, curves
from rwae_kit.report.results import in_words, result_table
from rwae_kit.report.summary import numbers, summary

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


@frozen(kw_only=True)
class CodesMap:
    """The map of the static codes; without panels `reason` says why there is none."""

    panels: Sequence[codes_map.Panel] = ()
    clips: int = 0
    reason: str = ""


def page(
    *,
    title: str,
    recipe: Mapping[str, Any],
    recipe_text: str,
    model: SequenceAutoencoder,
    pictures: Sequence[Picture],
    codes: CodesMap,
    records: Sequence[Mapping[str, Any]],
    evaluation: Evaluation | None,
    results: Sequence[Result],
    warnings: Sequence[str],
    environment: Mapping[str, Any],
) -> str:
    """The whole page of a run as text.

    Arguments:
        recipe: as plain values; `recipe_text` is how it is printed.
        records: the lines of `metrics.jsonl`.
        environment: what is told of the machine and of the packages.
    """
    return render(
        "report.html.j2",
        title=title,
        about=" ".join(str(recipe.get("about", "")).split()),
        summary=summary(recipe, model),
        numbers=numbers(evaluation) if evaluation else [],
        sections=sections(pictures),
        codes=codes,
        charts=[(chart, curves.svg(chart)) for chart in curves.charts(records)],
        tables=[(table, NOTES[table.title]) for table in tables(evaluation)] if evaluation else [],
        results=[result_table(result, model.info.hash) for result in results],
        test_clips=evaluation.clips if evaluation else 0,
        warnings=warnings,
        recipe=recipe_text,
        environment=[(path, in_words(value)) for path, value in flat(environment).items()],
        data=_data(model.info),
        info=model.info,
    )


def render(template: str, **values: Any) -> str:
    """A template of this room, filled in. What is not marked as HTML is escaped; a value that is missing is an error."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(curve_colours=curves.COLOURS, dot_colours=codes_map.COLOURS, **values)


def sections(pictures: Sequence[Picture]) -> dict[str, list[dict[str, Any]]]:
    """Per section its pictures, each as `shown`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        found.setdefault(picture.section, []).append(shown(picture))
    return found


def shown(picture: Picture) -> dict[str, Any]:
    """A picture with its size and its data as URLs: `src`, `calm` (a moment of what moves), `strips` (the still beside it)."""
    path = picture.moving or picture.still
    with Image.open(path) as image:
        found = {"picture": picture, "width": image.width, "height": image.height, "src": _url(path.read_bytes(), path.suffix)}
        found["calm"] = _moment(image) if picture.moving else ""
    found["strips"] = None
    if picture.moving and picture.strips:
        with Image.open(picture.still) as image:
            size = {"width": image.width, "height": image.height}
        found["strips"] = {"src": _url(picture.still.read_bytes(), picture.still.suffix), **size}
    return found


def _moment(animation: Image.Image) -> str:
    """The middle of an animation: for those who stop it, or who asked their system for less motion."""
    animation.seek(getattr(animation, "n_frames", 1) // 2)
    file = io.BytesIO()
    animation.convert("RGBA").save(file, format="PNG", optimize=True)
    return _url(file.getvalue(), ".png")


def _url(data: bytes, suffix: str) -> str:
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(data).decode()}"


def _data(info: DataInfo) -> list[tuple[str, str]]:
    said = {
        "name": info.name,
        "clip": f"{info.length} frames of {' × '.join(map(str, info.frame))}",
        "values": f"{info.value_range[0]:g} to {info.value_range[1]:g}",
        **{name: f"{factor.kind}: {', '.join(factor.classes)}" for name, factor in info.factors.items()},
    }
    more = {"licence": info.licence, "source": info.source, "hash": info.hash}
    return [*said.items(), *((name, value) for name, value in more.items() if value)]
