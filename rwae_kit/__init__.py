"""Disentangled sequence autoencoders, composed from parts.

The front door: every public name, imported on first use, so that `import rwae_kit` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_DOORS = {
    "rwae_kit.build": ("build", "from_pretrained", "load", "resolve", "save_pretrained"),
    "rwae_kit.data": ("Clips", "DataInfo", "Factor"),
    "rwae_kit.errors": ("CheckpointError", "DataError", "PluginError", "RecipeError", "RwaeError", "TrainingError", "did_you_mean"),
    "rwae_kit.hookspecs": ("hookimpl",),
    "rwae_kit.interfaces": (
        "ActionEncoder",
        "AdversarialDivergence",
        "Component",
        "Decoder",
        "Divergence",
        "DynamicPrior",
        "FrameDecoder",
        "FrameEncoder",
        "FrameView",
        "Judge",
        "JudgedDataset",
        "LatentTerm",
        "Metric",
        "OrderView",
        "Reconstruction",
        "SequenceDataset",
        "SequenceEncoder",
        "Spec",
        "StaticPrior",
        "StoredDataset",
        "Tracker",
    ),
    "rwae_kit.latents": ("Batch", "CategoricalLatent", "Encoded", "Latent", "SequencePosterior", "SequencePrior"),
    "rwae_kit.model": ("SequenceAutoencoder",),
    "rwae_kit.objective": ("Objective", "Penalty", "Term"),
    "rwae_kit.recipe": ("Recipe",),
    "rwae_kit.registry": ("Registry",),
    "rwae_kit.run": ("Run", "train"),
}
_HOME = {name: module for module, names in _DOORS.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rwae_kit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from rwae_kit.build import build, from_pretrained, load, resolve, save_pretrained
    from rwae_kit.data import Clips, DataInfo, Factor
    from rwae_kit.errors import (
        CheckpointError,
        DataError,
        PluginError,
        RecipeError,
        RwaeError,
        TrainingError,
        did_you_mean,
    )
    from rwae_kit.hookspecs import hookimpl
    from rwae_kit.interfaces import (
        ActionEncoder,
        AdversarialDivergence,
        Component,
        Decoder,
        Divergence,
        DynamicPrior,
        FrameDecoder,
        FrameEncoder,
        FrameView,
        Judge,
        JudgedDataset,
        LatentTerm,
        Metric,
        OrderView,
        Reconstruction,
        SequenceDataset,
        SequenceEncoder,
        Spec,
        StaticPrior,
        StoredDataset,
        Tracker,
    )
    from rwae_kit.latents import Batch, CategoricalLatent, Encoded, Latent, SequencePosterior, SequencePrior
    from rwae_kit.model import SequenceAutoencoder
    from rwae_kit.objective import Objective, Penalty, Term
    from rwae_kit.recipe import Recipe
    from rwae_kit.registry import Registry
    from rwae_kit.run import Run, train
