"""C-DSVAE in plain torch, by the names of its authors' code: nothing of rwae_kit, and nothing shared between steps or views.

What the test of `rwae_kit.interop` compares a loaded checkpoint with, and what `benchmarks/views.py` measures against. Written from
the description of the architecture; the prior is a loop over LSTM cells, and every view is encoded and decoded whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Draw = Callable[[Tensor], Tensor]
"""Standard normal values of a tensor's shape."""


class Block(nn.Module):
    """A 4 x 4 convolution of stride 2, or its transpose, batch normalisation and a leaky ReLU, kept as `main`."""

    def __init__(self, kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(kind(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


class FrameEncoder(nn.Module):
    """Frames `[n, 3, 64, 64]` to `[n, size]`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.c1 = Block(nn.Conv2d, 3, 64)
        self.c2 = Block(nn.Conv2d, 64, 128)
        self.c3 = Block(nn.Conv2d, 128, 256)
        self.c4 = Block(nn.Conv2d, 256, 512)
        self.c5 = nn.Sequential(nn.Conv2d(512, size, 4), nn.BatchNorm2d(size), nn.Tanh())

    def forward(self, frames: Tensor) -> Tensor:
        return self.c5(self.c4(self.c3(self.c2(self.c1(frames))))).flatten(1)


class FrameDecoder(nn.Module):
    """`[n, size]` to frames `[n, 3, 64, 64]` in (0, 1)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.upc1 = nn.Sequential(nn.ConvTranspose2d(size, 512, 4), nn.BatchNorm2d(512), nn.LeakyReLU(0.2))
        self.upc2 = Block(nn.ConvTranspose2d, 512, 256)
        self.upc3 = Block(nn.ConvTranspose2d, 256, 128)
        self.upc4 = Block(nn.ConvTranspose2d, 128, 64)
        self.upc5 = nn.Sequential(nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Sigmoid())

    def forward(self, latents: Tensor) -> Tensor:
        return self.upc5(self.upc4(self.upc3(self.upc2(self.upc1(latents[:, :, None, None])))))


class LeakyLinear(nn.Module):
    """A linear layer and a leaky ReLU, kept as `model`."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(before, after), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Pass(NamedTuple):
    """What one pass over clips gives: parameters and draws of s `[b, d_s]` and z `[b, t, d_d]`, the prior of z, the frames."""

    static_mean: Tensor
    static_log_var: Tensor
    static: Tensor
    dynamic_mean: Tensor
    dynamic_log_var: Tensor
    dynamic: Tensor
    prior_mean: Tensor
    prior_log_var: Tensor
    frames: Tensor


class PlainCdsvae(nn.Module):
    """The model; in eval mode draws are means."""

    def __init__(self, static: int = 256, dynamic: int = 32, features: int = 128, hidden: int = 256) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = FrameEncoder(features)
        self.decoder = FrameDecoder(dynamic + static)
        self.z_prior_lstm_ly1 = nn.LSTMCell(dynamic, hidden)
        self.z_prior_lstm_ly2 = nn.LSTMCell(hidden, hidden)
        self.z_prior_mean = nn.Linear(hidden, dynamic)
        self.z_prior_logvar = nn.Linear(hidden, dynamic)
        self.z_lstm = nn.LSTM(features, hidden, batch_first=True, bidirectional=True)
        self.f_mean = LeakyLinear(2 * hidden, static)
        self.f_logvar = LeakyLinear(2 * hidden, static)
        self.z_rnn = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.z_mean = nn.Linear(hidden, dynamic)
        self.z_logvar = nn.Linear(hidden, dynamic)

    def forward(self, x: Tensor, draw: Draw = torch.randn_like) -> Pass:
        """Clips `[b, t, 3, 64, 64]` all the way through."""
        static_mean, static_log_var, dynamic_mean, dynamic_log_var = self.encode(x)
        static = self.sample(static_mean, static_log_var, draw)
        dynamic = self.sample(dynamic_mean, dynamic_log_var, draw)
        prior_mean, prior_log_var = self.prior(dynamic)
        frames = self.decode(static, dynamic)
        return Pass(static_mean, static_log_var, static, dynamic_mean, dynamic_log_var, dynamic, prior_mean, prior_log_var, frames)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means and log-variances of s and of z."""
        features = self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        both, _ = self.z_lstm(features)
        ends = torch.cat((both[:, -1, : self.hidden], both[:, 0, self.hidden :]), dim=1)
        moving, _ = self.z_rnn(both)
        return self.f_mean(ends), self.f_logvar(ends), self.z_mean(moving), self.z_logvar(moving)

    def prior(self, dynamic: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of every z_t given those before it, one step after the other."""
        before = torch.zeros_like(dynamic[:, 0])
        one = two = None
        means, log_vars = [], []
        for t in range(dynamic.shape[1]):
            one = self.z_prior_lstm_ly1(before, one)
            two = self.z_prior_lstm_ly2(one[0], two)
            means.append(self.z_prior_mean(two[0]))
            log_vars.append(self.z_prior_logvar(two[0]))
            before = dynamic[:, t]
        return torch.stack(means, 1), torch.stack(log_vars, 1)

    def decode(self, static: Tensor, dynamic: Tensor) -> Tensor:
        """Frames `[b, t, 3, 64, 64]`."""
        latents = torch.cat((dynamic, static.unsqueeze(1).expand(-1, dynamic.shape[1], -1)), dim=2)
        return self.decoder(latents.flatten(0, 1)).unflatten(0, dynamic.shape[:2])

    def sample(self, mean: Tensor, log_var: Tensor, draw: Draw) -> Tensor:
        return mean + torch.exp(0.5 * log_var) * draw(mean) if self.training else mean


def losses(clip: Pass, reordered: Pass, relooked: Pass, x: Tensor, dataset_size: int) -> Mapping[str, Tensor]:
    """The parts of the objective, with their weights, per clip."""
    b = len(x)
    kl_static = -0.5 * (1 + clip.static_log_var - clip.static_mean**2 - clip.static_log_var.exp()).sum() / b
    apart = (clip.dynamic_mean - clip.prior_mean) ** 2
    ratio = (clip.dynamic_log_var.exp() + apart) / clip.prior_log_var.exp()
    kl_dynamic = 0.5 * (clip.prior_log_var - clip.dynamic_log_var + ratio - 1).sum() / b
    return {
        "reconstruction": functional.mse_loss(clip.frames, x, reduction="sum") / b,
        "penalty.static.kl": kl_static,
        "penalty.dynamic.kl": kl_dynamic,
        "term.static_information": 10 * contrast(clip.static_mean, reordered.static_mean),
        "term.dynamic_information": 10 * contrast(clip.dynamic_mean.flatten(1), relooked.dynamic_mean.flatten(1)),
        "term.leak": leak(clip, dataset_size),
    }


def contrast(one: Tensor, two: Tensor, temperature: float = 0.5) -> Tensor:
    """Cross entropy of each of 2b vectors finding its partner among the 2b - 1 others, by cosine."""
    both = functional.normalize(torch.cat((one, two)), dim=1)
    scores = (both @ both.T / temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(both), device=both.device).roll(len(one))
    return functional.cross_entropy(scores, partner)


def leak(clip: Pass, dataset_size: int) -> Tensor:
    """I(s; z_t) by minibatch weighted sampling, averaged over t: every draw under every clip, feature by feature."""
    b, t, _ = clip.dynamic.shape
    of_static = densities(clip.static, clip.static_mean, clip.static_log_var).expand(t, b, b, -1)
    timed = (part.transpose(0, 1) for part in (clip.dynamic, clip.dynamic_mean, clip.dynamic_log_var))
    of_dynamic = densities(*timed)
    share = math.log(b * dataset_size)
    joint, static, dynamic = (
        part.sum(3).logsumexp(2) - share for part in (torch.cat((of_static, of_dynamic), dim=3), of_static, of_dynamic)
    )
    return (joint - static - dynamic).mean()


def densities(sample: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(sample_i; mean_j, var_j) of every feature: `[..., b, d]` to `[..., b, b, d]`."""
    apart = sample.unsqueeze(-2) - mean.unsqueeze(-3)
    spread = log_var.unsqueeze(-3)
    return -0.5 * (apart**2 * torch.exp(-spread) + spread + math.log(2 * math.pi))
