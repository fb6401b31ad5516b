"""From sound to frames: log-magnitude spectra or log mel energies every few milliseconds, and what is common to sets of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from attrs import field, frozen
from attrs.validators import and_, ge, gt, in_, le, lt
from numpy.typing import NDArray

from rwae_datasets.labelled_files import whole_or_long
from rwae_datasets.sound_files import Floats, Sound
from rwae_kit import DataError
from rwae_kit.data import BUILDS

CLIPPED = 5.0
"""Standard deviations beyond which standardised values are cut off."""
Doubles = NDArray[np.float64]


@frozen(kw_only=True)
class SpeechOptions:
    """How sound becomes clips."""

    features: Literal["spectrum", "mel"] = field(
        default="spectrum",
        validator=in_(("spectrum", "mel")),
        metadata={"help": "log magnitudes of a spectrum, or log mel energies", **BUILDS},
    )
    mels: int = field(default=80, validator=and_(ge(2), le(256)), metadata={"help": "mel: how many", **BUILDS})
    length: int = field(
        default=20,
        validator=whole_or_long,
        metadata={"help": "frames in a clip, T; 0: whole recordings, padded to the longest and masked", **BUILDS},
    )
    stride: int = field(
        default=0, validator=ge(0), metadata={"help": "frames from one clip to the next; 0: as many as a clip has", **BUILDS}
    )
    window: float = field(default=0.025, validator=and_(gt(0), le(1)), metadata={"help": "seconds in a window", **BUILDS})
    hop: float = field(default=0.010, validator=and_(gt(0), le(1)), metadata={"help": "seconds from frame to frame", **BUILDS})
    preemphasis: float = field(
        default=0.97, validator=and_(ge(0), lt(1)), metadata={"help": "of y[n] = x[n] - a x[n - 1]", **BUILDS}
    )
    floor: float = field(
        default=-16.0, validator=and_(ge(-100), le(0)), metadata={"help": "least log magnitude; what silence becomes", **BUILDS}
    )
    normalise: Literal["standard", "unit", "none"] = field(
        default="standard",
        validator=in_(("standard", "unit", "none")),
        metadata={
            "help": "mean 0 and std 1 over training frames, cut off at 5; the same moved into [0, 1]; or as they are",
            **BUILDS,
        },
    )
    tail: Literal["drop", "pad"] = field(
        default="drop",
        validator=in_(("drop", "pad")),
        metadata={"help": "what is left behind the last whole clip of a recording: dropped, or padded and masked", **BUILDS},
    )
    skip_bad: bool = field(default=False, metadata={"help": "build: leave out files that cannot be used, instead of stopping"})


def log_frames(sound: Sound, options: SpeechOptions) -> Floats:
    """Frames `[t, k]` around every hop: ln |FFT of a window|, without its constant; or ln of mel-weighted magnitudes.

    k is half the samples of a window (200 at 16 kHz and 25 ms), or `mels`. Ends are mirrored, so there are 1 + n // hop frames.

    Raises:
        DataError: fewer samples than half a window has.

    Source: FHVAE (Hsu et al. 2017; github.com/wnhsu/ScalableFHVAE, audio_utils.py): 25 ms Hamming window, 10 ms hop, as many points
    in the FFT as in the window, pre-emphasis 0.97. That code keeps 201 numbers; the papers say 200, so the constant is dropped
    (ours). Ours is the floor, which only digital silence reaches (theirs: -50, mel -20).
    """
    size, hop = window_size(sound.rate, options), round(sound.rate * options.hop)
    if len(sound.samples) <= size // 2:
        raise DataError(f"{len(sound.samples)} samples are fewer than half a window of {size}")
    x = sound.samples.astype(np.float64)
    x = x - options.preemphasis * np.concatenate([[0.0], x[:-1]])
    x = np.pad(x, size // 2, mode="reflect")
    at = np.arange(0, len(x) - size + 1, hop)
    weight = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(size) / size)
    magnitude = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, size)[at] * weight))
    values = magnitude[:, 1:] if options.features == "spectrum" else magnitude @ mel_weights(sound.rate, size, options.mels).T
    return np.asarray(np.log(np.maximum(values, math.exp(options.floor))), dtype=np.float32)


def window_size(rate: int, options: SpeechOptions) -> int:
    """Samples in a window, an even number."""
    return max(4, 2 * round(rate * options.window / 2))


def mel_weights(rate: int, size: int, mels: int) -> Doubles:
    """Triangles of height 1, evenly spaced on the mel scale from 0 to half the rate: `[mels, size // 2 + 1]`.

    Raises:
        DataError: so many that one of them covers no frequency of the FFT.

    Source: Slaney's mel scale, linear to 1 kHz, logarithmic above, as in librosa, which FHVAE's code uses (norm=None there).
    """
    top = float(_mel(np.array(rate / 2)))
    edges = _hertz(np.linspace(0, top, mels + 2))
    hertz = np.arange(size // 2 + 1) * rate / size
    rising = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    if not weights.any(1).all():
        raise DataError(f"mels = {mels} are too many for a window of {size} samples: some cover no frequency. Take fewer")
    return np.asarray(weights, dtype=np.float64)


def _mel(hertz: Doubles) -> Doubles:
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / math.log(6.4)
    return np.asarray(np.where(hertz < 1000, hertz * 3 / 200, above), dtype=np.float64)


def _hertz(mel: Doubles) -> Doubles:
    return np.asarray(
        np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.maximum(mel - 15, 0) * math.log(6.4) / 27)), dtype=np.float64
    )


@frozen(kw_only=True, eq=False)
class Normaliser:
    """Values from log magnitudes, `(x - mean) / std` per feature, kept in `value_range`."""

    mean: Doubles
    std: Doubles
    value_range: tuple[float, float]

    def __call__(self, frames: Floats) -> Floats:
        values = (frames - self.mean) / self.std
        return np.asarray(values.clip(*self.value_range), dtype=np.float32)

    def in_info(self) -> dict[str, Any]:
        """What `DataInfo` says of it."""
        moved = bool(self.mean.any() or (self.std != 1).any())
        known = {"mean": tuple(self.mean.tolist()), "std": tuple(self.std.tolist())} if moved else {}
        return {"value_range": self.value_range, **known}


def fit_normaliser(train: Sequence[Floats], rate: int, options: SpeechOptions) -> Normaliser:
    """From the frames `[t, k]` of the training recordings, each frame counted once."""
    size, count = train[0].shape[1], sum(len(frames) for frames in train)
    if options.normalise == "none":
        samples = window_size(rate, options)
        loudest = math.log(0.54 * samples * (1 + options.preemphasis))
        if options.features == "mel":
            loudest += math.log(float(mel_weights(rate, samples, options.mels).sum(1).max()))
        return Normaliser(mean=np.zeros(size), std=np.ones(size), value_range=(options.floor, loudest))
    mean = np.sum([frames.sum(0, dtype=np.float64) for frames in train], axis=0) / count
    std = np.sqrt(np.sum([np.square(frames - mean).sum(0) for frames in train], axis=0) / count)
    std = np.where(std > 1e-4, std, 1.0)
    if options.normalise == "standard":
        return Normaliser(mean=mean, std=std, value_range=(-CLIPPED, CLIPPED))
    return Normaliser(mean=mean - CLIPPED * std, std=2 * CLIPPED * std, value_range=(0.0, 1.0))
