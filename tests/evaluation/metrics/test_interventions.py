"""A latent vector whose dimensions are the labels themselves, so that a judge can read it by rounding."""

from __future__ import annotations

import numpy as np
import pytest

from rwae_kit.errors import DataError
from rwae_kit.evaluation import (
    Codes,
    benchmark_intervention,
    consistency,
    factor_map,
    frame_consistency,
    intervention,
)
from rwae_kit.evaluation.metrics import msd

CLASSES = {"colour": 4, "shape": 3, "direction": 2}
STATIC = ("colour", "shape")
N, T = 400, 5


def make(seed, n=N):
    generator = np.random.default_rng(seed)
    factors = {name: generator.integers(k, size=n) for name, k in CLASSES.items()}
    static = np.stack([factors["colour"], factors["shape"], generator.normal(size=n)], axis=1)
    course = np.where(factors["direction"][:, None] == 1, np.arange(T), np.arange(T)[::-1])
    return Codes(static=static, dynamic=np.stack([generator.normal(size=(n, T)), course], axis=2), factors=factors)


def judge(static, dynamic):
    return {
        "colour": static[:, 0].round().astype(int),
        "shape": static[:, 1].round().astype(int),
        "direction": (dynamic[:, -1, 1] > dynamic[:, 0, 1]).astype(int),
    }


PARTNER = np.roll(np.arange(N), 1)


@pytest.fixture(scope="module")
def mapped():
    return factor_map(make(0), list(CLASSES))


def test_the_map_finds_the_dimensions_static_and_dynamic_ones(mapped):
    assert mapped.dims["colour"][0] == 0
    assert mapped.dims["shape"][0] == 1
    assert 4 in mapped.dims["direction"]
    assert sum(len(dims) for dims in mapped.dims.values()) <= 5
    assert mapped.importances.matrix.shape == (5, 3)
    assert all(mapped.importances.matrix[place, i] > 0.95 for i, place in enumerate((0, 1, 4)))


def test_a_dimension_without_importance_belongs_to_no_factor():
    codes = make(0)
    codes.static[:, 2] = 0
    codes.dynamic[:, :, 0] = 0
    assert factor_map(codes, list(CLASSES)).dims == {"colour": (0,), "shape": (1,), "direction": (4,)}


def test_exchanging_takes_the_named_places_at_all_times_and_leaves_the_codes_alone(mapped):
    codes = make(1)
    before = codes.static.copy(), codes.dynamic.copy()
    static, dynamic = msd.exchanged(codes, mapped, [1, 4], PARTNER)
    np.testing.assert_array_equal(static[:, 1], before[0][PARTNER, 1])
    np.testing.assert_array_equal(static[:, [0, 2]], before[0][:, [0, 2]])
    np.testing.assert_array_equal(dynamic[:, :, 1], before[1][PARTNER, :, 1])
    np.testing.assert_array_equal(dynamic[:, :, 0], before[1][:, :, 0])
    np.testing.assert_array_equal(codes.static, before[0])
    np.testing.assert_array_equal(codes.dynamic, before[1])


def test_a_perfect_code_has_full_marks(mapped):
    found = intervention(make(1), mapped, PARTNER, judge)
    assert found.moved == {"colour": 1.0, "shape": 1.0, "direction": 1.0}
    assert found.kept == {"colour": 1.0, "shape": 1.0, "direction": 1.0}
    assert found.score == 1.0
    assert consistency(make(1), mapped, STATIC, PARTNER, judge) == 1.0


def test_the_benchmarks_score_is_full_but_for_pairs_that_agree_more_or_less_often_than_by_chance(mapped):
    codes = make(1)
    agree = {name: np.mean(labels == labels[PARTNER]) for name, labels in codes.factors.items()}
    off = np.mean([abs(agree[g] - 1 / CLASSES[g]) for name in CLASSES for g in CLASSES if g != name])
    assert benchmark_intervention(codes, mapped, PARTNER, judge) == pytest.approx(1 - off / 2, abs=1e-12)


def test_a_decoder_that_ignores_the_exchange_and_one_that_hands_the_other_clip_back_have_one_half(mapped):
    codes = make(1)
    own, other = (judge(codes.static[order], codes.dynamic[order]) for order in (np.arange(N), PARTNER))
    deaf = intervention(codes, mapped, PARTNER, lambda static, dynamic: own)
    assert (set(deaf.moved.values()), set(deaf.kept.values()), deaf.score) == ({0.0}, {1.0}, 0.5)
    whole = intervention(codes, mapped, PARTNER, lambda static, dynamic: other)
    assert (set(whole.moved.values()), set(whole.kept.values()), whole.score) == ({1.0}, {0.0}, 0.5)
    # The benchmark: 1 - (0 + mean(1 - 1/k)) / 2, each factor being another one's rest twice.
    rest = np.mean([1 - 1 / k for k in CLASSES.values()])
    assert benchmark_intervention(codes, mapped, PARTNER, lambda static, dynamic: own) == pytest.approx(1 - rest / 2)


def test_a_judge_that_guesses_is_at_chance(mapped):
    generator = np.random.default_rng(5)

    def guess(static, dynamic):
        return {name: generator.integers(k, size=N) for name, k in CLASSES.items()}

    found = intervention(make(1), mapped, PARTNER, guess)
    assert found.score == pytest.approx(np.mean([1 / k for k in CLASSES.values()]), abs=0.04)


def test_a_factor_without_dimensions_cannot_move_and_the_benchmark_counts_it_as_lost(mapped):
    lost = msd.FactorMap(
        dims={"colour": (0,), "shape": (), "direction": (4,)}, static=mapped.static, importances=mapped.importances
    )
    found = intervention(make(1), lost, PARTNER, judge)
    assert (found.moved["shape"], found.kept["shape"], found.moved["colour"]) == (0.0, 1.0, 1.0)
    assert benchmark_intervention(make(1), lost, PARTNER, judge) < 0.7


def test_consistency_counts_frames_and_asks_the_other_static_factors_for_the_other_clip(mapped):
    codes = make(1)

    def frames(static, dynamic):
        read = {name: np.repeat(classes[:, None], 4, axis=1) for name, classes in judge(static, dynamic).items()}
        read["colour"][:, 0] = (read["colour"][:, 0] + 1) % 4  # one frame of four is always read wrongly
        return read

    assert consistency(codes, mapped, STATIC, PARTNER, frames) == pytest.approx((0.75 + 1) / 2)
    deaf = consistency(codes, mapped, STATIC, PARTNER, lambda static, dynamic: judge(codes.static, codes.dynamic))
    agree = [np.mean(codes.factors[name] == codes.factors[name][PARTNER]) for name in STATIC]
    assert deaf == pytest.approx((2 + sum(agree)) / 4)


def test_how_steady_a_factor_is_over_time():
    assert frame_consistency([[0, 0, 0, 0], [1, 2, 1, 2]]) == (0.75, 0.5)
    with pytest.raises(DataError, match="at least 2 frames"):
        frame_consistency([[0], [1]])


def test_what_does_not_fit_is_refused(mapped):
    with pytest.raises(DataError, match="factor 'hair': the codes have no labels of it; they have colour, shape, direction"):
        factor_map(make(0), ["hair"])
    with pytest.raises(DataError, match="there is no clip 400"):
        intervention(make(1), mapped, PARTNER + 1, judge)
    with pytest.raises(DataError, match="3 classes for 400 clips"):
        intervention(make(1), mapped, [0, 1, 2], judge)
    with pytest.raises(DataError, match="factor 'colour': the judge does not read it; it reads shape"):
        intervention(make(1), mapped, PARTNER, lambda static, dynamic: {"shape": np.zeros(N)})
