"""The checks of what is no part of a model: data sets, metrics, trackers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from rwae_kit import interfaces
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.testing.behaviour import config_of, require, shape
from rwae_kit.testing.inputs import D, T, normal


def check_dataset(cls: Any, config: Any = None) -> None:
    """A `SequenceDataset`: three splits as declared by `info`, the same at every opening. Of a store not built: its config only."""
    require(isinstance(cls, type) and issubclass(cls, interfaces.SequenceDataset), cls, "does not derive from SequenceDataset")
    dataset = cls(config_of(cls, config))
    try:
        info = dataset.info()
        splits = {name: dataset.clips(name) for name in ("train", "validation", "test")}
        again = dataset.clips("validation")
    except DataError:
        if issubclass(cls, interfaces.StoredDataset):
            return
        raise
    for name, clips in splits.items():
        batch, (low, high) = clips.batch(torch.arange(min(len(clips), 16))), info.value_range
        shape(cls, f"clips of {name!r}", batch.x, (len(batch.index), info.length, *info.frame))
        inside = bool((batch.x >= low).all() and (batch.x <= high).all())
        require(
            inside, cls, f"{name!r} has values in [{float(batch.x.min()):g}, {float(batch.x.max()):g}], declared {info.value_range}"
        )
        require(
            set(clips.factors) == set(info.factors), cls, f"{name!r} has labels {sorted(clips.factors)}, not {sorted(info.factors)}"
        )
    require(torch.equal(again.frames, splits["validation"].frames), cls, "a second opening gives other clips; seed what is drawn")
    try:
        dataset.clips("no such split")
    except RwaeError:
        pass
    else:
        raise AssertionError(f"{cls.__qualname__}: clips('no such split') must raise DataError")
    if issubclass(cls, interfaces.JudgedDataset):
        found = dataset.judge().predict(splits["test"].batch(torch.arange(min(len(splits["test"]), 16))).x)
        require(
            bool(found) and set(found) <= set(info.factors), cls, f"its judge names {sorted(found)}, not {sorted(info.factors)}"
        )


def check_metric(cls: Any, config: Any = None) -> None:
    """A `Metric`: named numbers from codes and labels. It has no config."""
    require(isinstance(cls, type) and issubclass(cls, interfaces.Metric), cls, "does not derive from Metric")
    static, dynamic = normal(torch.float64, 40, 5).numpy(), normal(torch.float64, 40, T, D).numpy()
    found = cls()(static, dynamic, {"shape": torch.arange(40).remainder(2).numpy()})
    fine = isinstance(found, Mapping) and all(isinstance(v, float | int) and math.isfinite(v) for v in found.values())
    require(fine, cls, f"must return names with finite numbers, not {found!r}")


def check_tracker(cls: Any, config: Any = None) -> None:
    """A `Tracker`: takes records of any keys, and closes. It has no config."""
    require(isinstance(cls, type) and issubclass(cls, interfaces.Tracker), cls, "does not derive from Tracker")
    with TemporaryDirectory() as folder:
        tracker = cls(Path(folder))
        for record in ({"step": 1, "loss": 0.5}, {"step": 2, "note": "a word", "validation": {"loss": 1.0}}):
            tracker.log(record)
        tracker.close()
