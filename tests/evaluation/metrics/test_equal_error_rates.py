from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import roc_curve

from rwae_kit.errors import DataError
from rwae_kit.evaluation import equal_error_rate, equal_error_score
from rwae_kit.evaluation.metrics import roc

SPEAKERS = np.repeat(np.arange(24), 8)
"""As in TIMIT's core test: 192 utterances, 672 pairs of the same speaker."""


def reference(codes, labels):
    """The crossing on scikit-learn's ROC, found by bisection on the line that numpy interpolates."""
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    i, j = np.triu_indices(len(codes), 1)
    accepted_wrongly, accepted, _ = roc_curve(labels[i] == labels[j], (unit @ unit.T)[i, j], drop_intermediate=False)
    place = np.linspace(0, len(accepted) - 1, 200 * len(accepted))
    steps = np.arange(len(accepted))
    wrong, right = np.interp(place, steps, accepted_wrongly), np.interp(place, steps, accepted)
    return wrong[np.argmin(np.abs(wrong - (1 - right)))]


def speech(noise, seed=0, d=16):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(24, d))[SPEAKERS] + noise * generator.normal(size=(192, d))


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_it_is_that_of_scikit_learns_roc(noise):
    codes = speech(noise)
    assert equal_error_rate(codes, SPEAKERS) == pytest.approx(reference(codes, SPEAKERS), abs=1 / 672 / 100)


def test_ties_are_treated_as_scikit_learn_does():
    codes = np.round(speech(1.5, d=3)) + np.array([0.0, 0.0, 5.0])
    assert equal_error_rate(codes, SPEAKERS) == pytest.approx(reference(codes, SPEAKERS), abs=1 / 672)


@pytest.mark.parametrize("code", [np.zeros(4), np.full(4, 0.1), np.array([1e-9, 3.0, -7.0, 1 / 3])])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_constant_code_has_exactly_one_half(code, kind):
    assert equal_error_rate(np.tile(code.astype(kind), (192, 1)), SPEAKERS) == 0.5


def test_codes_of_one_direction_tie_whatever_their_lengths():
    lengths = np.random.default_rng(0).uniform(0.1, 10, size=(192, 1))
    assert equal_error_rate(lengths * np.array([0.3, -1.7, 0.2]), SPEAKERS) == 0.5


def test_a_code_of_one_hot_speakers_has_no_error_and_its_opposite_nothing_but():
    assert equal_error_rate(np.eye(24)[SPEAKERS], SPEAKERS) == 0.0
    pairs = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert equal_error_rate(pairs, np.array([0, 0, 1, 1])) == 1.0


def test_noise_is_near_one_half():
    assert equal_error_rate(np.random.default_rng(0).normal(size=(192, 16)), SPEAKERS) == pytest.approx(0.5, abs=0.05)


def test_a_crossing_between_two_points_lies_on_the_line_between_them():
    curve = roc([4.0, 3.0, 3.0, 1.0], [True, True, False, False])
    np.testing.assert_array_equal(curve.thresholds, [np.inf, 4, 3, 1])
    np.testing.assert_array_equal(curve.false_accept, [0, 0, 0.5, 1])
    np.testing.assert_array_equal(curve.false_reject, [1, 0.5, 0, 0])

    def at(*angles):
        return np.array([[np.cos(angle), np.sin(angle)] for angle in np.deg2rad(angles)])

    # A same pair ties with a different one at 20 degrees: from (0, 1) the line goes to (1/2, 0).
    assert equal_error_rate(at(0, 20, 40), np.array([0, 0, 1])) == pytest.approx(1 / 3, abs=1e-15)
    # Two different pairs at 10 degrees, then a same one at 15: half of each is wrong.
    assert equal_error_rate(at(0, 10, 25, 35), np.array([0, 1, 1, 0])) == 0.5


@given(st.integers(2, 6), st.integers(0, 10_000), st.floats(0.1, 1e3))
@settings(max_examples=30, deadline=None)
def test_neither_the_scale_of_the_codes_nor_the_order_of_the_clips_matters(d, seed, scale):
    generator = np.random.default_rng(seed)
    codes, labels = generator.normal(size=(20, d)), np.arange(20) % 4
    order = generator.permutation(20)
    found = equal_error_rate(codes, labels)
    assert 0 <= found <= 1
    assert equal_error_rate(scale * codes[order], labels[order]) == pytest.approx(found, abs=1e-12)


def test_the_interval_is_seeded_and_holds_the_rate_and_a_repeated_clip_is_no_pair_with_itself():
    codes = speech(1.5)
    found = equal_error_score(codes, SPEAKERS, draws=60, seed=1)
    assert found == equal_error_score(codes, SPEAKERS, draws=60, seed=1)
    assert found != equal_error_score(codes, SPEAKERS, draws=60, seed=2)
    assert found.value == equal_error_rate(codes, SPEAKERS)
    assert found.low < found.value < found.high < found.low + 0.1
    noise = equal_error_score(np.random.default_rng(0).normal(size=(192, 16)), SPEAKERS, draws=60)
    assert 0.4 < noise.low < noise.high < 0.6  # a clip paired with itself has cosine 1 and would pull this down to 0.3 or less


def test_a_draw_is_the_rate_of_the_drawn_clips_without_the_pairs_of_a_clip_with_itself():
    codes = speech(1.5)
    (drawn,) = np.random.default_rng(7).integers(192, size=(1, 192))
    i, j = (drawn[places] for places in np.triu_indices(192, 1))
    apart = i != j
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    curve = roc((unit @ unit.T)[i, j][apart].round(12), (SPEAKERS[i] == SPEAKERS[j])[apart])
    after = np.argmax(curve.false_accept >= curve.false_reject)
    found = equal_error_score(codes, SPEAKERS, draws=1, seed=7)
    assert found.low == found.high
    assert min(curve.false_accept[after], curve.false_reject[after - 1]) >= found.low - 1e-12
    assert max(curve.false_accept[after - 1], curve.false_reject[after]) <= found.low + 1e-12


def test_clips_of_one_group_are_drawn_together():
    codes, groups = speech(1.5), np.arange(192) // 4
    (drawn,) = np.random.default_rng(7).integers(48, size=(1, 48))
    one_by_one = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
    times = np.bincount(one_by_one, minlength=192)
    found = equal_error_score(codes, SPEAKERS, draws=1, seed=7, groups=groups)
    i, j = np.triu_indices(192, 1)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    pairs = np.repeat(np.arange(len(i)), times[i] * times[j])
    curve = roc((unit @ unit.T)[i, j].round(12)[pairs], (SPEAKERS[i] == SPEAKERS[j])[pairs])
    after = np.argmax(curve.false_accept >= curve.false_reject)
    assert found.low == found.high
    assert min(curve.false_accept[after], curve.false_reject[after - 1]) >= found.low - 1e-12
    assert max(curve.false_accept[after - 1], curve.false_reject[after]) <= found.low + 1e-12
    assert equal_error_score(codes, SPEAKERS, draws=9, groups=np.arange(192)) == equal_error_score(codes, SPEAKERS, draws=9)
    assert equal_error_score(codes, SPEAKERS, draws=9, groups=np.zeros(192)).low is None


def test_what_has_no_equal_error_rate_is_refused():
    with pytest.raises(DataError, match="no two of the 3 clips share a label"):
        equal_error_rate(np.eye(3), np.arange(3))
    with pytest.raises(DataError, match="no two of the 3 clips differ"):
        equal_error_rate(np.eye(3), np.zeros(3, int))
    with pytest.raises(DataError, match="1 of 9 values are not finite"):
        equal_error_rate(np.where(np.eye(3), [[np.nan, 1, 1]], 0), np.array([0, 0, 1]))
    with pytest.raises(DataError, match="2 classes for 3 clips"):
        equal_error_rate(np.eye(3), np.array([0, 1]))
    with pytest.raises(DataError, match="whole numbers, not float64"):
        equal_error_rate(np.eye(3), np.array([0.0, 0.0, 1.5]))
    with pytest.raises(DataError, match="pairs of both kinds"):
        roc([1.0, 2.0], [True, True])
    with pytest.raises(DataError, match="its shape is"):
        roc([1.0, 2.0], [True])
