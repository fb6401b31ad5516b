"""`lstm`: the posterior q(a | x_1:T, z_1:T) of a categorical action, drawn by Gumbel-softmax."""

from __future__ import annotations

from typing import final

import torch
from attrs import field, frozen
from attrs.validators import ge, gt
from torch import Tensor
from torch.nn import functional

from rwae_kit import ActionEncoder, CategoricalLatent, Spec
from rwae_nets.layers import full_precision, linear, lstm, run_lstm


@final
class LstmActionEncoder(ActionEncoder):
    """q(a | x_1:T, z_1:T) = softmax(W h_T), with h_T the last state of an LSTM over z_t (and the features of x_t).

    The draw is softmax((logits + g) / temperature) with Gumbel noise g: near a one-hot draw from q for a small temperature. In eval
    mode it is its mean, softmax(logits). The temperature goes geometrically from `temperature` to `final_temperature` over
    `anneal_draws` draws (batches in train mode), which are counted in the state dict.

    Shape: dynamic `[b, t, d_d]`, features `[b, t, h]`, mask `[b, t]` or None -> draws and logits `[b, a]`. h_T is the state after
    the last real frame.

    Source: R-WAE section 3.4 and Fig. 8c; Gumbel-softmax of Jang et al. 2017 and Maddison et al. 2017. The paper gives neither the
    temperature nor its schedule: ours, from 1 to 0.5 as Jang et al. have it. `features` and `straight_through` (one-hot forward,
    the relaxed draw's gradient) are ours.
    """

    @frozen(kw_only=True)
    class Config:
        """Net and temperature."""

        hidden: int = field(default=128, validator=gt(0), metadata={"help": "recurrent units"})
        features: bool = field(default=False, metadata={"help": "read the frames' features beside the dynamic latent"})
        temperature: float = field(default=1.0, validator=gt(0), metadata={"help": "of the Gumbel-softmax, at first"})
        final_temperature: float = field(default=0.5, validator=gt(0), metadata={"help": "of the Gumbel-softmax, in the end"})
        anneal_draws: int = field(
            default=10_000, validator=ge(0), metadata={"help": "batches from the first temperature to the final one; 0: at once"}
        )
        straight_through: bool = field(default=False, metadata={"help": "one-hot draws, with the gradient of the relaxed ones"})

    drawn: Tensor

    def __init__(self, config: Config, spec: Spec, h: int) -> None:
        super().__init__(config)
        self.settings = config
        self.recurrence = lstm(spec.dynamic + (h if config.features else 0), config.hidden)
        self.head = linear(config.hidden, spec.action, slope=1.0)
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def forward(self, dynamic: Tensor, features: Tensor, mask: Tensor | None = None) -> CategoricalLatent:
        read = [dynamic, features] if self.settings.features else [dynamic]
        with full_precision(dynamic):
            state = run_lstm(self.recurrence, torch.cat([x.to(self.head.weight.dtype) for x in read], -1), mask)[1]
            logits = self.head(state)
            return CategoricalLatent(sample=self._draw(logits), logits=logits)

    def temperature(self) -> Tensor:
        """Of the next draw."""
        first, final, draws = self.settings.temperature, self.settings.final_temperature, self.settings.anneal_draws
        share = (self.drawn / max(draws, 1)).clamp(max=1.0) if draws else torch.ones_like(self.drawn, dtype=torch.float32)
        return first * (final / first) ** share

    def _draw(self, logits: Tensor) -> Tensor:
        if not self.drawing:
            return logits.softmax(-1)
        noise = self.noise.uniform(*logits.shape, like=logits).clamp(min=torch.finfo(logits.dtype).tiny)
        relaxed = ((logits - torch.log(-torch.log(noise))) / self.temperature()).softmax(-1)
        if self.training:
            self.drawn.add_(1)
        if not self.settings.straight_through:
            return relaxed
        one_hot = functional.one_hot(relaxed.argmax(-1), relaxed.shape[-1]).to(relaxed)
        return relaxed + (one_hot - relaxed).detach()
