"""`squared_error` and `bernoulli`: the cost c(x, G(z)), summed over the frame and the real times."""

from __future__ import annotations

from typing import Literal, final

import torch
from attrs import field, frozen
from attrs.validators import in_
from torch import Tensor
from torch.nn import functional

from rwae_kit import Batch, RecipeError, Reconstruction, Spec


@final
class SquaredError(Reconstruction):
    """c(x, y) = sum_t |x_t - y_t|^2 with y the link of the pre-activations.

    Shape: pre `[b, t, *frame]` to `[b]`, in the precision of the data under autocast too.

    Raises:
        RecipeError: a sigmoid link, and data that is not in [0, 1].

    Source: R-WAE Eq. 9 with the squared L2 cost (Sprites and MUG in App. G); no factor 1/2.
    """

    @frozen(kw_only=True)
    class Config:
        """The link."""

        link: Literal["sigmoid", "identity"] = field(
            default="sigmoid",
            validator=in_(("sigmoid", "identity")),
            metadata={"help": "to frames; sigmoid needs data in [0, 1]"},
        )

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        if config.link == "sigmoid":
            check_unit_range(spec, "reconstruction 'squared_error': link 'sigmoid'", "Set link = 'identity'")
        self.sigmoid = config.link == "sigmoid"

    def mean(self, pre: Tensor) -> Tensor:
        return torch.sigmoid(pre) if self.sigmoid else pre

    def forward(self, pre: Tensor, batch: Batch) -> Tensor:
        return summed(functional.mse_loss(self.mean(pre.to(batch.x.dtype)), batch.x, reduction="none"), batch.mask)


@final
class Bernoulli(Reconstruction):
    """Cross-entropy c(x, y) = -sum_t sum_i x log y + (1 - x) log(1 - y) with y the sigmoid of the pre-activations.

    For values between 0 and 1 its least value is the entropy of the data, not 0.

    Shape: pre `[b, t, *frame]` to `[b]`, in the precision of the data under autocast too.

    Raises:
        RecipeError: data that is not in [0, 1].

    Source: R-WAE App. G (SM-MNIST).
    """

    @frozen(kw_only=True)
    class Config:
        """No options."""

    def __init__(self, config: Config, spec: Spec) -> None:
        super().__init__(config)
        check_unit_range(spec, "reconstruction 'bernoulli'", "Take 'squared_error' with link = 'identity'")

    def mean(self, pre: Tensor) -> Tensor:
        return torch.sigmoid(pre)

    def forward(self, pre: Tensor, batch: Batch) -> Tensor:
        logits = pre.to(batch.x.dtype)
        return summed(functional.binary_cross_entropy_with_logits(logits, batch.x, reduction="none"), batch.mask)


def check_unit_range(spec: Spec, where: str, remedy: str) -> None:
    """Raise `RecipeError` unless the data's values lie in [0, 1]."""
    low, high = spec.value_range
    if low < 0 or high > 1:
        raise RecipeError(f"{where} needs data in [0, 1], and its values are in [{low:g}, {high:g}]. {remedy}, or rescale the data")


def summed(cost: Tensor, mask: Tensor | None) -> Tensor:
    """The cost of each clip, without its padding: `[b, t, *frame] -> [b]`."""
    of_frames = cost.flatten(2).sum(2)
    return of_frames.sum(1) if mask is None else (of_frames * mask).sum(1)
