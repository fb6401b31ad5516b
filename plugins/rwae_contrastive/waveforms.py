"""The pitch and the pace of sampled sound, each changed without the other: WSOLA and resampling. Batched over clips."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from rwae_kit import DataError

TAPS = 16
"""Samples on each side that the resampling filter reads."""
STAY = 0.2
"""How much similarity it takes to go as far from the ideal place as the search reaches.

Without it the sound goes on as it was until it is a whole reach too early or late, and a short clip comes out unchanged.
"""
QUIET = 1e-4
"""Of the energy of the loudest candidate: what is added to all, so that nearly silent ones have no say."""


def changed_voice(
    x: Tensor,
    *,
    window: int,
    reach: int,
    pitch: Tensor | None = None,
    rate: Tensor | None = None,
    length: Tensor | None = None,
) -> Tensor:
    """Sound with all frequencies times `pitch`, that runs `rate` times as fast about its middle; the length is kept.

    The sound is resampled, which moves its frequencies and its pace, and WSOLA gives it the pace that is asked for. What a faster
    clip lacks at both ends is held: the first and the last window go on sounding. What a slower one has too much is cut off.

    Shape: x `[b, n]`, pitch, rate and length `[b]` -> `[b, n]`. `length`: real samples; what stands behind them is padding, and
    the result there is 0.

    Raises:
        DataError: n is less than a window.

    Source: Verhelst and Roelands 1993, for the pace; Driedger and Mueller 2016, for pitch by resampling. Ours: the pace about the
    middle, so that the ends move least, and the sound that is held.
    """
    b, n = x.shape
    if n < window:
        raise DataError(f"clips have {n} samples, less than one window of {window}; take longer clips, or a shorter window")
    real = torch.full((b,), n, device=x.device) if length is None else length.to(x.device)
    sound = x * (torch.arange(n, device=x.device) < real[:, None])
    pace = torch.ones(b, dtype=x.dtype, device=x.device) if rate is None else rate
    has = (real - window).clamp(min=0)
    lasts = has
    if pitch is not None:
        sound = resampled(sound, pitch, math.ceil(n / min(1.0, float(pitch.min()))))
        pace, lasts = pace / pitch, ((real / pitch).long() - window).clamp(min=0)
    m = math.ceil(2 * (n - window) / window) + 1
    target = torch.arange(m, device=x.device) / max(m - 1, 1) * has[:, None]
    source = lasts[:, None] / 2 + pace[:, None] * (target - has[:, None] / 2)
    source = torch.minimum(source.clamp(min=0), lasts[:, None])
    return overlap_similar(sound, source.round().long(), target.round().long(), lasts, n, window, reach)


def overlap_similar(x: Tensor, source: Tensor, target: Tensor, last: Tensor, n: int, window: int, reach: int) -> Tensor:
    """WSOLA: windows of x from near `source`, each where it best goes on as the one before it did, laid out at `target`.

    p_k = source_k + the lag in +-reach with the highest correlation of x[p_k:] and x[p_k-1 + target_k - target_k-1:], over one
    window and divided by the root of their energies. The loop is over windows, for each depends on the one before.

    Shape: x `[b, m']`, places `[b, k]` (whole numbers), last `[b]` (where a window may begin at the latest) -> `[b, n]`.

    Source: Verhelst and Roelands 1993, with the normalised correlation. Ours: windows sin^2 that are divided by their sum, so that
    every sample counts, and a preference for small lags (`STAY`); silence and a pace of 1 are left as they are.
    """
    padded = functional.pad(x, (reach, max(0, n - x.shape[1]) + 2 * window + reach))
    steps = torch.arange(window, device=x.device)
    shape = torch.sin(math.pi * (steps + 0.5) / window).square().to(x)
    lags = torch.arange(-reach, reach + 1, device=x.device)
    sound, weight = x.new_zeros(len(x), n), x.new_zeros(len(x), n)
    place = source[:, 0]
    for k in range(source.shape[1]):
        if k:
            follows = _cut(padded, reach + place + target[:, k] - target[:, k - 1], window)
            near = source[:, k, None] + lags
            score = _similarity(follows, _cut(padded, source[:, k], window + 2 * reach))
            score = score - STAY * lags.abs() / max(reach, 1)
            score = score.masked_fill((near < 0) | (near > last[:, None]), -torch.inf)
            place = near.gather(1, score.argmax(1, keepdim=True)).squeeze(1)
        where = target[:, k, None] + steps  # no place twice in one call: the order of additions is that of the loop
        sound = sound.scatter_add(1, where, shape * _cut(padded, reach + place, window))
        weight = weight.scatter_add(1, where, shape.expand(len(x), -1))
    return sound / weight.clamp_min(torch.finfo(x.dtype).tiny)


def resampled(x: Tensor, factor: Tensor, size: int) -> Tensor:
    """y(i) = x(factor * i) by band-limited interpolation: a sinc, cut off at the lower Nyquist rate, under a squared cosine.

    Shape: x `[b, n]`, factor `[b]` -> `[b, size]`; x is 0 outside.
    """
    n = x.shape[1]
    padded = functional.pad(x, (TAPS, 2 * TAPS))
    places = factor[:, None] * torch.arange(size, device=x.device, dtype=x.dtype)
    whole = places.floor()
    first = whole.long().clamp(max=n + TAPS - 1) + TAPS
    cutoff = (1 / factor).clamp(max=1)[:, None]
    total, weights = torch.zeros_like(places), torch.zeros_like(places)
    for k in range(1 - TAPS, TAPS + 1):
        distance = k - (places - whole)
        weight = torch.sinc(cutoff * distance) * torch.cos(math.pi / 2 * distance / TAPS).square()
        total = total + weight * padded.gather(1, first + k)
        weights = weights + weight
    return total / weights


def _cut(x: Tensor, start: Tensor, size: int) -> Tensor:
    """`[b, size]`: x of each clip from its own start on."""
    return x.gather(1, start[:, None] + torch.arange(size, device=x.device))


def _similarity(short: Tensor, long: Tensor) -> Tensor:
    """The normalised correlation of `short` `[b, k]` with every stretch of `long` `[b, k + r]`: `[b, r + 1]`."""
    k, size = short.shape[1], long.shape[1]

    def correlated(one: Tensor, two: Tensor) -> Tensor:
        both: Tensor = torch.fft.irfft(torch.fft.rfft(one) * torch.fft.rfft(two, size).conj(), size)
        return both[:, : size - k + 1]

    products, energy = correlated(long, short), correlated(long.square(), torch.ones_like(short[:1])).clamp(min=0)
    energy = energy + QUIET * energy.amax(1, keepdim=True)
    own = short.square().sum(1, keepdim=True)
    similarity: Tensor = products / (energy * own).sqrt().clamp_min(torch.finfo(short.dtype).tiny)
    return similarity
