"""The sequence autoencoder: a posterior, its priors and a decoder, and what a person does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import evolve
from einops import repeat
from torch import Tensor, nn

from rwae_kit.data import DataInfo
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.interfaces import (
    ActionEncoder,
    Decoder,
    DynamicPrior,
    Reconstruction,
    SequenceEncoder,
    Spec,
    StaticPrior,
    share_noise,
)
from rwae_kit.latents import Batch, Encoded, SequencePosterior, SequencePrior
from rwae_kit.noise import Noise
from rwae_kit.running_statistics import RunningStatistics


class SequenceAutoencoder(nn.Module):
    """An encoder, priors and a decoder that share one source of noise.

    `forward` is for training. The public methods (`encode`, `decode`, `reconstruct`, `swap`, `sample`, `traverse`) take and give
    plain tensors in the data's range, compute no gradient, work in eval mode and leave mode and training noise as they were.
    """

    def __init__(
        self,
        *,
        spec: Spec,
        info: DataInfo,
        encoder: SequenceEncoder,
        static_prior: StaticPrior,
        prior: DynamicPrior,
        decoder: Decoder,
        reconstruction: Reconstruction,
        action_encoder: ActionEncoder | None = None,
        origin: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.spec, self.info, self.origin = spec, info, dict(origin or {})
        self.encoder, self.action_encoder = encoder, action_encoder
        self.static_prior, self.prior = static_prior, prior
        self.decoder, self.reconstruction = decoder, reconstruction
        self.noise = Noise(seed)
        share_noise(self.noise, self)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch and draw from the priors beside it (the dynamic prior is teacher-forced by the posterior's draws)."""
        statistics = RunningStatistics(self.encoder)
        return evolve(self.encoded(batch, self.encoder.features(batch)), statistics=statistics)

    def encoded(self, batch: Batch, features: Tensor) -> Encoded:
        """As `forward`, from frame features `[b, t, h]` that are known already."""
        posterior = self._posterior(batch, features)
        prior = SequencePrior(static=self.static_prior(batch), dynamic=self.prior(posterior.dynamic.sample))
        return Encoded(batch=batch, features=features, posterior=posterior, prior=prior)

    def pre_activations(self, posterior: SequencePosterior) -> Tensor:
        """The decoder's output before the link, `[b, t, *frame]`."""
        action = None if posterior.action is None else posterior.action.sample
        pre: Tensor = self.decoder(posterior.static.sample, posterior.dynamic.sample, action)
        return pre

    @torch.no_grad()
    def encode(self, x: Tensor, mask: Tensor | None = None) -> SequencePosterior:
        """Posterior of clips `[b, t, *frame]`; every sample is the mean.

        Arguments:
            mask: `[b, t]`, 1 where a frame is real and 0 where it is padding, behind the real ones; None if every frame is real.

        Raises:
            DataError: another frame shape, values outside the data's range or not finite, or a mask that does not fit.
        """
        with _Evaluating(self):
            batch = self._batch(x, mask)
            return self._posterior(batch, self.encoder.features(batch))

    @torch.no_grad()
    def decode(self, static: Tensor, dynamic: Tensor, action: Tensor | None = None) -> Tensor:
        """Frames `[b, t, *frame]` in the data's range from `[b, d_s]`, `[b, t, d_d]` and, where the model has it, `[b, a]`."""
        for name, value, size in (("static", static, self.spec.static), ("dynamic", dynamic, self.spec.dynamic)):
            if value.shape[-1] != size:
                raise RwaeError(f"decode: {name} has {value.shape[-1]} features, the model's {name} latent has {size}")
        if (action is None) != (self.spec.action == 0):
            raise RwaeError(f"decode: the model has {self.spec.action} actions: give `action` if and only if there are any")
        if action is not None and action.shape[-1] != self.spec.action:
            raise RwaeError(f"decode: action has {action.shape[-1]} entries, the model has {self.spec.action} actions")
        with _Evaluating(self):
            frames: Tensor = self.reconstruction.mean(self.decoder(static, dynamic, action))
            return frames

    def reconstruct(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode and decode clips `[b, t, *frame]`; what comes back for padding (mask 0) means nothing."""
        return self._decoded(self.encode(x, mask))

    def swap(
        self,
        static_from: Tensor,
        dynamic_from: Tensor,
        *,
        static_mask: Tensor | None = None,
        dynamic_mask: Tensor | None = None,
    ) -> Tensor:
        """Clips with the static latent of one input and the dynamic (and action) latent of the other, `[b, t, *frame]` both.

        Their masks are those of `encode`; the result is as long as the input that moves.
        """
        if len(static_from) != len(dynamic_from):
            raise RwaeError(
                f"swap: {len(static_from)} clips to take the static latent from, {len(dynamic_from)} for the dynamic one"
            )
        static, moving = self.encode(static_from, static_mask), self.encode(dynamic_from, dynamic_mask)
        return self._decoded(SequencePosterior(static=static.static, dynamic=moving.dynamic, action=moving.action))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        t: int | None = None,
        *,
        seed: int = 0,
        static: Tensor | None = None,
        dynamic: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Tensor:
        """Clips `[n, t, *frame]` from the priors: the dynamic latents by ancestral sampling, of any length.

        Args:
            n: number of clips.
            t: length; None for the data's.
            seed: of the draws; the same seed gives the same clips.
            static: codes `[n, d_s]` to keep instead of drawing them.
            dynamic: codes `[n, t, d_d]` to keep instead of drawing them.
            action: one-hot actions `[n, a]` to keep instead of drawing them; s and z are the same draws whatever they are.
        """
        t = self.info.length if t is None else t
        if n < 1 or t < 1:
            raise RwaeError(f"sample: needs at least one clip of one frame, not n = {n}, t = {t}")
        with _Evaluating(self), self.noise.fork(seed):
            z = self.prior.sample(n, t) if dynamic is None else dynamic.to(self.device)
            blank = Batch(x=torch.zeros(n, t, *self.spec.frame, device=self.device), index=torch.arange(n), dataset_size=n)
            s = self.static_prior(blank).sample if static is None else static.to(self.device)
            if action is None and self.spec.action:
                action = self._drawn_actions(n)
            return self.decode(s, z, None if action is None else action.to(self.device))

    def traverse(self, x: Tensor, latent: str, dim: int, values: Sequence[float] | Tensor) -> Tensor:
        """One clip `[t, *frame]` with one feature of a latent set to each value in turn: `[k, t, *frame]`."""
        if latent not in ("static", "dynamic"):
            raise RwaeError(f"traverse: latent is {latent!r}; it is 'static' or 'dynamic'")
        size = getattr(self.spec, latent)
        if not 0 <= dim < size:
            raise RwaeError(f"traverse: the {latent} latent has features 0..{size - 1}, not {dim}")
        posterior = self.encode(x[None])
        steps = torch.as_tensor(values, dtype=torch.get_default_dtype(), device=self.device)
        s = repeat(posterior.static.sample, "1 d -> k d", k=len(steps)).clone()
        z = repeat(posterior.dynamic.sample, "1 t d -> k t d", k=len(steps)).clone()
        if latent == "static":
            s[:, dim] = steps
        else:
            z[:, :, dim] = steps[:, None]
        action = None if posterior.action is None else posterior.action.sample.expand(len(steps), -1)
        return self.decode(s, z, action)

    def _posterior(self, batch: Batch, features: Tensor) -> SequencePosterior:
        posterior = self.encoder.posterior(features, batch)
        if self.action_encoder is None:
            return posterior
        return evolve(posterior, action=self.action_encoder(posterior.dynamic.sample, features, batch.mask))

    def _decoded(self, posterior: SequencePosterior) -> Tensor:
        action = None if posterior.action is None else posterior.action.sample
        return self.decode(posterior.static.sample, posterior.dynamic.sample, action)

    def action_prior(self) -> Tensor:
        """log p(a), `[a]`."""
        weights = self.spec.action_prior or (1.0,) * self.spec.action
        return torch.tensor(weights, device=self.device, dtype=next(self.parameters()).dtype).log().log_softmax(0)

    def _drawn_actions(self, n: int) -> Tensor:
        levels = self.noise.uniform(n, like=next(self.parameters()))
        place = torch.searchsorted(self.action_prior().exp().cumsum(0)[:-1], levels, right=True)
        return torch.eye(self.spec.action, device=self.device)[place]

    def _batch(self, x: Tensor, mask: Tensor | None) -> Batch:
        expected = ("b", "t", *self.spec.frame)
        if x.ndim != len(expected) or tuple(x.shape[2:]) != self.spec.frame:
            raise DataError(f"encode: clips are {tuple(x.shape)}; this model reads {expected}")
        if not x.is_floating_point():
            raise DataError(f"encode: clips are {x.dtype}; this model reads float values in {self.spec.value_range}")
        low, high = self.spec.value_range
        slack = 0.01 * (high - low)
        least, most = float(x.min()), float(x.max())
        if not low - slack <= least <= most <= high + slack:  # also catches NaN
            raise DataError(
                f"encode: values are in [{least:g}, {most:g}]; this model was trained on {self.info.name}, in [{low:g}, {high:g}]"
            )
        if mask is not None:
            if mask.shape != x.shape[:2]:
                raise DataError(f"encode: the mask is {tuple(mask.shape)}; of these clips it should be {tuple(x.shape[:2])}")
            mask = mask.to(self.device, torch.get_default_dtype())
        return Batch(x=x.to(self.device), index=torch.arange(len(x), device=self.device), mask=mask, dataset_size=len(x))


class _Evaluating:
    """Eval mode for a while; the mode of every module is as before afterwards."""

    def __init__(self, model: nn.Module) -> None:
        self._modes = [(module, module.training) for module in model.modules()]
        self._model = model

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        for module, mode in self._modes:
            module.training = mode
