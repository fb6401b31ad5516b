"""R-WAE(MMD) in plain torch, as one writes Algorithm 2 down: nothing of rwae_kit, and nothing shared between phases or times.

What `benchmarks/training_step.py` measures the recipe `rwae-mmd` against, and compares losses with. Loops over LSTM cells, all
parameters with a gradient in every phase, an MMD for each time step from three whole Gram matrices, and every loss read at every
step; but the formulas (estimators, bounds of log-variances, the critic's normalisation) are those of the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Draw = Callable[[Tensor], Tensor]
"""Standard normal values of a tensor's shape."""
BANDWIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
LOWEST, HIGHEST = -8.0, 3.0
"""Bounds of log-variances."""


class Pass(NamedTuple):
    """Draws and parameters of one pass over clips: s `[b, d_s]`, z `[b, t, d_d]`, the prior of both, the frames."""

    static: Tensor
    dynamic: Tensor
    dynamic_mean: Tensor
    dynamic_log_var: Tensor
    prior_static: Tensor
    prior_dynamic: Tensor
    prior_mean: Tensor
    prior_log_var: Tensor
    frames: Tensor


class Gaussian(nn.Module):
    """Mean and log-variance from a hidden state."""

    def __init__(self, hidden: int, d: int) -> None:
        super().__init__()
        self.both = nn.Linear(hidden, 2 * d)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.both(hidden).chunk(2, dim=-1)
        below = HIGHEST - functional.softplus(HIGHEST - log_var)
        return mean, LOWEST + functional.softplus(below - LOWEST)


class Encoder(nn.Module):
    """q(s | x) by an LSTM, q(z_t | z_<t, x_<=t) by a cell that reads the latent before."""

    def __init__(self, pixels: int, channels: Sequence[int], size: int, static: int, dynamic: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*layers)
        self.fully_connected = nn.Linear(channels[-1] * (pixels >> len(channels)) ** 2, size)
        self.of_static = nn.LSTM(size, size, batch_first=True)
        self.static = Gaussian(size, static)
        self.cell = nn.LSTMCell(size + dynamic, size)
        self.cell.bias_hh.requires_grad_(False)  # the recipe's cell has one bias
        self.dynamic = Gaussian(size, dynamic)
        self.size, self.d = size, dynamic

    def forward(self, x: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        hidden = self.convolutions(x.flatten(0, 1)).flatten(1)
        features = functional.leaky_relu(self.fully_connected(hidden), 0.2).unflatten(0, x.shape[:2])
        _, (last, _) = self.of_static(features)
        mean, log_var = self.static(last[0])
        static = mean + torch.exp(0.5 * log_var) * draw(mean)
        noise = draw(features.new_empty(*x.shape[:2], self.d))
        hidden = cell = features.new_zeros(len(x), self.size)
        z, draws, means, log_vars = features.new_zeros(len(x), self.d), [], [], []
        for t in range(x.shape[1]):
            hidden, cell = self.cell(torch.cat((features[:, t], z), dim=1), (hidden, cell))
            mean, log_var = self.dynamic(hidden)
            z = mean + torch.exp(0.5 * log_var) * noise[:, t]
            draws.append(z)
            means.append(mean)
            log_vars.append(log_var)
        return static, torch.stack(draws, 1), torch.stack(means, 1), torch.stack(log_vars, 1)


class Prior(nn.Module):
    """p(z_t | z_<t), one step after the other."""

    def __init__(self, size: int, dynamic: int) -> None:
        super().__init__()
        self.cell, self.head, self.size = nn.LSTMCell(dynamic, size), Gaussian(size, dynamic), size

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        hidden = cell = z.new_zeros(len(z), self.size)
        before, means, log_vars = torch.zeros_like(z[:, 0]), [], []
        for t in range(z.shape[1]):
            hidden, cell = self.cell(before, (hidden, cell))
            mean, log_var = self.head(hidden)
            means.append(mean)
            log_vars.append(log_var)
            before = z[:, t]
        return torch.stack(means, 1), torch.stack(log_vars, 1)


class Decoder(nn.Module):
    """Frames from [s, z_t] by an LSTM and transposed convolutions."""

    def __init__(self, pixels: int, channels: Sequence[int], size: int, latents: int) -> None:
        super().__init__()
        self.grid = (channels[-1], pixels >> len(channels), pixels >> len(channels))
        self.inputs, self.recurrence = nn.Linear(latents, size), nn.LSTM(size, size, batch_first=True)
        self.outputs, self.fully_connected = nn.Linear(size, size), nn.Linear(size, self.grid[0] * self.grid[1] * self.grid[2])
        layers: list[nn.Module] = []
        for before, after in zip(channels[::-1], channels[-2::-1], strict=False):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*layers, nn.ConvTranspose2d(channels[0], 3, 4, 2, 1))

    def forward(self, static: Tensor, dynamic: Tensor) -> Tensor:
        both = torch.cat((static.unsqueeze(1).expand(-1, dynamic.shape[1], -1), dynamic), dim=2)
        hidden, _ = self.recurrence(functional.leaky_relu(self.inputs(both), 0.2))
        hidden = functional.leaky_relu(self.outputs(hidden), 0.2).flatten(0, 1)
        hidden = functional.leaky_relu(self.fully_connected(hidden), 0.2)
        return torch.sigmoid(self.convolutions(hidden.unflatten(1, self.grid))).unflatten(0, dynamic.shape[:2])


class CriticLayer(nn.Module):
    """A linear layer of spectral norm `gain`, by power iteration."""

    left: Tensor
    right: Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(after, before)), nn.Parameter(torch.zeros(after))
        self.gain = nn.Parameter(torch.ones(()))
        self.register_buffer("left", torch.ones(after))
        self.register_buffer("right", torch.ones(before))

    @torch.no_grad()
    def follow(self) -> None:
        self.right = functional.normalize(self.left @ self.weight, dim=0)
        self.left = functional.normalize(self.weight @ self.right, dim=0)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.gain * self.weight / (self.left @ self.weight @ self.right), self.bias)


class Critic(nn.Module):
    """The feature of the scaled MMD."""

    def __init__(self, static: int, hidden: Sequence[int] = (256, 256, 128)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CriticLayer(a, b) for a, b in zip((static, *hidden), (*hidden, 1), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = functional.leaky_relu(layer(x), 0.2)
        return self.layers[-1](x)

    def scaled_mmd(self, posterior: Tensor, prior: Tensor) -> Tensor:
        prior = prior.detach().requires_grad_()
        of_prior = self(prior)
        (slope,) = torch.autograd.grad(of_prior.sum(), prior, create_graph=True)
        return mmd(self(posterior), of_prior, (1.0,)) / (1 + 10 * slope.square().sum(1).mean())


class PlainRwae(nn.Module):
    """The model; `critic` is its penalty's."""

    def __init__(
        self,
        pixels: int = 64,
        channels: Sequence[int] = (64, 128, 256, 256, 512),
        size: int = 150,
        static: int = 120,
        dynamic: int = 12,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(pixels, channels, size, static, dynamic)
        self.prior = Prior(size, dynamic)
        self.decoder = Decoder(pixels, channels, size, static + dynamic)
        self.critic = Critic(static)

    def forward(self, x: Tensor, draw: Draw = torch.randn_like) -> Pass:
        """Clips `[b, t, 3, pixels, pixels]` all the way through."""
        static, dynamic, mean, log_var = self.encoder(x, draw)
        prior_static = draw(static)
        prior_mean, prior_log_var = self.prior(dynamic)
        prior_dynamic = prior_mean + torch.exp(0.5 * prior_log_var) * draw(prior_mean)
        frames = self.decoder(static, dynamic)
        return Pass(static, dynamic, mean, log_var, prior_static, prior_dynamic, prior_mean, prior_log_var, frames)


def mmd(x: Tensor, y: Tensor, bandwidths: Sequence[float] = BANDWIDTHS) -> Tensor:
    """MMD^2 of draws `[n, d]`, without the pairs i = j in all three means."""
    return gram(x, x, bandwidths) + gram(y, y, bandwidths) - 2 * gram(x, y, bandwidths)


def gram(x: Tensor, y: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """The mean of the kernel over all pairs i != j."""
    squared = (x.square().sum(1, keepdim=True) + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)
    kernel = sum(torch.exp(-squared / (2 * bandwidth**2)) for bandwidth in bandwidths)
    assert isinstance(kernel, Tensor)
    return (kernel.sum() - kernel.diagonal().sum()) / (len(x) * (len(x) - 1))


def losses(model: PlainRwae, x: Tensor, draw: Draw, optimizer: torch.optim.Optimizer | None = None) -> Mapping[str, Tensor]:
    """The parts of the objective without their weights; with the critic's optimizer, after a step of the critic."""
    found = model(x, draw)
    if optimizer is not None:
        for layer in model.critic.layers:
            layer.follow()
        optimizer.zero_grad()
        (-model.critic.scaled_mmd(found.static.detach(), found.prior_static)).backward()
        optimizer.step()
    apart = (found.dynamic_mean - found.prior_mean) ** 2
    ratio = (found.dynamic_log_var.exp() + apart) / found.prior_log_var.exp()
    return {
        "reconstruction": functional.mse_loss(found.frames, x, reduction="sum") / len(x),
        "penalty.static.scaled_mmd": model.critic.scaled_mmd(found.static, found.prior_static),
        "penalty.dynamic.mmd": sum(
            (mmd(found.dynamic[:, t], found.prior_dynamic[:, t]) for t in range(x.shape[1])), x.new_zeros(())
        ),
        "penalty.dynamic.kl": 0.5 * (found.prior_log_var - found.dynamic_log_var + ratio - 1).sum() / len(x),
    }


WEIGHTS = {
    "reconstruction": 1.0,
    "penalty.static.scaled_mmd": 10.0,
    "penalty.dynamic.mmd": 60.0,
    "penalty.dynamic.kl": 1.0,
}


def optimizers(model: PlainRwae) -> dict[str, torch.optim.Optimizer]:
    """An Adam for each of encoder, critic, decoder and prior, with the rates of the recipe."""
    rates = {"encoder": 1e-4, "critic": 1e-4, "decoder": 3e-4, "prior": 3e-4}
    return {name: torch.optim.Adam(getattr(model, name).parameters(), lr=rate, betas=(0.5, 0.9)) for name, rate in rates.items()}


def step(model: PlainRwae, adams: Mapping[str, torch.optim.Optimizer], batches: Sequence[Tensor], draw: Draw) -> dict[str, float]:
    """Algorithm 2: on each batch a step of the critic and of the encoder, then one of decoder and prior on the last."""
    logged: dict[str, float] = {}
    for x in batches:
        parts = losses(model, x, draw, adams["critic"])
        total = sum((WEIGHTS[name] * value for name, value in parts.items()), x.new_zeros(()))
        model.zero_grad()
        total.backward()
        adams["encoder"].step()
        logged = {"total": total.item(), **{name: value.item() for name, value in parts.items()}}
    parts = losses(model, batches[-1], draw)
    moved = [name for name in parts if name != "penalty.static.scaled_mmd"]  # it has no gradient for these two
    total = sum((WEIGHTS[name] * parts[name] for name in moved), batches[-1].new_zeros(()))
    model.zero_grad()
    total.backward()
    adams["decoder"].step()
    adams["prior"].step()
    return {**logged, "total.outer": total.item()}
