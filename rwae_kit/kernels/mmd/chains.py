"""How to get all kernels of a Gaussian mixture from few exponentials."""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from rwae_kit.kernels.mmd.mixtures import GaussianMixture

AMPLIFICATION = 16.0
"""A square doubles the relative error of what it squares: a chain ends where its errors would have grown by more than this."""


@frozen
class Link:
    """One kernel: `squarings` of the one before it in the chain; its weight; its `rate`, in units of the widest kernel's."""

    squarings: int
    weight: float
    rate: float


@frozen
class Chain:
    """Kernels that come from one exponential exp(-rate u^2 / 2), u in units of the widest bandwidth, by squaring it."""

    rate: float
    links: tuple[Link, ...]


@lru_cache(maxsize=64)
def chains(kernel: GaussianMixture) -> tuple[float, tuple[Chain, ...]]:
    """The widest bandwidth, and chains that together hold every kernel once.

    Bandwidths whose squares differ by a power of two share an exponential: exp(-2 t) = exp(-t)^2.

    Example:
        >>> [len(chain.links) for chain in chains(GaussianMixture((1, 2, 4, 8, 16)))[1]]
        [3, 2]
    """
    pairs = sorted(zip(kernel.bandwidths, kernel.coefficients, strict=True), reverse=True)
    widest = pairs[0][0]
    waiting = [((widest / bandwidth) ** 2, weight) for bandwidth, weight in pairs]
    found = []
    while waiting:
        start, weight = waiting.pop(0)
        links, last, left = [Link(0, weight, start)], start, []
        for rate, weight in waiting:
            squarings = _power_of_two(rate / last) if rate <= AMPLIFICATION * start * (1 + 1e-9) else None
            if squarings is None:
                left.append((rate, weight))
            else:
                links.append(Link(squarings, weight, rate))
                last = rate
        found.append(Chain(start, tuple(links)))
        waiting = left
    return widest, tuple(found)


def _power_of_two(ratio: float) -> int | None:
    power = max(0, round(ratio).bit_length() - 1)
    return power if abs(ratio - 2**power) <= 1e-9 * ratio else None
