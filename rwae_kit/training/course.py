"""Where a step stands in the data: batches, epochs and learning rates as pure functions of the step's number.

The clips are an endless stream of batches, epoch after epoch. A step takes the next batch (joint) or the next L (alternating), so a
step's batches follow from its number alone, and resuming needs no more state than that. Batches that do not fill a step at the end
of an epoch open the next epoch's first step; clips that do not fill a batch are left out of that epoch (another permutation: others
the next time).
"""

from __future__ import annotations

from attrs import frozen

from rwae_kit.errors import TrainingError
from rwae_kit.training.config import TrainingConfig


@frozen(kw_only=True)
class Course:
    """The length of a training run in batches, steps (of the decoder) and epochs."""

    clips: int
    batch_size: int
    batches_per_step: int
    epochs: int

    @classmethod
    def of(cls, config: TrainingConfig, clips: int) -> Course:
        """The course of a config over so many clips.

        Raises:
            TrainingError: not a single batch, or not a single step.
        """
        if clips < config.batch_size:
            raise TrainingError(
                f"training.batch_size is {config.batch_size}, but there are {clips} clips: at most {clips} is possible"
            )
        per_step = config.inner_steps if config.schedule == "alternating" else 1
        course = cls(clips=clips, batch_size=config.batch_size, batches_per_step=per_step, epochs=config.epochs)
        if course.steps == 0:
            raise TrainingError(
                f"training: {config.epochs} epochs of {course.batches_per_epoch} batches are less than one alternating step of "
                f"{per_step} batches (training.inner_steps). Train for more epochs, or with smaller batches"
            )
        return course

    @property
    def batches_per_epoch(self) -> int:
        return self.clips // self.batch_size

    @property
    def steps(self) -> int:
        """All steps of the run."""
        return self.epochs * self.batches_per_epoch // self.batches_per_step

    def epoch(self, step: int) -> int:
        """How many epochs are over before a step (counted from 0)."""
        return step * self.batches_per_step // self.batches_per_epoch

    def due(self, step: int, every: int) -> bool:
        """Whether, after so many steps, something that happens after every so many epochs has just become due."""
        return self.epoch(step) // every > self.epoch(step - 1) // every or step == self.steps


def learning_rate_factor(config: TrainingConfig, step: int, course: Course) -> float:
    """What the learning rates of all groups are multiplied with at a step (counted from 0).

    constant: 1. steps: the product of `decay_factors` whose `decay_epochs` are over (R-WAE App. G: 1/2 after epoch 50, 1/5 more
    after 80). linear: 1, then from `decay_from` of all steps down to 0, which the step after the last would have. A warm-up is a
    further factor that rises from `1 / warmup_steps` to 1.
    """
    factor = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.decay == "steps":
        over = course.epoch(step)
        for epoch, drop in zip(config.decay_epochs, config.decay_factors, strict=True):
            factor *= drop if over >= epoch else 1.0
    elif config.decay == "linear":
        factor *= min(1.0, (course.steps - step) / (course.steps * (1.0 - config.decay_from)))
    return factor
