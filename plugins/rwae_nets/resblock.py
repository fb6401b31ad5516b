"""`resblock`: residual frame nets with self-attention and taps at every level, as in R-WAE's size "C"."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import final

import torch
from attrs import field, frozen
from attrs.validators import gt, in_
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import FrameDecoder, FrameEncoder, Spec
from rwae_nets.layers import SLOPE, image_grid, linear, sizes
from rwae_nets.residual import (
    Activation,
    DownBlock,
    Normalisation,
    SelfAttention,
    UpBlock,
    convolution,
    spectrally_normalised,
)


@frozen(kw_only=True)
class ResblockOptions:
    """Blocks from the image inwards; the decoder runs them backwards."""

    channels: tuple[int, ...] = field(
        default=(64, 128, 256, 512, 1024),
        validator=sizes,
        metadata={"help": "of the blocks, image side first; each halves height and width"},
    )
    features: int = field(default=150, validator=gt(0), metadata={"help": "size h of a frame's features"})
    ladder: bool = field(
        default=True, metadata={"help": "features from every block and the last layer, an equal share each (R-WAE Fig. 7)"}
    )
    attention: bool = field(default=True, metadata={"help": "self-attention between the two blocks nearest to the image"})
    spectral: bool = field(default=False, metadata={"help": "spectral normalisation of all weights"})
    normalisation: Normalisation = field(
        default="none", validator=in_(("none", "batch", "group")), metadata={"help": "before every activation inside the blocks"}
    )

    def __attrs_post_init__(self) -> None:
        if self.features % self.taps:
            fitting = max(1, round(self.features / self.taps)) * self.taps
            raise ValueError(
                f"'features' = {self.features} cannot be shared evenly by {self.taps} taps ({len(self.channels)} blocks, the last "
                f"layer): take {fitting}, or ladder = false"
            )

    @property
    def taps(self) -> int:
        """Among how many levels the features are shared."""
        return len(self.channels) + 1 if self.ladder else 1

    @property
    def share(self) -> int:
        """Features of one level."""
        return self.features // self.taps

    def grids(self, frame: tuple[int, ...], part: str) -> list[tuple[int, int]]:
        """Height and width behind every block, image side first. Raises `RecipeError` for frames that these nets cannot take."""
        reason = f"each of the channels = {list(self.channels)} is a block that halves them"
        image_grid(frame, 2 ** len(self.channels), f"{part} 'resblock'", reason, "Give fewer")
        return [(frame[1] >> k, frame[2] >> k) for k in range(1, len(self.channels) + 1)]


@final
class ResblockFrameEncoder(FrameEncoder):
    """Images to features: residual blocks that halve height and width, self-attention behind the first, a fully connected layer.

    With `ladder`, h_0, h_1, ... are fully connected layers on the blocks' outputs, image side first, and one more on the last
    output; the features are `[h_n, ..., h_1, h_0]`, of equal size.

    Shape: `[n, c, height, width] -> [n, features]`, any memory format.

    Source:
        R-WAE Fig. 7(a), Tables 5, 7 (64 pixels; `features = 180` on MUG); blocks and attention of BigGAN (Brock et al. 2019).
        Ours, where the paper is silent: the sixth tap (h_0 .. h_5 and five blocks), a leaky ReLU before and behind every tap's
        layer, no normalisation by default, and the initial weights.
    """

    Config = ResblockOptions

    def __init__(self, config: ResblockOptions, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        grids = config.grids(spec.frame, "frame encoder")
        block = partial(DownBlock, normalisation=config.normalisation, spectral=config.spectral)
        widths = (spec.frame[0], *config.channels)
        self.blocks = nn.ModuleList(block(a, b, first=i == 0) for i, (a, b) in enumerate(pairwise(widths)))
        self.attention = SelfAttention(config.channels[0], spectral=config.spectral) if config.attention else nn.Identity()
        volumes = [c * height * width for c, (height, width) in zip(config.channels, grids, strict=True)]
        tapped = [*volumes, volumes[-1]] if config.ladder else volumes[-1:]
        self.taps = nn.ModuleList(spectrally_normalised(linear(volume, config.share), config.spectral) for volume in tapped)

    def forward(self, frames: Tensor) -> Tensor:
        return torch.cat(self.levels(frames)[::-1], dim=1)

    def levels(self, frames: Tensor) -> list[Tensor]:
        """h_0, h_1, ..., image side first, `[n, features / taps]` each; one only without `ladder`."""
        outputs, x = [], frames
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == 0:
                x = self.attention(x)
            outputs.append(x)
        tapped = [*outputs, x] if len(self.taps) > 1 else [x]
        flat = (functional.leaky_relu(output, SLOPE).flatten(1) for output in tapped)
        return [functional.leaky_relu(tap(v), SLOPE) for tap, v in zip(self.taps, flat, strict=True)]


@final
class ResblockFrameDecoder(FrameDecoder):
    """Features to pre-activations of images: a fully connected layer to twice the last channels, then residual blocks that double
    height and width, self-attention before the last, a 3 x 3 convolution.

    With `ladder` the features are split evenly into `[h_n, ..., h_1, h_0]`: the first goes into the fully connected layer, the
    next into the first block, h_0 into the last, where they give the activations their gains and biases.

    Shape: `[n, features] -> [n, c, height, width]`.

    Source:
        R-WAE Fig. 7(b), Tables 6, 8 (MUG: `channels = [96, 192, 384, 768, 1536]`); blocks of BigGAN (Brock et al. 2019),
        whose split of the latent and conditional gains and biases are how a level enters: the paper is silent. BigGAN normalises
        over the batch: `normalisation = "batch"`; none by default is ours.
    """

    @frozen(kw_only=True)
    class Config(ResblockOptions):
        """As the encoder's, and where the output begins."""

        output_bias: float = field(default=0.0, metadata={"help": "initial pre-activation of all pixels; about -3 for dark images"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        self.grid = config.grids(spec.frame, "frame decoder")[-1]
        self.ladder, self.share = config.ladder, config.share
        widths = (2 * config.channels[-1], *reversed(config.channels))
        start = linear(self.share, widths[0] * self.grid[0] * self.grid[1], slope=1.0)
        self.fully_connected = spectrally_normalised(start, config.spectral)
        level = self.share if config.ladder else 0
        block = partial(UpBlock, normalisation=config.normalisation, spectral=config.spectral, level=level)
        self.blocks = nn.ModuleList(block(a, b) for a, b in pairwise(widths))
        self.attention = SelfAttention(widths[-2], spectral=config.spectral) if config.attention else nn.Identity()
        self.activation = Activation(widths[-1], config.normalisation)
        self.output = convolution(widths[-1], spec.frame[0], 3, spectral=config.spectral)
        nn.init.constant_(self.output.get_parameter("bias"), config.output_bias)

    def forward(self, features: Tensor) -> Tensor:
        levels = torch.split(features, self.share, dim=1)
        x = self.fully_connected(levels[0]).unflatten(1, (-1, *self.grid))
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            if i == last:
                x = self.attention(x)
            x = block(x, levels[i + 1] if self.ladder else None)
        frames: Tensor = self.output(self.activation(x))
        return frames
