"""The values that travel between the parts: a batch, and the latents of it.

Axes: `b` batch, `t` time, `d` features, `n` draws, `...` independent problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from torch import Tensor

if TYPE_CHECKING:
    from rwae_kit.running_statistics import RunningStatistics


@frozen(kw_only=True, eq=False)
class Batch:
    """Some clips of a data set.

    Shape:
        x: `[b, t, *frame]`, float, in the range that the data set declares.
        mask: `[b, t]`, 1 where a frame is real and 0 where it is padding; None if every frame is real.
        index: `[b]`, the clips' places in their split.
        factors: per factor `[b]`, integer classes; None without labels. No training loss reads them.
    """

    x: Tensor
    index: Tensor
    mask: Tensor | None = None
    factors: Mapping[str, Tensor] | None = None
    dataset_size: int


@frozen(kw_only=True, eq=False)
class Latent:
    """Draws of a latent, and the diagonal Gaussian they come from where it has a density.

    Shape:
        sample: `[..., n, d]`.
        mean, log_var: as `sample`; None where the draws have no known density (ancestral draws of a prior).
        weight: `[..., n]`, not negative; None for equal weights. Padding has weight 0.
    """

    sample: Tensor
    mean: Tensor | None = None
    log_var: Tensor | None = None
    weight: Tensor | None = None


@frozen(kw_only=True, eq=False)
class CategoricalLatent:
    """Relaxed one-hot draws `sample` `[b, a]` and the unnormalised log-probabilities `logits` `[b, a]` they come from."""

    sample: Tensor
    logits: Tensor


@frozen(kw_only=True, eq=False)
class SequencePosterior:
    """q(s, z_1:T, a | x_1:T): static `[b, d_s]`, dynamic `[b, t, d_d]`, action `[b, a]` where the model has one."""

    static: Latent
    dynamic: Latent
    action: CategoricalLatent | None = None


@frozen(kw_only=True, eq=False)
class SequencePrior:
    """p(s) and p(z_t | z_<t), drawn beside a posterior; same shapes as `SequencePosterior`."""

    static: Latent
    dynamic: Latent


@frozen(kw_only=True, eq=False)
class Encoded:
    """One view of a batch with its frame features `[b, t, h]` and its latents.

    `statistics`: the encoder's running statistics from before the features were computed; None where they are another view's.
    """

    batch: Batch
    features: Tensor
    posterior: SequencePosterior
    prior: SequencePrior
    statistics: RunningStatistics | None = None
