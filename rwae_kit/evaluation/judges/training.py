"""Training a judge: cross-entropy on every factor that the data can teach, stopped by the validation split."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from attrs import evolve, field, frozen
from attrs.validators import ge, gt, optional
from torch import Tensor, nn
from torch.nn import functional

from rwae_kit import __version__
from rwae_kit.data import Clips
from rwae_kit.errors import DataError, TrainingError, did_you_mean
from rwae_kit.evaluation.codes import batches
from rwae_kit.evaluation.judges.judge import FactorScore, JudgeCard, TrainedJudge
from rwae_kit.evaluation.judges.network import JudgeNet, JudgeSizes

MOST_CLASSES = 500
"""A factor with more classes (utterances, say) tells single clips apart, and is left out."""
SPLITS = ("train", "validation", "test")
_BINS = 15
_SETTLING = 32
"""Batches whose means become the statistics of the normalisations."""
_WARMUP = 0.03
"""Share of the training over which the learning rate rises."""


@frozen(kw_only=True)
class JudgeTraining:
    """How to train a judge."""

    epochs: int = field(default=20, validator=ge(1), metadata={"help": "times through the training clips, at most"})
    patience: int = field(default=5, validator=ge(1), metadata={"help": "epochs without a better validation loss before the end"})
    batch_size: int = field(default=32, validator=ge(2), metadata={"help": "clips in a batch"})
    learning_rate: float = field(default=1e-3, validator=gt(0.0), metadata={"help": "of Adam, at its highest; falls linearly to 0"})
    seed: int = field(default=0, validator=ge(0), metadata={"help": "of the weights and the order of the clips"})
    max_minutes: float | None = field(
        default=None, validator=optional(gt(0.0)), metadata={"help": "be done after this time, with what was reached"}
    )
    sizes: JudgeSizes = field(factory=JudgeSizes)


def train_judge(
    splits: Mapping[str, Clips],
    training: JudgeTraining | None = None,
    *,
    factors: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], None] = lambda text: None,
) -> TrainedJudge:
    """Train a judge of all factors that the data can teach.

    The weights that are kept are those with the lowest validation loss. The test split is read once, at the end, for the scores on
    the card; before that only its labels are looked at, for classes that training never shows.

    Arguments:
        splits: "train", "validation" and "test" of one data set.
        factors: those to read; none for all that can be learned. Fewer are learned in less time.
        options: those of the data set, for the card.
        say: is told of every epoch in a line.

    Raises:
        DataError: a split is missing, the data have no hash to be known by, or no factor can be learned.
        TrainingError: the loss is not finite.
    """
    training = training or JudgeTraining()
    if missing := [name for name in SPLITS if name not in splits]:
        raise DataError(f"judge: the clips of the split {missing[0]!r} are missing; given: {', '.join(splits) or 'none'}")
    info = splits["train"].info
    if not info.hash:
        raise DataError(f"{info.name}: the data declare no hash, so nobody could tell whether a judge belongs to them")
    names, left_out = teachable(splits, factors)
    clips = {name: splits[name].to(device) for name in SPLITS}
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        net = JudgeNet(training.sizes, info.frame, {name: len(info.factors[name].classes) for name in names}).to(device)
    facts = _fit(net, clips["train"], clips["validation"], training, say)
    card = JudgeCard(
        data=info.name,
        data_hash=info.hash,
        data_options=options or {},
        frame=info.frame,
        length=info.length,
        factors={name: info.factors[name] for name in names},
        left_out=left_out,
        sizes=training.sizes,
        training={"seed": training.seed, "clips": len(clips["train"]), "batch_size": training.batch_size, **facts},
        version=__version__,
    )
    seen, unseen = measure(net, clips["validation"]), measure(net, clips["test"])
    scores = {
        name: FactorScore(validation=seen[name].accuracy, test=unseen[name].accuracy, calibration_error=unseen[name].calibration)
        for name in names
    }
    return TrainedJudge(net, evolve(card, scores=scores))


def teachable(splits: Mapping[str, Clips], wanted: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """The factors that a judge can learn, and of the others why not.

    Raises:
        DataError: there is none, or one that is wanted cannot be learned.
    """
    train, test = splits["train"], splits["test"]
    names, left_out = [], {}
    for name, factor in train.info.factors.items():
        if wanted and name not in wanted:
            left_out[name] = "not asked for"
        elif not all(name in splits[split].factors for split in SPLITS):
            left_out[name] = "not labelled in every split"
        elif len(factor.classes) > MOST_CLASSES:
            left_out[name] = f"{len(factor.classes)} classes, more than {MOST_CLASSES}"
        elif len(torch.unique(train.factors[name])) < 2:
            left_out[name] = "training shows one class only"
        elif not bool(torch.isin(test.factors[name].cpu(), train.factors[name].cpu()).any()):
            left_out[name] = "training shows none of the classes of the test clips"
        else:
            names.append(name)
    for name in wanted:
        if name not in names:
            why = left_out.get(name, did_you_mean(name, train.info.factors))
            raise DataError(f"{train.info.name}: factor {name!r} cannot be judged: {why}")
    if not names:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "the clips have no labels"
        raise DataError(f"{train.info.name}: there is nothing to judge: {why}")
    return names, left_out


@frozen(kw_only=True)
class Measured:
    """Of one factor: mean cross-entropy, accuracy, expected calibration error."""

    loss: float
    accuracy: float
    calibration: float


@torch.no_grad()
def measure(net: JudgeNet, clips: Clips) -> dict[str, Measured]:
    """How a network does on real clips, per factor; padding is not looked at."""
    readings = [net.eval()(batch.x, batch.mask).logits for batch in batches(clips, 256)]
    measured = {}
    for name in readings[0]:
        parts = [reading[name].double().cpu() for reading in readings]
        logits, labels = torch.cat(parts), clips.factors[name].cpu()
        confidence, judged = logits.softmax(1).max(1)
        right = (judged == labels).double()
        measured[name] = Measured(
            loss=float(functional.cross_entropy(logits, labels)),
            accuracy=float(right.mean()),
            calibration=calibration_error(confidence, right),
        )
    return measured


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Expected calibration error: sum over 15 equal bins of confidence of (share of clips) |mean confidence - share right|.

    Source: Guo et al. 2017, Eq. 3; 15 bins as there.
    """
    place = (confidence * _BINS).long().clamp(max=_BINS - 1)
    gaps = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, place, (confidence - right).double())
    return float(gaps.abs().sum() / len(confidence))


def _fit(net: JudgeNet, train: Clips, validation: Clips, training: JudgeTraining, say: Callable[[str], None]) -> dict[str, Any]:
    """Train in place, leave the best weights in, and return what happened."""
    optimiser = torch.optim.Adam(net.parameters(), lr=training.learning_rate)
    order = torch.Generator().manual_seed(training.seed)
    began, best, kept, since, step = time.monotonic(), math.inf, dict(net.state_dict()), 0, 0
    steps = training.epochs * math.ceil(len(train) / training.batch_size)
    stopped = "epochs"
    for epoch in range(1, training.epochs + 1):
        net.train()
        for index in _pieces(torch.randperm(len(train), generator=order), training.batch_size):
            spent = _spent(began, training.max_minutes)
            if spent >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = training.learning_rate * _factor(max(step / steps, spent))
            _step(net, optimiser, train, index)
            step += 1
        settle(net, train, training)
        scores = measure(net, validation)
        loss = sum(score.loss for score in scores.values())
        say(f"epoch {epoch}/{training.epochs}: validation loss {loss:.4f}, {_words(scores)}")
        since = 0 if loss < best else since + 1
        if loss < best:
            best, kept = loss, {name: value.clone() for name, value in net.state_dict().items()}
        if _spent(began, training.max_minutes) >= 1:
            stopped = "max_minutes"
            break
        if since >= training.patience:
            stopped = "patience"
            break
    net.load_state_dict(kept)
    return {"epochs": epoch, "steps": step, "stopped": stopped, "validation_loss": best}


@torch.no_grad()
def settle(net: JudgeNet, train: Clips, training: JudgeTraining) -> None:
    """Take the statistics of the normalisations anew, as means over some training batches with the weights as they are.

    Running ones lag behind weights that move fast: on moving digits a judge that read 82 of 100 with them right read 16 with them.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # equal weights
    net.train()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(training.seed))
    for index in islice(_pieces(order, training.batch_size), _SETTLING):
        batch = train.batch(index)
        net(batch.x, batch.mask)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def _step(net: JudgeNet, optimiser: torch.optim.Optimizer, train: Clips, index: Tensor) -> None:
    batch = train.batch(index)
    logits = net(batch.x, batch.mask).logits
    losses = [functional.cross_entropy(value, train.factors[name][batch.index]) for name, value in logits.items()]
    loss = torch.stack(losses).sum()
    if not bool(torch.isfinite(loss)):
        raise TrainingError(f"judge of {train.info.name}: the loss is {float(loss.detach())}. Are the clips what their range says?")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _pieces(order: Tensor, size: int) -> Iterator[Tensor]:
    """Batches in this order; a last one of a single clip is left out, of which there are no statistics."""
    for start in range(0, len(order), size):
        if len(order) - start > 1:
            yield order[start : start + size]


def _factor(progress: float) -> float:
    """Of the learning rate: up from 0, then linearly down to 0."""
    return min(progress / _WARMUP + 0.01, 1.0, (1 - progress) / (1 - _WARMUP))


def _spent(began: float, minutes: float | None) -> float:
    """The share of the time that has gone."""
    return 0.0 if minutes is None else (time.monotonic() - began) / (60 * minutes)


def _words(scores: Mapping[str, Measured]) -> str:
    return ", ".join(f"{name} {100 * score.accuracy:.2f} %" for name, score in scores.items())
