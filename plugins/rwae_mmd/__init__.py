"""Penalties by maximum mean discrepancy: `mmd`, and `scaled_mmd` with a critic."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> dict[str, str]:
    """MMD penalties."""
    return {"mmd": "rwae_mmd.mmd:MMD", "scaled_mmd": "rwae_mmd.scaled_mmd:ScaledMMD"}
