"""A recipe: the parts of a method, as data. Recipe to TOML and back; an error carries the path in the file.

A recipe names parts and gives them options; it knows no class. `rwae_kit.build` turns it into a model and an objective.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomlkit
from attrs import evolve, field, frozen
from attrs.validators import ge, in_

from rwae_kit.convert import structure
from rwae_kit.errors import RecipeError, did_you_mean
from rwae_kit.training.config import TrainingConfig

LATENTS = ("static", "dynamic", "action")


@frozen(kw_only=True)
class Part:
    """A component by name, with the options that the recipe gives it; `frames` is the frame net of an encoder or decoder."""

    name: str
    options: Mapping[str, Any] = field(factory=dict)
    frames: Part | None = None
