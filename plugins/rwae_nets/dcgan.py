"""`dcgan`: convolutions of 4 x 4 that halve the image down to one pixel of features, and their mirror, all batch-normalised."""

from __future__ import annotations

from itertools import pairwise
from typing import final

from attrs import field, frozen
from attrs.validators import gt, optional
from torch import Tensor, nn

from rwae_kit import FrameDecoder, FrameEncoder, Spec
from rwae_nets.layers import SLOPE, image_grid, sizes

STD = 0.01
"""Of the initial weights of convolutions; those of transposed ones are torch's own."""


@frozen(kw_only=True)
class DcganOptions:
    """Layers from the image inwards; the decoder runs them backwards."""

    channels: tuple[int, ...] = field(
        default=(64, 128, 256, 512),
        validator=sizes,
        metadata={"help": "of the layers that halve height and width, image side first"},
    )

    def grid(self, frame: tuple[int, ...], part: str) -> tuple[int, int]:
        """Height and width behind the last halving. Raises `RecipeError` for frames that these nets cannot take."""
        reason = f"each of the channels = {list(self.channels)} halves them"
        return image_grid(frame, 2 ** len(self.channels), f"{part} 'dcgan'", reason, "Give fewer")


@final
class DcganFrameEncoder(FrameEncoder):
    """Images to features: 4 x 4 convolutions of stride 2, then one over all that is left, tanh.

    Batch normalisation behind every convolution, a leaky ReLU behind all but the last. Padding takes part in the statistics.

    Shape: `[n, c, height, width] -> [n, features]`.

    Source:
        C-DSVAE's code at 64 pixels, where the last kernel is 4 x 4; layers of DCGAN (Radford et al. 2016). Initial weights
        N(0, 0.01^2), bias 0, as in its first published version (a later one has torch's). Frames of other sizes are ours.
    """

    @frozen(kw_only=True)
    class Config(DcganOptions):
        """As the decoder's, and the features."""

        features: int = field(default=128, validator=gt(0), metadata={"help": "size h of a frame's features"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        grid = config.grid(spec.frame, "frame encoder")
        steps = pairwise((spec.frame[0], *config.channels))
        halving = [_stage(nn.Conv2d(before, after, 4, 2, 1), after) for before, after in steps]
        last = nn.Conv2d(config.channels[-1], config.features, grid)
        self.stages = nn.Sequential(*halving, nn.Sequential(last, nn.BatchNorm2d(config.features), nn.Tanh()))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=STD)
                nn.init.zeros_(module.get_parameter("bias"))

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.stages(frames)
        return features.flatten(1)


@final
class DcganFrameDecoder(FrameDecoder):
    """Features to pre-activations of images: a transposed convolution from one pixel, then 4 x 4 ones of stride 2.

    Batch normalisation and a leaky ReLU behind all but the last.

    Shape: `[n, features] -> [n, c, height, width]`.

    Source: as `DcganFrameEncoder`; the code's sigmoid is the link of the reconstruction here.
    """

    @frozen(kw_only=True)
    class Config(DcganOptions):
        """As the encoder's, the features, and where the output begins."""

        features: int | None = field(
            default=None,
            validator=optional(gt(0)),
            metadata={"help": "size of its input; left out: that of all latents together, as framewise with hidden = [] has it"},
        )
        output_bias: float | None = field(
            default=None,
            metadata={"help": "initial pre-activation of all pixels; about -3 for dark images; left out: torch's, near 0"},
        )

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features or spec.static + spec.dynamic + spec.action
        grid = config.grid(spec.frame, "frame decoder")
        widths = config.channels[::-1]
        first = _stage(nn.ConvTranspose2d(self.size, widths[0], grid), widths[0])
        doubling = [_stage(nn.ConvTranspose2d(before, after, 4, 2, 1), after) for before, after in pairwise(widths)]
        last = nn.ConvTranspose2d(widths[-1], spec.frame[0], 4, 2, 1)
        if config.output_bias is not None:
            nn.init.constant_(last.get_parameter("bias"), config.output_bias)
        self.stages = nn.Sequential(first, *doubling, last)

    def forward(self, features: Tensor) -> Tensor:
        frames: Tensor = self.stages(features[:, :, None, None])
        return frames


def _stage(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE, inplace=True))
