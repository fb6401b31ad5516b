"""Kernels on latents: the penalties `mmd` and, with a critic, `scaled_mmd`; the term `hsic`, against what both latents tell."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> dict[str, str]:
    """MMD penalties."""
    return {"mmd": "rwae_mmd.mmd:MMD", "scaled_mmd": "rwae_mmd.scaled_mmd:ScaledMMD"}


@hookimpl
def rwae_terms() -> dict[str, str]:
    """Dependence of one latent on the other."""
    return {"hsic": "rwae_mmd.hsic:HSIC"}
