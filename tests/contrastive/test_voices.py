"""Views of speech: spectra and waveforms in another voice, at another pace, and what is refused."""

from __future__ import annotations

import math
import os
import wave
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rwae_contrastive.spectra import KNEE, warped_frequencies, warped_times
from rwae_contrastive.voices import PitchShift, TimeScale, Voice
from rwae_kit import Batch, DataError, FrameView, RecipeError, Spec
from rwae_kit.noise import Noise

STILL = {PitchShift: {"semitones": 0.0}, TimeScale: {"rate": 1.0}, Voice: {"semitones": 0.0, "rate": 1.0}}
"""Each view at strength zero."""
WAVES = {"frames": "waveform", "sampling_rate": 8000.0}
BAND = (0.0, 8000.0)


def batch(x: Tensor, mask: Tensor | None = None) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)), mask=mask, dataset_size=len(x))


def view(cls: type, frame: tuple[int, ...], value_range: tuple[float, float] = (-1.0, 1.0), seed: int = 3, **options) -> FrameView:
    made = cls(cls.Config(**options), Spec(frame=frame, value_range=value_range, static=2, dynamic=2))
    made.noise = Noise(seed)
    return made


def spectra(b: int = 5, t: int = 20, k: int = 200) -> Tensor:
    return torch.rand(b, t, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pieces(b: int = 5, t: int = 20, k: int = 80) -> Tensor:
    time = torch.arange(t * k, dtype=torch.float64) / 8000
    pitch = torch.linspace(100, 200, b, dtype=time.dtype)[:, None]
    loudness = 0.2 + 0.1 * torch.sin(2 * math.pi * 6 * time)
    return (loudness * sum(torch.sin(2 * math.pi * i * pitch * time) / i for i in range(1, 6))).view(b, t, k)


@pytest.mark.parametrize("cls", STILL)
@pytest.mark.parametrize(("x", "options"), [(spectra(), {}), (spectra(), {"scale": "mel"}), (pieces(), WAVES)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_voice_of_no_strength_is_the_clip_and_one_of_some_is_another_of_its_form(cls, x, options, dtype) -> None:
    x = x.to(dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    still = view(cls, x.shape[2:], **options, **STILL[cls])(batch(x))
    torch.testing.assert_close(still, x, rtol=0, atol=tolerance)
    changed = view(cls, x.shape[2:], **options)(batch(x))
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    assert (changed - x).abs().amax((1, 2)).min() > 0.01


@pytest.mark.parametrize("cls", STILL)
@pytest.mark.parametrize(("x", "options"), [(spectra(), {}), (pieces(), WAVES)])
def test_one_draw_a_clip_from_the_views_own_noise_and_neighbours_do_not_matter(cls, x, options) -> None:
    same = view(cls, x.shape[2:], **options)
    first = same(batch(x))
    assert torch.equal(first, view(cls, x.shape[2:], **options)(batch(x)))
    assert not torch.equal(first, same(batch(x)))
    other = torch.cat([x[:1], x[1:].flip(1)])
    torch.testing.assert_close(view(cls, x.shape[2:], **options)(batch(other))[0], first[0], rtol=0, atol=1e-9)
    alike = view(cls, x.shape[2:], **options)(batch(x[:1].expand_as(x)))
    assert all(not torch.allclose(alike[0], alike[i], atol=1e-3) for i in range(1, len(x)))


@pytest.mark.parametrize("cls", STILL)
@pytest.mark.parametrize(("x", "options"), [(spectra(), {}), (pieces(), WAVES)])
def test_padding_is_left_as_it_is_and_has_no_part_in_the_rest(cls, x, options) -> None:
    mask = (torch.arange(20) < torch.tensor([20, 12, 7, 15, 20])[:, None]).float()
    real = mask.bool()[..., None]
    found, other = (view(cls, x.shape[2:], **options)(batch(v, mask)) for v in (x, torch.where(real, x, torch.full_like(x, 0.9))))
    assert torch.equal(torch.where(real, found, 0), torch.where(real, other, 0))
    assert torch.equal(torch.where(real, 0, found), torch.where(real, 0, x))


@pytest.mark.parametrize(("semitones", "hertz"), [(12, 440.0), (-12, 1760.0), (4, 1000.0)])
@pytest.mark.parametrize("scale", ["linear", "mel"])
def test_below_the_knee_a_peak_of_a_spectrum_moves_by_its_semitones(semitones, hertz, scale) -> None:
    def place(h: float) -> float:
        return 2595 * math.log10(1 + h / 700) if scale == "mel" else h

    k, factor = 4001, 2 ** (semitones / 12)
    peak = round(place(hertz) / place(8000) * (k - 1))
    x = -(torch.arange(k, dtype=torch.float64) - peak).abs().expand(1, 1, k)
    found = warped_frequencies(x, torch.tensor([factor], dtype=x.dtype), BAND, scale)
    assert abs(int(found.argmax()) - place(factor * hertz) / place(8000) * (k - 1)) <= 2


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.2, 1.6])
def test_the_band_keeps_its_upper_edge_and_is_read_all_over_without_a_jump(factor) -> None:
    hertz = torch.linspace(0, 8000, 801, dtype=torch.float64)
    read = warped_frequencies(hertz.expand(1, 1, 801), torch.tensor([factor], dtype=hertz.dtype), BAND, "linear")[0, 0]
    straight = hertz <= KNEE * 8000 * min(factor, 1)
    torch.testing.assert_close(read[straight], hertz[straight] / factor)
    assert read[-1] == pytest.approx(8000)
    assert 0 < read.diff().min() <= read.diff().max() < 30


def test_frames_of_another_pace_are_read_about_the_middle_and_held_at_the_ends() -> None:
    x = torch.arange(11.0)[None, :, None].expand(3, 11, 2)
    found = warped_times(x, torch.tensor([2.0, 0.5, 2.0]), torch.tensor([11, 11, 5]))[..., 0]
    assert found[0].tolist() == [0, 0, 0, 1, 3, 5, 7, 9, 10, 10, 10]
    assert found[1].tolist() == [2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5]
    assert found[2, :5].tolist() == [0, 0, 2, 4, 4]


def test_strengths_bound_what_is_drawn() -> None:
    """On a spectrum that says its own frequency, and on frames that say their own time, the factor can be read off."""
    hertz = torch.linspace(0, 8000, 201, dtype=torch.float64).expand(400, 1, 201)
    shifted = view(PitchShift, (201,), semitones=3.0)(batch(hertz))
    semitones = 12 * torch.log2(hertz[:, 0, 20] / shifted[:, 0, 20])
    assert -3 <= semitones.min() < -2.8
    assert 2.8 < semitones.max() <= 3
    times = torch.arange(21, dtype=torch.float64)[None, :, None].expand(400, 21, 1)
    rate = view(TimeScale, (1,), rate=1.25)(batch(times))[:, 9:12, 0].diff(dim=1).mean(1)
    assert 0.8 - 1e-9 <= rate.min() < 0.82
    assert 1.22 < rate.max() <= 1.25 + 1e-9


def test_a_waveform_stays_in_its_range() -> None:
    x = (5 * pieces()).clamp(-0.5, 0.5)
    found = view(Voice, (80,), (-0.5, 0.5), **WAVES)(batch(x))
    assert found.abs().max() <= 0.5


@pytest.mark.parametrize("cls", STILL)
def test_what_is_no_such_sound_is_refused_and_told_what_would_be_right(cls) -> None:
    with pytest.raises(RecipeError, match=r"frames are images \(3, 16, 16\).*frames are vectors.*For images take augment"):
        view(cls, (3, 16, 16))
    with pytest.raises(RecipeError, match=r"values are in \[0, 1\]: samples swing about 0. For spectra write frames = 'spectra'"):
        view(cls, (80,), (0.0, 1.0), **WAVES)
    with pytest.raises(RecipeError, match=r"window = 0.001 s is 8 samples at sampling_rate = 8000; at least 16"):
        view(cls, (80,), window=0.001, **WAVES)
    with pytest.raises(ValueError, match=r"'band' must be \(low, high\) in hertz"):
        cls.Config(band=(4000.0, 0.0))
    with pytest.raises(DataError, match=r"clips have 160 samples, less than one window of 200"):
        view(cls, (80,), **WAVES)(batch(pieces(t=2)))


@pytest.mark.parametrize("cls", STILL)
@pytest.mark.parametrize(("x", "options"), [(spectra(), {}), (pieces(), WAVES)])
def test_voices_keep_single_precision_under_autocast(cls, x, options) -> None:
    plain = view(cls, x.shape[2:], **options)(batch(x.float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(view(cls, x.shape[2:], **options)(batch(x.float())), plain)


@pytest.mark.skipif("RWAE_RAW_DATA" not in os.environ, reason="RWAE_RAW_DATA is not set")
def test_recorded_digits_in_another_voice_are_as_long_and_as_loud_at_every_time() -> None:
    folder = Path(os.environ["RWAE_RAW_DATA"]) / "fsdd" / "recordings"
    names = [f"{digit}_{speaker}_{digit}.wav" for digit, speaker in enumerate(["george", "jackson", "lucas", "nicolas"] * 2)]
    clips = [recorded(folder / name)[: 80 * 100] for name in names]
    lengths = torch.tensor([len(clip) // 80 for clip in clips])
    x = torch.zeros(len(clips), int(lengths.max()), 80)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip) // 80] = clip[: len(clip) // 80 * 80].view(-1, 80)
    mask = (torch.arange(x.shape[1]) < lengths[:, None]).float()
    found = view(PitchShift, (80,), semitones=4.0, **WAVES)(batch(x, mask))
    assert found.shape == x.shape
    before, after = (v.square().mean(2).add(1e-6).log() for v in (x, found))
    for i, n in enumerate(lengths.tolist()):
        assert torch.corrcoef(torch.stack([before[i, :n], after[i, :n]]))[0, 1] > 0.85, names[i]
        assert not torch.allclose(found[i, :n], x[i, :n], atol=0.01)


def recorded(path: Path) -> Tensor:
    with wave.open(str(path)) as stream:
        return torch.frombuffer(bytearray(stream.readframes(stream.getnframes())), dtype=torch.int16).float() / 2**15
