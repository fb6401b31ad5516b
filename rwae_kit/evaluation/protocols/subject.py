"""What a protocol is given, and what it is: a model with its clips and its judge, to a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import asdict, frozen
from numpy.typing import ArrayLike

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Array
from rwae_kit.evaluation.judges import TrainedJudge
from rwae_kit.evaluation.metrics import bootstrap
from rwae_kit.evaluation.results import Result, Score
from rwae_kit.interfaces import Judge

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

Rows = Mapping[str, Mapping[str, Score]]


@frozen(kw_only=True, eq=False)
class Subject:
    """A model to be scored, and all that it is scored with."""

    model: SequenceAutoencoder
    test: Clips
    """The clips of `split`, all of them: the only ones that scores are taken on."""
    train: Clips | None = None
    """What probes and the mean clip are fitted on."""
    untrained: SequenceAutoencoder | None = None
    judge: Judge | None = None
    split: str = "test"
    draws: int = 1
    """How often whatever a protocol samples is drawn for each clip."""
    seed: int = 0
    resamples: int = 1000
    """Of the bootstrap."""
    batch_size: int = 256

    def models(self) -> dict[str, SequenceAutoencoder]:
        """Those that a row is made for by encoding and decoding."""
        return {"model": self.model, **({} if self.untrained is None else {"untrained": self.untrained})}

    def recordings(self) -> Array | None:
        """What intervals are over: the recording of each test clip, `[n]`; None where it is not known, and they are over clips."""
        return None if self.test.recordings is None else self.test.recordings.cpu().numpy()

    def bootstrap(self, values: ArrayLike) -> Score:
        """The mean over the test clips, of values `[n]`, with its interval."""
        return bootstrap(values, draws=self.resamples, seed=self.seed, groups=self.recordings())

    def asked(self, protocol: str) -> tuple[Judge, dict[str, int]]:
        """The judge, and the factors that it reads and the clips are labelled with, with their classes; static ones first.

        Raises:
            DataError: there is no judge, or nothing that it could be asked.
        """
        info = self.test.info
        if self.judge is None:
            raise DataError(
                f"{protocol}: needs a judge of {info.name}, and there is none. Train one: rwk judge train --data {info.name} (with "
                "the options of the run's data), or give one: --judge DIR"
            )
        read = self.judge.predict(self.test.batch(torch.arange(1)).x)
        names = [name for name in self.test.factors if name in read]
        if not names:
            labelled = ", ".join(self.test.factors) or "none"
            raise DataError(f"{protocol}: the judge reads {', '.join(read)}, but the labels of {info.name} are {labelled}")
        names.sort(key=lambda name: info.factors[name].kind == "dynamic")
        return self.judge, {name: len(info.factors[name].classes) for name in names}

    def result(self, protocol: str, settings: Any, rows: Rows, **more: Any) -> Result:
        """The rows and what they belong to."""
        recordings = self.recordings()
        return Result(
            protocol=protocol,
            data=self.test.info.name,
            data_hash=self.test.info.hash,
            split=self.split,
            seed=self.seed,
            # lists, as JSON has them, so that what is read again is equal
            settings={name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()},
            rows=rows,
            **{
                "clips": len(self.test),
                "recordings": None if recordings is None else len(np.unique(recordings)),
                **more,
            },
        )


@frozen(kw_only=True)
class Protocol:
    """A way to score a model. `settings` is an attrs class of what can be chosen; `run` takes the subject and one of these."""

    settings: type
    run: Callable[[Subject, Any], Result]
    about: str
    draws: bool = True
    """Whether it samples anything, so that more than one draw means something."""
    judged: bool = True
    """Whether it asks a judge."""


def judge_name(judge: Judge) -> str:
    """A trained judge's hash; the class of any other."""
    return judge.card.hash if isinstance(judge, TrainedJudge) else f"{type(judge).__module__}:{type(judge).__qualname__}"
