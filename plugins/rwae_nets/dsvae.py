"""`factorised` and `full`: the two posteriors of DS-VAE."""

from __future__ import annotations

from typing import Literal, final

import torch
from attrs import field, frozen
from attrs.validators import in_
from torch import Tensor, nn

from rwae_kit import FrameEncoder, Latent, Spec
from rwae_nets.encoders import EncoderOptions, PooledEncoder, StaticNet
from rwae_nets.layers import initialised, lstm, mlp, run_lstm


@frozen(kw_only=True)
class DsvaeOptions(EncoderOptions):
    """What both can be told; s comes from a bidirectional LSTM, as in the paper, if nothing else is said."""

    static: Literal["mean", "lstm", "bilstm"] = field(
        default="bilstm",
        validator=in_(("mean", "lstm", "bilstm")),
        metadata={"help": "s from: the mean over time of an MLP, the last state of an LSTM, or of both directions (DS-VAE)"},
    )


@final
class FactorisedEncoder(PooledEncoder):
    """q(s | x_1:T) prod_t q(z_t | x_t): every dynamic latent from its own frame alone, by an MLP.

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.

    Source: DS-VAE (Li and Mandt 2018), the factorised q. What only several frames show, such as a velocity, z_t cannot know.
    """

    Config = DsvaeOptions

    def __init__(self, config: DsvaeOptions, spec: Spec, frames: FrameEncoder) -> None:
        super().__init__(config)
        self.frames = frames
        self.static = StaticNet(config, frames.size, spec.static)
        self.net = mlp(frames.size, config.hidden)
        self.head = config.head(config.hidden, spec.dynamic)

    def dynamic(self, features: Tensor, static: Tensor, mask: Tensor | None) -> Latent:
        return self.draw(*self.head(self.net(features)))


@final
class FullEncoder(PooledEncoder):
    """q(s | x_1:T) q(z_1:T | s, x_1:T): the dynamic posterior sees the draw of s and all frames.

        g_t = BiLSTM([x_t, s]),    h_t = RNN(g_t, h_t-1),    z_t ~ N(mean(h_t), var(h_t))

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.

    Source: DS-VAE (Li and Mandt 2018), the full q; a tanh RNN.
    """

    Config = DsvaeOptions

    def __init__(self, config: DsvaeOptions, spec: Spec, frames: FrameEncoder) -> None:
        super().__init__(config)
        self.frames = frames
        self.static = StaticNet(config, frames.size, spec.static)
        self.both_ways = lstm(frames.size + spec.static, config.hidden, bidirectional=True)
        self.recurrence = initialised(nn.RNN(2 * config.hidden, config.hidden, batch_first=True))
        self.head = config.head(config.hidden, spec.dynamic)

    def dynamic(self, features: Tensor, static: Tensor, mask: Tensor | None) -> Latent:
        given = torch.cat((features, static.unsqueeze(1).expand(-1, features.shape[1], -1)), dim=2)
        hidden = self.recurrence(run_lstm(self.both_ways, given, mask)[0])[0]
        return self.draw(*self.head(hidden))
