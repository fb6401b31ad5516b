"""What all tests share: one tolerance per dtype."""

from __future__ import annotations

import pytest
import torch

TOLERANCE = {
    torch.float32: {"rtol": 2e-5, "atol": 1e-6},
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
}


@pytest.fixture(scope="session")
def tolerance() -> dict[torch.dtype, dict[str, float]]:
    """Arguments of `torch.testing.assert_close` for two ways to compute one number in a dtype."""
    return TOLERANCE
