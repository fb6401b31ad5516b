"""Beside MMD^2 by all pairs: cheaper estimates of it, the function that attains it, and a bandwidth from the draws."""

from __future__ import annotations

import torch
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd.blocks import cuts
from rwae_kit.kernels.mmd.mixtures import Mixture
from rwae_kit.kernels.mmd.op import mmd2
from rwae_kit.kernels.mmd.problem import centre
from rwae_kit.kernels.mmd.reference import evaluate, squared_distances

MEDIAN_OF = 256
"""Draws of each side, at most, whose distances the median heuristic takes."""
WITNESS_PAIRS = 2**22
"""Pairs that `witness` holds at once."""


@torch.no_grad()
def median_bandwidth(x: Tensor, y: Tensor, weight_x: Tensor | None = None, weight_y: Tensor | None = None) -> Tensor:
    """The median distance `[...]` between two different draws of positive weight, both sides pooled; 1 where there is none.

    Of the first 256 draws of each side. For `mmd2(..., unit=...)`: it stays on the device and carries no gradient.

    Shape: x `[..., n, d]`, y `[..., m, d]`, weight_x `[..., n]`, weight_y `[..., m]` -> `[...]`.

    Source: Gretton et al. 2012, Sec. 8 (the median heuristic), on the pooled draws.
    """
    parts = [(points[..., :MEDIAN_OF, :], weight) for points, weight in ((x, weight_x), (y, weight_y))]
    points = torch.cat([part for part, _ in parts], -2)
    real = torch.cat([torch.ones_like(p[..., 0], dtype=torch.bool) if w is None else w[..., :MEDIAN_OF] > 0 for p, w in parts], -1)
    i, j = torch.triu_indices(points.shape[-2], points.shape[-2], offset=1, device=points.device)
    distance = torch.cdist(points, points)[..., i, j]
    median = distance.masked_fill(~(real[..., i] & real[..., j]), torch.nan).nanmedian(-1).values
    return torch.where(median > 0, median, torch.ones_like(median))


def witness(
    at: Tensor, x: Tensor, y: Tensor, kernel: Mixture, *, weight_x: Tensor | None = None, weight_y: Tensor | None = None
) -> Tensor:
    """The witness E k(x, t) - E k(y, t) at the points t of `at`: positive where there is more of x, negative where more of y.

    Its mean over x minus its mean over y is the V-statistic of MMD^2. Holds a bounded number of pairs at once when no gradient is
    recorded.

    Shape: at `[..., q, d]`, x `[..., n, d]`, y `[..., m, d]` -> `[..., q]`.

    Raises:
        RwaeError: shapes that do not fit.

    Source: Gretton et al. 2012, Sec. 2.3.
    """
    if not (at.shape[-1] == x.shape[-1] == y.shape[-1] and at.shape[:-2] == x.shape[:-2] == y.shape[:-2]):
        raise RwaeError(
            f"witness: at is {list(at.shape)}, x is {list(x.shape)}, y is {list(y.shape)}. They must agree in all but the draws"
        )
    middle = centre(x, y, weight_x, weight_y)
    at, sides = at - middle, ((x - middle, weight_x), (y - middle, weight_y))
    groups = max(1, at[..., 0, 0].numel())
    longest = max(1, WITNESS_PAIRS // (groups * max(x.shape[-2], y.shape[-2])))
    parts = []
    for start, stop in cuts(at.shape[-2], longest):
        means = [_mean_over(evaluate(kernel, squared_distances(at[..., start:stop, :], p)), weight) for p, weight in sides]
        parts.append(means[0] - means[1])
    return torch.cat(parts, -1)


def _mean_over(k: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return k.mean(-1)
    w = weight.detach().to(k).unsqueeze(-1)
    total = w.sum(-2)
    return (k @ w).squeeze(-1) / torch.where(total > 0, total, torch.ones_like(total))


def linear_mmd2(x: Tensor, y: Tensor, kernel: Mixture) -> Tensor:
    """An unbiased estimate of MMD^2 in linear time: the mean of k(x, x') + k(y, y') - k(x, y') - k(x', y) over neighbours.

    Noisier than `mmd2`, and nearly normal, so that a mean and its standard error make a test. Of an odd number of draws the last
    is not used.

    Shape: x `[..., n, d]`, y `[..., n, d]` -> `[...]`.

    Raises:
        RwaeError: shapes that differ, or fewer than two draws.

    Source: Gretton et al. 2012, Lemma 14.
    """
    return block_mmd2(x, y, kernel, 2)


def block_mmd2(x: Tensor, y: Tensor, kernel: Mixture, block: int, *, path: str = "auto") -> Tensor:
    """An unbiased estimate of MMD^2 between the linear and the quadratic one: the mean of `mmd2(paired=True)` over blocks of draws.

    Draws that do not fill a block are not used.

    Shape: x `[..., n, d]`, y `[..., n, d]` -> `[...]`.

    Raises:
        RwaeError: shapes that differ, or a block of fewer than two or of more than n draws.

    Source: Zaremba et al. 2013 (B-test), Eq. 4; with a block of 2 Gretton et al. 2012, Lemma 14.
    """
    if x.shape != y.shape:
        raise RwaeError(f"block_mmd2: x is {list(x.shape)}, y is {list(y.shape)}. It needs as many draws of x as of y")
    if not 2 <= block <= x.shape[-2]:
        raise RwaeError(f"block_mmd2: blocks of {block} of {x.shape[-2]} draws. A block has two draws or more, and at most all")
    whole = x.shape[-2] // block
    a, b = (p[..., : whole * block, :].reshape(*p.shape[:-2], whole, block, p.shape[-1]) for p in (x, y))
    return mmd2(a, b, kernel, paired=True, path=path).mean(-1)
