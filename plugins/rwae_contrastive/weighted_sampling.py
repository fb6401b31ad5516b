"""Mutual information from the posterior's own densities: every draw under every clip of the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from attrs import field, frozen
from attrs.validators import in_, min_len
from torch import Tensor

from rwae_kit import Encoded, Latent, LatentTerm, RecipeError, RwaeError, Spec

Which = Literal["static", "dynamic"]
Estimator = Literal["mss", "mws", "plug_in"]
ESTIMATORS = ("mss", "mws", "plug_in")


def _known_once(_: object, __: object, value: tuple[str, ...]) -> None:
    if len(set(value)) < len(value) or not set(value) <= {"static", "dynamic"}:
        raise ValueError(f"'of' must be static, dynamic or both, each once, not {list(value)}")


class WeightedSampling(LatentTerm):
    """Mutual information by minibatch estimates of the aggregated posterior q(z) = E_x q(z|x).

        of one latent:   -I(z; x),  I = E log q(z|x) - log q(z)                       (information to keep)
        of both:         +I(s; z),  I = E log q(s, z) - log q(s) - log q(z)           (a leak to close)

    The value is what is to be minimised; `estimates["nats"]` is I itself. The density of a trajectory is that of all its frames,
    q(z_1:T | x) = prod_t q(z_t | x); with `per_frame` I is that of each frame, averaged over frames. With L_ij = log q(z_i | x_j),
    M clips in the batch and N in the data set, log q(z_i) is, by `estimator`:

        plug_in:  logsumexp_j L_ij - log M
        mss:      log(1/N q(z_i | x_i) + (1 - 1/N) / (M - 1) sum_{j != i} q(z_i | x_j))
        mws:      logsumexp_j L_ij - log(N M): I is plug_in's + log N, with the same gradient

    With masks, the draw of a clip is compared over its own real frames, with the clips that are at least as long.
    Posteriors that feed z back (the encoder `autoregressive`) know q(z_t | z_<t, x_j) for x_j's own past alone, so that L_ij,
    i != j, is approximate; it is exact with `feedback = false` and for `bidirectional`.

    Shape: `Latent[b, d]` and `Latent[b, t, d]` of the clips -> `[]`. Memory is O(b^2 + b t d); O(t b^2) with `per_frame`.

    Raises:
        RecipeError: `per_frame` without the dynamic latent.
        RwaeError: a posterior without a density.

    Source: C-DSVAE Sec. 2.2 and S3VAE (mws); Chen et al. 2018, App. C (mws, mss). Ours: mss gives all other clips the same weight,
    the mean over its choice of the last one: the same expectation whatever the order of the batch. The published code of C-DSVAE
    has `per_frame` and its constant off by log(N M).
    """

    @frozen(kw_only=True)
    class Config:
        """Which information, and how it is estimated."""

        of: tuple[Which, ...] = field(
            default=("static", "dynamic"),
            validator=[min_len(1), _known_once],
            metadata={"help": "one latent: its information on the clips, which is kept; both: what they share, which is lowered"},
        )
        estimator: Estimator = field(
            default="mss",
            validator=in_(ESTIMATORS),
            metadata={"help": "mss (stratified), mws (weighted: + log N, gradient of plug_in), plug_in (mean over the batch)"},
        )
        per_frame: bool = field(default=False, metadata={"help": "mean over frames of z_t's information, not that of z_1:T"})

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        if config.per_frame and "dynamic" not in config.of:
            raise RecipeError("per_frame: the static latent has no frames; it is for the dynamic one")
        self.settings = config

    def forward(self, views: Mapping[str, Encoded]) -> Tensor:
        posterior, n = views["clip"].posterior, views["clip"].batch.dataset_size
        latents = {"static": posterior.static, "dynamic": posterior.dynamic}
        chosen = [(name, latents[name]) for name in self.settings.of]
        with torch.autocast(posterior.static.sample.device.type, enabled=False):
            laid = {name: _laid_out(name, latent, self.settings.per_frame) for name, latent in chosen}
            weight = laid["dynamic" if "dynamic" in laid else "static"].real
            densities = [_log_densities(latent) for latent in laid.values()]
            share = _log_shares(weight, n, self.settings.estimator)
            joint = sum(densities[1:], densities[0])
            if len(densities) == 1:
                each = joint.diagonal(dim1=-2, dim2=-1) - (joint + share).logsumexp(-1)
            else:
                each = (joint + share).logsumexp(-1) - sum([(own + share).logsumexp(-1) for own in densities], weight.new_zeros(()))
            rows = weight.amax(-1)
            information = ((rows * each).sum() / rows.sum()).to(posterior.static.sample.dtype)
        self.estimates = {"nats": information.detach()}
        return information if len(densities) > 1 else -information


@frozen(kw_only=True, eq=False)
class _LaidOut:
    """A latent as k problems of t frames: `sample`, `mean`, `log_var` `[k, b, t, d]`, `real` `[k, b, t]` (0: padding)."""

    sample: Tensor
    mean: Tensor
    log_var: Tensor
    real: Tensor


def _laid_out(name: str, latent: Latent, per_frame: bool) -> _LaidOut:
    """In double precision: products of large precisions are subtracted from each other."""
    if latent.mean is None or latent.log_var is None:
        raise RwaeError(f"weighted_sampling: the posterior of the {name} latent has no density (Latent.mean, Latent.log_var)")
    wide = torch.float32 if latent.sample.device.type == "mps" else torch.float64

    def lay(x: Tensor) -> Tensor:
        x = x.to(wide)
        return x[None, :, None] if name == "static" else x.transpose(0, 1).unsqueeze(2) if per_frame else x[None]

    real = torch.ones_like(latent.mean[..., 0]) if latent.weight is None else latent.weight
    return _LaidOut(sample=lay(latent.sample), mean=lay(latent.mean), log_var=lay(latent.log_var), real=lay(real))


def _log_densities(latent: _LaidOut) -> Tensor:
    """log q(z_i | x_j) over the real frames of i: `[k, b, b]`, by one product of `[b, 3 t d]` matrices."""
    precision, real = torch.exp(-latent.log_var), latent.real.unsqueeze(-1)
    square = latent.mean.square() * precision + latent.log_var + math.log(2 * math.pi)
    draws = [real * latent.sample.square(), -2 * real * latent.sample, real.expand_as(latent.sample)]
    clips = [precision, latent.mean * precision, square]
    return -0.5 * torch.cat(draws, -1).flatten(-2) @ torch.cat(clips, -1).flatten(-2).mT


def _log_shares(real: Tensor, n: int, estimator: Estimator) -> Tensor:
    """The logarithm of x_j's share in the estimate of q(z_i): `[k, b, b]`; -inf where clip j is shorter than clip i."""
    long_enough = real @ (1 - real).mT < 0.5
    m = long_enough.sum(-1, keepdim=True).to(real)
    if estimator == "plug_in":
        share = -m.log().expand_as(long_enough)
    elif estimator == "mws":
        share = -(m.log() + math.log(n)).expand_as(long_enough)
    else:
        size = m.clamp_min(max(n, 1))
        own = torch.where(m > 1, -size.log(), torch.zeros_like(m))
        others = torch.log1p(-1 / size.clamp_min(2)) - (m - 1).clamp_min(1).log()
        share = torch.where(torch.eye(real.shape[1], dtype=torch.bool, device=real.device), own, others)
    return share.masked_fill(~long_enough, -torch.inf)
