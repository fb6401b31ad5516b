"""What a judge sees in swapped and half-sampled clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import places
from rwae_kit.evaluation.judges import read_classes
from rwae_kit.interfaces import Judge

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

ROWS = ("real", "reconstruction", "swap", "motion sampled", "static sampled", "copy of the static clip", "copy of the dynamic clip")
"""What the judge is shown. The last two are trivial models, which hand one of the two clips back instead of a swap."""


def derangement(n: int, seed: int = 0) -> Tensor:
    """A partner for each of 0..n-1, none its own: a random cycle through all, `[n]`.

    Raises:
        DataError: if n < 2.
    """
    if n < 2:
        raise DataError(f"swapping needs at least 2 clips, but there is {n}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    partner = torch.empty(n, dtype=torch.int64)
    partner[order] = order.roll(-1)
    return partner


def swap_accuracy(
    model: SequenceAutoencoder, clips: Clips, judge: Judge, seed: int = 0, batch_size: int = 256
) -> dict[str, dict[str, float]]:
    """Accuracy of the judge's reading, for each row of `ROWS` and each factor that it reads and the clips are labelled with.

    Clip i is paired with clip j (a seeded derangement). Of `model.swap(x_i, x_j)` the static factors have to be i's and the dynamic
    ones j's. "motion sampled" keeps the static code and draws the motion from the prior, so only static factors can be right or
    wrong; "static sampled" is the other way round. "real" is the judge's own accuracy: no other row can be expected above it.
    """
    partner = derangement(len(clips), seed)
    right: dict[str, dict[str, int]] = {row: {} for row in ROWS}
    for index in places(len(clips), batch_size):
        for row, shown, mask, keeps in _shown(model, clips, index, partner[index], seed):
            judged = read_classes(judge, shown, mask)
            for name in clips.factors:
                kept = clips.info.factors[name].kind
                if name not in judged or kept not in keeps:
                    continue
                expected = clips.factors[name][keeps[kept].to(clips.frames.device)].cpu()
                right[row][name] = right[row].get(name, 0) + int((judged[name].cpu() == expected).sum())
    return {row: {name: count / len(clips) for name, count in counts.items()} for row, counts in right.items()}


def _shown(
    model: SequenceAutoencoder, clips: Clips, i: Tensor, j: Tensor, seed: int
) -> Iterator[tuple[str, Tensor, Tensor | None, Mapping[str, Tensor]]]:
    """Each row's clips for the pairs (i, j), their padding, and whose label each kind of factor should keep."""
    length = clips.info.length
    one, two = clips.batch(i), clips.batch(j)
    x_i, x_j = one.x.to(model.device), two.x.to(model.device)
    posterior = model.encode(x_i, one.mask)
    draw = seed + int(i[0])  # another draw for every batch
    yield "real", x_i, one.mask, {"static": i, "dynamic": i}
    yield "reconstruction", model.reconstruct(x_i, one.mask), one.mask, {"static": i, "dynamic": i}
    swapped = model.swap(x_i, x_j, static_mask=one.mask, dynamic_mask=two.mask)
    yield "swap", swapped, two.mask, {"static": i, "dynamic": j}
    yield "motion sampled", model.sample(len(i), t=length, seed=draw, static=posterior.static.sample), None, {"static": i}
    yield "static sampled", model.sample(len(i), t=length, seed=draw, dynamic=posterior.dynamic.sample), one.mask, {"dynamic": i}
    yield "copy of the static clip", x_i, one.mask, {"static": i, "dynamic": j}
    yield "copy of the dynamic clip", x_j, two.mask, {"static": i, "dynamic": j}
