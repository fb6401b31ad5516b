"""Posteriors put together by hand, as a term sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rwae_kit import Batch, Encoded, Latent, SequencePosterior, SequencePrior, Spec


@pytest.fixture
def spec() -> Spec:
    return Spec(frame=(3, 16, 16), value_range=(0.0, 1.0), static=2, dynamic=2)


@pytest.fixture
def gaussian() -> Callable[..., Latent]:
    """A latent drawn from N(mean, exp(log_var))."""

    def make(mean: Tensor, log_var: float | Tensor = 0.0, weight: Tensor | None = None, seed: int = 0) -> Latent:
        log_var = torch.as_tensor(log_var, dtype=mean.dtype).expand_as(mean)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed), dtype=mean.dtype)
        return Latent(sample=mean + torch.exp(0.5 * log_var) * noise, mean=mean, log_var=log_var, weight=weight)

    return make


@pytest.fixture
def encoded() -> Callable[..., Encoded]:
    """A view with the given posterior; what is left out is 0."""

    def make(static: Latent | None = None, dynamic: Latent | None = None, dataset_size: int = 1000) -> Encoded:
        given = static or dynamic
        assert given is not None
        b = len(given.sample)
        static, dynamic = static or Latent(sample=torch.zeros(b, 2)), dynamic or Latent(sample=torch.zeros(b, 3, 2))
        batch = Batch(x=torch.zeros(b, dynamic.sample.shape[1], 1), index=torch.arange(b), dataset_size=dataset_size)
        posterior = SequencePosterior(static=static, dynamic=dynamic)
        prior = SequencePrior(static=static, dynamic=dynamic)
        return Encoded(batch=batch, features=torch.zeros(b, 1, 1), posterior=posterior, prior=prior)

    return make
