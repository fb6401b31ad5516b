"""What a judge reads of the clips that a model or a trivial stand-in makes, row by row of a protocol's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from attrs import evolve, frozen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rwae_kit.data import Clips
from rwae_kit.evaluation.codes import batches, places
from rwae_kit.evaluation.judges import TrainedJudge
from rwae_kit.evaluation.protocols.subject import Subject
from rwae_kit.evaluation.reconstruction import mean_clip
from rwae_kit.evaluation.swap import derangement
from rwae_kit.interfaces import Judge
from rwae_kit.latents import Batch

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Making = Callable[["SequenceAutoencoder", Batch, Batch, int], Tensor]
"""A model, clips and their partners on its device, and a seed to generated clips `[b, t, *frame]`."""
_CHUNK = 512


@frozen(kw_only=True, eq=False)
class Readings:
    """What a judge reads of n clips, each drawn a number of times.

    Shape:
        probabilities: per factor `[n, draws, k]`; a judge without probabilities is sure of what it reads.
        features: its features of every frame of the first draw, `[frames, h]`; None where it has none.
    """

    probabilities: Mapping[str, Floats]
    features: Floats | None = None

    def read(self, name: str) -> Ints:
        """The class that is most likely, `[n, draws]`."""
        return np.asarray(self.probabilities[name].argmax(-1))

    def at(self, which: Ints) -> Self:
        """Of readings of single draws those at the places `[n, draws]`, without features."""
        found = {name: values[which, 0] for name, values in self.probabilities.items()}
        return evolve(self, probabilities=found, features=None)


@frozen(kw_only=True)
class Mode:
    """One kind of generated clips: how to make them, and whose labels they should have, by kind of factor."""

    name: str
    make: Making
    keeps: Mapping[str, str]
    """"static" and "dynamic", where that kind is kept, to "own" or "partner"."""


@frozen(kw_only=True, eq=False)
class Known:
    """What the rows of all modes have in common: the judge, the factors that it is asked for, and what it reads once for all."""

    judge: Judge
    classes: Mapping[str, int]
    real: Readings
    reconstruction: Readings
    constant: Readings
    """Of the mean clip of the training split, one reading."""


def known(subject: Subject, protocol: str, clips: Clips) -> Known:
    """Ask the judge for real clips, their reconstructions and the mean clip.

    Raises:
        DataError: there is no judge, or nothing that it could be asked.
    """
    judge, classes = subject.asked(protocol)
    return Known(
        judge=judge,
        classes=classes,
        real=read_real(judge, classes, clips, subject.batch_size),
        reconstruction=read_clips(judge, classes, _reconstructed(subject, clips)),
        constant=read_constant(subject, judge, classes),
    )


def judged_rows(subject: Subject, about: Known, clips: Clips, mode: Mode) -> tuple[dict[str, Readings], dict[str, Ints]]:
    """The readings of every row, and the label that each factor should have where the mode keeps it, `[n, draws]`.

    The rows are those of the models, then the `stand_ins`.
    """
    rows = {}
    for row, model in subject.models().items():
        made = (made_clips(subject, model, clips, mode, draw) for draw in range(subject.draws))
        rows[row] = stacked(read_clips(about.judge, about.classes, pieces) for pieces in made)
    others, expected = stand_ins(subject, about, clips, mode)
    return {**rows, **others}, expected


def stand_ins(subject: Subject, about: Known, clips: Clips, mode: Mode) -> tuple[dict[str, Readings], dict[str, Ints]]:
    """The readings of the rows that need no generated clip, and the labels that `judged_rows` gives.

    "reconstruction" are the model's of the clips, "real" are the clips themselves. "oracle" are real clips again, for each the one
    whose labels agree best with what the clip should show: the best that can be hoped for. "copy" hands the clip back (of a pair:
    "copy of the static clip", "copy of the dynamic clip"), "noise" another clip at random, "constant" the mean clip of the training
    split.
    """
    n, draws = len(clips), range(subject.draws)
    own, partner = np.repeat(np.arange(n)[:, None], subject.draws, 1), partners(subject, n)
    whose = {"own": own, "partner": partner}
    labels = {name: clips.factors[name].cpu().numpy() for name in about.classes}
    kinds = {name: clips.info.factors[name].kind for name in about.classes}
    expected = {name: labels[name][whose[mode.keeps[kind]]] for name, kind in kinds.items() if kind in mode.keeps}
    real = about.real
    rows = {"reconstruction": about.reconstruction, "real": evolve(real.at(own), features=real.features)}
    if expected:
        rows["oracle"] = real.at(oracle_places(labels, expected, subject.seed))
    if "partner" in mode.keeps.values():
        rows["copy of the static clip"], rows["copy of the dynamic clip"] = real.at(own), real.at(partner)
    else:
        rows["copy"] = real.at(own)
    others = [derangement(n, subject.seed + 1000 + draw).numpy() for draw in draws]
    rows["noise"] = real.at(np.stack(others, 1))
    rows["constant"] = about.constant.at(np.zeros_like(own))
    return rows, expected


def partners(subject: Subject, n: int) -> Ints:
    """The place of the clip that each of n clips is paired with in each draw, `[n, draws]`: once around through all."""
    return np.stack([derangement(n, subject.seed + draw).numpy() for draw in range(subject.draws)], 1)


def oracle_places(labels: Mapping[str, Ints], expected: Mapping[str, Ints], seed: int) -> Ints:
    """For each clip, and each draw of what it should show, the clip whose labels agree in most factors: `[n, draws]`.

    Of several that agree equally well one at random, and itself only where no other does.
    """
    (n, draws), generator = next(iter(expected.values())).shape, np.random.default_rng(seed)
    found = np.empty((n, draws), np.int64)
    for draw in range(draws):
        for start in range(0, n, _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, n))
            agree = generator.random((len(rows), n), dtype=np.float32) * 0.5
            agree[np.arange(len(rows)), rows] = -0.1
            for name, wanted in expected.items():
                agree += wanted[rows, draw][:, None] == labels[name][None]
            found[rows, draw] = agree.argmax(1)
    return found


def stacked(readings: Iterable[Readings]) -> Readings:
    """Draws side by side; the features are the first one's."""
    found = list(readings)
    names = found[0].probabilities
    return evolve(found[0], probabilities={name: np.concatenate([one.probabilities[name] for one in found], 1) for name in names})


def made_clips(
    subject: Subject, model: SequenceAutoencoder, clips: Clips, mode: Mode, draw: int
) -> Iterable[tuple[Tensor, Tensor | None]]:
    """The generated clips in pieces, each with its padding, which is that of the clip whose motion it should have."""
    moving, partner = mode.keeps.get("dynamic"), derangement(len(clips), subject.seed + draw)
    for index in places(len(clips), subject.batch_size):
        own, other = clips.batch(index), clips.batch(partner[index])
        # another seed for every batch and every draw, the same for every model
        seed = subject.seed + draw * len(clips) + int(index[0])
        made = mode.make(model, _moved(own, model.device), _moved(other, model.device), seed)
        yield made, None if moving is None else (own if moving == "own" else other).mask


def _moved(batch: Batch, device: torch.device) -> Batch:
    return evolve(batch, x=batch.x.to(device), mask=None if batch.mask is None else batch.mask.to(device))


def _reconstructed(subject: Subject, clips: Clips) -> Iterable[tuple[Tensor, Tensor | None]]:
    for batch in batches(clips, subject.batch_size):
        yield subject.model.reconstruct(batch.x.to(subject.model.device), batch.mask), batch.mask


def read_real(judge: Judge, classes: Mapping[str, int], clips: Clips, batch_size: int = 256) -> Readings:
    """What the judge reads of real clips."""
    return read_clips(judge, classes, ((batch.x, batch.mask) for batch in batches(clips, batch_size)))


def read_constant(subject: Subject, judge: Judge, classes: Mapping[str, int]) -> Readings:
    """What the judge reads of the mean clip of the training split, one reading."""
    mean = mean_clip(subject.train or subject.test, subject.batch_size).to(torch.get_default_dtype())
    return read_clips(judge, classes, [(mean[None], None)])


def read_clips(judge: Judge, classes: Mapping[str, int], pieces: Iterable[tuple[Tensor, Tensor | None]]) -> Readings:
    """What the judge reads of clips and their padding, piece by piece; one draw each."""
    found: dict[str, list[Tensor]] = {name: [] for name in classes}
    features = []
    for x, mask in pieces:
        if isinstance(judge, TrainedJudge):
            reading = judge.read(x, mask)
            read = {name: reading.logits[name].double().softmax(1) for name in classes}
            features.append((reading.frames.flatten(0, 1) if mask is None else reading.frames[mask > 0]).double().cpu())
        else:
            sure = judge.predict(x)
            read = {name: functional.one_hot(sure[name], k).double() for name, k in classes.items()}
        for name, probabilities in read.items():
            found[name].append(probabilities.cpu())
    return Readings(
        probabilities={name: torch.cat(parts).numpy()[:, None] for name, parts in found.items()},
        features=torch.cat(features).numpy() if features else None,
    )
