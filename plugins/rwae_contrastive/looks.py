"""Views that keep the dynamic latent: another look of all frames of a clip alike. One draw a clip, no loop over clips."""

from __future__ import annotations

import math

import torch
from attrs import evolve, field, frozen
from attrs.validators import ge, gt, le
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import Batch, FrameView, RecipeError, Spec


class Crop(FrameView):
    """A window of random size, shape and place, stretched to the whole frame (bilinear).

    Shape: `Batch` -> `[b, t, c, h, w]`.

    Raises:
        RecipeError: the frames are no images.

    Source: C-DSVAE Sec. 2.3 ("cropping", "reshaping"), after SimCLR (Chen et al. 2020). Ours: at least half the area (SimCLR: 8 %),
    so that what moves stays in sight, and no mirroring, which would change the direction of movements.
    """

    @frozen(kw_only=True)
    class Config:
        """How much is cut away."""

        area: float = field(default=0.5, validator=[gt(0), le(1)], metadata={"help": "smallest share of the frame's area"})
        aspect: float = field(default=4 / 3, validator=ge(1), metadata={"help": "largest stretch of width against height"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        _images(spec)
        self.settings = config

    def forward(self, batch: Batch) -> Tensor:
        x = batch.x
        area, aspect, across, down = self.noise.uniform(4, len(x), like=x)
        area = 1 - (1 - self.settings.area) * area
        stretch = torch.exp((2 * aspect - 1) * math.log(self.settings.aspect))
        width, height = ((area * ratio).sqrt().clamp(max=1) for ratio in (stretch, 1 / stretch))
        theta = x.new_zeros(len(x), 2, 3)
        theta[:, 0, 0], theta[:, 0, 2] = width, (2 * across - 1) * (1 - width)
        theta[:, 1, 1], theta[:, 1, 2] = height, (2 * down - 1) * (1 - height)
        frames = x.flatten(1, 2)  # one grid serves all frames and channels of a clip
        with torch.autocast(x.device.type, enabled=False):
            grid = functional.affine_grid(theta, list(frames.shape), align_corners=False)
            cut = functional.grid_sample(frames, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return cut.view_as(x)


class Colour(FrameView):
    """Other brightness, contrast, saturation and hue, clamped to the data's range.

    On values u in [0, 1]: u <- b u; u <- m + c (u - m) with m the clip's mean over its real frames; then every pixel keeps its grey
    g (the mean of its channels) and its difference from g is scaled and, with three channels, turned about the grey axis.
    Factors are uniform in [1 - strength, 1 + strength], the turn in +- `hue` of a full turn.

    Shape: `Batch` -> `[b, t, c, h, w]`.

    Raises:
        RecipeError: the frames are no images.

    Source: C-DSVAE Sec. 2.3 ("color distortion"), after SimCLR; strengths are ours, as is the turn in RGB in place of HSV.
    """

    @frozen(kw_only=True)
    class Config:
        """Strengths; 0 leaves that property as it is."""

        brightness: float = field(default=0.4, validator=[ge(0), le(1)], metadata={"help": "of the factor on all values"})
        contrast: float = field(default=0.4, validator=[ge(0), le(1)], metadata={"help": "of the factor about the clip's mean"})
        saturation: float = field(default=0.4, validator=[ge(0), le(1)], metadata={"help": "of the factor about each grey"})
        hue: float = field(default=0.5, validator=[ge(0), le(0.5)], metadata={"help": "largest turn, three channels; 0.5: any"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        _images(spec)
        self.settings, self.range = config, spec.value_range

    def forward(self, batch: Batch) -> Tensor:
        settings, (low, high) = self.settings, self.range
        draws = 2 * self.noise.uniform(4, len(batch.x), like=batch.x) - 1
        brightness, contrast, saturation = (
            1 + strength * draw
            for strength, draw in zip((settings.brightness, settings.contrast, settings.saturation), draws[:3], strict=True)
        )
        x = batch.x
        with torch.autocast(x.device.type, enabled=False):  # all of it is one matrix and one number a clip
            mixing = _mixing(saturation, 2 * math.pi * settings.hue * draws[3], x.shape[2])
            matrix = (contrast * brightness)[:, None, None] * mixing
            offset = low * (1 - brightness) + brightness * (1 - contrast) * _clip_mean(x, batch.mask)
            mixed: Tensor = matrix[:, None] @ x.flatten(3) + offset[:, None, None, None]
            return mixed.clamp(low, high).view_as(x)


class ToneCurves(FrameView):
    """Another value for every value: a random curve for each channel of a clip, so that neither hues nor lightness stay in order.

    A curve is piecewise linear between knots at equal distances over the data's range. Its values there are uniform over the range,
    and the range's lower end stays, as a black background does. What remains is where values differ: shapes and motion.

    Shape: `Batch` -> `[b, t, c, h, w]`.

    Raises:
        RecipeError: the frames are no images.

    Source: ours. Under `Colour`, which is SimCLR's, what is grey stays grey, and what is lighter than something else stays lighter.
    """

    @frozen(kw_only=True)
    class Config:
        """How often a curve may turn."""

        pieces: int = field(default=4, validator=ge(1), metadata={"help": "straight pieces of a curve"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        _images(spec)
        self.pieces, self.range = config.pieces, spec.value_range

    def forward(self, batch: Batch) -> Tensor:
        x, (low, high) = batch.x, self.range
        b, _, c = x.shape[:3]
        knots = functional.pad(self.noise.uniform(b, 1, c, self.pieces, like=x), (1, 0))
        turns = knots.diff(dim=-1)  # the slopes, then their changes: a curve is a sum of ramps that begin at its knots
        turns = torch.cat([turns[..., :1], turns.diff(dim=-1)], -1)
        place = (x - low) * (self.pieces / (high - low))
        curve = torch.zeros_like(x)
        for knot in range(self.pieces):
            curve += turns[..., knot, None, None] * (place - knot).clamp_min(0)
        return low + (high - low) * curve.clamp(0, 1)


class Blur(FrameView):
    """Gaussian blur of random width; at the border the kernel's weights are normalised anew.

    Shape: `Batch` -> `[b, t, c, h, w]`.

    Raises:
        RecipeError: the frames are no images.

    Source: C-DSVAE Sec. 2.3 ("Gaussian blur"), after SimCLR; the widths are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """How wide."""

        sigma: float = field(default=1.0, validator=ge(0), metadata={"help": "largest sigma, in pixels; uniform from 0"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        _images(spec)
        self.settings = config

    def forward(self, batch: Batch) -> Tensor:
        x = batch.x
        sigma = self.settings.sigma * self.noise.uniform(len(x), like=x)
        with torch.autocast(x.device.type, enabled=False):
            down, across = (_gaussian(sigma, size) for size in x.shape[-2:])
            rows = (x.flatten(1, 3) @ across.mT).view_as(x)
            columns = rows.mT.flatten(1, 3) @ down.mT
            return columns.view(*rows.mT.shape).mT


class Augment(FrameView):
    """`crop`, then `colour`, then `tone_curves` where they were asked for, then `blur`, each with its own draw.

    Shape: `Batch` -> `[b, t, c, h, w]`.

    Raises:
        RecipeError: the frames are no images.

    Source: C-DSVAE Sec. 2.3, after SimCLR; every clip gets all of them (SimCLR: each with a probability). Tone curves are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """Those of its parts."""

        crop: Crop.Config = field(factory=Crop.Config)
        colour: Colour.Config = field(factory=Colour.Config)
        tone_curves: ToneCurves.Config | None = field(default=None, metadata={"help": "left out: none"})
        blur: Blur.Config = field(factory=Blur.Config)

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        curves = [] if config.tone_curves is None else [ToneCurves(config.tone_curves, spec)]
        self.parts = nn.ModuleList([Crop(config.crop, spec), Colour(config.colour, spec), *curves, Blur(config.blur, spec)])

    def forward(self, batch: Batch) -> Tensor:
        for part in self.parts:
            batch = evolve(batch, x=part(batch))
        return batch.x


def _images(spec: Spec) -> None:
    if len(spec.frame) != 3:
        raise RecipeError(f"frames are vectors {spec.frame}; this view is for images [channels, height, width]")


def _clip_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean value of each clip's real frames: `[b]`."""
    frames = x.flatten(2).mean(2)
    real = torch.ones_like(frames) if mask is None else mask.to(frames)
    return (real * frames).sum(1) / real.sum(1).clamp_min(1)


def _mixing(saturation: Tensor, angle: Tensor, c: int) -> Tensor:
    """`[b, c, c]`: the grey is kept, the rest is scaled and, with three channels, turned about it."""
    grey = torch.full((c, c), 1 / c, dtype=saturation.dtype, device=saturation.device)
    rest = torch.eye(c, dtype=grey.dtype, device=grey.device) - grey
    scale, angle = saturation[:, None, None], angle[:, None, None]
    if c != 3:
        return grey + scale * rest
    cross = grey.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return grey + scale * (torch.cos(angle) * rest + torch.sin(angle) * cross)


def _gaussian(sigma: Tensor, size: int) -> Tensor:
    """`[b, size, size]`: rows of Gaussian weights that sum to 1; the unit matrix for sigma 0."""
    place = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    distance = (place[:, None] - place[None, :]).square()
    weights = (-distance / (2 * sigma.clamp_min(1e-2).square())[:, None, None]).softmax(-1)
    nothing = torch.finfo(weights.dtype).eps ** 2
    return weights.where(weights > nothing, 0)  # down to subnormal numbers, which make products 50 times as slow on some processors
