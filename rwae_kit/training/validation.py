"""The loss on held-out clips, without labels: what chooses the model to use."""

from __future__ import annotations

import sys
from typing import Final

from rwae_kit import distributed
from rwae_kit.data import Clips
from rwae_kit.training.batches import in_order
from rwae_kit.training.optimizers import frozen_parameters
from rwae_kit.training.records import Running
from rwae_kit.training.schedules import Learner

CLIPS: Final = 1024
"""At most so many clips are used, the first of the split."""
SEED: Final = 20210503
"""Of the draws: every validation sees the same noise."""
WARM: Final = sys.maxsize
"""A step after every warm-up: all weights are full."""


def validate(learner: Learner, clips: Clips) -> dict[str, float]:
    """The objective's mean over whole batches of held-out clips: "total" and every part. Every rank must call it.

    Latents are drawn, as in training (penalties compare draws), from a generator of their own: training is not disturbed.
    Parameters are frozen rather than gradients switched off, for penalties that need a gradient with respect to a draw.
    """
    modes = [(module, module.training) for root in (learner.model, learner.objective) for module in root.modules()]
    learner.model.eval()
    learner.objective.eval()
    running = Running()
    try:
        with learner.model.noise.fork(SEED + distributed.rank()), frozen_parameters(*learner.groups.values()):
            for batch in in_order(clips, learner.config.batch_size, learner.model.device, CLIPS):
                losses = learner.losses(learner.encode(batch), WARM)
                running.add({"total": losses.total, **losses.parts})
    finally:
        for module, mode in modes:
            module.training = mode
    return running.means()
