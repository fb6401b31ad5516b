"""How much of one latent is found again when it was decoded with a drawn other one: a score that needs no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from rwae_kit.data import Clips
from rwae_kit.errors import DataError
from rwae_kit.evaluation.codes import Codes, code_of, encode_clips, places, some
from rwae_kit.evaluation.protocols.generation import fix_dynamic, fix_static
from rwae_kit.evaluation.reconstruction import mean_clip, reconstruction_score
from rwae_kit.interfaces import share_noise

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
    """Nats about which clip the static code is of, the motion drawn from its prior."""
    dynamic: float
    """Nats about which clip the dynamic codes are of, the static code drawn from its prior."""
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
    """Keep one latent of each clip, draw the other one from its prior, decode, encode, and ask whose code it is.

    A latent that says nothing is not found again, nor is one whose message the decoder takes from the other one: of a fact that
    both hold the drawn one tells something else. Nor is what gets lost because a drawn code is like none that was encoded. Which
    facts belong to which latent follows from no score without labels (Locatello et al. 2019, Theorem 1) but from an assumption:
    with `looks` the clip whose dynamic codes are kept is changed by that view first, and what is found is compared with the codes
    of the unchanged clip, so that dynamic codes which tell of looks do not count.

    Arguments:
        clips: of the validation split; at most `CLIPS` of them are taken.
        train: what the mean clip is taken over.
        looks: a view that keeps what the dynamic latent should tell; None changes nothing.

    Raises:
        DataError: there are fewer than two clips, or they have padding.

    Source: ours; the clips are those of the papers' protocols, one latent kept and the other sampled.
    """
    if clips.mask is not None:
        raise DataError("cycle: clips of different length cannot be compared frame by frame; give clips without padding")
    if len(clips) < 2:
        raise DataError(f"cycle: needs at least 2 clips to tell one from another, not {len(clips)}")
    chosen = some(clips, CLIPS, seed)
    codes = encode_clips(model, chosen, batch_size)
    again = _drawn(model, chosen, looks, seed, batch_size)
    own, _ = reconstruction_score(model, chosen, mean_clip(train, batch_size), batch_size)
    return CycleScore(
        static=recognised(codes.static, again.static),
        dynamic=recognised(codes.trajectory(), again.trajectory()),
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


def _drawn(model: SequenceAutoencoder, clips: Clips, looks: FrameView | None, seed: int, batch_size: int) -> Codes:
    """The codes that are found in clips of whose latents one was kept and the other drawn."""
    static, dynamic = [], []
    if looks is not None:
        share_noise(looks.noise, looks)  # it may be made of other views
    for index in places(len(clips), batch_size):
        draw = seed + int(index[0])  # another one for every batch, the same for every model
        batch = clips.batch(index)
        one = evolve(batch, x=batch.x.to(model.device))
        static.append(code_of(model.encode(fix_static(model, one, draw, clips.info.length)), "static"))
        if looks is not None:
            with looks.noise.fork(draw):
                one = evolve(one, x=looks(one))
        dynamic.append(code_of(model.encode(fix_dynamic(model, one, draw)), "dynamic"))
    return Codes(static=np.concatenate(static), dynamic=np.concatenate(dynamic))
