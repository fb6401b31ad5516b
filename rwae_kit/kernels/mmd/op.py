"""`mmd2`: the public operation; checks its inputs and picks the path that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rwae_kit.errors import RwaeError, did_you_mean
from rwae_kit.kernels.mmd import reference
from rwae_kit.kernels.mmd.mixtures import Mixture

Path = Callable[[Tensor, Tensor, Mixture, Tensor | None, Tensor | None, bool, bool], Tensor]
PATHS: Mapping[str, Path] = {"reference": reference.mmd2}


def mmd2(
    x: Tensor,
    y: Tensor,
    kernel: Mixture,
    *,
    unbiased: bool = True,
    paired: bool = False,
    weight_x: Tensor | None = None,
    weight_y: Tensor | None = None,
    path: str = "auto",
) -> Tensor:
    """Estimate MMD^2 between the distributions of `x` and `y`, for every independent problem.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), each expectation a weighted mean over pairs (i, j) with weight w_i v_j / sum w v:

    - unbiased (U-statistic): the first two means leave i = j out;
    - `paired`, also unbiased: the cross mean leaves i = j out too. Right for n = m draws of which the i-th two depend on each other
      (drawn from the same history), and for independent draws as well, where its variance is a little larger;
    - not unbiased (V-statistic): all pairs; never negative.

    Weights of 0 and 1 give exactly the estimate on the draws of weight 1. Other weights w weigh pairs by products: the unbiased
    mean is sum_{i != j} w_i w_j k_ij / (W^2 - sum_i w_i^2), W = sum_i w_i. A problem with too few draws for an estimate (fewer
    than two of positive weight) has value and gradient 0. Weights carry no gradient and are not checked to be non-negative.

    Shape: x `[..., n, d]`, y `[..., m, d]`, weight_x `[..., n]`, weight_y `[..., m]` -> `[...]`. float32 or float64.

    Raises:
        RwaeError: shapes, dtypes or devices that do not fit, too few draws, `paired` with n != m or without `unbiased`, unknown
            path.

    Source: Gretton et al. 2012, Lemma 6: Eq. 3 (unbiased), Eq. 4 (paired), Eq. 5 (V-statistic). R-WAE Eq. 21 prints the cross
    term with factor 1/n^2; MMD^2 needs 2/n^2.

    Example:
        >>> import torch
        >>> from rwae_kit.kernels.mmd import GaussianMixture, mmd2
        >>> x, y = torch.zeros(4, 2), torch.zeros(6, 2)
        >>> mmd2(x, y, GaussianMixture((1.0,)))
        tensor(0.)
    """
    _check(x, y, weight_x, weight_y, unbiased=unbiased, paired=paired)
    name = "reference" if path == "auto" else path
    if name not in PATHS:
        raise RwaeError(f"mmd2: unknown path {path!r}. {did_you_mean(path, ['auto', *PATHS])}")
    # autocast would round the products of the points to half precision
    with torch.autocast(x.device.type, enabled=False):
        return PATHS[name](x, y, kernel, weight_x, weight_y, unbiased, paired)


def _check(x: Tensor, y: Tensor, weight_x: Tensor | None, weight_y: Tensor | None, *, unbiased: bool, paired: bool) -> None:
    shapes = f"x is {list(x.shape)}, y is {list(y.shape)}"
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
        raise RwaeError(f"mmd2: {shapes}. x [..., n, d] and y [..., m, d] must agree in all but n and m")
    if x.dtype != y.dtype or x.dtype not in (torch.float32, torch.float64):
        raise RwaeError(f"mmd2: x is {x.dtype}, y is {y.dtype}. Both must be float32, or both float64")
    if x.device != y.device:
        raise RwaeError(f"mmd2: x is on {x.device}, y is on {y.device}. Both must be on one device")
    n, m = x.shape[-2], y.shape[-2]
    if min(n, m) < (2 if unbiased else 1):
        raise RwaeError(f"mmd2: {shapes}. {'The unbiased estimate needs at least 2 draws' if unbiased else 'There are no draws'}")
    if paired and n != m:
        raise RwaeError(f"mmd2: {shapes}. The paired estimate needs as many draws of x as of y")
    if paired and not unbiased:
        raise RwaeError("mmd2: paired=True with unbiased=False. The paired estimate leaves i = j out; the biased one keeps it")
    for name, weight, points in (("weight_x", weight_x, x), ("weight_y", weight_y, y)):
        if weight is not None and weight.shape != points.shape[:-1]:
            raise RwaeError(f"mmd2: {name} is {list(weight.shape)}. One weight for each draw: {list(points.shape[:-1])}")
