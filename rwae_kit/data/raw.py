"""What builders of stores share: where a store lies, bad files, splits by group, windows."""

from __future__ import annotations

import hashlib
import json
import shlex
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from rwae_kit.data.store import LEFT_OUT, Store, data_root, open_store
from rwae_kit.errors import DataError

_NAMED = 10
"""Bad files that an error names."""
BUILDS = {"builds": True}
"""Metadata of an option that shapes what a store holds; others only say how it is opened."""


def store_path(name: str, config: Any) -> Path:
    """Where a data set's store lies under `data_root`: each choice of the options that are marked by `BUILDS` has its own."""
    options = {entry.name: getattr(config, entry.name) for entry in attrs.fields(type(config)) if entry.metadata.get("builds")}
    if not options:
        return data_root() / name
    return data_root() / f"{name}-{hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]}"


def open_built(name: str, config: Any) -> Store:
    """The store of a data set with these options.

    Raises:
        DataError: it was not built, or it is damaged.
    """
    folder = store_path(name, config)
    if not folder.exists():
        changed = [
            f" --set {shlex.quote(f'{entry.name}={_typed(getattr(config, entry.name))}')}"
            for entry in attrs.fields(type(config))
            if entry.metadata.get("builds") and getattr(config, entry.name) != entry.default
        ]
        raise DataError(f"{name}: {folder} is not there. Build it once: rwk data build {name} --source DIR{''.join(changed)}")
    return open_store(folder)


def _typed(value: Any) -> str:
    """A value as a user types it."""
    return value if isinstance(value, str) else json.dumps(value)


class BadFiles:
    """Collects files that cannot be used, so that all are named at once, or left out where that is wanted."""

    def __init__(self, name: str, skip: bool) -> None:
        self._name, self._skip = name, skip
        self.found: list[str] = []
        self.short: list[str] = []

    def add(self, path: Path | str, problem: str) -> None:
        """Note a file that is corrupt, missing, empty or mislabelled, and what is wrong with it."""
        self.found.append(f"{path}: {problem}")

    def add_short(self, path: Path | str, problem: str) -> None:
        """Note a sound file that gives no clip; it is left out, and a warning says so."""
        self.short.append(f"{path}: {problem}")

    @property
    def left_out(self) -> list[str]:
        """All files that give no clip, for the store's list."""
        return [*self.found, *self.short]

    def settle(self, good: int) -> None:
        """Stop the build if there is a bad file, unless told to skip (a warning then says how many); or if no file is good.

        The first ten are named; `left_out` is for the store, which lists all.

        Raises:
            DataError: bad files, by name.
        """
        total = good + len(self.found) + len(self.short)
        if not good:
            listed = _listed(self.left_out)
            raise DataError(f"{self._name}: no file can be used" + (f": {listed}" if listed else ""))
        if self.found and not self._skip:
            raise DataError(
                f"{self._name}: {len(self.found)} of {total} files cannot be used: {_listed(self.found)}. Mend or remove them, or "
                f"leave them out: --set skip_bad=true"
            )
        self._warn(self.found, f"of {total} files cannot be used and are left out")
        self._warn(self.short, f"of {total} files are too short and left out")

    def _warn(self, problems: Sequence[str], what: str) -> None:
        if problems:
            told = f"{self._name}: {len(problems)} {what}: {_listed(problems)}. All are in {LEFT_OUT} in the store"
            warnings.warn(told, stacklevel=4)


def _listed(problems: Sequence[str]) -> str:
    """The first problems, each on a line of its own where there are several."""
    if len(problems) < 2:
        return "".join(problems)
    more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
    return "".join(f"\n  {line}" for line in [*problems[:_NAMED], *more])


def split_groups(groups: Iterable[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Each group's split: "train", or one of those with a share of the groups, at random but for the seed; one group each at least.

    Raises:
        DataError: fewer groups than splits.
    """
    names = sorted(set(groups))
    sizes = {split: max(1, round(share * len(names))) for split, share in shares.items()}
    if sum(sizes.values()) >= len(names):
        raise DataError(f"{len(names)} groups are too few for the splits train, {', '.join(shares)}: {names}")
    stream = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(len(names))
    order = [names[i] for i in np.argsort(stream, kind="stable")]
    of, first = dict.fromkeys(order, "train"), 0
    for split, size in sizes.items():
        of |= dict.fromkeys(order[first : first + size], split)
        first += size
    return of


def windows(frames: int, length: int, stride: int, tail: bool = False) -> list[int]:
    """Where windows of `length` begin in so many frames; stride 0 is one window after the other.

    `tail`: a last one follows, which reaches beyond the end, where frames are left over behind the others.
    """
    whole = list(range(0, frames - length + 1, stride or length))
    following, covered = (whole[-1] + (stride or length), whole[-1] + length) if whole else (0, 0)
    return [*whole, following] if tail and covered < frames and following < frames else whole


def padded(frames: NDArray[Any], length: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Frames `[t, ...]` as `[length, ...]`, the last one repeated, and the mask `[length]`: 1 where a frame is real."""
    mask = (np.arange(length) < len(frames)).astype(np.float32)
    missing = [(0, length - len(frames)), *[(0, 0)] * (frames.ndim - 1)]
    return np.pad(frames, missing, mode="edge"), mask


def in_order(splits: Sequence[str]) -> tuple[list[int], dict[str, int]]:
    """The places of clips sorted by split (train, validation, test), in their order otherwise, and the size of each split.

    Raises:
        DataError: a split without a clip.
    """
    sizes = {split: splits.count(split) for split in ("train", "validation", "test")}
    if empty := [split for split, size in sizes.items() if size == 0]:
        raise DataError(f"no clip is left for {' and '.join(empty)}, and {len(splits)} for the others")
    return [i for split in sizes for i, own in enumerate(splits) if own == split], sizes
