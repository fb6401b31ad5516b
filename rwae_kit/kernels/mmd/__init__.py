"""The squared maximum mean discrepancy between two sets of draws."""

from rwae_kit.kernels.mmd.estimators import block_mmd2, linear_mmd2, median_bandwidth, witness
from rwae_kit.kernels.mmd.mixtures import GaussianMixture, InverseMultiquadricMixture
from rwae_kit.kernels.mmd.op import mmd2
from rwae_kit.kernels.mmd.paths import available_paths, choose_path

__all__ = [
    "GaussianMixture",
    "InverseMultiquadricMixture",
    "available_paths",
    "block_mmd2",
    "choose_path",
    "linear_mmd2",
    "median_bandwidth",
    "mmd2",
    "witness",
]
