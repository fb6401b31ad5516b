"""Estimates of mutual information by densities: the truth, their formulas, masks and precision."""

from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve
from torch import Tensor
from torch.distributions import Independent, Normal

from rwae_contrastive.weighted_sampling import ESTIMATORS, WeightedSampling
from rwae_kit import Latent, RecipeError, RwaeError
from rwae_kit.convert import structure

N = 50_000


@pytest.fixture
def estimate(spec, encoded):
    """The nats of a posterior, and the loss."""

    def run(static: Latent | None = None, dynamic: Latent | None = None, n: int = N, **options) -> tuple[Tensor, Tensor]:
        of = tuple(name for name, latent in (("static", static), ("dynamic", dynamic)) if latent is not None)
        term = WeightedSampling(WeightedSampling.Config(**{"of": of, **options}), spec)
        loss = term({"clip": encoded(static, dynamic, dataset_size=n)})
        return term.estimates["nats"], loss

    return run


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def densities(latent: Latent) -> Tensor:
    """log q(z_i | x_j): `[b, b]`, or of every frame `[b, b, t]`, one pair after the other."""
    gaussian = Independent(Normal(latent.mean.double(), torch.exp(0.5 * latent.log_var.double())), 1)
    return torch.stack([gaussian.log_prob(draw.double()) for draw in latent.sample])


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("estimator", ["plug_in", "mss"])
def test_the_information_of_one_latent_comes_to_the_truth_as_the_batch_grows(estimate, gaussian, estimator, noise) -> None:
    """z = a + sqrt(noise) e with a ~ N(0, 1), in each of two frames: I = log(1 + 1 / noise)."""
    truth, error = math.log(1 + 1 / noise), {}
    for b in (16, 2048):
        found = [
            estimate(dynamic=gaussian(normal(b, 2, 1, seed=k), math.log(noise), seed=100 + k), estimator=estimator)[0]
            for k in range(3 if b > 16 else 200)
        ]
        error[b] = abs(torch.stack(found).mean() - truth)
    assert error[2048] < 0.05
    assert error[2048] < error[16]


@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize("estimator", ["plug_in", "mss"])
def test_what_both_latents_share_comes_to_the_truth(estimate, gaussian, estimator, rho) -> None:
    """s = a + e, z_t = c_t + e with corr(a, c_1) = rho, all of variance 1: corr(s, z_1) = rho / 2."""
    truth = -0.5 * math.log(1 - (rho / 2) ** 2)
    found = []
    for k in range(4):
        a, c = normal(1024, 1, seed=k), normal(1024, 2, 1, seed=50 + k)
        c[:, 0] = rho * a + math.sqrt(1 - rho**2) * c[:, 0]
        found.append(estimate(gaussian(a, 0.0, seed=100 + k), gaussian(c, 0.0, seed=200 + k), estimator=estimator)[0])
    assert abs(torch.stack(found).mean() - truth) < 0.05


@pytest.mark.parametrize("of", [("static",), ("dynamic",), ("static", "dynamic")])
def test_mws_is_plug_in_and_log_n_with_the_same_gradient(estimate, gaussian, of, tolerance) -> None:
    found = {}
    for estimator in ("mws", "plug_in"):
        means = [normal(8, 2).requires_grad_(), normal(8, 3, 2, seed=1).requires_grad_()]
        nats, loss = estimate(gaussian(means[0], -1.0), gaussian(means[1], -1.0), estimator=estimator, of=of)
        gradients = torch.autograd.grad(loss, means, allow_unused=True)
        found[estimator] = (nats, [g for g in gradients if g is not None])
    torch.testing.assert_close(found["mws"][0], found["plug_in"][0] + math.log(N), **tolerance[torch.float64])
    assert len(found["mws"][1]) == len(of)
    torch.testing.assert_close(found["mws"][1], found["plug_in"][1], **tolerance[torch.float64])


def test_every_estimator_is_its_formula(estimate, gaussian, tolerance) -> None:
    static, dynamic = gaussian(normal(7, 2), -1.0), gaussian(normal(7, 3, 2, seed=1), -0.5, seed=1)
    one, two = densities(static), densities(dynamic).sum(-1)
    eye, m = torch.eye(7), 7
    shares = {
        "plug_in": torch.full((m, m), 1 / m),
        "mws": torch.full((m, m), 1 / (N * m)),
        "mss": eye / N + (1 - eye) * (1 - 1 / N) / (m - 1),
    }
    for estimator in ESTIMATORS:

        def mixture(log_density: Tensor, share: Tensor = shares[estimator]) -> Tensor:
            return (log_density.exp() * share).sum(1).log()

        expected = (mixture(one + two) - mixture(one) - mixture(two)).mean()
        nats, loss = estimate(static, dynamic, estimator=estimator)
        torch.testing.assert_close(nats, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(loss, nats)
        expected = (one.diagonal() - mixture(one)).mean()
        nats, loss = estimate(static, estimator=estimator)
        torch.testing.assert_close(nats, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(loss, -nats)


def test_mss_is_the_mean_of_the_papers_over_which_clip_stands_last(estimate, gaussian) -> None:
    """1/N own, 1/M of M - 1 others, (N - M) / (N M) of the last: the mixture, averaged over who is last."""
    static, b = gaussian(normal(5, 2), -1.0), 5
    density, m = densities(static).exp(), b - 1
    each = []
    for i in range(b):
        others = [j for j in range(b) if j != i]
        mixtures = [
            density[i, i] / N + sum(density[i, j] for j in others if j != last) / m + (N - m) / (N * m) * density[i, last]
            for last in others
        ]
        each.append(density[i, i].log() - torch.stack(mixtures).mean().log())
    torch.testing.assert_close(estimate(static, estimator="mss")[0], torch.stack(each).mean(), rtol=1e-9, atol=1e-9)


def test_mss_of_the_whole_data_set_is_plug_in(estimate, gaussian, tolerance) -> None:
    static = gaussian(normal(9, 2), -1.0)
    found = [estimate(static, n=n, estimator=estimator)[0] for n, estimator in ((9, "mss"), (4, "mss"), (9, "plug_in"))]
    torch.testing.assert_close(found[0], found[2], **tolerance[torch.float64])
    torch.testing.assert_close(found[1], found[2], **tolerance[torch.float64])


@pytest.mark.parametrize("estimator", ["mss", "plug_in"])
def test_one_clip_shares_nothing(estimate, gaussian, estimator) -> None:
    """Its own density is the estimate of the whole: I(z; x) = 0, and I(s; z) = log q q - log q - log q = 0."""
    static, dynamic = gaussian(normal(1, 2)), gaussian(normal(1, 3, 2))
    for latents in ({"static": static}, {"dynamic": dynamic}, {"static": static, "dynamic": dynamic}):
        assert estimate(**latents, estimator=estimator)[0].abs() < 1e-12


def test_per_frame_is_the_mean_of_the_frames(estimate, gaussian, tolerance) -> None:
    static, dynamic = gaussian(normal(6, 2), -1.0), gaussian(normal(6, 3, 2, seed=1), -1.0, seed=1)
    frames = [Latent(sample=dynamic.sample[:, [t]], mean=dynamic.mean[:, [t]], log_var=dynamic.log_var[:, [t]]) for t in range(3)]
    for latents in ({}, {"static": static}):
        expected = torch.stack([estimate(dynamic=frame, **latents)[0] for frame in frames]).mean()
        found = estimate(dynamic=dynamic, per_frame=True, **latents)[0]
        torch.testing.assert_close(found, expected, **tolerance[torch.float64])


@pytest.mark.parametrize("per_frame", [False, True])
def test_a_clip_is_compared_over_its_own_frames_with_clips_at_least_as_long(estimate, gaussian, per_frame, tolerance) -> None:
    lengths = torch.tensor([3, 1, 2, 3, 2])
    mask = (torch.arange(3) < lengths[:, None]).double()
    static, dynamic = gaussian(normal(5, 2), -1.0), gaussian(normal(5, 3, 2, seed=1), -1.0, weight=mask, seed=1)
    one, by_frame = densities(static), densities(evolve(dynamic, weight=None))
    each = []
    for i in range(5):
        for frames in [[t] for t in range(lengths[i])] if per_frame else [list(range(lengths[i]))]:
            longer = [j for j in range(5) if lengths[j] > frames[-1]]
            two = by_frame[i][:, frames].sum(-1)

            def mixture(row: Tensor, longer: list[int] = longer) -> Tensor:
                return row[longer].logsumexp(0) - math.log(len(longer))

            each.append(mixture(one[i] + two) - mixture(one[i]) - mixture(two))
    garbage = evolve(dynamic, sample=torch.where(mask[..., None] > 0, dynamic.sample, 1e3), weight=mask)
    found = estimate(static, garbage, estimator="plug_in", per_frame=per_frame)[0]
    torch.testing.assert_close(found, torch.stack(each).mean(), **tolerance[torch.float64])
    for estimator in ESTIMATORS:
        assert torch.isfinite(estimate(static, dynamic, estimator=estimator, per_frame=per_frame)[0])


def test_long_narrow_far_off_posteriors_in_single_precision_lose_nothing(estimate, gaussian) -> None:
    """std 0.02 at 5, 30 frames of 32: the terms of the quadratic form are 6e7, their differences the answer."""
    mean = 5 + 0.001 * normal(64, 30, 32).float()
    latent = gaussian(mean, -8.0)
    log_density = densities(latent).sum(-1)
    expected = (log_density.diagonal() - log_density.logsumexp(1) + math.log(64)).mean()
    assert 0.1 < expected < 4.1
    found = estimate(dynamic=latent, estimator="plug_in")[0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_its_gradient_is_right_in_draws_means_and_log_variances(estimate, estimator) -> None:
    mask = torch.tensor([[1.0, 1], [1, 0], [1, 1]]).double()

    def loss(*given: Tensor) -> Tensor:
        static = Latent(sample=given[0], mean=given[1], log_var=given[2])
        dynamic = Latent(sample=given[3], mean=given[4], log_var=given[5], weight=mask)
        return estimate(static, dynamic, estimator=estimator)[1]

    given = [normal(*size, seed=k).requires_grad_() for k, size in enumerate(3 * [(3, 2)] + 3 * [(3, 2, 2)])]
    assert torch.autograd.gradcheck(loss, given)


def test_what_makes_no_sense_is_refused(spec, estimate) -> None:
    with pytest.raises(RecipeError, match="per_frame: the static latent has no frames"):
        WeightedSampling(WeightedSampling.Config(of=("static",), per_frame=True), spec)
    for wrong in ([], ["static", "static"], ["action"]):
        with pytest.raises(RecipeError, match=r"term\.leak"):
            structure({"of": wrong}, WeightedSampling.Config, "term.leak")
    with pytest.raises(RwaeError, match="posterior of the static latent has no density"):
        estimate(Latent(sample=normal(3, 2), mean=normal(3, 2)))
