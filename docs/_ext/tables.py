"""Tables that the program itself fills: components with their options, training options, recipes. MyST: ```{components}```."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from rwae_kit.cli.recipes import recipe_rows
from rwae_kit.convert import Option, options_of
from rwae_kit.registry import KINDS, Registry
from rwae_kit.training.config import TrainingConfig

HEADINGS = {
    "dataset": "Data sets",
    "encoder": "Encoders",
    "frame_encoder": "Frame encoders",
    "frame_decoder": "Frame decoders",
    "action_encoder": "Action encoders",
    "static_prior": "Priors of the static latent",
    "prior": "Priors of the dynamic latent",
    "decoder": "Decoders",
    "reconstruction": "Reconstruction costs",
    "divergence": "Divergences",
    "term": "Terms",
    "view": "Views",
    "metric": "Metrics",
    "tracker": "Trackers",
    "recipe": "Recipes",
    "command": "Commands",
}
"""The kinds in the order of the page."""


def components(registry: Registry) -> str:
    """Markdown: for each kind its components, and for each component what it is and its options."""
    lines: list[str] = []
    for kind, heading in HEADINGS.items():
        names = registry.names(kind)
        lines += [f"## {heading}", "", f"Hook `{KINDS[kind].hook}`."]
        lines += ["" if names else "None ships with this version; a plugin may bring one.", ""]
        for name in names:
            lines += _component(registry, kind, name)
    return "\n".join(lines)


def training() -> str:
    """Markdown: every option of the `[training]` table."""
    return "\n".join(_options(options_of(TrainingConfig)))


def recipes(registry: Registry) -> str:
    """Markdown: every recipe and variant that ships, with its method, paper, data and parameters."""
    rows = ["| recipe | method | paper | data | parameters |", "|---|---|---|---|---|"]
    for line in recipe_rows(registry, variants=True):
        count = "" if line["parameters"] is None else f"{line['parameters']:,}"
        rows.append(f"| `{line['name']}` | {line['method']} | {line['paper']} | `{line['data']}` | {count} |")
    return "\n".join(rows)


def _component(registry: Registry, kind: str, name: str) -> list[str]:
    entry = registry.find(kind, name)
    lines = [f"### `{name}`", ""]
    if kind in ("recipe", "command"):
        return [*lines, f"From `{entry.path}` of {entry.distribution}.", ""]
    found = registry.get(kind, name)
    summary = (inspect.getdoc(found) or "").split("\n\n")[0].replace("\n", " ")
    config = getattr(found, "Config", None)
    return [*lines, _text(summary), "", *(_options(options_of(config)) if config else []), ""]


def _options(options: Iterable[Option]) -> list[str]:
    rows = [f"| `{o.path}` | {_kind(o.type)} | {_default(o.default)} | {_text(o.help)} |" for o in options]
    return ["| option | type | default | |", "|---|---|---|---|", *rows, ""] if rows else ["No options.", ""]


def _kind(kind: Any) -> str:
    if kind in (int, float, str, bool):
        return {int: "whole number", float: "number", str: "word", bool: "true or false"}[kind]
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return f"list of {_kind(inner[0])}s" if inner[-1] is ... else "[" + ", ".join(map(_kind, inner)) + "]"
    if any(k is type(None) for k in inner):
        return " or ".join(_kind(k) for k in inner if k is not type(None)) + ", or left out"
    return " or ".join(f"`{choice}`" for choice in inner) if inner else f"`{kind}`"


def _default(value: Any) -> str:
    if value is None:
        return "left out"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "needed" if repr(value) == "NOTHING" else f"`{value}`"


def _text(text: str) -> str:
    """Plain text with code in backticks, safe in a Markdown table."""
    parts = text.split("`")
    for i in range(0, len(parts), 2):
        parts[i] = "".join(f"\\{c}" if c in "*_|<>[]$" else c for c in parts[i])
    for i in range(1, len(parts), 2):
        parts[i] = parts[i].replace("|", "\\|")
    return "`".join(parts)


class Components(SphinxDirective):
    """The component tables of the installed registry."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        return self.parse_text_to_nodes(components(Registry.installed()), allow_section_headings=True)


class Training(SphinxDirective):
    """The table of training options."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        return self.parse_text_to_nodes(training())


class Recipes(SphinxDirective):
    """The table of shipped recipes."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        return self.parse_text_to_nodes(recipes(Registry.installed()))


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("components", Components)
    app.add_directive("training-options", Training)
    app.add_directive("recipes", Recipes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
