"""`tfgan`: small residual nets without normalisation, after those of TFGAN for moving shapes."""

from __future__ import annotations

from itertools import pairwise
from typing import final

from attrs import field, frozen
from attrs.validators import gt, optional
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import FrameDecoder, FrameEncoder, Spec
from rwae_nets.layers import SLOPE, image_grid, linear, sizes
from rwae_nets.residual import convolution


def grid(channels: tuple[int, ...], frame: tuple[int, ...], part: str) -> tuple[int, int]:
    """Height and width behind the last halving. Raises `RecipeError` for frames that these nets cannot take."""
    reason = f"all but the first of the channels = {list(channels)} halve them"
    return image_grid(frame, 2 ** (len(channels) - 1), f"{part} 'tfgan'", reason, "Give fewer")


@final
class TfganFrameEncoder(FrameEncoder):
    """Images to features: a convolution, residual blocks with means that halve height and width between them, a linear layer.

    Shape: `[n, c, height, width] -> [n, features]`.

    Source:
        R-WAE App. I (Moving-Shape) takes the nets of TFGAN (Balaji et al. 2018) and says no more. The default is the trunk of the
        image discriminator in the code of Balaji et al. 2019, its later version, for moving shapes of 64 pixels: widths, blocks of
        one convolution, 3 x 3 means, leaky ReLU, a linear layer to 128; without what reads the text. Ours: to take the
        discriminator's trunk for an encoder, the leaky ReLU behind the linear layer, and the initial weights.
    """

    @frozen(kw_only=True)
    class Config:
        """Sizes."""

        first: int = field(default=32, validator=gt(0), metadata={"help": "channels of the convolution that reads the image"})
        channels: tuple[int, ...] = field(
            default=(64, 128, 128, 128, 256, 256),
            validator=sizes,
            metadata={"help": "of the blocks, image side first; before all but the first, height and width are halved"},
        )
        features: int = field(default=128, validator=gt(0), metadata={"help": "size h of a frame's features"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        height, width = grid(config.channels, spec.frame, "frame encoder")
        self.image = convolution(spec.frame[0], config.first, 3, spectral=False)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in pairwise((config.first, *config.channels)))
        self.fully_connected = linear(config.channels[-1] * height * width, config.features)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.image(frames)
        for i, block in enumerate(self.blocks):
            x = block(functional.avg_pool2d(x, 3, 2, 1) if i else x)
        features: Tensor = self.fully_connected(_active(x).flatten(1))
        return _active(features)


@final
class TfganFrameDecoder(FrameDecoder):
    """Features to pre-activations of images: a linear layer, residual blocks with nearest upsampling between them, a convolution.

    Shape: `[n, features] -> [n, c, height, width]`.

    Source:
        As `TfganFrameEncoder`; the default is the frame generator. There a linear layer reads all latents as they are, which the
        decoder 'framewise' does with `hidden = []`; its tanh is the link of the reconstruction here.
    """

    @frozen(kw_only=True)
    class Config:
        """Sizes, and where the output begins."""

        channels: tuple[int, ...] = field(
            default=(32, 64, 128, 128, 128, 256),
            validator=sizes,
            metadata={"help": "of the blocks, image side first; behind all but the first, height and width are doubled"},
        )
        features: int | None = field(
            default=None,
            validator=optional(gt(0)),
            metadata={"help": "size of its input; left out: that of all latents together, as framewise with hidden = [] has it"},
        )
        output_bias: float = field(default=0.0, metadata={"help": "initial pre-activation of all pixels; about -3 for dark images"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features or spec.static + spec.dynamic + spec.action
        self.grid = grid(config.channels, spec.frame, "frame decoder")
        widths = config.channels[::-1]
        self.fully_connected = linear(self.size, widths[0] * self.grid[0] * self.grid[1], slope=1.0)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in pairwise((widths[0], *widths)))
        self.output = convolution(widths[-1], spec.frame[0], 3, spectral=False)
        nn.init.constant_(self.output.get_parameter("bias"), config.output_bias)

    def forward(self, features: Tensor) -> Tensor:
        x = self.fully_connected(features).unflatten(1, (-1, *self.grid))
        for i, block in enumerate(self.blocks):
            x = block(functional.interpolate(x, scale_factor=2.0, mode="nearest") if i else x)
        frames: Tensor = self.output(_active(x))
        return frames


class Block(nn.Module):
    """A leaky ReLU and a 3 x 3 convolution, beside the input as it is or, where channels change, a 1 x 1 convolution of it.

    Shape: `[n, before, h, w] -> [n, after, h, w]`.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        same = before == after
        self.convolution = convolution(before, after, 3, spectral=False, share=0.25 if same else 0.5)
        self.shortcut = nn.Identity() if same else convolution(before, after, 1, spectral=False, share=0.5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        sum_of_both: Tensor = self.shortcut(x) + self.convolution(_active(x))
        return sum_of_both


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)
