"""WSOLA and resampling, on sounds whose pitch and envelope are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rwae_contrastive.waveforms import changed_voice, resampled
from rwae_kit import DataError

RATE, WINDOW, REACH = 8000, 200, 80


def tone(hertz: float, n: int = RATE, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(n, dtype=dtype) / RATE)


def voiced(b: int, n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Harmonics of another pitch for each clip, with a wandering loudness, and some noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(n, dtype=dtype) / RATE
    pitch = 90 + 120 * torch.rand(b, 1, generator=generator, dtype=dtype)
    sound = sum(torch.sin(2 * math.pi * k * pitch * time) / k for k in range(1, 8))
    loudness = 1 + torch.sin(2 * math.pi * 3 * time + 6 * torch.rand(b, 1, generator=generator, dtype=dtype))
    return 0.1 * loudness * sound + 0.01 * torch.randn(b, n, generator=generator, dtype=dtype)


def change(x: Tensor, **factors: float | Tensor) -> Tensor:
    given = {name: torch.as_tensor(value, dtype=x.dtype).expand(len(x)) for name, value in factors.items() if name != "length"}
    length = {"length": torch.as_tensor(factors["length"])} if "length" in factors else {}
    return changed_voice(x, window=WINDOW, reach=REACH, **given, **length)


def peak(x: Tensor) -> Tensor:
    """The strongest frequency of each clip, in hertz; its bins lie 1 hertz apart in a clip of a second."""
    window = torch.hann_window(x.shape[1], dtype=x.dtype)
    return torch.fft.rfft(window * x).abs().argmax(1) * RATE / x.shape[1]


def centre(x: Tensor) -> Tensor:
    """The mean time of a clip's energy, in samples."""
    energy = x.square()
    return (energy * torch.arange(x.shape[1])).sum(1) / energy.sum(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("semitones", "expected"), [(12, 880), (-12, 220), (7, 659.3), (3, 523.3)])
def test_a_tone_of_440_hertz_is_shifted_by_semitones_and_keeps_its_loudness(dtype, semitones, expected) -> None:
    found = change(tone(440, dtype=dtype)[None], pitch=2 ** (semitones / 12))
    assert found.dtype == dtype
    assert float(peak(found)) == pytest.approx(expected, rel=0.01)  # windows fit to half a sample of a hundred
    inside = found[0, 400:-400]
    assert float(inside.square().mean().sqrt()) == pytest.approx(math.sqrt(0.5), rel=0.02)


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
def test_another_pace_keeps_the_pitch_and_moves_the_envelope_about_the_middle(rate) -> None:
    time, at = torch.arange(RATE, dtype=torch.float64), torch.tensor([2800.0, 4000.0, 5000.0])
    bump = torch.exp(-((time - at[:, None]) ** 2) / (2 * 300.0**2))
    found = change(bump * tone(200), rate=rate)
    assert (peak(found) - 200).abs().max() <= 2
    expected = RATE / 2 + (at - RATE / 2) / rate
    assert (centre(found) - expected).abs().max() < REACH / 4
    spread = ((found.square() * (time - centre(found)[:, None]) ** 2).sum(1) / found.square().sum(1)).sqrt()
    torch.testing.assert_close(spread, torch.full_like(spread, 300 / math.sqrt(2) / rate), rtol=0.08, atol=0)


def test_a_periodic_sound_goes_on_without_a_seam_at_any_pace() -> None:
    """Overlap-add without the search lays the periods upon each other out of phase; with it the result is the same tone."""
    sound, rate = tone(137)[None], 0.83

    def loudest_other_than_the_tone(x: Tensor) -> float:
        spectrum = torch.fft.rfft(torch.hann_window(x.shape[1], dtype=x.dtype) * x).abs()[0]
        return float(torch.cat([spectrum[:130], spectrum[145:]]).max() / spectrum.max())

    blind = changed_voice(sound, window=WINDOW, reach=0, rate=torch.tensor([rate], dtype=sound.dtype))
    assert loudest_other_than_the_tone(change(sound, rate=rate)) < 0.01 < 0.1 < loudest_other_than_the_tone(blind)


@pytest.mark.parametrize("n", [WINDOW, 333, 1600, 2001])
def test_a_pace_of_1_and_no_shift_leave_the_sound_as_it_is(n) -> None:
    for sound in (voiced(4, n), tone(160, n).expand(4, n), torch.zeros(4, n, dtype=torch.float64)):
        torch.testing.assert_close(change(sound, rate=1.0), sound, rtol=0, atol=1e-12)
        torch.testing.assert_close(change(sound, pitch=1.0), sound, rtol=0, atol=1e-9)


def test_of_a_shifted_sound_the_energy_over_time_is_as_before() -> None:
    sound = voiced(6, RATE)
    before = sound.unflatten(1, (-1, 400)).square().mean(2)
    for semitones in (-4, 4):
        after = change(sound, pitch=2 ** (semitones / 12)).unflatten(1, (-1, 400)).square().mean(2)
        together = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(before, after, strict=True)])
        assert together.min() > 0.9


def test_what_a_faster_clip_lacks_is_held_and_what_a_slower_one_has_too_much_is_cut() -> None:
    steps = torch.where(torch.arange(RATE) < RATE // 2, 1.0, 0.3).double() * tone(200)
    fast, slow = change(steps[None], rate=1.6)[0], change(steps[None], rate=0.6)[0]
    for sound in (fast, slow):
        loudness = sound.unflatten(0, (-1, 400)).square().mean(1).sqrt()
        torch.testing.assert_close(loudness[:8], torch.full((8,), math.sqrt(0.5)).double(), rtol=0.1, atol=0)
        torch.testing.assert_close(loudness[-8:], torch.full((8,), 0.3 * math.sqrt(0.5)).double(), rtol=0.1, atol=0)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    sound, pitch, rate = voiced(5, 2400), torch.tensor([0.8, 1.3, 1.0, 1.1, 0.7]), torch.tensor([1.2, 0.8, 1.0, 1.4, 0.9])
    together = change(sound, pitch=pitch, rate=rate)
    for i in range(5):
        alone = change(sound[i : i + 1], pitch=pitch[i], rate=rate[i])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-9)
    assert torch.equal(together, change(sound, pitch=pitch, rate=rate))


def test_padding_is_neither_heard_nor_filled() -> None:
    sound, length = torch.stack([tone(hertz, 2400) for hertz in (110, 150, 190)]), torch.tensor([2400, 1500, 700])
    noise = torch.randn(3, 2400, generator=torch.Generator().manual_seed(1), dtype=sound.dtype)
    padded = torch.where(torch.arange(2400) < length[:, None], sound, noise)
    factors = {"pitch": torch.tensor([1.2, 1.2, 0.8]), "rate": torch.tensor([1.1, 0.9, 1.2]), "length": length}
    found = change(padded, **factors)
    assert torch.equal(found, change(torch.where(torch.arange(2400) < length[:, None], sound, 7.0), **factors))
    for x, n in zip(found, length.tolist(), strict=True):
        assert not x[n:].any()
        assert float(x[n - 200 : n].square().mean().sqrt()) == pytest.approx(math.sqrt(0.5), rel=0.1)
    still = change(padded, rate=1.0, pitch=1.0, length=length)
    torch.testing.assert_close(still, torch.where(torch.arange(2400) < length[:, None], sound, 0.0), rtol=0, atol=1e-9)


def test_resampling_keeps_a_band_limited_sound_and_leaves_out_what_the_new_rate_cannot_carry() -> None:
    sound = torch.stack([tone(500), tone(2500)])
    for factor, kept in ((0.5, (1, 1)), (1.3, (1, 1)), (2.0, (1, 0))):
        size = int(RATE / factor)
        found = resampled(sound, torch.full((2,), factor, dtype=sound.dtype), size)
        for row, hertz, stays in zip(found, (500, 2500), kept, strict=True):
            expected = stays * tone(hertz * factor, size)
            assert (row - expected)[100:-100].abs().max() < 0.01


def test_clips_shorter_than_a_window_are_refused() -> None:
    with pytest.raises(DataError, match=r"clips have 199 samples, less than one window of 200; take longer clips, or a shorter"):
        change(torch.zeros(2, 199), rate=1.1)
