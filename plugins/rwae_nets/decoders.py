"""`lstm` and `framewise`: p(x_t | s, z) on top of a frame decoder."""

from __future__ import annotations

from typing import final

import torch
from attrs import field, frozen
from attrs.validators import gt
from torch import Tensor, nn

from rwae_kit import Decoder, FrameDecoder, RecipeError, Spec
from rwae_nets.layers import full_precision, layers, lstm, mlp


@final
class LstmDecoder(Decoder):
    """Frames from [s, z_t, a] by way of a fully connected layer, an LSTM over time and the frame decoder.

    Shape: static `[b, d_s]`, dynamic `[b, t, d_d]`, action `[b, a]` to pre-activations `[b, t, *frame]`. A frame sees z_<=t.

    Source: R-WAE Fig. 8(d, e). The layer that fits the LSTM's h_t to the frame decoder is ours; the paper has them equal in size.
    """

    @frozen(kw_only=True)
    class Config:
        """Sizes."""

        hidden: int = field(default=256, validator=gt(0), metadata={"help": "units of the first layer and of the LSTM"})
        layers: int = field(default=1, validator=gt(0), metadata={"help": "LSTM layers"})

    def __init__(self, config: Config, spec: Spec, frames: FrameDecoder) -> None:
        super().__init__(config)
        self.frames = frames
        self.inputs = mlp(spec.static + spec.dynamic + spec.action, config.hidden)
        self.recurrence = lstm(config.hidden, config.hidden, layers=config.layers)
        self.outputs = mlp(config.hidden, frames.size)

    def forward(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor:
        with full_precision(dynamic):
            hidden = self.recurrence(self.inputs(at_every_frame(static, dynamic, action)))[0]
        return decoded(self.frames, self.outputs(hidden))


@final
class FramewiseDecoder(Decoder):
    """Every frame on its own from [s, z_t, a]: an MLP, then the frame decoder. Cheapest, and x_t depends on z_t alone.

    Shape: static `[b, d_s]`, dynamic `[b, t, d_d]`, action `[b, a]` to pre-activations `[b, t, *frame]`.

    Raises:
        RecipeError: no hidden layer, and a frame decoder for features of another size than the latents have together.

    Source: C-DSVAE's code and DS-VAE, which decode frame by frame, and have `hidden = []`; the MLP is ours.
    """

    @frozen(kw_only=True)
    class Config:
        """Sizes."""

        hidden: tuple[int, ...] = field(
            default=(256,),
            validator=layers,
            metadata={"help": "hidden layers of the MLP; []: no MLP, the latents are the frame decoder's features"},
        )

    def __init__(self, config: Config, spec: Spec, frames: FrameDecoder) -> None:
        super().__init__(config)
        self.frames = frames
        size = spec.static + spec.dynamic + spec.action
        if not config.hidden and frames.size != size:
            raise RecipeError(
                f"hidden = [] needs a frame decoder with as many 'features' as the latents have, {size} (static {spec.static}, "
                f"dynamic {spec.dynamic}, action {spec.action}), not {frames.size}. Set its features, or give hidden = [256]"
            )
        self.net = mlp(size, *config.hidden, frames.size) if config.hidden else nn.Identity()

    def forward(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor:
        return decoded(self.frames, self.net(at_every_frame(static, dynamic, action)))


def at_every_frame(static: Tensor, dynamic: Tensor, action: Tensor | None) -> Tensor:
    """`[s, z_t, a]` for every t: `[b, t, d_s + d_d + a]`."""
    t = dynamic.shape[1]
    parts = [static.unsqueeze(1).expand(-1, t, -1), dynamic]
    if action is not None:
        parts.append(action.unsqueeze(1).expand(-1, t, -1))
    return torch.cat(parts, dim=2)


def decoded(frames: FrameDecoder, hidden: Tensor) -> Tensor:
    """`[b, t, h] -> [b, t, *frame]`."""
    pre: Tensor = frames(hidden.flatten(0, 1))
    return pre.view(*hidden.shape[:2], *pre.shape[1:])
