"""The Kullback-Leibler divergence between diagonal Gaussians: `kl`."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> dict[str, str]:
    """KL penalties."""
    return {"kl": "rwae_kl.kl:GaussianKL"}
