"""The pitch and the pace of log-magnitude spectra: interpolation along frequency and along time. Batched over clips."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["linear", "mel"]


KNEE = 0.6
"""Of the band's upper edge: as far as the smaller of both axes, before and after, every frequency is multiplied."""


def warped_frequencies(x: Tensor, factor: Tensor, band: tuple[float, float], scale: Scale) -> Tensor:
    """Every frame with its frequencies times a factor, and the upper edge of the band where it was.

    Up to a knee h -> factor h; from there a straight line to the edge, so that no part of the band is empty or lost.

    Shape: x `[b, t, k]`, factor `[b]` -> `[b, t, k]`. `band`: hertz of the first and of the last of the k numbers, which lie evenly
    on the scale.

    Source: vocal tract length perturbation, Jaitly and Hinton 2013, with the knee at their 4800 of 8000 Hz.
    """
    k, top = x.shape[2], band[1]
    low, high = (_on(scale, torch.tensor(edge, dtype=x.dtype, device=x.device)) for edge in band)
    new = _hertz(scale, low + (high - low) * torch.arange(k, dtype=x.dtype, device=x.device) / max(k - 1, 1))
    factor = factor[:, None]
    knee = KNEE * top * factor.clamp(max=1)
    beyond = top - (top - knee / factor) / (top - knee) * (top - new)
    old = torch.where(new <= knee, new / factor, beyond)
    return _read(x, (_on(scale, old) - low) / (high - low) * (k - 1))


def warped_times(x: Tensor, rate: Tensor, length: Tensor) -> Tensor:
    """Frames that follow each other `rate` times as fast about the clip's middle; the first and the last frame are held.

    Shape: x `[b, t, k]`, rate `[b]`, length `[b]` (real frames) -> `[b, t, k]`.
    """
    last = (length - 1).clamp(min=0)[:, None]
    places = last / 2 + rate[:, None] * (torch.arange(x.shape[1], device=x.device) - last / 2)
    return _read(x.mT, torch.minimum(places.clamp(min=0), last)).mT


def _read(x: Tensor, places: Tensor) -> Tensor:
    """Linear interpolation of x `[b, c, k]` along its last axis at places `[b, k]`, which are clamped to 0..k-1."""
    last = x.shape[2] - 1
    places = places.clamp(0, last)
    left = places.floor().long()
    below, above = (x.gather(2, i.unsqueeze(1).expand_as(x)) for i in (left, (left + 1).clamp(max=last)))
    return torch.lerp(below, above, (places - left).to(x).unsqueeze(1))


def _on(scale: Scale, hertz: Tensor) -> Tensor:
    return hertz if scale == "linear" else 2595 * torch.log10(1 + hertz / 700)


def _hertz(scale: Scale, places: Tensor) -> Tensor:
    return places if scale == "linear" else 700 * (10 ** (places / 2595) - 1)
