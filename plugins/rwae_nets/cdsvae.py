"""`cdsvae`: the posterior of C-DSVAE, as the paper says it or as the authors' code has it."""

from __future__ import annotations

from typing import Literal, final

from attrs import evolve, field, frozen
from attrs.validators import and_, gt, in_, lt
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import Batch, FrameEncoder, Latent, SequenceEncoder, SequencePosterior, Spec
from rwae_nets.encoders import EncoderOptions, FeedbackLstm, StaticNet, frame_features
from rwae_nets.layers import SLOPE, full_precision, initialised, lstm, run_lstm


@final
class CdsvaeEncoder(SequenceEncoder):
    """q(s | x_1:T) by a bidirectional LSTM, and q(z_1:T | x_1:T) in one of two forms.

    "paper": z_t ~ N(mean(h_t), var(h_t)) with h_t = LSTM([x_t, z_t-1], h_t-1), an LSTM of one direction.

    "code": a bidirectional LSTM that s and z share; s from [last forward state, first backward state] by Linear + leaky ReLU, once
    for the mean and once for the log-variance; z from a tanh RNN behind, without feedback. Here log-variances have no bounds.

    Shape: features `[b, t, h]` to static `[b, d_s]` and dynamic `[b, t, d_d]`, in the precision of the weights under autocast too.

    Source:
        C-DSVAE (Bai et al. 2021), section 2 and 4; "code" is what its authors published. "paper" is `autoregressive` with
        `static = "bilstm"`; that the LSTM of z remembers x_<t is not in the paper's formula, and the bounds are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """Which form, and sizes."""

        form: Literal["paper", "code"] = field(
            default="paper",
            validator=in_(("paper", "code")),
            metadata={"help": "paper: nested sampling by one LSTM; code: one BiLSTM for s and z, then an RNN"},
        )
        hidden: int = field(default=256, validator=gt(0), metadata={"help": "units of every recurrent layer, in each direction"})
        log_var: float = field(
            default=-2.0,
            validator=and_(gt(-8.0), lt(3.0)),
            metadata={"help": "initial log-variance of both latents; 'paper' alone"},
        )

    def __init__(self, config: Config, spec: Spec, frames: FrameEncoder) -> None:
        super().__init__(config)
        self.frames = frames
        net = Nested if config.form == "paper" else Shared
        self.net = net(config, spec, frames.size)
        self.size = spec.dynamic

    def features(self, batch: Batch) -> Tensor:
        return frame_features(self.frames, batch)

    def posterior(self, features: Tensor, batch: Batch) -> SequencePosterior:
        with full_precision(features):
            features = features.to(next(self.net.parameters()).dtype)
            if isinstance(self.net, Nested):
                static = self.draw(*self.net.static(features, batch.mask))
                noise = self.noise.normal(*features.shape[:2], self.size, like=features) if self.drawing else None
                dynamic: Latent = self.net.dynamic(features, self.net.head, noise)
            else:
                of_static, of_dynamic = self.net(features, batch.mask)
                static, dynamic = self.draw(*of_static), self.draw(*of_dynamic)
        return SequencePosterior(static=static, dynamic=evolve(dynamic, weight=batch.mask))


class Nested(nn.Module):
    """The parts of the paper's form."""

    def __init__(self, config: CdsvaeEncoder.Config, spec: Spec, size: int) -> None:
        super().__init__()
        options = EncoderOptions(static="bilstm", static_hidden=config.hidden, hidden=config.hidden, log_var=config.log_var)
        self.static = StaticNet(options, size, spec.static)
        self.dynamic = FeedbackLstm(size, config.hidden, spec.dynamic)
        self.head = options.head(config.hidden, spec.dynamic)


class Shared(nn.Module):
    """The code's form: parameters of s and of z from one bidirectional LSTM."""

    def __init__(self, config: CdsvaeEncoder.Config, spec: Spec, size: int) -> None:
        super().__init__()
        self.both_ways = lstm(size, config.hidden, bidirectional=True)
        self.recurrence = initialised(nn.RNN(2 * config.hidden, config.hidden, batch_first=True))
        self.static_mean, self.static_log_var = (_small(2 * config.hidden, spec.static) for _ in range(2))
        self.dynamic_mean, self.dynamic_log_var = (_small(config.hidden, spec.dynamic) for _ in range(2))

    def forward(self, features: Tensor, mask: Tensor | None) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Features `[b, t, h]` to (mean, log-variance) of s `[b, d_s]` and of z `[b, t, d_d]`."""
        both, ends = run_lstm(self.both_ways, features, mask)
        hidden = self.recurrence(both)[0]
        mean = functional.leaky_relu(self.static_mean(ends), SLOPE)
        log_var = functional.leaky_relu(self.static_log_var(ends), SLOPE)
        return (mean, log_var), (self.dynamic_mean(hidden), self.dynamic_log_var(hidden))


def _small(fan_in: int, fan_out: int) -> nn.Linear:
    """A linear layer with weights N(0, 0.01^2) and bias 0, as in the code."""
    layer = nn.Linear(fan_in, fan_out)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
