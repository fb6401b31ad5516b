"""`standard_normal` p(s), and the recurrent priors `lstm` and `gru` p(z_t | z_<t), with what all chains share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, final

import torch
from attrs import field, frozen
from attrs.validators import gt
from torch import Tensor, nn

from rwae_kit import Batch, DynamicPrior, Latent, Spec, StaticPrior
from rwae_nets.layers import GaussianHead, full_precision, increasing, initialised
from rwae_nets.mixture import Mixture

State = TypeVar("State")
CellState = tuple[Tensor, Tensor]
"""Output and cell of a layer, `[b, k]`; a GRU has no cell."""
ChainState = tuple[list[CellState], tuple[Tensor, Tensor] | None]
"""Of all layers; and mean and log-variance of the first latent, before it, where the recurrence does not give them."""


@final
class StandardNormal(StaticPrior):
    """p(s) = N(0, I): `[b, d_s]`. Its draw is 0 where the model takes means.

    Source: R-WAE section 3, C-DSVAE section 2.
    """

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        self.size = spec.static

    def forward(self, batch: Batch) -> Latent:
        zeros = torch.zeros(len(batch.x), self.size, device=batch.x.device, dtype=batch.x.dtype)
        return self.draw(zeros, zeros)


@frozen(kw_only=True)
class ChainOptions:
    """What every net that gives p(z_t | z_<t) can be told."""

    residual: bool = field(default=False, metadata={"help": "the net gives the change from the z before, not the mean"})
    log_var: float = field(default=0.0, metadata={"help": "initial log-variance"})
    log_var_range: tuple[float, float] = field(default=(-8.0, 3.0), validator=increasing, metadata={"help": "its bounds"})
    bounded: bool = field(default=True, metadata={"help": "false: the log-variance has no bounds, and log_var_range no use"})

    def __attrs_post_init__(self) -> None:
        if self.bounded and not self.log_var_range[0] < self.log_var < self.log_var_range[1]:
            raise ValueError(f"'log_var' = {self.log_var} must lie inside 'log_var_range' = {self.log_var_range}")

    def head(self, hidden: int, d: int) -> GaussianHead:
        """A head with these options."""
        return GaussianHead(hidden, d, initial=self.log_var, bounds=self.log_var_range if self.bounded else None)


@frozen(kw_only=True)
class RecurrentOptions(ChainOptions):
    """What both recurrent priors can be told."""

    hidden: int = field(default=64, validator=gt(0), metadata={"help": "recurrent units"})
    layers: int = field(default=1, validator=gt(0), metadata={"help": "recurrent layers"})
    modes: int = field(default=1, validator=gt(0), metadata={"help": "Gaussians that z_1 is drawn from; ours, if more than one"})


class RecurrentPrior(DynamicPrior):
    """What `lstm` and `gru` share."""

    Config = RecurrentOptions
    layer: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    def __init__(self, config: RecurrentOptions, spec: Spec) -> None:
        super().__init__(config)
        self.chain = Chain(config, self.layer(spec.dynamic, config.hidden, config.layers, batch_first=True), spec.dynamic)

    def forward(self, z: Tensor) -> Latent:
        return self.draw(*self.chain(z, self._uniform(len(z)) if self.drawing else None))

    def sample(self, b: int, t: int) -> Tensor:
        return self.chain.ancestral(self.noise.normal(b, t, self.chain.size, like=self.chain.like), self._uniform(b))

    def _uniform(self, b: int) -> Tensor | None:
        """What draws components, where there are any."""
        return None if self.chain.first is None else self.noise.uniform(b, like=self.chain.like)


@final
class LstmPrior(RecurrentPrior):
    """p(z_t | z_<t) = N(mean(h_t), var(h_t)) with h_t = LSTM(z_t-1, h_t-1) and z_0 = h_0 = 0.

    Shape: `[b, t, d_d] -> [b, t, d_d]`, all t in one pass.

    With `modes` > 1, z_1 comes from a mixture of Gaussians; of a given z_1 the parameters are those of the component that it is of.

    Source: R-WAE Eq. 4 and below; C-DSVAE's code has two stacked layers of 256. `residual` and `modes` are ours.
    """

    layer = nn.LSTM


@final
class GruPrior(RecurrentPrior):
    """As `LstmPrior`, with a GRU.

    Shape: `[b, t, d_d] -> [b, t, d_d]`, all t in one pass.

    Source: R-WAE Eq. 4 with the recurrence of MoCoGAN's motion net.
    """

    layer = nn.GRU


class Chain(nn.Module):
    """Parameters of p(z_t | z_<t) from any recurrent layer: for given latents, or drawn one after the other."""

    def __init__(self, options: RecurrentOptions, layer: nn.LSTM | nn.GRU, d: int) -> None:
        super().__init__()
        self.size, self.residual = d, options.residual
        self.recurrence = initialised(layer)
        self.head = options.head(options.hidden, d)
        self.first = Mixture(options.modes, d, initial=options.log_var, bounds=self.head.bounds) if options.modes > 1 else None

    @property
    def like(self) -> Tensor:
        """What has the type and the device of draws."""
        return self.head.both.weight

    def forward(self, z: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents `[b, t, d]` to the mean and log-variance of each given those before it.

        Arguments:
            uniform: draws of U(0, 1) `[b]` for the component that a first latent is of; None takes the likeliest.
        """
        with full_precision(z):
            before = shifted(z)
            mean, log_var = self._gaussian(before, self.recurrence(before)[0])
            if self.first is None:
                return mean, log_var
            own = self.first(self.first.of(z[:, 0], uniform))
            return torch.cat((own[0], mean[:, 1:]), 1), torch.cat((own[1], log_var[:, 1:]), 1)

    def ancestral(self, noise: Tensor, uniform: Tensor | None) -> Tensor:
        """Standard normal `[b, t, d]`, and U(0, 1) `[b]` for a mixture, to draws `[b, t, d]`.

        Cells: a call of the layer for one frame takes nearly twice as long.
        """
        begin = noise.new_zeros(len(noise), self.recurrence.hidden_size)
        first = None if self.first is None or uniform is None else self.first(self.first.drawn(uniform))
        return ancestral(self._step, noise, ([(begin, begin)] * self.recurrence.num_layers, first))

    def _step(self, z: Tensor, state: ChainState) -> tuple[Tensor, Tensor, ChainState]:
        states, first = state
        hidden, after = z[:, 0], []
        for weights, (output, cell) in zip(self.recurrence.all_weights, states, strict=True):
            if isinstance(self.recurrence, nn.LSTM):
                hidden, cell = torch.lstm_cell(hidden, (output, cell), *weights)
            else:
                hidden = torch.gru_cell(hidden, output, *weights)
            after.append((hidden, cell))
        mean, log_var = first or self._gaussian(z, hidden.unsqueeze(1))
        return mean, log_var, (after, None)

    def _gaussian(self, before: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.head(hidden)
        return (before + mean if self.residual else mean), log_var


def shifted(z: Tensor) -> Tensor:
    """The latent before each, z_0 = 0: `[b, t, d] -> [b, t, d]`."""
    return torch.cat((torch.zeros_like(z[:, :1]), z[:, :-1]), dim=1)


def ancestral(step: Callable[[Tensor, State], tuple[Tensor, Tensor, State]], noise: Tensor, state: State) -> Tensor:
    """Draws one after the other, z_0 = 0: standard normal `[b, t, d]` to `[b, t, d]`.

    `step` gives mean and log-variance `[b, 1, d]` of the latent behind z `[b, 1, d]`, and the next state.
    """
    z, draws = torch.zeros_like(noise[:, :1]), []
    with full_precision(noise):
        for epsilon in noise.unsqueeze(2).unbind(1):
            mean, log_var, state = step(z, state)
            z = torch.addcmul(mean, torch.exp(0.5 * log_var), epsilon)
            draws.append(z)
    return torch.cat(draws, dim=1)
