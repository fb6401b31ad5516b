"""Codes that nobody had to learn: what any score is worth is what it says of these."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import evolve

from rwae_kit.data import Factor
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Array, Codes

BASELINES = ("constant", "noise", "copy", "oracle")
"""Zeros; Gaussian noise; everything in both codes; one-hot labels, the static ones in one code, the dynamic ones in the other."""


def trivial_codes(codes: Codes, factors: Mapping[str, Factor], seed: int = 0) -> dict[str, Codes]:
    """Trivial codes for the same clips: as many clips and frames, the same labels and padding.

    `constant` and `noise` have the sizes of the given codes. `copy` is these codes, with the static one beside every frame of the
    dynamic one in both places, so it leaks all there is. `oracle` is as wide as its one-hot labels.

    Raises:
        DataError: labels that are missing or out of a factor's range.
    """
    generator = np.random.default_rng(seed)
    t = codes.dynamic.shape[1]
    return {
        "constant": _like(codes, np.zeros_like(codes.static), np.zeros_like(codes.dynamic)),
        "noise": _like(codes, generator.normal(size=codes.static.shape), generator.normal(size=codes.dynamic.shape)),
        "copy": _like(
            codes,
            np.concatenate([codes.static, codes.dynamic_mean()], axis=1),
            np.concatenate([np.repeat(codes.static[:, None], t, axis=1), codes.dynamic], axis=2),
        ),
        "oracle": _like(
            codes,
            _one_hot(codes, factors, "static"),
            np.repeat(_one_hot(codes, factors, "dynamic")[:, None], t, axis=1),
        ),
    }


def _like(codes: Codes, static: Array, dynamic: Array) -> Codes:
    return evolve(codes, static=static.astype(np.float32), dynamic=dynamic.astype(np.float32))


def _one_hot(codes: Codes, factors: Mapping[str, Factor], kind: str) -> Array:
    """The labels of one kind side by side, `[n, sum of classes]`; one column of zeros where there are none."""
    parts = [np.zeros((len(codes), 1))]
    for name, factor in factors.items():
        if factor.kind != kind:
            continue
        if name not in codes.factors:
            raise DataError(f"factor {name!r}: the codes have no labels of it; they have {', '.join(codes.factors) or 'none'}")
        labels, k = np.asarray(codes.factors[name]), len(factor.classes)
        if len(labels) and not 0 <= labels.min() <= labels.max() < k:
            raise DataError(f"factor {name!r}: its classes are 0 to {k - 1}, but the labels are {labels.min()} to {labels.max()}")
        parts.append(np.eye(k)[labels])
    return np.concatenate(parts[1:] or parts, axis=1)
