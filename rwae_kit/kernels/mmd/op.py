"""`mmd2`: the public operation; checks its inputs and picks the path that computes it."""

from __future__ import annotations

import torch
from torch import Tensor

from rwae_kit.errors import RwaeError
from rwae_kit.kernels.mmd import reference
from rwae_kit.kernels.mmd.autograd import OnePass, compiled
from rwae_kit.kernels.mmd.mixtures import Mixture
from rwae_kit.kernels.mmd.paths import available_paths, check_path, check_precision, choose_path, engine
from rwae_kit.kernels.mmd.problem import Problem

HALF = (torch.bfloat16, torch.float16)


def mmd2(
    x: Tensor,
    y: Tensor,
    kernel: Mixture,
    *,
    unbiased: bool = True,
    paired: bool = False,
    weight_x: Tensor | None = None,
    weight_y: Tensor | None = None,
    unit: Tensor | None = None,
    precision: str = "high",
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

    With `unit`, bandwidths are in units of it, one for each problem (see `median_distance`); it carries no gradient.

    `precision` is the least precise kind of products that is allowed, in the words of `torch.set_float32_matmul_precision`:
    "highest" float32; "high" three bfloat16 products for one of float32 (errors of 1e-5 in the gradient and less); "medium" one
    (5e-3). Only the path "triton" makes use of the leave; all others compute float32 products, which satisfy all three.

    `path` names what computes: "auto" takes the fastest that is there (`choose_path`); a path that is named runs or raises.
    All but "reference" compute the gradient together with the value, in O((n + m) d) memory, and come back to the reference for
    a second derivative.

    Shape: x `[..., n, d]`, y `[..., m, d]`, weight_x `[..., n]`, weight_y `[..., m]`, unit `[...]` -> `[...]`. float32 or float64;
    the value of bfloat16 and float16 draws is float32.

    Raises:
        RwaeError: shapes, dtypes or devices that do not fit, too few draws, `paired` with n != m or without `unbiased`, a path that
            is unknown or cannot run, an unknown precision or one that the named path does not have.

    Source: Gretton et al. 2012, Lemma 6: Eq. 3 (unbiased), Eq. 4 (paired), Eq. 5 (V-statistic). R-WAE Eq. 21 prints the cross
    term with factor 1/n^2; MMD^2 needs 2/n^2.

    Example:
        >>> import torch
        >>> from rwae_kit.kernels.mmd import GaussianMixture, mmd2
        >>> x, y = torch.zeros(4, 2), torch.ones(6, 2)
        >>> mmd2(x, y, GaussianMixture((1.0,)))  # 2 - 2 exp(-1)
        tensor(1.2642)
    """
    _check(x, y, weight_x, weight_y, unit, unbiased=unbiased, paired=paired)
    kind, dtype = x.device.type, str(x.dtype).removeprefix("torch.")
    check_precision(precision)
    if path == "auto":
        path = choose_path(kind, dtype, available=available_paths(), precision=precision)
    else:
        check_path(path, kind, dtype, precision)
    grad = torch.is_grad_enabled()
    problem = Problem(
        kernel=kernel,
        weight_x=None if weight_x is None else weight_x.detach().reshape(-1, x.shape[-2]),
        weight_y=None if weight_y is None else weight_y.detach().reshape(-1, y.shape[-2]),
        unit=None if unit is None else unit.detach().reshape(-1),
        unbiased=unbiased,
        paired=paired,
        want_x=grad and x.requires_grad,
        want_y=grad and y.requires_grad,
        precision=precision,
    )
    if not torch.is_autocast_enabled(kind):
        return _run(path, _grouped(x, path), _grouped(y, path), problem).view(x.shape[:-2])
    # autocast would round the products of the points to half precision
    with torch.autocast(kind, enabled=False):
        return _run(path, _grouped(x, path), _grouped(y, path), problem).view(x.shape[:-2])


def _grouped(points: Tensor, path: str) -> Tensor:
    """`[..., n, d]` to `[g, n, d]`, at least in float32 but for Triton, whose programs read half precision as it is."""
    return (points.float() if points.dtype in HALF and path != "triton" else points).reshape(-1, *points.shape[-2:])


def _run(path: str, x: Tensor, y: Tensor, problem: Problem) -> Tensor:
    if path == "reference":
        return reference.compute(x, y, problem)
    if torch.compiler.is_compiling():
        return compiled(x, y, problem, path)
    value: Tensor = OnePass.apply(x, y, problem, engine(path))  # type: ignore[no-untyped-call]
    return value


def _check(
    x: Tensor,
    y: Tensor,
    weight_x: Tensor | None,
    weight_y: Tensor | None,
    unit: Tensor | None,
    *,
    unbiased: bool,
    paired: bool,
) -> None:
    shapes = f"x is {list(x.shape)}, y is {list(y.shape)}"
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
        raise RwaeError(f"mmd2: {shapes}. x [..., n, d] and y [..., m, d] must agree in all but n and m")
    if x.dtype != y.dtype or x.dtype not in (torch.float32, torch.float64, *HALF):
        raise RwaeError(f"mmd2: x is {x.dtype}, y is {y.dtype}. Both must be float32, or both float64, bfloat16 or float16")
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
    if unit is not None and unit.shape != x.shape[:-2]:
        raise RwaeError(f"mmd2: unit is {list(unit.shape)}. One for each problem: {list(x.shape[:-2])}")
