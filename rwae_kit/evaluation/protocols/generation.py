"""Clips from one encoded latent and another that is sampled or comes from another clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.latents import Batch, SequencePosterior

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

Latents = Literal["means", "draws"]


@torch.no_grad()
def fix_dynamic(model: SequenceAutoencoder, batch: Batch, seed: int, encoded: Latents = "means") -> Tensor:
    """Keep the dynamic latent (and the action) of clips on the model's device, and draw the static one anew for each, s ~ p(s)."""
    posterior = _encoded(model, batch, seed, encoded)
    n = len(batch.x)
    blank = Batch(x=torch.zeros_like(batch.x), index=torch.arange(n, device=batch.x.device), dataset_size=n)
    with model.noise.fork(seed):
        static = model.static_prior(blank).sample
    action = None if posterior.action is None else posterior.action.sample
    return model.decode(static, posterior.dynamic.sample, action)


@torch.no_grad()
def fix_static(
    model: SequenceAutoencoder,
    batch: Batch,
    seed: int,
    t: int,
    encoded: Latents = "means",
    sampled: Latents = "draws",
) -> Tensor:
    """Keep the static latent of the clips, and draw a motion of t frames from the prior (and an action, where there is one).

    Arguments:
        sampled: "draws" are ancestral draws of z_1:T; "means" are the means of p(z_t | z_<t) along such a draw.

    Raises:
        RwaeError: means are asked for, and the prior has none.
    """
    posterior = _encoded(model, batch, seed, encoded)
    with model.noise.fork(seed):
        z = model.prior.sample(len(batch.x), t)
        if sampled == "means":
            mean = model.prior(z).mean
            if mean is None:
                raise RwaeError(f"the prior {type(model.prior).__name__} has no means: take its draws (--set prior=draws)")
            z = mean
    return model.sample(len(batch.x), t, seed=seed, static=posterior.static.sample, dynamic=z)


def _encoded(model: SequenceAutoencoder, batch: Batch, seed: int, latents: Latents) -> SequencePosterior:
    if latents == "means":
        return model.encode(batch.x, batch.mask)
    with model.noise.fork(seed + 1):  # not the draws that the other latent gets
        return model.encode(batch.x, batch.mask)
