"""`factorised` and `full`: the two posteriors of DS-VAE."""

from __future__ import annotations

from typing import Literal, final

import torch
from attrs import evolve, field, frozen
from attrs.validators import in_
from torch import Tensor, nn

from rwae_kit import Batch, FrameEncoder, SequenceEncoder, SequencePosterior, Spec
from rwae_nets.encoders import EncoderOptions, StaticNet, frame_features
from rwae_nets.layers import full_precision, initialised, lstm, mlp, run_lstm


@frozen(kw_only=True)
class DsvaeOptions(EncoderOptions):
    """What both can be told; s comes from a bidirectional LSTM, as in the paper, if nothing else is said."""

    static: Literal["mean", "lstm", "bilstm"] = field(
        default="bilstm",
        validator=in_(("mean", "lstm", "bilstm")),
        metadata={"help": "s from: the mean over time of an MLP, the last state of an LSTM, or of both directions (DS-VAE)"},
    )


@final
class FactorisedEncoder(SequenceEncoder):
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

    def features(self, batch: Batch) -> Tensor:
        return frame_features(self.frames, batch.x)

    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        with full_precision(features):
            features = features.to(self.head.both.weight.dtype)
            static = self.draw(*self.static(features, batch.mask))
            dynamic = self.draw(*self.head(self.net(features)))
        return SequencePosterior(static=static, dynamic=evolve(dynamic, weight=batch.mask))


@final
class FullEncoder(SequenceEncoder):
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

    def features(self, batch: Batch) -> Tensor:
        return frame_features(self.frames, batch.x)

    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        with full_precision(features):
            features = features.to(self.head.both.weight.dtype)
            static = self.draw(*self.static(features, batch.mask))
            given = torch.cat((features, static.sample.unsqueeze(1).expand(-1, features.shape[1], -1)), dim=2)
            hidden = self.recurrence(run_lstm(self.both_ways, given, batch.mask)[0])[0]
            dynamic = self.draw(*self.head(hidden))
        return SequencePosterior(static=static, dynamic=evolve(dynamic, weight=batch.mask))
