"""Engines that compute value and gradient together, as functions that autograd and torch.compile know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rwae_kit.kernels.mmd import reference
from rwae_kit.kernels.mmd.mixtures import GaussianMixture, InverseMultiquadricMixture, Mixture
from rwae_kit.kernels.mmd.paths import engine
from rwae_kit.kernels.mmd.problem import Engine, Problem

HALF = (torch.bfloat16, torch.float16)


class OnePass(torch.autograd.Function):
    """Value and gradients in the forward pass; the backward pass multiplies. A second derivative goes through the reference."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, problem: Problem, compute: Engine) -> Tensor:
        value, gradient_x, gradient_y = compute(x, y, problem)
        ctx.problem = problem
        ctx.save_for_backward(x, y, gradient_x, gradient_y)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, y, *gradients = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_differentiable(x, y, ctx.problem, upstream), None, None
        scale = upstream[:, None, None]
        a, b = (None if g is None else (g * scale).to(z.dtype) for g, z in zip(gradients, (x, y), strict=True))
        return a, b, None, None


def _differentiable(x: Tensor, y: Tensor, problem: Problem, upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The gradients as functions of the draws, for a second derivative."""
    a, b = (z.float() if z.dtype in HALF else z for z in (x, y))
    value = reference.compute(a, b, problem)
    wanted = [tensor for tensor, want in ((x, problem.want_x), (y, problem.want_y)) if want]
    found = list(torch.autograd.grad(value, wanted, upstream, create_graph=True))
    return found.pop(0) if problem.want_x else None, found.pop(0) if problem.want_y else None


def compiled(x: Tensor, y: Tensor, problem: Problem, path: str) -> Tensor:
    """The same as one opaque operation, for torch.compile; without second derivatives."""
    kernel = problem.kernel
    gaussian = isinstance(kernel, GaussianMixture)
    lengths = kernel.bandwidths if isinstance(kernel, GaussianMixture) else kernel.scales
    value: Tensor = _operation(
        x,
        y,
        problem.weight_x,
        problem.weight_y,
        problem.unit,
        gaussian,
        list(lengths),
        list(kernel.coefficients),
        problem.unbiased,
        problem.paired,
        problem.want_x,
        problem.want_y,
        path,
        problem.precision,
    )[0]
    return value


@torch.library.custom_op("rwae_kit::mmd2", mutates_args=())
def _operation(
    x: Tensor,
    y: Tensor,
    weight_x: Tensor | None,
    weight_y: Tensor | None,
    unit: Tensor | None,
    gaussian: bool,
    lengths: list[float],
    coefficients: list[float],
    unbiased: bool,
    paired: bool,
    want_x: bool,
    want_y: bool,
    path: str,
    precision: str = "high",
) -> tuple[Tensor, Tensor, Tensor]:
    kind = GaussianMixture if gaussian else InverseMultiquadricMixture
    kernel: Mixture = kind(tuple(lengths), tuple(coefficients))
    problem = Problem(
        kernel=kernel,
        weight_x=weight_x,
        weight_y=weight_y,
        unit=unit,
        unbiased=unbiased,
        paired=paired,
        want_x=want_x,
        want_y=want_y,
        precision=precision,
        reuse=False,  # a CUDA graph of torch.compile's owns all memory that it sees made
    )
    value, gradient_x, gradient_y = engine(path)(x, y, problem)
    nothing = value.new_empty(0)
    return value, nothing if gradient_x is None else gradient_x, nothing.clone() if gradient_y is None else gradient_y


_WANT = 10
"""Where want_x stands among the operation's inputs, want_y after it."""


@_operation.register_fake
def _(x: Tensor, y: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    want_x, want_y = rest[_WANT - 2 : _WANT]
    kind = torch.float32 if x.dtype in HALF else x.dtype
    value = x.new_empty(x.shape[0], dtype=kind)
    return value, value.new_empty(x.shape if want_x else 0), value.new_empty(y.shape if want_y else 0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:])
    ctx.wanted, ctx.kind = inputs[_WANT : _WANT + 2], inputs[0].dtype


def _scale(ctx: Any, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    gradients = (
        (g * upstream[:, None, None]).to(ctx.kind) if want else None for g, want in zip(ctx.saved_tensors, ctx.wanted, strict=True)
    )
    return *gradients, *(None,) * 12


_operation.register_autograd(_scale, setup_context=_keep)
