"""`conv`: a plain strided convolutional net for images, and its mirror."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from attrs import field, frozen
from attrs.validators import gt, in_
from torch import Tensor, nn

from rwae_kit import FrameDecoder, FrameEncoder, Spec
from rwae_nets.layers import SLOPE, image_grid, kaiming, mlp, sizes


@frozen(kw_only=True)
class ConvOptions:
    """Layers from the image inwards; the decoder runs them backwards."""

    channels: tuple[int, ...] = field(default=(32, 64), validator=sizes, metadata={"help": "of the convolutions, image side first"})
    strides: tuple[int, ...] = field(default=(4, 2), validator=sizes, metadata={"help": "one for all, or one each"})
    kernels: tuple[int, ...] = field(default=(4,), validator=sizes, metadata={"help": "one for all, or one each"})
    features: int = field(default=128, validator=gt(0), metadata={"help": "size h of a frame's features"})
    normalisation: Literal["none", "batch", "group"] = field(
        default="none", validator=in_(("none", "batch", "group")), metadata={"help": "between convolution and activation"}
    )

    def __attrs_post_init__(self) -> None:
        for name, values in (("strides", self.strides), ("kernels", self.kernels)):
            if len(values) not in (1, len(self.channels)):
                raise ValueError(f"'{name}' has {len(values)} entries, 'channels' {len(self.channels)}: one for all, or one each")
        for kernel, stride in self.windows:
            if kernel < stride or (stride == 1 and kernel % 2 == 0):
                raise ValueError(f"kernel {kernel} does not fit stride {stride}: take at least the stride, an odd one at stride 1")

    @property
    def windows(self) -> list[tuple[int, int]]:
        """(kernel, stride) of every layer, image side first."""
        n = len(self.channels)
        kernels, strides = (v * n if len(v) == 1 else v for v in (self.kernels, self.strides))
        return list(zip(kernels, strides, strict=True))

    def grid(self, frame: tuple[int, ...], part: str) -> tuple[int, int]:
        """Height and width behind the last convolution. Raises `RecipeError` for frames that this net cannot take."""
        strides = [stride for _, stride in self.windows]
        reason = f"the product of strides = {strides}"
        return image_grid(frame, math.prod(strides), f"{part} 'conv'", reason, "Choose other strides")


@final
class ConvFrameEncoder(FrameEncoder):
    """Images to features: convolutions, each of which divides height and width by its stride, and a fully connected layer.

    Shape: `[n, c, height, width] -> [n, features]`, any memory format. With `normalisation = "batch"` padding takes part in the
    statistics.

    Source:
        R-WAE App. G, "S" (five layers as in DS-VAE): `channels = [256, 256, 256, 256, 256]`, `strides = [1, 2, 2, 2, 2]`,
        `kernels = [5]` is near it. The default, two layers without normalisation, is ours: small images on a CPU.
    """

    Config = ConvOptions

    def __init__(self, config: ConvOptions, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        height, width = config.grid(spec.frame, "frame encoder")
        layers: list[nn.Module] = []
        before = spec.frame[0]
        for after, (kernel, stride) in zip(config.channels, config.windows, strict=True):
            conv = nn.Conv2d(before, after, kernel, stride, padding=_padding(kernel, stride))
            kaiming(conv.weight, before * kernel**2)
            nn.init.zeros_(conv.get_parameter("bias"))
            layers += _activated(conv, after, config)
            before = after
        self.convolutions = nn.Sequential(*layers)
        self.fully_connected = mlp(before * height * width, config.features)

    def forward(self, frames: Tensor) -> Tensor:
        hidden: Tensor = self.fully_connected(self.convolutions(frames).flatten(1))
        return hidden


@final
class ConvFrameDecoder(FrameDecoder):
    """Features to pre-activations of images: the encoder's layers mirrored, with transposed convolutions.

    Shape: `[n, features] -> [n, c, height, width]`.

    Source: as `ConvFrameEncoder`.
    """

    @frozen(kw_only=True)
    class Config(ConvOptions):
        """As the encoder's, and where the output begins."""

        output_bias: float = field(default=0.0, metadata={"help": "initial pre-activation of all pixels; about -3 for dark images"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        self.grid = config.grid(spec.frame, "frame decoder")
        self.channels = config.channels[-1]
        self.fully_connected = mlp(config.features, self.channels * self.grid[0] * self.grid[1])
        layers: list[nn.Module] = []
        inwards = zip(config.channels[:-1], config.channels[1:], config.windows[1:], strict=True)
        for after, before, window in reversed(list(inwards)):
            layers += _activated(_upwards(before, after, *window), after, config)
        last = _upwards(config.channels[0], spec.frame[0], *config.windows[0], slope=1.0, bias=config.output_bias)
        self.convolutions = nn.Sequential(*layers, last)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.fully_connected(features).unflatten(1, (self.channels, *self.grid))
        frames: Tensor = self.convolutions(hidden)
        return frames


class BlockUpsampling(nn.Module):
    """A transposed convolution whose kernel is its stride: every pixel becomes a block, all by one matrix product.

    Shape: `[n, before, h, w] -> [n, after, h * size, w * size]`, channels last in memory. On a CPU several times as fast as
    `nn.ConvTranspose2d`.
    """

    def __init__(self, before: int, after: int, size: int, *, slope: float = SLOPE, bias: float = 0.0) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(before, size * size * after))
        self.bias = nn.Parameter(torch.full((after,), bias))
        kaiming(self.weight, before, slope=slope)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        blocks = torch.addmm(self.bias.repeat(self.size**2), pixels, self.weight).view(n, height, width, self.size, self.size, -1)
        return blocks.transpose(2, 3).reshape(n, height * self.size, width * self.size, -1).permute(0, 3, 1, 2)


def _padding(kernel: int, stride: int) -> int:
    """So that a size that `stride` divides is divided by it."""
    return (kernel - stride + 1) // 2


def _upwards(before: int, after: int, kernel: int, stride: int, *, slope: float = SLOPE, bias: float = 0.0) -> nn.Module:
    padding = _padding(kernel, stride)
    if kernel == stride:
        return BlockUpsampling(before, after, kernel, slope=slope, bias=bias)
    layer = nn.ConvTranspose2d(before, after, kernel, stride, padding, output_padding=stride - kernel + 2 * padding)
    kaiming(layer.weight, before * (kernel / stride) ** 2, slope=slope)
    nn.init.constant_(layer.get_parameter("bias"), bias)
    return layer


def _activated(layer: nn.Module, channels: int, config: ConvOptions) -> list[nn.Module]:
    if config.normalisation == "batch":
        return [layer, nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE, inplace=True)]
    if config.normalisation == "group":
        return [layer, nn.GroupNorm(math.gcd(8, channels), channels), nn.LeakyReLU(SLOPE, inplace=True)]
    return [layer, nn.LeakyReLU(SLOPE, inplace=True)]
