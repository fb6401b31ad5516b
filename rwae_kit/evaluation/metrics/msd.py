"""Interventions on single factors: a map from factors to dimensions of the codes, and what a judge reads when some are exchanged.

After the MSD benchmark (multi-factor sequential disentanglement). The latent vector of a clip is its static code and, for each
dynamic dimension, its course over time: a dimension is always exchanged at all times. All functions take arrays; decoding and
judging are one callable, from static codes `[n, d_s]` and dynamic codes `[n, t, d_d]` to the class `[n]` (or `[n, t]`, frame by
frame) of each factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Array, Codes
from rwae_kit.evaluation.metrics.checks import Integers, whole
from rwae_kit.evaluation.metrics.importances import Importances, Trees, importances

Reads = Callable[[Array, Array], Mapping[str, Array]]
"""Decodes and judges: static `[n, d_s]` and dynamic `[n, t, d_d]` to the class of each factor, `[n]` or `[n, t]`."""


@frozen(kw_only=True, eq=False)
class FactorMap:
    """Which dimensions hold which factor: places in the latent vector, `d_s` static ones and then `d_d` dynamic ones."""

    dims: Mapping[str, tuple[int, ...]]
    """Each dimension stands at one factor at most; a factor may have none."""
    static: int
    """d_s: places from here on are dynamic dimensions."""
    importances: Importances


@frozen(kw_only=True)
class Intervention:
    """What a judge reads after each factor's dimensions have been exchanged; per factor, and the mean of all."""

    moved: Mapping[str, float]
    """Share in which the factor is read as the other clip's, of the pairs that differ in it."""
    kept: Mapping[str, float]
    """Mean over the other factors of the share in which they are read as before, each of the pairs that differ in it."""
    score: float
    """Mean over factors of (moved + kept) / 2; 0.5 for a decoder that ignores the exchange, or that hands the other clip back."""


def factor_map(codes: Codes, factors: Sequence[str], trees: Trees = "boosting", seed: int = 0) -> FactorMap:
    """Give each dimension to the factor for whose reading it matters most.

    One classifier for each factor reads all static values and all dynamic values of all times; the importances of one dynamic
    dimension are summed over time, those of one factor add up to 1. A dimension that matters for no factor belongs to none.

    Arguments:
        codes: of the training split: the map must not have seen a clip that is judged.

    Raises:
        DataError: a factor without labels, or the same for all clips.
        RwaeError: if scikit-learn is not installed.

    Source: MSD benchmark, PredictorLatentExplorer: the same rule. There a dimension without any importance falls to the first
    factor, the classifier is chosen in a configuration, and what the vector of a sequence is, each method decides.
    """
    missing = [name for name in factors if name not in codes.factors]
    if missing:
        raise DataError(f"factor {missing[0]!r}: the codes have no labels of it; they have {', '.join(codes.factors) or 'none'}")
    static = codes.static.shape[1]
    vectors, groups = latent_vectors(codes)
    found = importances(vectors, {name: codes.factors[name] for name in factors}, trees=trees, groups=groups, seed=seed)
    best = np.where(found.matrix.max(axis=1) > 0, found.matrix.argmax(axis=1), -1)
    dims = {name: tuple(int(place) for place in np.flatnonzero(best == i)) for i, name in enumerate(found.factors)}
    return FactorMap(dims=dims, static=static, importances=found)


def latent_vectors(codes: Codes) -> tuple[Array, Integers]:
    """The whole latent of each clip as a vector, `[n, d_s + t d_d]`, and the place of the dimension that each value belongs to."""
    static, (t, dynamic) = codes.static.shape[1], codes.dynamic.shape[1:]
    groups = np.concatenate([np.arange(static), np.tile(static + np.arange(dynamic), t)])
    return np.concatenate([codes.static, codes.trajectory()], axis=1), groups


def intervention(codes: Codes, mapped: FactorMap, partner: ArrayLike, reads: Reads) -> Intervention:
    """Replace one factor's dimensions by another clip's: is that factor read as the other clip's, and the rest as before?

    Shape:
        partner: `[n]`, the other clip of each.

    Source: ours, in the spirit of the MSD benchmark, whose own formula is `benchmark_intervention`. Ours asks for both clips'
    labels and counts only pairs that differ, so that it can be read as a share without a correction for chance.
    """
    other, moved, kept = _partners(partner, len(codes)), {}, {}
    for name in mapped.dims:
        read = reads(*exchanged(codes, mapped, mapped.dims[name], other))
        rates = {}
        for judged in mapped.dims:
            own = codes.factors[judged]
            differ = own != own[other]
            expected = own[other] if judged == name else own
            rates[judged] = float(np.mean(_read(read, judged)[differ] == expected[differ])) if differ.any() else float("nan")
        moved[name] = rates.pop(name)
        kept[name] = _mean(rates.values())
    score = _mean((moved[name] + kept[name]) / 2 for name in moved)
    return Intervention(moved=moved, kept=kept, score=score)


def benchmark_intervention(codes: Codes, mapped: FactorMap, partner: ArrayLike, reads: Reads) -> float:
    """The benchmark's score, 1 - (on + off) / 2: keep one factor's dimensions, replace all others by another clip's.

    `on` is the mean over factors of |a - 1|, a the share in which that factor is read as before; `off` is the mean over all pairs
    of factors of |a - 1 / k|, a the share in which the other factor, of k classes, is read as before, which should be chance. A
    factor without dimensions counts as 1 in both.

    Source: MSD benchmark, InterventionEvaluator and MultiFactorSwap. There the partners are a permutation of each batch (a clip may
    be its own), and k counts the declared classes; here it counts those that occur.
    """
    other, on, off = _partners(partner, len(codes)), [], []
    for name, dims in mapped.dims.items():
        if not dims:
            on.append(1.0)
            off += [1.0] * (len(mapped.dims) - 1)
            continue
        read = reads(*exchanged(codes, mapped, _rest(codes, dims), other))
        for judged in mapped.dims:
            own = codes.factors[judged]
            rate = float(np.mean(_read(read, judged) == own))
            if judged == name:
                on.append(abs(rate - 1))
            else:
                off.append(abs(rate - 1 / len(np.unique(own))))
    return 1 - (_mean(on) + (_mean(off) if off else 0.0)) / 2


def consistency(codes: Codes, mapped: FactorMap, static_factors: Sequence[str], partner: ArrayLike, reads: Reads) -> float:
    """The share of frames in which static factors are read rightly when the dimensions of one are kept and all others replaced.

    Right is the clip's own class for the factor that is kept and the other clip's for every other static factor; averaged over
    frames, clips and all pairs of static factors.

    Arguments:
        reads: frame by frame, `[n, t]`; a judge that sees only whole clips may give `[n]`.

    Source: MSD benchmark, ConsistencySwap. There a factor without dimensions has 0 for itself; here it is exchanged like any other.
    """
    other, rates = _partners(partner, len(codes)), []
    for name in static_factors:
        read = reads(*exchanged(codes, mapped, _rest(codes, mapped.dims[name]), other))
        for judged in static_factors:
            own = codes.factors[judged]
            expected = own if judged == name else own[other]
            frames = np.asarray(read[judged])
            rates.append(float(np.mean(frames == expected.reshape(-1, *(1,) * (frames.ndim - 1)))))
    return _mean(rates)


def frame_consistency(read: ArrayLike) -> tuple[float, float]:
    """How steady a factor is read over the frames of a clip: the share of the most frequent class, and of frames as the one before.

    Shape:
        read: `[n, t]`, classes frame by frame, of clips whose other dimensions were drawn from the prior.

    Source: MSD benchmark, ConsistencyGlobalSample and ConsistencyLocalSample; its tables print them under each other's name.

    Example:
        >>> frame_consistency([[1, 1, 2, 1]])
        (0.75, 0.3333333333333333)
    """
    frames = np.asarray(read)
    if frames.ndim != 2 or frames.shape[1] < 2:
        raise DataError(f"read: should be classes of at least 2 frames, [n, t], but its shape is {list(frames.shape)}")
    share = np.mean([np.unique(row, return_counts=True)[1].max() / len(row) for row in frames])
    return float(share), float(np.mean(frames[:, 1:] == frames[:, :-1]))


def exchanged(codes: Codes, mapped: FactorMap, dims: Sequence[int], partner: ArrayLike) -> tuple[Array, Array]:
    """Static and dynamic codes with some places of the latent vector taken from the partners, dynamic ones at all times."""
    other = _partners(partner, len(codes))
    static, dynamic = codes.static.copy(), codes.dynamic.copy()
    places = np.asarray(dims, dtype=np.int64)
    first, second = places[places < mapped.static], places[places >= mapped.static] - mapped.static
    static[:, first] = codes.static[other][:, first]
    dynamic[:, :, second] = codes.dynamic[other][:, :, second]
    return static, dynamic


def _rest(codes: Codes, dims: Sequence[int]) -> list[int]:
    return [place for place in range(codes.static.shape[1] + codes.dynamic.shape[2]) if place not in dims]


def _partners(partner: ArrayLike, n: int) -> Integers:
    other = whole(partner, "partner", n)
    if int(other.max()) >= n:
        raise DataError(f"partner: there is no clip {int(other.max())}; there are {n}")
    return other


def _read(read: Mapping[str, Array], name: str) -> Array:
    if name not in read:
        raise DataError(f"factor {name!r}: the judge does not read it; it reads {', '.join(read) or 'none'}")
    return np.asarray(read[name])


def _mean(values: Iterable[float]) -> float:
    given = np.array(list(values), dtype=np.float64)
    return float(np.nanmean(given)) if np.isfinite(given).any() else float("nan")
