"""Which positive definite function of the squared distance an MMD uses: plain data, so that every path can compile it in."""

from __future__ import annotations

from math import isfinite

from attrs import field, frozen

from rwae_kit.errors import RwaeError


def _numbers(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _checked(name: str, values: tuple[float, ...], weights: tuple[float, ...] | None) -> None:
    if not values or any(not isfinite(v) or v <= 0 for v in values):
        raise RwaeError(f"{name}: {values}. One or more positive numbers are needed")
    if weights is not None and (len(weights) != len(values) or any(not isfinite(w) or w < 0 for w in weights)):
        raise RwaeError(f"weights: {weights} for {name} {values}. Give one weight, not negative, for each")


@frozen
class GaussianMixture:
    """k(x, y) = sum_k weight_k exp(-|x - y|^2 / (2 bandwidth_k^2)).

    Without weights every kernel counts 1: k is the sum, as the papers write it. Give `weights=(1 / K,) * K` for the average.

    Raises:
        RwaeError: a bandwidth that is not positive, or weights that do not fit.

    Example:
        >>> GaussianMixture((1, 2, 4)).coefficients
        (1.0, 1.0, 1.0)
    """

    bandwidths: tuple[float, ...] = field(converter=_numbers)
    weights: tuple[float, ...] | None = None

    def __attrs_post_init__(self) -> None:
        _checked("bandwidths", self.bandwidths, self.weights)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """The weight of every bandwidth."""
        return self.weights or (1.0,) * len(self.bandwidths)


@frozen
class InverseMultiquadricMixture:
    """k(x, y) = sum_k weight_k c_k^2 / (c_k^2 + |x - y|^2), with scales c_k; without weights every kernel counts 1.

    Heavy tails: draws that are far apart keep a gradient.

    Raises:
        RwaeError: a scale that is not positive, or weights that do not fit.
    """

    scales: tuple[float, ...] = field(converter=_numbers)
    weights: tuple[float, ...] | None = None

    def __attrs_post_init__(self) -> None:
        _checked("scales", self.scales, self.weights)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """The weight of every scale."""
        return self.weights or (1.0,) * len(self.scales)


Mixture = GaussianMixture | InverseMultiquadricMixture
