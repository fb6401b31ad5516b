"""Disentangled sequence autoencoders, composed from parts.

The front door: every public name, imported on first use, so that `import rwae_kit` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_DOORS = {
    "rwae_kit.build": ("from_pretrained", "load", "resolve", "save_pretrained"),
    "rwae_kit.data": ("Clips", "DataInfo", "Factor", "clips_from"),
    "rwae_kit.errors": ("CheckpointError", "DataError", "PluginError", "RecipeError", "RwaeError", "TrainingError", "did_you_mean"),
    "rwae_kit.hookspecs": ("hookimpl",),
    "rwae_kit.interfaces": (
        "ActionEncoder",
        "AdversarialDivergence",
        "CategoricalDivergence",
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
    "rwae_kit.run": ("Run", "evaluate", "score", "train"),
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


if TYPE_CHECKING:  # `as` says that a name is public: type checkers do not read `__all__` when it is computed
    from rwae_kit.build import (
        from_pretrained as from_pretrained,
        load as load,
        resolve as resolve,
        save_pretrained as save_pretrained,
    )
    from rwae_kit.data import Clips as Clips, DataInfo as DataInfo, Factor as Factor, clips_from as clips_from
    from rwae_kit.errors import (
        CheckpointError as CheckpointError,
        DataError as DataError,
        PluginError as PluginError,
        RecipeError as RecipeError,
        RwaeError as RwaeError,
        TrainingError as TrainingError,
        did_you_mean as did_you_mean,
    )
    from rwae_kit.hookspecs import hookimpl as hookimpl
    from rwae_kit.interfaces import (
        ActionEncoder as ActionEncoder,
        AdversarialDivergence as AdversarialDivergence,
        CategoricalDivergence as CategoricalDivergence,
        Component as Component,
        Decoder as Decoder,
        Divergence as Divergence,
        DynamicPrior as DynamicPrior,
        FrameDecoder as FrameDecoder,
        FrameEncoder as FrameEncoder,
        FrameView as FrameView,
        Judge as Judge,
        JudgedDataset as JudgedDataset,
        LatentTerm as LatentTerm,
        Metric as Metric,
        OrderView as OrderView,
        Reconstruction as Reconstruction,
        SequenceDataset as SequenceDataset,
        SequenceEncoder as SequenceEncoder,
        Spec as Spec,
        StaticPrior as StaticPrior,
        StoredDataset as StoredDataset,
        Tracker as Tracker,
    )
    from rwae_kit.latents import (
        Batch as Batch,
        CategoricalLatent as CategoricalLatent,
        Encoded as Encoded,
        Latent as Latent,
        SequencePosterior as SequencePosterior,
        SequencePrior as SequencePrior,
    )
    from rwae_kit.model import SequenceAutoencoder as SequenceAutoencoder
    from rwae_kit.objective import Objective as Objective, Penalty as Penalty, Term as Term
    from rwae_kit.recipe import Recipe as Recipe
    from rwae_kit.registry import Registry as Registry
    from rwae_kit.run import Run as Run, evaluate as evaluate, score as score, train as train
