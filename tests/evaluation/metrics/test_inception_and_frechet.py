from __future__ import annotations

import numpy as np
import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given, settings, strategies as st

from rwae_kit.errors import DataError
from rwae_kit.evaluation import InceptionScores, frechet_distance, inception_intervals, inception_scores
from rwae_kit.evaluation.metrics import gaussian_frechet, identity_error


def test_sure_and_evenly_spread_predictions_have_the_number_of_classes():
    found = inception_scores(np.eye(9)[np.arange(18) % 9])
    assert (found.score, found.conditional, found.marginal) == pytest.approx((9.0, 0.0, np.log(9)))


def test_one_class_or_no_knowledge_has_a_score_of_one():
    assert inception_scores(np.eye(4)[np.zeros(5, int)]).score == pytest.approx(1.0)
    unsure = inception_scores(np.full((5, 4), 0.25))
    assert (unsure.score, unsure.conditional, unsure.marginal) == pytest.approx((1.0, np.log(4), np.log(4)))


def test_two_predictions_by_hand():
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    found = inception_scores([[0.8, 0.2], [0.2, 0.8]])
    assert (found.conditional, found.marginal) == pytest.approx((entropy, np.log(2)))
    assert found.score == pytest.approx(2 * np.exp(-entropy))


@given(st.integers(1, 30), st.integers(2, 12), st.integers(0, 1000), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=40, deadline=None)
def test_the_identity_holds_for_all_predictions(n, k, seed, kind):
    logits = 20 * np.random.default_rng(seed).normal(size=(n, k))
    given_ = np.exp(logits - logits.max(1, keepdims=True))
    found = inception_scores((given_ / given_.sum(1, keepdims=True)).astype(kind))
    assert found.score == pytest.approx(np.exp(found.marginal - found.conditional), rel=1e-6)
    assert 0 <= found.conditional <= found.marginal + 1e-9 <= np.log(k) + 2e-9


def test_values_that_do_not_belong_together_are_refused_and_their_error_is_told():
    with pytest.raises(DataError, match=r"IS is 7.163, but exp\(H\(y\) - H\(y\|x\)\) is 7.62"):
        InceptionScores(score=7.163, conditional=0.145, marginal=2.176)
    assert identity_error(7.163, 0.145, 2.176) == pytest.approx(0.062, abs=0.001)
    with pytest.raises(FrozenInstanceError):
        inception_scores([[1.0, 0.0]]).score = 2


def test_intervals_hold_the_scores_are_seeded_and_follow_the_clips():
    probabilities = np.random.default_rng(0).dirichlet(np.full(5, 0.3), size=400)
    found = inception_intervals(probabilities, draws=200, seed=1)
    assert list(found) == ["IS", "H(y|x)", "H(y)"]
    assert found == inception_intervals(probabilities, draws=200, seed=1) != inception_intervals(probabilities, draws=200, seed=2)
    own = inception_scores(probabilities)
    assert [score.value for score in found.values()] == pytest.approx([own.score, own.conditional, own.marginal], abs=1e-12)
    assert all(score.low < score.value < score.high for score in found.values())
    spread = np.std([-(p * np.log(np.maximum(p, 1e-300))).sum() for p in probabilities]) / 20
    assert found["H(y|x)"].high - found["H(y|x)"].low == pytest.approx(2 * 1.96 * spread, rel=0.2)
    assert inception_intervals([[0.5, 0.5]])["IS"].low is None


def test_several_draws_of_each_clip_count_together_and_clips_are_drawn_with_all_of_theirs():
    several = np.random.default_rng(0).dirichlet(np.full(4, 0.3), size=(50, 3))
    flat = inception_intervals(several.reshape(150, 4), draws=100)
    found = inception_intervals(several, draws=100)
    assert [score.value for score in found.values()] == pytest.approx([score.value for score in flat.values()])
    copies = inception_intervals(np.repeat(several[:, :1], 3, axis=1), draws=100)
    assert copies["H(y|x)"].low == pytest.approx(inception_intervals(several[:, 0], draws=100)["H(y|x)"].low)


def test_groups_of_equal_clips_have_the_intervals_of_the_groups():
    alone = np.random.default_rng(0).dirichlet(np.full(4, 0.3), size=50)
    wanted = inception_intervals(alone, draws=100, seed=2)
    found = inception_intervals(np.tile(alone, (4, 1)), draws=100, seed=2, groups=np.tile(np.arange(50), 4))
    for name, score in wanted.items():
        assert (found[name].low, found[name].high) == pytest.approx((score.low, score.high), abs=1e-12)
    assert inception_intervals(alone, draws=100, groups=np.arange(50)) == inception_intervals(alone, draws=100)
    assert inception_intervals(alone, draws=100, groups=np.zeros(50))["IS"].low is None


def test_a_group_counts_with_as_many_clips_as_it_has():
    found = inception_intervals([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]], draws=500, groups=[0, 1, 0, 0])["H(y|x)"]
    assert (found.value, found.low, found.high) == pytest.approx((np.log(2) / 4, 0.0, np.log(2)))
    assert inception_intervals([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]], draws=1, seed=0, groups=[0, 1, 0])["IS"].low is not None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[2.0, -1.0]], "none may be negative"),
        ([[0.5, 0.5], [3.0, 1.0]], "row 1 adds up to 4, not to 1: are these logits"),
        ([0.5, 0.5], "should have 2 axes"),
        ([[np.nan, 1.0]], "1 of 2 values are not finite"),
        (np.empty((0, 3)), "is empty"),
        ([["a", "b"]], "should be numbers"),
    ],
)
def test_what_is_no_probability_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        inception_scores(values)


def covariance(d, seed):
    root = np.random.default_rng(seed).normal(size=(d, d))
    return root @ root.T


def test_equal_gaussians_have_no_distance_and_a_shift_its_square():
    s, mean = covariance(6, 0), np.arange(6.0)
    assert gaussian_frechet(mean, s, mean, s) == pytest.approx(0, abs=1e-12)
    assert gaussian_frechet(mean, s, mean + 2, s) == pytest.approx(24)
    low_rank = s[:, :2] @ s[:, :2].T
    assert gaussian_frechet(mean, low_rank, mean, low_rank) == pytest.approx(0, abs=1e-9)


def test_covariances_that_commute_differ_by_the_squares_of_their_roots():
    rotation = np.linalg.qr(covariance(4, 1))[0]
    one, other = np.array([1.0, 4.0, 9.0, 0.0]), np.array([4.0, 4.0, 1.0, 25.0])
    found = gaussian_frechet(np.zeros(4), rotation * one @ rotation.T, np.zeros(4), rotation * other @ rotation.T)
    assert found == pytest.approx(1 + 0 + 4 + 25)
    assert gaussian_frechet([0.0], [[4.0]], [3.0], [[9.0]]) == pytest.approx(9 + 1)


def test_covariances_that_do_not_commute_agree_with_scipys_matrix_root():
    from scipy.linalg import sqrtm

    one, other = covariance(8, 2), covariance(8, 3)
    expected = np.trace(one + other - 2 * sqrtm(one @ other).real)
    assert gaussian_frechet(np.zeros(8), one, np.zeros(8), other) == pytest.approx(expected, rel=1e-9)
    assert gaussian_frechet(np.zeros(8), other, np.zeros(8), one) == pytest.approx(expected, rel=1e-9)


def test_samples_approach_the_closed_form_and_float32_is_computed_in_float64():
    generator = np.random.default_rng(4)
    one, other = generator.normal(size=(40_000, 3)), 1e3 + 2 * generator.normal(size=(30_000, 3))
    found = frechet_distance(one.astype(np.float32), other.astype(np.float32))
    assert found == pytest.approx(3e6 + 3, rel=1e-4)
    assert frechet_distance(one, 2 * generator.normal(size=(30_000, 3))) == pytest.approx(3, abs=0.1)
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(one[:, :1], one[:, :1] + 1) == pytest.approx(1)


def test_features_that_have_no_distance_are_refused():
    with pytest.raises(DataError, match="set 2: a covariance needs at least 2 rows, but there is 1"):
        frechet_distance(np.ones((3, 2)), np.ones((1, 2)))
    with pytest.raises(DataError, match="set 1 has 2, set 2 has 3"):
        frechet_distance(np.ones((3, 2)), np.ones((3, 3)))
    with pytest.raises(DataError, match="set 1: 1 of 4 values are not finite"):
        frechet_distance([[np.inf, 1.0], [1.0, 1.0]], np.ones((3, 2)))
    with pytest.raises(DataError, match="is not symmetric"):
        gaussian_frechet(np.zeros(2), [[1.0, 2.0], [0.0, 1.0]], np.zeros(2), np.eye(2))
    with pytest.raises(DataError, match="one has 2 features, the other 3"):
        gaussian_frechet(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
