"""The checks of a divergence between categorical latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rwae_kit.interfaces import CategoricalDivergence, Component
from rwae_kit.latents import CategoricalLatent
from rwae_kit.testing.behaviour import behaves, builder, close, require, shape
from rwae_kit.testing.inputs import B, Tensors, normal

A = 4
"""Actions."""


def check_categorical_divergence(cls: Any, config: Any = None) -> None:
    """A `CategoricalDivergence`: a scalar from the posteriors `[b, a]`, whatever their order, and the prior; no parameters."""
    build = builder(cls, CategoricalDivergence, config, lambda c: (c, A), "(config, a)")
    require(not any(True for _ in build().parameters()), cls, "has parameters, which nothing trains")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        logits = given["logits"]
        return {"value": net(CategoricalLatent(sample=logits.softmax(-1), logits=logits), given["prior"])}

    def inputs(dtype: torch.dtype) -> dict[str, Tensor]:
        return {"logits": normal(dtype, B, A), "prior": torch.full((A,), 1 / A, dtype=dtype).log()}

    behaves(cls, build, inputs, run, {"logits": 1})
    net, given = build().eval(), inputs(torch.float64)
    value = run(net, given)["value"]
    shape(cls, "the result", value, ())
    reordered = run(net, {**given, "logits": given["logits"].flip(0)})["value"]
    require(close(reordered, value), cls, "the value depends on the order of the clips")
    skewed = torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=torch.float64).log()
    require(not close(run(net, {**given, "prior": skewed})["value"], value), cls, "ignores the prior")
