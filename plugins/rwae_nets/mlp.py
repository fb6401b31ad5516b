"""`mlp`: fully connected frame nets, for vectors and for images taken as vectors."""

from __future__ import annotations

import math
from typing import final

from attrs import field, frozen
from attrs.validators import gt
from torch import Tensor, nn

from rwae_kit import FrameDecoder, FrameEncoder, Spec
from rwae_nets.layers import linear, mlp, sizes


@frozen(kw_only=True)
class MlpOptions:
    """Layers from the frame inwards; the decoder runs them backwards."""

    hidden: tuple[int, ...] = field(default=(256, 256), validator=sizes, metadata={"help": "hidden layers, frame side first"})
    features: int = field(default=128, validator=gt(0), metadata={"help": "size h of a frame's features"})


@final
class MlpFrameEncoder(FrameEncoder):
    """Frames to features, a leaky ReLU after every layer.

    Shape: `[n, *frame] -> [n, features]`.

    Source: R-WAE App. G (TIMIT), DS-VAE: two hidden layers of 256.
    """

    Config = MlpOptions

    def __init__(self, config: MlpOptions, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        self.layers = mlp(math.prod(spec.frame), *config.hidden, config.features)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.layers(frames.flatten(1))
        return features


@final
class MlpFrameDecoder(FrameDecoder):
    """Features to pre-activations of frames.

    Shape: `[n, features] -> [n, *frame]`.

    Source: as `MlpFrameEncoder`.
    """

    @frozen(kw_only=True)
    class Config(MlpOptions):
        """As the encoder's, and where the output begins."""

        output_bias: float = field(default=0.0, metadata={"help": "initial pre-activation of all values; about -3 for dark images"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = config.features
        self.frame = spec.frame
        last = linear(config.hidden[0], math.prod(spec.frame), slope=1.0)
        nn.init.constant_(last.bias, config.output_bias)
        self.layers = nn.Sequential(mlp(config.features, *reversed(config.hidden)), last)

    def forward(self, features: Tensor) -> Tensor:
        frames: Tensor = self.layers(features)
        return frames.view(-1, *self.frame)
