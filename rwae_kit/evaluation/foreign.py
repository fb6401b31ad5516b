"""Codes that another program made: read from an .npz file, and scored as a run's own are."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from rwae_kit.data import Factor
from rwae_kit.errors import DataError, did_you_mean
from rwae_kit.evaluation.code_scores import CODE_SCORES, PAIRED_CLIPS, TRAIN_CLIPS, rows_of, take
from rwae_kit.evaluation.codes import Array, Codes
from rwae_kit.evaluation.metrics.checks import numbers, whole
from rwae_kit.evaluation.results import Result

PREFIX = "factor."
KINDS = ("static", "dynamic")
KNOWN = ("static", "dynamic", "mask", "split", "static_factors", "dynamic_factors")


@frozen(kw_only=True, eq=False)
class ForeignCodes:
    """What such a file holds, checked; `split` says where the split into training and test clips comes from."""

    train: Codes
    test: Codes
    factors: dict[str, Factor]
    hash: str
    """sha256 of labels, padding and split: files with other codes for the same clips have the same."""
    split: str


def score_codes(
    file: Path | str,
    static_factors: Sequence[str] | None = None,
    dynamic_factors: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """Probes and leaks both ways, equal error rates and DCI of codes in a file, beside trivial codes for the same clips.

    The results are named "probe", "eer" and "dci"; one for which the file has not the labels is left out.

    Arguments:
        static_factors, dynamic_factors: over those that the file names.

    Raises:
        DataError: a file that is not as `read_codes` wants it, or whose labels allow no score.
        RwaeError: if scikit-learn is not installed.
    """
    found = read_codes(file, static_factors, dynamic_factors, seed)
    results = []
    for protocol, score in CODE_SCORES.items():
        rows = rows_of(score, found.train, found.test, found.factors, draws, seed)
        if not rows["model"]:
            continue
        settings = {
            "factors": {name: factor.kind for name, factor in found.factors.items()},
            "split": found.split,
            "training clips": min(len(found.train), TRAIN_CLIPS.get(protocol, 0)),
            "clips in pairs": min(len(found.test), PAIRED_CLIPS) if protocol == "eer" else 0,
        }
        results.append(
            Result(
                protocol=protocol,
                data=Path(file).stem,
                data_hash=found.hash,
                clips=len(found.test),
                seed=seed,
                settings={name: value for name, value in settings.items() if value},
                rows=rows,
            )
        )
    if not results:
        raise DataError(f"{file}: no factor has a class that occurs in both splits, so there is nothing to score")
    return results


def read_codes(
    file: Path | str, static_factors: Sequence[str] | None = None, dynamic_factors: Sequence[str] | None = None, seed: int = 0
) -> ForeignCodes:
    """Read `static` `[n, d_s]`, `dynamic` `[n, t, d_d]` and one whole-numbered array `[n]` for each factor, `factor.NAME`.

    Optional: `mask` `[n, t]`, 0 where a frame is padding; `split` `[n]`, 0 for training and 1 for test clips (else a seeded half is
    the test split); `static_factors` and `dynamic_factors`, the names of the factors of either kind. Nothing is unpickled.

    Raises:
        DataError: with what is missing or wrong, and what would be right.
    """
    arrays = _arrays(Path(file))
    where = f"{file}: "
    for name in KINDS:
        if name not in arrays:
            raise DataError(f"{where}the array {name!r} is missing; there is {', '.join(arrays) or 'none'}")
    static = numbers(arrays["static"], where + "static", 2)
    dynamic = numbers(arrays["dynamic"], where + "dynamic", 3)
    n, t = dynamic.shape[:2]
    if len(static) != n:
        raise DataError(f"{where}static has {len(static)} clips, dynamic has {n}")
    labels = {
        name.removeprefix(PREFIX): _labels(array, where + name, n) for name, array in arrays.items() if name.startswith(PREFIX)
    }
    kinds = _kinds(arrays, list(labels), {"static": static_factors, "dynamic": dynamic_factors}, where)
    codes = Codes(
        static=static.astype(np.float32),
        dynamic=dynamic.astype(np.float32),
        factors=labels,
        mask=_mask(arrays["mask"], where, (n, t)) if "mask" in arrays else None,
    )
    split, said = _split(arrays.get("split"), where, n, seed)
    return ForeignCodes(
        train=take(codes, split == 0),
        test=take(codes, split == 1),
        factors={
            name: Factor(
                classes=tuple(str(i) for i in range(int(labels[name].max()) + 1)), kind="static" if kind == "static" else "dynamic"
            )
            for name, kind in kinds.items()
        },
        hash=_hash(codes, split),
        split=said,
    )


def _arrays(file: Path) -> dict[str, Array]:
    """All arrays of the file, none of them unpickled."""
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file}: is no .npz file. numpy.savez(file, static=..., dynamic=..., **{{'factor.NAME': ...}}) writes one")
    arrays: dict[str, Array] = {}
    name = ""
    try:
        with np.load(file, allow_pickle=False) as stored:
            for name in stored.files:
                arrays[name] = stored[name]
    except ValueError as error:
        what = "holds Python objects, which are never unpickled" if "allow_pickle" in str(error) else f"cannot be read ({error})"
        raise DataError(f"{file}: the array {name!r} {what}; save numbers, and names as text of one width (dtype 'U')") from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: is damaged ({error})") from error
    for name in arrays:
        if name not in KNOWN and not name.startswith(PREFIX):
            raise DataError(f"{file}: unknown array {name!r}. {did_you_mean(name, (*KNOWN, PREFIX + name))}")
    return arrays


def _labels(array: Array, where: str, n: int) -> Array:
    labels = whole(array, where, n)
    if int(labels.max()) >= n:
        raise DataError(f"{where}: class {labels.max()} of {n} clips; number the classes 0, 1, ... without gaps")
    return labels


def _kinds(arrays: dict[str, Array], names: list[str], given: dict[str, Sequence[str] | None], where: str) -> dict[str, str]:
    """Per factor "static" or "dynamic", in the order of the file."""
    if not names:
        raise DataError(f"{where}there is no factor; add whole-numbered arrays [n] such as {PREFIX}speaker")
    kinds: dict[str, str] = {}
    for kind in KINDS:
        chosen = given[kind]
        if chosen is None:
            stored = arrays.get(f"{kind}_factors", np.empty(0, dtype="U1"))
            if stored.dtype.kind != "U" and stored.size:
                raise DataError(f"{where}{kind}_factors: should be names, but is {stored.dtype}")
            chosen = [str(name) for name in np.atleast_1d(stored)]
        for name in chosen:
            if name not in names:
                raise DataError(f"{where}{kind} factor {name!r} has no labels. {did_you_mean(name, names)}")
            if kinds.setdefault(name, kind) != kind:
                raise DataError(f"{where}factor {name!r} is said to be static and dynamic")
    if unsaid := [name for name in names if name not in kinds]:
        raise DataError(
            f"{where}is factor {unsaid[0]!r} static or dynamic? Name it in the array static_factors or dynamic_factors, or by "
            f"--static-factor {unsaid[0]}"
        )
    return {name: kinds[name] for name in names}


def _mask(array: Array, where: str, shape: tuple[int, int]) -> Array:
    mask = numbers(array, where + "mask", 2)
    if mask.shape != shape:
        raise DataError(f"{where}mask: its shape is {list(mask.shape)}, but the dynamic codes are {list(shape)} frames")
    if not np.isin(mask, (0, 1)).all():
        raise DataError(f"{where}mask: should be 1 for a frame and 0 for padding")
    if not mask.any(axis=1).all():
        raise DataError(f"{where}mask: clip {int(mask.any(axis=1).argmin())} is nothing but padding")
    return mask.astype(np.float32)


def _split(array: Array | None, where: str, n: int, seed: int) -> tuple[Any, str]:
    """0 for training and 1 for test clips, `[n]`, and where that comes from."""
    if n < 4:
        raise DataError(f"{where}there are {n} clips; at least 4 are needed, some to train probes on and some to test")
    if array is None:
        return np.isin(np.arange(n), np.random.default_rng(seed).permutation(n)[: n // 2]).astype(np.int64), f"half, seed {seed}"
    split = whole(array, where + "split", n)
    if not np.isin(split, (0, 1)).all() or min(np.bincount(split, minlength=2)) < 2:
        raise DataError(f"{where}split: should be 0 for training and 1 for test clips, at least 2 of each")
    return split, "the file's"


def _hash(codes: Codes, split: Array) -> str:
    total = hashlib.sha256(np.asarray(split, dtype=np.int64).tobytes())
    for name in sorted(codes.factors):
        total.update(name.encode() + codes.factors[name].astype(np.int64).tobytes())
    if codes.mask is not None:
        total.update(codes.mask.tobytes())
    return total.hexdigest()
