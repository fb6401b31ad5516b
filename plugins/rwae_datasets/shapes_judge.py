"""The exact judge of moving shapes: reads each factor from the pixels, without learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from rwae_datasets.shapes_drawing import RADII, UNIT, Template, paths, template_table
from rwae_kit import DataError, Judge

_CLIPS = 256
"""Clips that are judged at a time."""


@final
class ShapesJudge(Judge):
    """Colour from the palette's directions, motion from the path of the centroid, shape and size by matching templates.

    - Colour: the mean over bright pixels, scaled to a largest channel of 1, against the palette scaled likewise.
    - Motion: the intensity's centroid in every frame, against the twelve paths with free start and free speed (within the range of
      the data), by least squares.
    - Shape and size: the cosine between each frame's window around its centroid and the templates at that sub-pixel phase, summed
      over the frames.

    All is float32 and deterministic; brightness does not matter.
    """

    def __init__(
        self,
        *,
        shapes: Sequence[str],
        colours: Sequence[tuple[int, int, int]],
        speeds: Sequence[tuple[int, int]],
        pixels: int,
        length: int,
    ) -> None:
        self.pixels, self.length = pixels, length
        self._palette = torch.tensor(colours, dtype=torch.float32) / 255
        unit = torch.from_numpy(paths(length)).float() * (7 * pixels / 32 / (256 * length * (length - 1)))
        self._paths = unit  # [12, t, 2], pixels at a speed of 1
        self._speeds = torch.tensor(speeds, dtype=torch.float32) / 256
        table = template_table(shapes, pixels)
        self._half = max(template.half for template in table)
        self._templates = torch.stack([_as_unit_vectors(template, self._half) for template in table])  # [k, 256, w * w]

    def predict(self, x: Tensor) -> Mapping[str, Tensor]:
        """Clips `[n, t, 3, pixels, pixels]` with values 0..1 to classes `[n]`.

        Raises:
            DataError: the clips have another shape, or values that are not finite.
        """
        expected = (self.length, 3, self.pixels, self.pixels)
        if tuple(x.shape[1:]) != expected:
            raise DataError(f"moving_shapes judge: clips are {tuple(x.shape[1:])}, but it judges {expected}")
        if not bool(torch.isfinite(x).all()):
            raise DataError("moving_shapes judge: the clips have values that are not finite")
        parts = [self._predict(chunk.detach().float().cpu()) for chunk in torch.split(x, _CLIPS)]
        return {name: torch.cat([part[name] for part in parts]).to(x.device) for name in parts[0]}

    def _predict(self, x: Tensor) -> dict[str, Tensor]:
        colour, seen = self._colour(x)
        intensity = torch.einsum("ntchw,nc->nthw", x, seen) / seen.square().sum(-1)[:, None, None, None]
        centroid = _centroid(intensity)
        motion, speed = self._motion(centroid)
        kind = self._match(intensity, centroid)
        judged = {
            "shape": kind // len(RADII),
            "size": kind % len(RADII),
            "colour": colour,
            "motion": motion,
            "motion_type": motion // 4,
            "direction": motion % 4,
        }
        if len(self._speeds) > 1:
            judged["speed"] = (speed[:, None] - self._speeds.mean(1)).abs().argmin(1)
        return judged

    def _colour(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The class `[n]` and the colour that was seen `[n, 3]`."""
        brightest = x.amax(2, keepdim=True)
        bright = brightest > 0.6 * _peak(brightest.flatten(1))[:, None, None, None, None]
        seen = (x * bright).sum((1, 3, 4)) / bright.sum((1, 3, 4)).clamp(min=1)
        seen = seen.clamp(min=1e-6)
        direction = seen / seen.amax(1, keepdim=True)
        known = self._palette / self._palette.amax(1, keepdim=True)
        return torch.cdist(direction, known).argmin(1), seen

    def _motion(self, centroid: Tensor) -> tuple[Tensor, Tensor]:
        """The class `[n]` and the speed `[n]` of centroids `[n, t, 2]`."""
        path = centroid - centroid.mean(1, keepdim=True)
        along = torch.einsum("ntd,mtd->nm", path, self._paths)
        squared = self._paths.square().sum((1, 2))
        speed = (along / squared).clamp(self._speeds.min(), self._speeds.max())
        error = speed.square() * squared - 2 * speed * along  # less the common |path|^2
        motion = error.argmin(1)
        return motion, speed.gather(1, motion[:, None])[:, 0]

    def _match(self, intensity: Tensor, centroid: Tensor) -> Tensor:
        """The place `shape * 2 + size` `[n]` of the best template."""
        n, t = centroid.shape[:2]
        half = self._half
        at = (centroid * UNIT).round().long().clamp(0, self.pixels * UNIT - 1)
        phase = at[..., 1] % UNIT * UNIT + at[..., 0] % UNIT
        padded = torch.nn.functional.pad(intensity, (half, half, half, half))
        window = torch.arange(2 * half)
        rows = (at[..., 1] // UNIT)[..., None, None] + window[:, None]
        columns = (at[..., 0] // UNIT)[..., None, None] + window
        clip, frame = torch.arange(n)[:, None, None, None], torch.arange(t)[:, None, None]
        crop = torch.nn.functional.normalize(padded[clip, frame, rows, columns].flatten(2), dim=-1)  # [n, t, w * w]
        scores = [torch.einsum("ntw,ntw->n", crop, kind[phase]) for kind in self._templates]
        return torch.stack(scores, 1).argmax(1)


def _as_unit_vectors(template: Template, half: int) -> Tensor:
    """`[256, w * w]`, each of length 1, in a window of half width `half`."""
    margin = half - template.half
    drawn = np.pad(template.drawn, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    return torch.nn.functional.normalize(torch.from_numpy(drawn).float().flatten(2).flatten(0, 1), dim=-1)


def _peak(values: Tensor) -> Tensor:
    """The brightness of each row's brightest pixels `[n]`; a single stray one does not count."""
    return values.topk(min(32, values.shape[1]), dim=1).values.mean(1)


def _centroid(intensity: Tensor) -> Tensor:
    """The centre of what is brighter than a third of the peak, in pixels from the upper left corner: `[n, t, 2]` as (x, y)."""
    peak = _peak(intensity.flatten(1))[:, None, None, None]
    mass = (intensity - peak / 3).clamp(min=0)
    at = torch.arange(intensity.shape[-1]) + 0.5
    total = mass.sum((2, 3)).clamp(min=1e-6)
    return torch.stack([(mass.sum(2) * at).sum(-1) / total, (mass.sum(3) * at).sum(-1) / total], dim=-1)
