"""How a recipe says to train: the `[training]` table. Imports no torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, Literal

import attrs
from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, in_, le, lt, optional

from rwae_kit.convert import changes, unstructure
from rwae_kit.errors import TrainingError

FREE: Final = tuple(f"training.{name}" for name in ("epochs", "validate_every", "checkpoint_every", "log_every"))
"""Options that may change when a run is resumed. Under linear decay the learning rates depend on `epochs` too."""
GROUPS: Final = ("encoder", "decoder", "prior", "critic")
"""Whose parameters move together, with settings of their own."""


def _increasing(instance: object, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if any(a >= b for a, b in pairwise(value)):
        raise ValueError(f"'{attribute.name}' must increase: {value}")


@frozen(kw_only=True)
class Adam:
    """Adam's settings for one group of parameters. Source: R-WAE App. G for the betas."""

    learning_rate: float = field(default=1e-3, validator=gt(0), metadata={"help": "step size"})
    beta1: float = field(default=0.9, validator=[ge(0), lt(1)], metadata={"help": "decay of the mean gradient"})
    beta2: float = field(default=0.999, validator=[ge(0), lt(1)], metadata={"help": "decay of the mean squared gradient"})
    weight_decay: float = field(default=0.0, validator=ge(0), metadata={"help": "decoupled weight decay (AdamW)"})


@frozen(kw_only=True)
class TrainingConfig:
    """Schedule, optimisers, length, and what happens beside training.

    An epoch is one pass over the training clips. Under the alternating schedule every inner step takes a fresh batch, so the
    decoder is updated once in `inner_steps` batches.
    """

    schedule: Literal["joint", "alternating"] = field(
        default="joint",
        validator=in_(("joint", "alternating")),
        metadata={"help": "joint, or alternating (R-WAE Algorithms 1 and 2)"},
    )
    inner_steps: int = field(
        default=5, validator=ge(1), metadata={"help": "L: encoder and critic steps per decoder step (alternating)"}
    )
    batch_size: int = field(default=64, validator=ge(2), metadata={"help": "clips in a batch, over all processes"})
    epochs: int = field(default=100, validator=ge(1), metadata={"help": "passes over the training clips"})
    seed: int = field(default=0, validator=ge(0), metadata={"help": "of weights, batches and noise"})
    only: tuple[Literal["encoder", "decoder", "prior", "critic"], ...] = field(
        default=(),
        validator=deep_iterable(in_(GROUPS)),
        metadata={"help": "what is trained, all else staying as it is; empty: everything. For --init, with the joint schedule"},
    )
    encoder: Adam = field(factory=Adam, metadata={"help": "Adam for the encoder"})
    decoder: Adam = field(factory=Adam, metadata={"help": "Adam for the decoder"})
    prior: Adam = field(factory=Adam, metadata={"help": "Adam for the priors"})
    critic: Adam = field(factory=Adam, metadata={"help": "Adam for the critics of penalties"})
    decay: Literal["constant", "steps", "linear"] = field(
        default="constant", validator=in_(("constant", "steps", "linear")), metadata={"help": "course of all learning rates"}
    )
    decay_epochs: tuple[int, ...] = field(
        default=(50, 80), validator=[deep_iterable(gt(0)), _increasing], metadata={"help": "steps: after which epochs"}
    )
    decay_factors: tuple[float, ...] = field(
        default=(0.5, 0.2), validator=deep_iterable([gt(0), le(1)]), metadata={"help": "steps: factor at each of them"}
    )
    decay_from: float = field(
        default=0.6, validator=[ge(0), lt(1)], metadata={"help": "linear: share of training before the decay to 0"}
    )
    warmup_steps: int = field(default=0, validator=ge(0), metadata={"help": "steps over which learning rates rise from 0"})
    clip_gradient: float | None = field(
        default=None, validator=optional(gt(0)), metadata={"help": "largest gradient norm of a group"}
    )
    precision: Literal["float32", "bf16"] = field(
        default="float32",
        validator=in_(("float32", "bf16")),
        metadata={"help": "bf16: autocast of the nets; penalties stay float32"},
    )
    channels_last: bool = field(default=False, metadata={"help": "store images with channels last (often faster)"})
    compile: bool = field(
        default=False,
        metadata={
            "help": "torch.compile of the frame nets: a slow start, then faster steps; needs a C++ compiler, on a GPU Triton"
        },
    )
    validate_every: int = field(default=10, validator=ge(1), metadata={"help": "epochs between validations"})
    checkpoint_every: int = field(default=10, validator=ge(1), metadata={"help": "epochs between checkpoints"})
    log_every: int = field(default=20, validator=ge(1), metadata={"help": "steps between metrics records"})

    def __attrs_post_init__(self) -> None:
        if self.only and self.schedule != "joint":
            raise ValueError("'only' is for the joint schedule: the alternating one has steps of two sides. Set schedule = 'joint'")
        if self.decay == "steps" and len(self.decay_epochs) != len(self.decay_factors):
            raise ValueError(
                f"'decay_epochs' has {len(self.decay_epochs)} entries, 'decay_factors' {len(self.decay_factors)}: one each"
            )


def check_resumable(old: TrainingConfig, new: TrainingConfig) -> None:
    """Whether a run may go on with another config.

    Raises:
        TrainingError: listing every option that changed and may not.
    """
    changed = changes({"training": unstructure(old)}, {"training": unstructure(new)}, FREE)
    if changed:
        raise TrainingError(
            f"cannot resume: {changed}. Only {', '.join(FREE)} may change. To go on from these weights with other options, begin a "
            f"new run with --init"
        )
