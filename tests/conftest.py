"""What all tests share: one tolerance per dtype, one tiny recipe, and the plain implementations of the benchmarks by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

TOLERANCE = {
    torch.float32: {"rtol": 2e-5, "atol": 1e-6},
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
}


@pytest.fixture(scope="session")
def tolerance() -> dict[torch.dtype, dict[str, float]]:
    """Arguments of `torch.testing.assert_close` for two ways to compute one number in a dtype."""
    return TOLERANCE


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The plain values of an R-WAE(MMD) that trains in no time: 16 x 16 pixels, a few units."""
    return {
        "title": "tiny",
        "data": {"name": "moving_shapes", "train_clips": 24, "validation_clips": 16, "test_clips": 16},
        "latents": {"static": 3, "dynamic": 2},
        "encoder": {
            "name": "autoregressive",
            "hidden": 8,
            "static_hidden": 8,
            "frames": {"name": "conv", "channels": [4], "strides": [4], "features": 8},
        },
        "prior": {"name": "lstm", "hidden": 8},
        "decoder": {
            "name": "framewise",
            "hidden": [8],
            "frames": {"name": "conv", "channels": [4], "strides": [4], "features": 8},
        },
        "reconstruction": {"name": "squared_error"},
        "penalty": {
            "static": {"scaled_mmd": {"weight": 10.0, "hidden": [8, 8]}},
            "dynamic": {"mmd": {"weight": 5.0}, "kl": {"weight": 1.0}},
        },
        "training": {"batch_size": 8, "epochs": 2, "validate_every": 1, "checkpoint_every": 1, "log_every": 1},
    }
