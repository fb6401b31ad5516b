"""Residual blocks of BigGAN that halve or double an image, and self-attention over its pixels."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from rwae_nets.layers import SLOPE, kaiming, linear

Normalisation: TypeAlias = Literal["none", "batch", "group"]
M = TypeVar("M", bound=nn.Module)


class DownBlock(nn.Module):
    """`[n, before, h, w] -> [n, after, h / 2, w / 2]`: two convolutions, then means of 2 x 2; beside it a 1 x 1 one of means.

    `first`: on an image, without an activation before the first convolution. Mean and 1 x 1 convolution commute: the cheaper order.
    Both parts begin with 3/4 of the input's variance each: the mean takes some away, more from noise than from smooth images.
    """

    def __init__(self, before: int, after: int, *, normalisation: Normalisation, spectral: bool, first: bool = False) -> None:
        super().__init__()
        self.enter = None if first else Activation(before, normalisation)
        self.one = convolution(before, after, 3, spectral=spectral)
        self.middle = Activation(after, normalisation)
        self.two = convolution(after, after, 3, spectral=spectral, share=0.75)
        self.shortcut = convolution(before, after, 1, spectral=spectral, share=0.75)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.enter is None else self.enter(x)
        hidden = self.two(self.middle(self.one(hidden)))
        shortcut: Tensor = self.shortcut(functional.avg_pool2d(x, 2))
        return shortcut + functional.avg_pool2d(hidden, 2)


class UpBlock(nn.Module):
    """`[n, before, h, w] -> [n, after, 2 h, 2 w]`: nearest upsampling between two activations and convolutions, beside a 1 x 1 one.

    `level`: size of the features that give both activations their gains and biases; 0 for none.
    """

    def __init__(self, before: int, after: int, *, normalisation: Normalisation, spectral: bool, level: int = 0) -> None:
        super().__init__()
        self.enter = Activation(before, normalisation, level, spectral=spectral)
        self.one = convolution(before, after, 3, spectral=spectral)
        self.middle = Activation(after, normalisation, level, spectral=spectral)
        self.two = convolution(after, after, 3, spectral=spectral, share=0.5)
        self.shortcut = convolution(before, after, 1, spectral=spectral, share=0.5)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        hidden: Tensor = self.one(_doubled(self.enter(x, level)))
        hidden = self.two(self.middle(hidden, level))
        return hidden + _doubled(self.shortcut(x))


class Activation(nn.Module):
    """Normalisation, gain and bias of every channel from features `[n, level]`, leaky ReLU. Shape: `[n, channels, h, w]`.

    With batch normalisation it is BigGAN's conditional one, whose gains and biases come from a chunk of the latent.
    """

    def __init__(self, channels: int, normalisation: Normalisation, level: int = 0, *, spectral: bool = False) -> None:
        super().__init__()
        self.norm = normalised(normalisation, channels, affine=level == 0)
        self.gain_and_bias = None
        if level:
            layer = linear(level, 2 * channels, slope=1.0)
            with torch.no_grad():
                layer.weight.mul_(0.1)
            self.gain_and_bias = spectrally_normalised(layer, spectral)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        x = self.norm(x)
        if self.gain_and_bias is not None:
            gain, bias = self.gain_and_bias(level)[:, :, None, None].chunk(2, dim=1)
            x = torch.addcmul(x + bias, x, gain)
        return functional.leaky_relu(x, SLOPE)


class SelfAttention(nn.Module):
    """x + gamma W v(x) softmax(q(x) k(x)) over the pixels, gamma = 0 at the start; keys and values from maxima of 2 x 2 pixels.

    Shape: `[n, channels, h, w]`.

    Source: SAGAN (Zhang et al. 2019) as in BigGAN's code: q and k of an eighth, v of half the channels, no scale in the softmax.
    """

    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key = (convolution(channels, narrow, 1, spectral=spectral, bias=False) for _ in range(2))
        self.value = convolution(channels, half, 1, spectral=spectral, bias=False)
        self.output = convolution(half, channels, 1, spectral=spectral, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        window = [min(2, side) for side in x.shape[2:]]
        key, value = (functional.max_pool2d(net(x), window) for net in (self.key, self.value))
        query, key, value = (v.flatten(2).transpose(1, 2).unsqueeze(1) for v in (self.query(x), key, value))
        seen = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended: Tensor = self.output(seen.squeeze(1).transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))
        return x + self.gamma * attended


def convolution(before: int, after: int, kernel: int, *, spectral: bool, share: float = 1.0, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps height and width, whose output has `share` of its input's variance at the start."""
    layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias)
    kaiming(layer.weight, before * kernel**2 / share, slope=1.0 if kernel == 1 else SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return spectrally_normalised(layer, spectral)


def spectrally_normalised(layer: M, wanted: bool) -> M:
    """The layer, with its weight over its largest singular value if that is wanted (one power iteration a training step)."""
    if wanted:
        spectral_norm(layer)
    return layer


def normalised(kind: Normalisation, channels: int, *, affine: bool = True) -> nn.Module:
    """A normalisation of images."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, affine=affine)
    return nn.GroupNorm(math.gcd(8, channels), channels, affine=affine) if kind == "group" else nn.Identity()


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
