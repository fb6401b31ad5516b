"""What the nets share: MLPs, recurrent layers that know padding, Gaussian heads, and their initial weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rwae_kit import RecipeError

SLOPE = 0.2
"""Of every leaky ReLU, as in C-DSVAE's nets; R-WAE gives none."""

R = TypeVar("R", bound=nn.RNNBase)


def sizes(instance: object, attribute: attrs.Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    """Validator of a tuple of layer sizes."""
    if not value or min(value) < 1:
        raise ValueError(f"'{attribute.name}' must be one or more numbers above 0: {list(value)}")


def layers(instance: object, attribute: attrs.Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    """Validator of a tuple of layer sizes that may be empty."""
    if value:
        sizes(instance, attribute, value)


def increasing(instance: object, attribute: attrs.Attribute[tuple[float, float]], value: tuple[float, float]) -> None:
    """Validator of a pair (low, high)."""
    if not value[0] < value[1]:
        raise ValueError(f"'{attribute.name}' must be (low, high) with low < high: {value}")


def image_grid(frame: tuple[int, ...], shrink: int, part: str, reason: str, advice: str) -> tuple[int, int]:
    """Height and width of an image divided by `shrink`; `reason` says why by that much, `advice` what to do about it.

    Raises:
        RecipeError: the frames are no images, or cannot be divided.
    """
    if len(frame) != 3:
        raise RecipeError(f"{part}: frames are {frame}, not images (channels, height, width). For vectors take 'mlp'")
    if frame[1] % shrink or frame[2] % shrink:
        raise RecipeError(
            f"{part}: frames are {frame}, and height and width must be multiples of {shrink} ({reason}). {advice}, or resize the "
            f"frames"
        )
    return frame[1] // shrink, frame[2] // shrink


def kaiming(weight: Tensor, fan_in: float, *, slope: float = SLOPE) -> None:
    """Fill with N(0, 2 / ((1 + slope^2) fan_in)): keeps the scale through a leaky ReLU of `slope` behind it (1: no activation)."""
    nn.init.normal_(weight, std=math.sqrt(2 / ((1 + slope**2) * fan_in)))


def linear(fan_in: int, fan_out: int, *, slope: float = SLOPE) -> nn.Linear:
    """A linear layer with Kaiming weights and bias 0."""
    layer = nn.Linear(fan_in, fan_out)
    kaiming(layer.weight, fan_in, slope=slope)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers from `widths[0]` to `widths[-1]`, a leaky ReLU after each."""
    return nn.Sequential(*(part for a, b in pairwise(widths) for part in (linear(a, b), nn.LeakyReLU(SLOPE))))


def initialised(layer: R) -> R:
    """The layer with orthogonal recurrent weights, Xavier input weights, bias 0 (an LSTM's forget gate 1)."""
    for name, weight in layer.named_parameters():
        if name.startswith("weight"):
            for gate in weight.detach().chunk(len(weight) // layer.hidden_size):
                (nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_)(gate)
        else:
            nn.init.zeros_(weight)
            if isinstance(layer, nn.LSTM) and "_ih" in name:
                nn.init.ones_(weight.detach()[layer.hidden_size : 2 * layer.hidden_size])
    return layer


def lstm(fan_in: int, hidden: int, *, layers: int = 1, bidirectional: bool = False) -> nn.LSTM:
    """A batch-first LSTM over `[b, t, fan_in]`."""
    return initialised(nn.LSTM(fan_in, hidden, num_layers=layers, batch_first=True, bidirectional=bidirectional))


def run_lstm(layer: nn.LSTM, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run an LSTM of one layer over the real frames only; padding stands behind them.

    Returns the outputs `[b, t, k]` (0 at padding) and `[b, k]`: the forward state after the last real frame, and that of the
    backward direction, if there is one, after the first.
    """
    if mask is None:
        output, (state, _) = layer(x)
    else:
        lengths = mask.ne(0).sum(1).clamp(min=1).cpu()
        packed, (state, _) = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        output, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
    return output, state.transpose(0, 1).flatten(1)


def full_precision(like: Tensor) -> torch.autocast:
    """No autocast inside: recurrences and the parameters of latents keep the precision of the weights."""
    return torch.autocast(like.device.type, enabled=False)


class GaussianHead(nn.Module):
    """The mean and the log-variance of a diagonal Gaussian from a hidden state: `[..., k] -> [..., d]` twice.

    Both begin near a constant: weights times 0.1, mean 0, log-variance `initial`. The log-variance is bounded smoothly, so that it
    can always come back: `u <- high - softplus(high - u)`, then `low + softplus(u - low)`; nearly the identity in between. Without
    `bounds` it is left as it is.
    """

    def __init__(self, hidden: int, d: int, *, initial: float, bounds: tuple[float, float] | None) -> None:
        super().__init__()
        self.bounds = bounds
        self.both = linear(hidden, 2 * d, slope=1.0)
        with torch.no_grad():
            self.both.weight.mul_(0.1)
            self.both.bias[d:].fill_(unbounded(initial, *bounds) if bounds else initial)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.both(hidden).chunk(2, dim=-1)
        return mean, self._bounded(log_var)

    def _bounded(self, log_var: Tensor) -> Tensor:
        return bounded(log_var, *self.bounds) if self.bounds else log_var


def bounded(log_var: Tensor, low: float, high: float) -> Tensor:
    """Into (low, high + a little), smoothly: see `GaussianHead`."""
    below = high - functional.softplus(high - log_var)
    return low + functional.softplus(below - low)


def unbounded(log_var: float, low: float, high: float) -> float:
    """What `bounded` takes to `log_var`."""
    below = low + _inverse_softplus(log_var - low)
    return high - _inverse_softplus(high - below)


def _inverse_softplus(y: float) -> float:
    return y + math.log(-math.expm1(-y))
