"""One evaluation of one model: reconstruction, swaps, probes and leaks, beside an untrained model and trivial ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import asdict, field, frozen
from torch import Tensor

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Array, Codes, encode_clips, some
from rwae_kit.evaluation.probes import ProbeScore, probe_codes
from rwae_kit.evaluation.reconstruction import ReconstructionScore, mean_clip, reconstruction_score
from rwae_kit.evaluation.swap import swap_accuracy
from rwae_kit.interfaces import Judge, Metric

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

PROBE_CLIPS = 4000
"""Probes are trained on at most this many clips."""
IN_USE = 0.01
"""A dimension is in use if its posterior means vary by more than this over clips (Burda et al. 2016, Importance Weighted
Autoencoders, section 5)."""


@frozen(kw_only=True)
class Scores:
    """All scores of one model.

    `scale` is the root mean square, over dimensions, of the std of the posterior means over clips (and times): near 0 for a latent
    that is not used, and far from 1 where nothing holds its scale. `in_use` is how many of the dimensions (second number) have a
    variance of these means above `IN_USE`; the others have collapsed to the prior. It is empty in evaluations of before it was
    counted, `swap` without a judge, `probes` without labels.
    """

    reconstruction: ReconstructionScore
    scale: Mapping[str, float]
    in_use: Mapping[str, tuple[int, int]] = field(factory=dict)
    probes: tuple[ProbeScore, ...] = ()
    swap: Mapping[str, Mapping[str, float]] = field(factory=dict)
    metrics: Mapping[str, float] = field(factory=dict)

    def leaks(self) -> dict[str, float]:
        """For each factor the worst probe's accuracy over chance on the code where it has no business; 0 at best."""
        worst: dict[str, float] = {}
        for score in self.probes:
            if score.leak:
                worst[score.factor] = max(worst.get(score.factor, 0.0), score.above_chance)
        return worst

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `attrs.asdict` gave, by way of JSON."""
        return cls(
            **{
                **values,
                "reconstruction": ReconstructionScore(**values["reconstruction"]),
                "in_use": {name: tuple(counts) for name, counts in values.get("in_use", {}).items()},
                "probes": tuple(ProbeScore(**score) for score in values["probes"]),
            }
        )


@frozen(kw_only=True)
class Evaluation:
    """The scores of a model on the test split, and beside them those of the same model untrained and of the mean clip."""

    data: str
    clips: int
    """Number of test clips."""
    seed: int
    kinds: Mapping[str, str]
    """Per factor "static" or "dynamic"."""
    model: Scores
    mean_clip: ReconstructionScore
    untrained: Scores | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave, by way of JSON."""
        untrained = values["untrained"]
        return cls(
            **{
                **values,
                "model": Scores.from_dict(values["model"]),
                "mean_clip": ReconstructionScore(**values["mean_clip"]),
                "untrained": None if untrained is None else Scores.from_dict(untrained),
            }
        )


def evaluate(
    model: SequenceAutoencoder,
    splits: Mapping[str, Clips],
    judge: Judge | None = None,
    untrained: SequenceAutoencoder | None = None,
    metrics: Mapping[str, Metric] | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> Evaluation:
    """Score a model on the whole test split.

    Arguments:
        splits: "test", and "train" (else "validation"): the mean clip and the probes are fitted there and never see a test clip.
        judge: scores swaps and half-sampled clips.
        untrained: the same model before training; its scores are the floor that the architecture alone reaches.
        metrics: further scores of the test codes, by name.

    Raises:
        DataError: if a split is missing.
        RwaeError: if there are labels to probe for but no scikit-learn.
    """
    test, train = _splits(splits)
    mean, seen = mean_clip(train, batch_size), some(train, PROBE_CLIPS, seed)

    def scores(one: SequenceAutoencoder) -> tuple[Scores, ReconstructionScore]:
        return _scores(one, seen, test, mean, judge, metrics or {}, seed, batch_size)

    own, trivial = scores(model)
    return Evaluation(
        data=test.info.name,
        clips=len(test),
        seed=seed,
        kinds={name: test.info.factors[name].kind for name in test.factors},
        model=own,
        mean_clip=trivial,
        untrained=None if untrained is None else scores(untrained)[0],
    )


def _scores(
    model: SequenceAutoencoder,
    seen: Clips,
    test: Clips,
    mean: Tensor,
    judge: Judge | None,
    metrics: Mapping[str, Metric],
    seed: int,
    batch_size: int,
) -> tuple[Scores, ReconstructionScore]:
    own, trivial = reconstruction_score(model, test, mean, batch_size)
    codes = encode_clips(model, test, batch_size)
    factors = {name: test.info.factors[name] for name in test.factors if name in seen.factors}
    probes = probe_codes(encode_clips(model, seen, batch_size), codes, factors, seed) if factors else ()
    swap = swap_accuracy(model, test, judge, seed, batch_size) if judge is not None and test.factors else {}
    further = {
        f"{name}.{key}": float(value)
        for name, metric in metrics.items()
        for key, value in metric(codes.static, codes.dynamic, codes.factors).items()
    }
    variances = _variances(codes)
    return Scores(
        reconstruction=own,
        scale={name: float(np.sqrt(variance.mean())) for name, variance in variances.items()},
        in_use={name: (int((variance > IN_USE).sum()), len(variance)) for name, variance in variances.items()},
        probes=probes,
        swap=swap,
        metrics=further,
    ), trivial


def _variances(codes: Codes) -> dict[str, Array]:
    """Of each latent's dimensions, over clips (and frames that are not padding)."""
    dynamic = codes.dynamic.reshape(-1, codes.dynamic.shape[-1])
    if codes.mask is not None:
        dynamic = dynamic[codes.mask.reshape(-1) > 0]
    return {name: code.astype(np.float64).var(axis=0) for name, code in (("static", codes.static), ("dynamic", dynamic))}


def _splits(splits: Mapping[str, Clips]) -> tuple[Clips, Clips]:
    if "test" not in splits:
        raise DataError(f"an evaluation needs the split 'test'; there is {', '.join(map(repr, splits)) or 'none'}")
    for name in ("train", "validation"):
        if name in splits:
            return splits["test"], splits[name]
    raise DataError("an evaluation needs the split 'train' or 'validation' beside 'test', to fit the mean clip and the probes on")
