"""Conformance checks for authors of plugins: does a component keep the contract of `rwae_kit.interfaces`?

    from rwae_kit.testing import check_divergence

    def test_energy_keeps_the_contract() -> None:
        check_divergence(EnergyDistance)

Every check builds the component from its config (default: its default config) at a small size, on the CPU, and raises an
`AssertionError` that says what happened and what would be right. What holds for every kind: it is built with the documented
arguments; the config is a frozen attrs class whose options have defaults and help, and survives the way through plain values;
float32 and float64; inputs are not written; gradients reach every input; all randomness comes from `self.noise`; eval mode is
deterministic; a state dict restores the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.testing.components import (
    check_action_encoder,
    check_decoder,
    check_divergence,
    check_encoder,
    check_frame_decoder,
    check_frame_encoder,
    check_prior,
    check_reconstruction,
    check_static_prior,
    check_term,
    check_view,
)
from rwae_kit.testing.others import check_dataset, check_metric, check_tracker

CHECKS: Mapping[str, Callable[..., None]] = {
    "encoder": check_encoder,
    "frame_encoder": check_frame_encoder,
    "frame_decoder": check_frame_decoder,
    "action_encoder": check_action_encoder,
    "static_prior": check_static_prior,
    "prior": check_prior,
    "decoder": check_decoder,
    "reconstruction": check_reconstruction,
    "divergence": check_divergence,
    "term": check_term,
    "view": check_view,
    "dataset": check_dataset,
    "metric": check_metric,
    "tracker": check_tracker,
}
"""Registry kind to its check; recipes and commands have none."""

__all__ = ["CHECKS", "check_component", *sorted(check.__name__ for check in CHECKS.values())]


def check_component(kind: str, cls: Any, config: Any = None) -> None:
    """Run the checks of a registry kind ("divergence", "prior", ...).

    Raises:
        AssertionError: the component does not keep its contract.
        RwaeError: there are no checks for this kind.
    """
    if kind not in CHECKS:
        raise RwaeError(f"no conformance checks for kind {kind!r}. {did_you_mean(kind, CHECKS)}")
    CHECKS[kind](cls, config)
