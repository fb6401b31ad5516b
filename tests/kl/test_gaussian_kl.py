from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from rwae_kit import Latent, RwaeError
from rwae_kl.kl import GaussianKL


def latent(*shape: int, seed: int, dtype: torch.dtype = torch.float64, weight: torch.Tensor | None = None) -> Latent:
    generator = torch.Generator().manual_seed(seed)
    mean, log_var = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    return Latent(sample=mean, mean=mean, log_var=log_var, weight=weight)


def exact(q: Latent, p: Latent) -> torch.Tensor:
    gaussians = (Independent(Normal(g.mean, torch.exp(0.5 * g.log_var)), 1) for g in (q, p))
    return kl_divergence(*gaussians)


@pytest.fixture
def kl() -> GaussianKL:
    return GaussianKL(GaussianKL.Config(), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kl_is_exact_summed_over_d_and_averaged_over_n_in_every_group(kl, dtype, tolerance) -> None:
    q, p = latent(4, 5, 3, seed=0, dtype=dtype), latent(4, 5, 3, seed=1, dtype=dtype)
    torch.testing.assert_close(kl(q, p), exact(q, p).mean(-1), **tolerance[dtype])


def test_kl_of_equal_gaussians_is_zero(kl) -> None:
    q = latent(4, 5, 3, seed=0)
    assert torch.equal(kl(q, q), torch.zeros(4).double())


def test_padding_does_not_count_and_a_group_of_padding_alone_is_zero(kl, tolerance) -> None:
    weight = torch.tensor([[1.0, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
    q, p = latent(2, 5, 3, seed=0, weight=weight), latent(2, 5, 3, seed=1)
    wanted = torch.stack([exact(q, p)[0, [0, 1, 3]].mean(), torch.zeros(()).double()])
    torch.testing.assert_close(kl(q, p), wanted, **tolerance[torch.float64])


def test_draws_without_a_density_are_refused_and_named(kl) -> None:
    q = latent(5, 3, seed=0)
    with pytest.raises(RwaeError, match="prior's draws have no density"):
        kl(q, Latent(sample=q.sample))
