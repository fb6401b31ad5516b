"""`msd`: exchange the dimensions that hold one factor, and see whether that factor moves and the others stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from attrs import field, frozen
from attrs.validators import ge, in_

from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Array, Codes, encode_clips, places, some
from rwae_kit.evaluation.judges import read_classes
from rwae_kit.evaluation.metrics import (
    FactorMap,
    benchmark_intervention,
    consistency,
    factor_map,
    intervention_scores,
)
from rwae_kit.evaluation.metrics.bootstrap import Units, interval
from rwae_kit.evaluation.metrics.msd import exchanged
from rwae_kit.evaluation.protocols.readings import Ints, Readings, oracle_places, read_constant, read_real
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score
from rwae_kit.evaluation.swap import derangement
from rwae_kit.interfaces import Judge

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder


@frozen(kw_only=True)
class Settings:
    """How the map from factors to dimensions is found."""

    trees: Literal["boosting", "forest"] = field(
        default="boosting",
        validator=in_(("boosting", "forest")),
        metadata={"help": "gradient boosting, as the benchmark has it, or a forest"},
    )
    train_clips: int = field(default=1000, validator=ge(2), metadata={"help": "training clips that the trees see, at most"})


def run(subject: Subject, settings: Settings) -> Result:
    """Interventions on single factors.

    Trees on the codes of training clips say for which factor each dimension matters most. Then, factor by factor, its dimensions
    are taken from a partner (a random cycle through the test clips), and the clip is decoded and judged. "FACTOR moved" is the
    share read as the partner's class, of the pairs that differ in it; "FACTOR alone" that of the other factors read as before,
    likewise; "intervention" is the mean of both over all factors. "benchmark intervention" and "consistency" are the formulas of
    the benchmark, see `rwae_kit.evaluation.metrics.msd`; they have no interval. Trivial rows: "oracle", real clips with the labels
    asked for; "copy", the clip itself, whatever was exchanged; "noise", another clip; "constant", always the same class.

    Factors that do not vary, or that another one determines (the direction, where the motion is a factor), are left out.

    Raises:
        DataError: fewer than two factors are left.

    Source: the MSD benchmark. Consistency is taken over whole clips here, as the judge sees nothing smaller.
    """
    judge, classes = subject.asked("msd")
    test, train = subject.test, subject.train
    if train is None:
        raise DataError("msd: the training clips are missing")
    train = some(train, settings.train_clips, subject.seed)
    varying = independent({name: train.factors[name].cpu().numpy() for name in classes})
    if len(varying) < 2:
        raise DataError(
            f"msd: needs two factors or more that vary and that the judge reads; there is {', '.join(varying) or 'none'}"
        )
    partner = derangement(len(test), subject.seed).numpy()
    own = {name: test.factors[name].cpu().numpy() for name in varying}
    others = {name: labels[partner] for name, labels in own.items()}
    static = [name for name in varying if test.info.factors[name].kind == "static"]
    real = read_real(judge, {name: classes[name] for name in varying}, test, subject.batch_size)
    rows: dict[str, dict[str, Score]] = {}
    for row, model in subject.models().items():
        codes, reads = encode_clips(model, test, subject.batch_size), _reads(subject, model, judge)
        mapped = factor_map(encode_clips(model, train, subject.batch_size), varying, settings.trees, subject.seed)
        readings = {name: reads(*exchanged(codes, mapped, dims, partner)) for name, dims in mapped.dims.items()}
        rows[row] = {**_scores(subject, own, others, readings), **_benchmark(codes, mapped, static, partner, reads)}
    for row, found in _trivial(subject, real, own, others).items():
        rows[row] = _scores(subject, own, others, found)
    constant = read_constant(subject, judge, {name: classes[name] for name in varying}).at(np.zeros((len(test), 1), np.int64))
    rows["constant"] = _scores(subject, own, others, dict.fromkeys(varying, _first(constant)))
    accuracy = {name: float((real.read(name)[:, 0] == labels).mean()) for name, labels in own.items()}
    return subject.result("msd", settings, rows, judge=judge_name(judge), judge_accuracy=accuracy)


def independent(labels: Mapping[str, Array]) -> list[str]:
    """The factors that vary, less those that a factor of more classes determines."""
    counts = {name: len(np.unique(values)) for name, values in labels.items()}

    def determines(one: str, other: str) -> bool:
        pairs = len(np.unique(np.stack([labels[one], labels[other]]), axis=1).T)
        return counts[one] > counts[other] and pairs == counts[one]

    return [name for name in labels if counts[name] > 1 and not any(determines(other, name) for other in labels)]


def _reads(subject: Subject, model: SequenceAutoencoder, judge: Judge) -> Callable[[Array, Array], Mapping[str, Array]]:
    """Decode codes of the test clips, in their order, and judge; an action stays that of its clip."""

    def reads(static: Array, dynamic: Array) -> Mapping[str, Array]:
        found: dict[str, list[Array]] = {}
        for index in places(len(static), subject.batch_size):
            s, z = (torch.from_numpy(code[index.numpy()]).to(model.device) for code in (static, dynamic))
            batch = subject.test.batch(index)
            action = model.encode(batch.x.to(model.device), batch.mask).action if model.spec.action else None
            made = model.decode(s, z, None if action is None else action.sample)
            for name, read in read_classes(judge, made, batch.mask).items():
                found.setdefault(name, []).append(read.cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    return reads


def _trivial(
    subject: Subject, real: Readings, own: Mapping[str, Array], others: Mapping[str, Array]
) -> dict[str, dict[str, Mapping[str, Array]]]:
    """For each trivial row and each exchanged factor what would be read of all clips."""
    rows: dict[str, dict[str, Mapping[str, Array]]] = {"oracle": {}, "copy": {}, "noise": {}}
    another = derangement(len(subject.test), subject.seed + 1000).numpy()[:, None]
    for name in own:
        wanted = {judged: (others if judged == name else own)[judged][:, None] for judged in own}
        rows["oracle"][name] = _first(real.at(oracle_places(own, wanted, subject.seed)))
        rows["copy"][name], rows["noise"][name] = _first(real), _first(real.at(another))
    return rows


def _first(readings: Readings) -> dict[str, Array]:
    """The classes that were read in the first draw, `[n]`."""
    return {name: readings.read(name)[:, 0] for name in readings.probabilities}


def _scores(
    subject: Subject, own: Mapping[str, Array], others: Mapping[str, Array], readings: Mapping[str, Mapping[str, Array]]
) -> dict[str, Score]:
    """Of each factor and of all, with intervals over pairs of clips; a factor in which no pair differs has no score."""
    names = list(own)
    asked = np.stack([np.stack([labels[name] for name in names], 1) for labels in (own, others)], 1)
    read = np.stack([np.stack([readings[name][judged] for judged in names], 1) for name in names], 1)
    units = Units.of(len(asked), subject.recordings())
    drawn = [_values(names, asked[clips], read[clips]) for clips in units.clips(subject.resamples, subject.seed)]
    found = {}
    for name, value in _values(names, asked, read).items():
        again = np.array([values[name] for values in drawn])
        if not np.isnan(value):
            found[name] = interval(value, again[~np.isnan(again)])
    return found


def _values(names: list[str], asked: Array, read: Array) -> dict[str, float]:
    """The scores of pairs whose labels, own and the partner's, are `asked` `[n, 2, k]`, and what was `read` `[n, exchanged, k]`."""
    readings = {name: {judged: read[:, i, j] for j, judged in enumerate(names)} for i, name in enumerate(names)}
    own, others = ({name: asked[:, which, i] for i, name in enumerate(names)} for which in (0, 1))
    found = intervention_scores(own, others, readings)
    each = {f"{name} {what}": rates[name] for name in names for what, rates in (("moved", found.moved), ("alone", found.kept))}
    return {"intervention": found.score, **each}


def _benchmark(
    codes: Codes, mapped: FactorMap, static: list[str], partner: Ints, reads: Callable[[Array, Array], Mapping[str, Array]]
) -> dict[str, Score]:
    found = {"benchmark intervention": Score(value=benchmark_intervention(codes, mapped, partner, reads))}
    if static:
        found["consistency"] = Score(value=consistency(codes, mapped, static, partner, reads))
    return found


PROTOCOL = Protocol(
    settings=Settings, run=run, about="dimensions of one factor exchanged: does it move, do the others stay? (MSD)", draws=False
)
