"""Views of speech that keep what is said: another voice, another pace. One draw a clip, no loop over clips."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from attrs import field, frozen
from attrs.validators import ge, gt, in_
from torch import Tensor

from rwae_contrastive.spectra import Scale, warped_frequencies, warped_times
from rwae_contrastive.waveforms import changed_voice
from rwae_kit import Batch, FrameView, RecipeError, Spec

SHORTEST = 16
"""Samples of a window, at least."""


def _rising(instance: object, attribute: object, value: tuple[float, float]) -> None:
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"'band' must be (low, high) in hertz with 0 <= low < high: {value}")


@frozen(kw_only=True)
class Speech:
    """What the frames of the clips are."""

    frames: Literal["spectra", "waveform"] = field(
        default="spectra",
        validator=in_(("spectra", "waveform")),
        metadata={"help": "a frame is a log-magnitude spectrum, or the samples from one frame to the next"},
    )
    scale: Scale = field(
        default="linear", validator=in_(("linear", "mel")), metadata={"help": "spectra: on which the frequencies lie evenly"}
    )
    band: tuple[float, float] = field(
        default=(0.0, 8000.0), validator=_rising, metadata={"help": "spectra: hertz of the first and of the last number"}
    )
    sampling_rate: float = field(default=16_000.0, validator=gt(0), metadata={"help": "waveform: samples a second"})
    window: float = field(default=0.025, validator=gt(0), metadata={"help": "waveform: seconds in a window of WSOLA"})
    reach: float = field(
        default=0.01, validator=ge(0), metadata={"help": "waveform: seconds that WSOLA searches either way; a deep voice's period"}
    )

    def check(self, spec: Spec) -> None:
        """Raise a `RecipeError` for frames that cannot be such sound."""
        if len(spec.frame) != 1:
            raise RecipeError(
                f"frames are images {spec.frame}; this view is for speech, whose frames are vectors: spectra (frames = 'spectra'), "
                "or pieces of the signal (frames = 'waveform'). For images take augment, crop, colour or blur"
            )
        low, high = spec.value_range
        if self.frames == "waveform" and not low < 0 < high:
            raise RecipeError(
                f"frames = 'waveform', but values are in [{low:g}, {high:g}]: samples swing about 0. "
                "For spectra write frames = 'spectra'"
            )
        if self.frames == "waveform" and self._samples(self.window) < SHORTEST:
            raise RecipeError(
                f"window = {self.window:g} s is {self._samples(self.window)} samples at sampling_rate = {self.sampling_rate:g}; "
                f"at least {SHORTEST} are needed"
            )

    def changed(self, batch: Batch, value_range: tuple[float, float], pitch: Tensor | None, rate: Tensor | None) -> Tensor:
        """The clips with all frequencies times `pitch` and `rate` times as fast, `[b]` both; padding stays as it is."""
        x, mask = batch.x, batch.mask
        length = torch.full_like(batch.index, x.shape[1]) if mask is None else mask.ne(0).sum(1)
        with torch.autocast(x.device.type, enabled=False):
            if self.frames == "waveform":
                new = self._sounded(x.flatten(1), pitch, rate, length * x.shape[2]).clamp(*value_range).view_as(x)
            else:
                new = x if pitch is None else warped_frequencies(x, pitch, self.band, self.scale)
                new = new if rate is None else warped_times(new, rate, length)
        return new if mask is None else torch.where(mask.ne(0)[..., None], new, x)

    def _sounded(self, sound: Tensor, pitch: Tensor | None, rate: Tensor | None, length: Tensor) -> Tensor:
        window, reach = self._samples(self.window), self._samples(self.reach)
        return changed_voice(sound, window=window, reach=reach, pitch=pitch, rate=rate, length=length)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.sampling_rate)


class SpeechView(FrameView, ABC):
    """What the three have in common: frames that are speech, and a draw for each clip.

    Shape: `Batch` -> `[b, t, k]`.
    """

    def __init__(self, config: Speech, spec: Spec) -> None:
        super().__init__(config)
        config.check(spec)
        self.settings, self.range = config, spec.value_range

    def forward(self, batch: Batch) -> Tensor:
        return self.settings.changed(batch, self.range, *self.factors(batch.x))

    @abstractmethod
    def factors(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Of frequency and of speed, `[b]` each, for clips `[b, t, k]`; None leaves it as it is."""

    def uniform(self, x: Tensor) -> Tensor:
        """A draw of U(-1, 1) for each clip."""
        return 2 * self.noise.uniform(len(x), like=x) - 1


@final
class PitchShift(SpeechView):
    """Every frequency of a clip times 2^(u / 12), u uniform in +-`semitones`, at the same pace: a smaller or a larger speaker.

    Pitch and resonances move together. Spectra are read at other frequencies; a waveform is resampled and given its pace back by
    WSOLA, and below the former upper edge there is silence where it went down.

    Shape: `Batch` -> `[b, t, k]`.

    Raises:
        RecipeError: the frames are images, or no such sound; DataError: clips shorter than one window.

    Source: C-DSVAE section 2.3 ("classical unsupervised voice conversion algorithms"), which cites Verhelst and Roelands 1993 and
    Driedger and Mueller 2016 and gives neither strengths nor details. Of spectra it is the vocal tract length perturbation of
    Jaitly and Hinton 2013. Ours: 3 semitones either way, a factor of 1.19.
    """

    @frozen(kw_only=True)
    class Config(Speech):
        """How far, and what the frames are."""

        semitones: float = field(default=3.0, validator=ge(0), metadata={"help": "largest shift, up or down; uniform between"})

    config: Config

    def factors(self, x: Tensor) -> tuple[Tensor, None]:
        return _semitones(self.config.semitones, self.uniform(x)), None


@final
class TimeScale(SpeechView):
    """A clip at another pace and the same pitch, faster or slower by a factor up to `rate`, about its middle.

    Spectra are interpolated along time, the counterpart of WSOLA where there is no phase. What a faster clip lacks is held at both
    ends, what a slower one has too much is cut off: the middle of the clip stays where it is.

    Shape: `Batch` -> `[b, t, k]`.

    Raises:
        RecipeError: the frames are images, or no such sound; DataError: clips shorter than one window.

    Source: C-DSVAE section 2.3; Verhelst and Roelands 1993. Ours: the rate, small, for with the pace the codes of the frames move
    too, by up to (rate - 1) t / 2 frames at the ends.
    """

    @frozen(kw_only=True)
    class Config(Speech):
        """How fast, and what the frames are."""

        rate: float = field(default=1.1, validator=ge(1), metadata={"help": "largest speed; log-uniform from 1 / rate"})

    config: Config

    def factors(self, x: Tensor) -> tuple[None, Tensor]:
        return None, _rate(self.config.rate, self.uniform(x))


@final
class Voice(SpeechView):
    """`pitch_shift` and `time_scale` at once, each with its own draw: the speech counterpart of `augment`.

    Of a waveform one pass of WSOLA does both.

    Shape: `Batch` -> `[b, t, k]`.

    Raises:
        RecipeError: the frames are images, or no such sound; DataError: clips shorter than one window.

    Source: as for the two.
    """

    @frozen(kw_only=True)
    class Config(Speech):
        """Those of the two."""

        semitones: float = field(default=3.0, validator=ge(0), metadata={"help": "largest shift, up or down; uniform between"})
        rate: float = field(default=1.1, validator=ge(1), metadata={"help": "largest speed; log-uniform from 1 / rate"})

    config: Config

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _semitones(self.config.semitones, self.uniform(x)), _rate(self.config.rate, self.uniform(x))


def _semitones(most: float, draws: Tensor) -> Tensor:
    """Factors of frequency from draws of U(-1, 1)."""
    return torch.exp2(most / 12 * draws)


def _rate(most: float, draws: Tensor) -> Tensor:
    """Speeds from draws of U(-1, 1)."""
    return torch.exp(math.log(most) * draws)
