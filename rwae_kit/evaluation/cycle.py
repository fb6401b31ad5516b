"""How much of what two clips exchange is found again when the result is encoded: a score that needs no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import evolve, frozen
from numpy.typing import NDArray

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Codes, code_of, encode_clips, places, some
from rwae_kit.evaluation.reconstruction import mean_clip, reconstruction_score
from rwae_kit.evaluation.swap import derangement

if TYPE_CHECKING:
    from rwae_kit.interfaces import FrameView
    from rwae_kit.model import SequenceAutoencoder

Floats = NDArray[np.float64]
CLIPS = 512
"""Clips that are compared with each other, at most; no more than log(CLIPS) nats can be found."""
_SHARPNESS = 2.0 ** np.arange(-10, 3)


@frozen(kw_only=True)
class CycleScore:
    """What is found again. All of it grows with a better model."""

    static: float
    """Nats about which clip lent the static code."""
    dynamic: float
    """Nats about which clip lent the dynamic codes."""
    explained: float
    """Share of the variance around the mean clip that the reconstruction explains."""

    @property
    def value(self) -> float:
        """The harmonic mean of the two informations times the share explained; 0 where one of the three is not above 0."""
        if min(self.static, self.dynamic, self.explained) <= 0:
            return 0.0
        return 2 * self.static * self.dynamic / (self.static + self.dynamic) * self.explained


def cycle_score(
    model: SequenceAutoencoder,
    clips: Clips,
    train: Clips,
    looks: FrameView | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> CycleScore:
    """Swap the codes of clips two by two, encode the swapped clips, and ask whose codes these are.

    A latent that says nothing is not found again, nor is one whose message the decoder takes from the other one: facts that both
    codes hold come back from one lender only. Which facts belong to which latent follows from no score without labels (Locatello et
    al. 2019, Theorem 1) but from an assumption: with `looks` the lender of the dynamic codes is changed by that view first, and
    what is found is compared with the codes of the unchanged clip, so that dynamic codes which tell of looks do not count.

    Arguments:
        clips: of the validation split; at most `CLIPS` of them are taken.
        train: what the mean clip is taken over.
        looks: a view that keeps what the dynamic latent should tell; None changes nothing.

    Raises:
        DataError: there are fewer than two clips, or they have padding.

    Source: ours.
    """
    if clips.mask is not None:
        raise DataError("cycle: clips of different length cannot be compared frame by frame; give clips without padding")
    chosen = some(clips, CLIPS, seed)
    partner = derangement(len(chosen), seed)
    codes = encode_clips(model, chosen, batch_size)
    again = _swapped(model, chosen, partner, looks, seed, batch_size)
    own, _ = reconstruction_score(model, chosen, mean_clip(train, batch_size), batch_size)
    return CycleScore(
        static=recognised(codes.static, again.static),
        dynamic=recognised(codes.trajectory()[partner.numpy()], again.trajectory()),
        explained=own.explained,
    )


def recognised(lent: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """A lower bound, in nats, on what a code that was found says about the one that was lent, among all that were.

    The mean of log [ q(found_i | lent_i) / mean_j q(found_i | lent_j) ] with q normal around the lent code, each feature with the
    mean square of its own errors, at the sharpness at which the bound is highest; at most log n, and at least 0.

    Shape:
        `[n, d]` each.

    Source: InfoNCE with a fixed critic (van den Oord et al. 2018, Eq. 4).
    """
    one, two = np.asarray(lent, np.float64), np.asarray(found, np.float64)
    error = ((two - one) ** 2).mean(0)
    scale = np.sqrt(np.maximum(error, 1e-12))
    one, two = one / scale, two / scale
    distance = (two**2).sum(1)[:, None] - 2 * two @ one.T + (one**2).sum(1)[None]
    bounds = [_bound(-0.5 * sharpness * distance) for sharpness in _SHARPNESS]
    return float(max(0.0, *bounds))


def _bound(logits: Floats) -> float:
    highest = logits.max(1, keepdims=True)
    normaliser = np.log(np.exp(logits - highest).mean(1)) + highest[:, 0]
    return float((np.diagonal(logits) - normaliser).mean())


def _swapped(
    model: SequenceAutoencoder, clips: Clips, partner: torch.Tensor, looks: FrameView | None, seed: int, batch_size: int
) -> Codes:
    """The codes of the clips that have each clip's static code and its partner's dynamic ones."""
    static, dynamic = [], []
    for index in places(len(clips), batch_size):
        one, two = clips.batch(index), clips.batch(partner[index])
        lender = two.x.to(model.device)
        if looks is not None:
            with looks.noise.fork(seed + int(index[0])):  # another draw for every batch, the same for every model
                lender = looks(evolve(two, x=lender))
        posterior = model.encode(model.swap(one.x.to(model.device), lender))
        static.append(code_of(posterior, "static"))
        dynamic.append(code_of(posterior, "dynamic"))
    return Codes(static=np.concatenate(static), dynamic=np.concatenate(dynamic))
