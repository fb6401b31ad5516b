"""One step of training: joint, or alternating.

Source: R-WAE (Han et al. 2021) Algorithms 1 and 2, App. D. Deviations: App. D's prose exchanges the roles of the phases; the
algorithms and App. G agree with each other and are followed. The outer step leaves out the penalty on the static latent, which has
no gradient for decoder or prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from rwae_kit.errors import TrainingError
from rwae_kit.latents import Batch, Encoded
from rwae_kit.training.config import TrainingConfig
from rwae_kit.training.optimizers import Group, frozen_parameters

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder
    from rwae_kit.objective import Losses, Objective


@frozen(kw_only=True, eq=False)
class Learner:
    """What a step needs: the model, its objective, the optimisers and the config."""

    model: SequenceAutoencoder
    objective: Objective
    groups: Mapping[str, Group]
    config: TrainingConfig

    def step(self, batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """One step (counted from 0) of the configured schedule; gives the losses, detached."""
        if self.config.schedule == "joint":
            return joint_step(self, batches[0], step)
        return alternating_step(self, batches, step)

    def encode(self, batch: Batch) -> Encoded:
        """Latents of a batch."""
        with self.autocast(batch.x.device):
            encoded: Encoded = self.model(batch)
            return encoded

    def losses(self, encoded: Encoded, step: int, *, outer: bool = False) -> Losses:
        """The objective of encoded clips."""
        with self.autocast(encoded.batch.x.device):
            losses: Losses = self.objective(self.model, encoded, step, outer=outer)
            return losses

    def critic_step(self, encoded: Encoded, step: int) -> dict[str, Tensor]:
        """Move the critics, if there are any, and nothing else; the latents of `encoded` are read without gradient."""
        if not self.groups["critic"].parameters:
            return {}
        with frozen_parameters(self.groups["prior"]):  # ancestral draws: a graph through the prior would be for nothing
            loss = self.objective.critic_loss(self.model, encoded, step)
        if loss is None:
            return {}
        loss.backward()  # type: ignore[no-untyped-call]
        self.move("critic")
        return {"critic": loss.detach()}

    def move(self, *names: str) -> None:
        """Let the groups take their step."""
        for name in names:
            self.groups[name].step(self.config.clip_gradient)

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """bf16 where it was asked for."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.config.precision == "bf16")


def joint_step(learner: Learner, batch: Batch, step: int) -> dict[str, Tensor]:
    """One critic step, then one step of encoder, decoder and prior on the same latents of the same batch."""
    encoded = learner.encode(batch)
    parts = learner.critic_step(encoded, step)
    with frozen_parameters(learner.groups["critic"]):
        losses = learner.losses(encoded, step)
    if not losses.total.requires_grad:
        raise TrainingError(
            f"training.only is {', '.join(learner.config.only)}, and nothing in the objective depends on that. Add a penalty that "
            f"does, such as kl on the dynamic latent for its prior"
        )
    losses.total.backward()  # type: ignore[no-untyped-call]
    learner.move("encoder", "decoder", "prior")
    return {"total": losses.total.detach(), **parts, **losses.parts}


def alternating_step(learner: Learner, batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
    """On each batch a critic step and an encoder step; then, on the last batch encoded anew, one step of decoder and prior.

    The encoder's gradient passes through decoder and prior (which reads the encoder's draws), whose weights stay bit for bit, as
    the encoder's and critic's do in the outer step. Reported: the objective of the last inner step; the outer step's total as
    "total.outer".
    """
    groups = learner.groups
    with frozen_parameters(groups["decoder"], groups["prior"]):
        for batch in batches:
            parts = _inner_step(learner, batch, step)
    with frozen_parameters(groups["encoder"], groups["critic"]):
        losses = learner.losses(learner.encode(batches[-1]), step, outer=True)
    losses.total.backward()  # type: ignore[no-untyped-call]
    learner.move("decoder", "prior")
    return {**parts, "total.outer": losses.total.detach()}


def _inner_step(learner: Learner, batch: Batch, step: int) -> dict[str, Tensor]:
    encoded = learner.encode(batch)
    parts = learner.critic_step(encoded, step)
    with frozen_parameters(learner.groups["critic"]):
        losses = learner.losses(encoded, step)
    losses.total.backward()  # type: ignore[no-untyped-call]
    learner.move("encoder")
    return {"total": losses.total.detach(), **parts, **losses.parts}
