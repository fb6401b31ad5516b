"""The squared maximum mean discrepancy between two sets of draws."""

from rwae_kit.kernels.mmd.mixtures import GaussianMixture, InverseMultiquadricMixture
from rwae_kit.kernels.mmd.op import mmd2

__all__ = ["GaussianMixture", "InverseMultiquadricMixture", "mmd2"]
