"""KL between categorical distributions."""

from __future__ import annotations

import math

import torch
from attrs import field, frozen
from torch import Tensor

from rwae_kit import CategoricalDivergence, CategoricalLatent


class CategoricalKL(CategoricalDivergence):
    """KL(q || p) = sum_a q(a) [log q(a) - log p(a)] of the action latent, in nats.

    For each clip, averaged over the batch (this pulls every q(a | x) to the prior); or `aggregated`, of the batch's mean
    q(a) = 1/b sum_i q(a | x_i), which is 0 also where every clip is sure of its action and the actions are as frequent as the prior
    says. Their difference is the mutual information of clip and action.

    Shape: logits `[b, a]`, log-probabilities `[a]` -> a scalar; reads the logits, not the draws.

    Source: R-WAE section 3.4 (each clip). `aggregated` is ours, in the spirit of Eq. 9.
    """

    @frozen(kw_only=True)
    class Config:
        """Which posterior."""

        aggregated: bool = field(default=False, metadata={"help": "of the batch's mean posterior (otherwise: of each clip's)"})

    def __init__(self, config: Config, a: int) -> None:
        super().__init__(config)
        self.aggregated = config.aggregated

    def forward(self, posterior: CategoricalLatent, prior: Tensor) -> Tensor:
        log_q = posterior.logits.log_softmax(-1)
        if self.aggregated:
            log_q = torch.logsumexp(log_q, 0, keepdim=True) - math.log(len(log_q))
        return (log_q.exp() * (log_q - prior)).sum(-1).mean()
