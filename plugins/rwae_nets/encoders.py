"""`autoregressive` and `bidirectional`: posteriors q(s, z_1:T | x_1:T) over the features of the frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from attrs import evolve, field, frozen
from attrs.validators import gt, in_
from torch import Tensor, nn

from rwae_kit import Batch, FrameEncoder, Latent, SequenceEncoder, SequencePosterior, Spec
from rwae_nets.layers import GaussianHead, full_precision, increasing, initialised, lstm, mlp, run_lstm


@frozen(kw_only=True)
class EncoderOptions:
    """What both encoders can be told."""

    static: Literal["mean", "lstm", "bilstm"] = field(
        default="mean",
        validator=in_(("mean", "lstm", "bilstm")),
        metadata={"help": "s from: the mean over time of an MLP, the last state of an LSTM (R-WAE Fig. 8a), or of both directions"},
    )
    static_hidden: int = field(default=128, validator=gt(0), metadata={"help": "units of the static net"})
    hidden: int = field(default=128, validator=gt(0), metadata={"help": "units of the dynamic net"})
    log_var: float = field(default=-2.0, metadata={"help": "initial log-variance of both latents"})
    log_var_range: tuple[float, float] = field(default=(-8.0, 3.0), validator=increasing, metadata={"help": "its bounds"})

    def __attrs_post_init__(self) -> None:
        if not self.log_var_range[0] < self.log_var < self.log_var_range[1]:
            raise ValueError(f"'log_var' = {self.log_var} must lie inside 'log_var_range' = {self.log_var_range}")

    def head(self, hidden: int, d: int) -> GaussianHead:
        """A head with these options."""
        return GaussianHead(hidden, d, initial=self.log_var, bounds=self.log_var_range)


class PooledEncoder(SequenceEncoder, ABC):
    """What these encoders share: features of every frame on its own, s from all of them, and then z_1:T.

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.
    """

    frames: FrameEncoder
    static: StaticNet
    head: GaussianHead

    @final
    def features(self, batch: Batch) -> Tensor:
        return frame_features(self.frames, batch)

    @final
    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        with full_precision(features):
            features = features.to(self.head.both.weight.dtype)
            static = self.draw(*self.static(features, batch.mask))
            dynamic = self.dynamic(features, static.sample, batch.mask)
        return SequencePosterior(static=static, dynamic=evolve(dynamic, weight=batch.mask))

    @abstractmethod
    def dynamic(self, features: Tensor, static: Tensor, mask: Tensor | None) -> Latent:
        """z_1:T `[b, t, d_d]` from features `[b, t, h]`, the draw of s `[b, d_s]` and the mask `[b, t]`."""


@final
class AutoregressiveEncoder(PooledEncoder):
    """q(s | x_1:T) q(z_t | z_<t, x_<=t): an LSTM over the features and the draw before.

        h_t = LSTM([f(x_t), z_t-1], h_t-1),    z_t ~ N(mean(h_t), var(h_t)),    z_0 = h_0 = 0

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.

    Source:
        R-WAE Eq. 5, Fig. 1(b), Fig. 8(a, b). Deviations: h_t also remembers x_<t, as the LSTM of Fig. 8(b) does and Eq. 5 does not
        say; `static = "mean"` is ours (an LSTM in the paper). `feedback = False` leaves z_t-1 out: z_t given x_<=t, independent.
    """

    @frozen(kw_only=True)
    class Config(EncoderOptions):
        """What both encoders can be told, and feedback."""

        feedback: bool = field(default=True, metadata={"help": "feed z of the frame before back; false: a plain LSTM, faster"})

    def __init__(self, config: Config, spec: Spec, frames: FrameEncoder) -> None:
        super().__init__(config)
        self.frames, self.size = frames, spec.dynamic
        self.static = StaticNet(config, frames.size, spec.static)
        self.recurrence = (
            FeedbackLstm(frames.size, config.hidden, spec.dynamic) if config.feedback else lstm(frames.size, config.hidden)
        )
        self.head = config.head(config.hidden, spec.dynamic)

    def dynamic(self, features: Tensor, static: Tensor, mask: Tensor | None) -> Latent:
        if isinstance(self.recurrence, FeedbackLstm):
            noise = self.noise.normal(*features.shape[:2], self.size, like=features) if self.drawing else None
            fed_back: Latent = self.recurrence(features, self.head, noise)
            return fed_back
        return self.draw(*self.head(self.recurrence(features)[0]))


@final
class BidirectionalEncoder(PooledEncoder):
    """q(s | x_1:T) prod_t q(z_t | x_1:T): a bidirectional LSTM over the features, in one pass.

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.

    Source: DS-VAE, the factorised posterior; C-DSVAE's code has it with a tanh RNN behind.
    """

    Config = EncoderOptions

    def __init__(self, config: EncoderOptions, spec: Spec, frames: FrameEncoder) -> None:
        super().__init__(config)
        self.frames = frames
        self.static = StaticNet(config, frames.size, spec.static)
        self.recurrence = lstm(frames.size, config.hidden, bidirectional=True)
        self.head = config.head(2 * config.hidden, spec.dynamic)

    def dynamic(self, features: Tensor, static: Tensor, mask: Tensor | None) -> Latent:
        return self.draw(*self.head(run_lstm(self.recurrence, features, mask)[0]))


def frame_features(frames: FrameEncoder, batch: Batch) -> Tensor:
    """Every frame on its own: `[b, t, *frame] -> [b, t, h]`. Padding is not looked at, nor normalised over: its features are 0."""
    if batch.mask is None:
        features: Tensor = frames(batch.x.flatten(0, 1))
        return features.view(*batch.x.shape[:2], -1)
    real = batch.mask.ne(0)
    of_real: Tensor = frames(batch.x[real])
    return of_real.new_zeros(*batch.x.shape[:2], of_real.shape[-1]).masked_scatter(real.unsqueeze(-1), of_real)


class StaticNet(nn.Module):
    """The parameters of q(s | x_1:T) from features `[b, t, h]`; padding takes no part."""

    def __init__(self, options: EncoderOptions, size: int, d: int) -> None:
        super().__init__()
        hidden, both = options.static_hidden, options.static == "bilstm"
        self.net = mlp(size, hidden) if options.static == "mean" else lstm(size, hidden, bidirectional=both)
        self.head = options.head(2 * hidden if both else hidden, d)

    def forward(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if isinstance(self.net, nn.LSTM):
            pooled = run_lstm(self.net, features, mask)[1]
        else:
            pooled = mean_over_time(self.net(features), mask)
        parameters: tuple[Tensor, Tensor] = self.head(pooled)
        return parameters


def mean_over_time(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of the real frames: `[b, t, k] -> [b, k]`."""
    if mask is None:
        return x.mean(1)
    weight = mask.to(x.dtype)
    return torch.einsum("btk,bt->bk", x, weight / weight.sum(1, keepdim=True).clamp(min=1))


class FeedbackLstm(nn.Module):
    """An LSTM whose input is a frame's features and the latent drawn one frame before.

    What the features contribute to the gates is one product for all frames; the loop holds one product `[h, z] W` a frame.
    """

    def __init__(self, size: int, hidden: int, d: int) -> None:
        super().__init__()
        self.hidden, self.d = hidden, d
        start = initialised(nn.LSTM(size + d, hidden))
        self.inputs = nn.Linear(size, 4 * hidden)
        self.state = nn.Linear(hidden + d, 4 * hidden, bias=False)
        with torch.no_grad():
            of_features, of_latent = start.get_parameter("weight_ih_l0").tensor_split([size], dim=1)
            self.inputs.weight.copy_(of_features)
            self.inputs.bias.copy_(start.get_parameter("bias_ih_l0"))
            self.state.weight.copy_(torch.cat((start.get_parameter("weight_hh_l0"), of_latent), dim=1))

    def forward(self, features: Tensor, head: GaussianHead, noise: Tensor | None) -> Latent:
        """Features `[b, t, h]` and noise `[b, t, d]` (None: means along the chain) to latents `[b, t, d]`."""
        known = self.inputs(features).unbind(1)
        weight = self.state.weight.t()
        draws = noise.unbind(1) if noise is not None else None
        cell, state = features.new_zeros(len(features), self.hidden), features.new_zeros(len(features), self.hidden + self.d)
        samples, means, log_vars = [], [], []
        for step, gates in enumerate(known):
            open_to, new, leave = torch.addmm(gates, state, weight).tensor_split([2 * self.hidden, 3 * self.hidden], dim=1)
            enter, keep = open_to.sigmoid().chunk(2, dim=1)
            cell = torch.addcmul(keep * cell, enter, new.tanh())
            hidden = leave.sigmoid() * cell.tanh()
            mean, log_var = head(hidden)
            sample = mean if draws is None else torch.addcmul(mean, torch.exp(0.5 * log_var), draws[step])
            state = torch.cat((hidden, sample), dim=1)
            samples.append(sample)
            means.append(mean)
            log_vars.append(log_var)
        return Latent(sample=torch.stack(samples, 1), mean=torch.stack(means, 1), log_var=torch.stack(log_vars, 1))
