"""The Kullback-Leibler divergence: `kl` between diagonal Gaussians, `categorical_kl` of the action latent."""

from __future__ import annotations

from rwae_kit import hookimpl


@hookimpl
def rwae_divergences() -> dict[str, str]:
    """KL penalties."""
    return {"categorical_kl": "rwae_kl.categorical:CategoricalKL", "kl": "rwae_kl.kl:GaussianKL"}
