"""The network of a trained judge: a frame net, a bidirectional LSTM over time, and a head for each factor."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from attrs import field, frozen
from attrs.validators import ge
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from rwae_kit.errors import DataError

_SLOPE = 0.2
_LAST_SIDE = 4
"""Convolutions halve the image until its shorter side is this or less."""
_DEEPEST = 3
"""From the fourth halving on channels are not doubled any more."""


@frozen(kw_only=True)
class JudgeSizes:
    """Sizes of a judge's network; the defaults are those of the published judge."""

    width: int = field(default=64, validator=ge(1), metadata={"help": "channels of the first convolution; each next one has twice"})
    features: int = field(default=128, validator=ge(1), metadata={"help": "features of a frame"})
    hidden: int = field(default=256, validator=ge(1), metadata={"help": "units of the LSTM in each direction, and of each head"})


@frozen(kw_only=True, eq=False)
class Reading:
    """What the network makes of clips.

    Shape:
        logits: per factor `[n, classes]`.
        frames: the features of every frame on its own, `[n, t, features]`; 0 where a frame is padding.
    """

    logits: Mapping[str, Tensor]
    frames: Tensor


class JudgeNet(nn.Module):
    """Clips to logits of each factor.

    Images go through 4 x 4 convolutions of stride 2, as many as the image's size asks for (four at 64 pixels, three at 32), and one
    over all that is left; other frames through an MLP; both with batch normalisation and a tanh at the end. A bidirectional LSTM
    gives [last forward state, first backward state], and from there each factor has Linear, ReLU, Linear. Padding is not looked at:
    neither by the statistics of the normalisation nor by the LSTM.

    Shape: `[n, t, *frame]`, mask `[n, t]` or None.

    Source: the judge of C-DSVAE's published code. Sizes for frames other than 64 pixels, and the MLP, are ours.
    """

    def __init__(self, sizes: JudgeSizes, frame: tuple[int, ...], classes: Mapping[str, int]) -> None:
        super().__init__()
        self.frame, self.features = tuple(frame), sizes.features
        self.frame_net = _convolutions(sizes, self.frame) if len(frame) == 3 else _dense(sizes, self.frame[0])
        self.over_time = nn.LSTM(sizes.features, sizes.hidden, batch_first=True, bidirectional=True)
        self.heads = nn.ModuleDict(
            {
                # a key of a ModuleDict may hold no dot and be no attribute of a module: factors have any names
                f"factor {name}".replace(".", "·"): nn.Sequential(
                    nn.Linear(2 * sizes.hidden, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, count)
                )
                for name, count in classes.items()
            }
        )
        self._names = dict(zip(classes, self.heads, strict=True))
        if len(frame) == 3:  # faster on CPUs; here, not in training alone, so that a judge that was read again gives the same bits
            self.frame_net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Reading:
        if tuple(x.shape[2:]) != self.frame or x.ndim != 2 + len(self.frame):
            raise DataError(f"judge: clips are {tuple(x.shape)}, but it reads [n, t, {', '.join(map(str, self.frame))}]")
        n, t = x.shape[:2]
        if mask is None:
            frames = self.frame_net(x.flatten(0, 1)).unflatten(0, (n, t))
            state = self.over_time(frames)[1][0]
        else:
            real = mask > 0
            found = self.frame_net(x[real])
            frames = found.new_zeros(n, t, self.features).index_put((real,), found)
            packed = pack_padded_sequence(frames, real.sum(1).clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
            state = self.over_time(packed)[1][0]
        ends = torch.cat([state[0], state[1]], dim=1)
        return Reading(logits={name: self.heads[key](ends) for name, key in self._names.items()}, frames=frames)


def _convolutions(sizes: JudgeSizes, frame: tuple[int, ...]) -> nn.Sequential:
    channels, height, width = frame
    widths = [channels]
    while min(height, width) > _LAST_SIDE:
        widths.append(sizes.width * 2 ** min(len(widths) - 1, _DEEPEST))
        height, width = height // 2, width // 2
    halving = [_stage(nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b)) for a, b in pairwise(widths)]
    last = nn.Conv2d(widths[-1], sizes.features, (height, width))
    return nn.Sequential(*halving, last, nn.BatchNorm2d(sizes.features), nn.Tanh(), nn.Flatten())


def _dense(sizes: JudgeSizes, values: int) -> nn.Sequential:
    first, second = (
        _stage(nn.Linear(values, sizes.hidden), nn.BatchNorm1d(sizes.hidden)),
        _stage(nn.Linear(sizes.hidden, sizes.hidden), nn.BatchNorm1d(sizes.hidden)),
    )
    last = nn.Linear(sizes.hidden, sizes.features)
    return nn.Sequential(first, second, last, nn.BatchNorm1d(sizes.features), nn.Tanh())


def _stage(layer: nn.Module, normalisation: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, normalisation, nn.LeakyReLU(_SLOPE, inplace=True))
