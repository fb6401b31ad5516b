"""MMD on the latents themselves, with a mixture of Gaussian kernels."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.validators import deep_iterable, gt, in_, min_len
from torch import Tensor

from rwae_kit import Divergence, Latent
from rwae_kit.kernels.mmd import GaussianMixture, median_bandwidth, mmd2

Estimator = Literal["auto", "unbiased", "biased"]
ESTIMATORS = ("auto", "unbiased", "biased")
Precision = Literal["highest", "high", "medium"]
PRECISIONS = ("highest", "high", "medium")
PRECISION_HELP = "least precise products on a GPU: highest (float32), high (three of bfloat16 for one), medium (one)"


def estimate(
    x: Tensor,
    y: Tensor,
    posterior: Latent,
    prior: Latent,
    kernel: GaussianMixture,
    estimator: Estimator,
    unit: Tensor | None = None,
    precision: Precision = "high",
) -> Tensor:
    """MMD^2 between `x` and `y`, computed from the draws of the two latents, under their weights; bandwidths in units of `unit`.

    "auto" is never biased, whoever drew: where n = m it leaves i = j out of the cross term, which is right for teacher-forced draws
    (the i-th two depend on each other) and for independent ones; draws with n != m cannot be teacher-forced, so the plain
    U-statistic serves.
    """
    return mmd2(
        x,
        y,
        kernel,
        unbiased=estimator != "biased",
        paired=estimator == "auto" and x.shape[-2] == y.shape[-2],
        weight_x=posterior.weight,
        weight_y=prior.weight,
        unit=unit,
        precision=precision,
    )


class MMD(Divergence):
    """MMD^2 with k(x, y) = 1/K sum_k exp(-|x - y|^2 / (2 bandwidth_k^2)).

    Shape: `Latent[..., n, d]`, `Latent[..., m, d]` -> `[...]`; reads the draws and their weights.

    Source: R-WAE App. D, Eq. 21 with the cross term's factor mended to 2; the mixture is a sum there and an average here (ours:
    the weight of the penalty then means the same for any number of bandwidths). The paper gives no bandwidths: those of MMD-GAN
    (Li et al. 2017). With "auto", the paired estimator where n = m (Gretton et al. 2012, Eq. 4): the prior's teacher-forced draws
    share their histories with the posterior's, which biases Eq. 21's all-pairs cross term.
    """

    @frozen(kw_only=True)
    class Config:
        """Kernel and estimator."""

        bandwidths: tuple[float, ...] = field(
            default=(1.0, 2.0, 4.0, 8.0, 16.0),
            validator=[min_len(1), deep_iterable(gt(0))],
            metadata={"help": "sigma of each Gaussian kernel exp(-|x-y|^2 / 2 sigma^2)"},
        )
        average: bool = field(
            default=True, metadata={"help": "average the kernels (otherwise: their sum, as printed in the paper)"}
        )
        median: bool = field(default=False, metadata={"help": "bandwidths in units of the median distance between draws"})
        estimator: Estimator = field(
            default="auto",
            validator=in_(ESTIMATORS),
            metadata={"help": "auto (unbiased, also for teacher-forced draws), unbiased (all pairs in the cross term), biased"},
        )
        precision: Precision = field(default="high", validator=in_(PRECISIONS), metadata={"help": PRECISION_HELP})

    def __init__(self, config: Config, d: int) -> None:
        super().__init__(config)
        k = len(config.bandwidths)
        self.kernel = GaussianMixture(config.bandwidths, (1 / k,) * k if config.average else None)
        self.settings = config

    def forward(self, posterior: Latent, prior: Latent) -> Tensor:
        unit = median_distance(posterior, prior) if self.settings.median else None
        chosen = self.settings
        return estimate(posterior.sample, prior.sample, posterior, prior, self.kernel, chosen.estimator, unit, chosen.precision)


def median_distance(posterior: Latent, prior: Latent) -> Tensor:
    """Median distance `[...]` between two different draws of positive weight, both latents pooled; 1 where there is none."""
    return median_bandwidth(posterior.sample, prior.sample, posterior.weight, prior.weight)
