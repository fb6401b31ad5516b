from __future__ import annotations

import numpy as np
import pytest

from rwae_kit.errors import DataError
from rwae_kit.evaluation import Score, bootstrap


def test_intervals_of_gaussian_means_hold_the_truth_as_often_as_they_should():
    """The interval is mean +- 1.96 s sqrt((n-1)/n / n) but for the draws: at n = 50 Student's t gives 0.943 of all samples."""
    trials, n = 600, 50
    samples = np.random.default_rng(0).normal(3.0, 2.0, size=(trials, n))
    found = [bootstrap(sample, draws=400, seed=i) for i, sample in enumerate(samples)]
    share = np.mean([score.low <= 3.0 <= score.high for score in found])
    assert share == pytest.approx(0.94, abs=3 * np.sqrt(0.94 * 0.06 / trials))


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(1).normal(size=4000)
    score = bootstrap(values, draws=4000)
    half = 1.96 * values.std() / np.sqrt(4000)
    assert score.value == values.mean()
    assert (score.low, score.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_fast_mean_is_the_mean_as_a_function():
    values = np.random.default_rng(2).normal(size=70)
    fast, slow = bootstrap(values, draws=50, seed=3), bootstrap(values, np.mean, draws=50, seed=3)
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), abs=1e-14)


def test_large_samples_are_drawn_piece_by_piece_with_the_same_result(monkeypatch):
    from rwae_kit.evaluation.metrics import bootstrap as function

    values = np.random.default_rng(4).normal(size=30)
    whole = bootstrap(values, draws=40, seed=5)
    monkeypatch.setitem(function.__globals__, "AT_ONCE", 70)
    assert bootstrap(values, draws=40, seed=5) == whole


def test_arrays_in_a_tuple_are_drawn_together():
    x = np.random.default_rng(6).normal(size=200)
    assert bootstrap((x, 2 * x), lambda a, b: np.corrcoef(a, b)[0, 1], draws=50).low == pytest.approx(1.0)
    apart = bootstrap((x, np.arange(200)), lambda a, b: np.corrcoef(a, b)[0, 1], draws=50)
    assert apart.low < 0.1 < 0.25 < apart.low + 0.5


def test_shares_take_booleans_and_the_seed_decides():
    right = np.arange(100) < 80
    assert bootstrap(right, seed=0) == bootstrap(right, seed=0) != bootstrap(right, seed=1)
    assert bootstrap(right).value == 0.8


def test_one_clip_has_no_interval_and_equal_clips_one_of_no_width():
    assert bootstrap([0.5]) == Score(value=0.5)
    assert bootstrap([0.5, 0.5]) == Score(value=0.5, low=0.5, high=0.5)


def test_what_cannot_be_drawn_from_is_refused():
    with pytest.raises(DataError, match="1 of 2 values are not finite"):
        bootstrap([1.0, np.nan])
    with pytest.raises(DataError, match="there is no clip"):
        bootstrap([])
    with pytest.raises(DataError, match="different lengths: 2, 3"):
        bootstrap((np.ones(2), np.ones(3)), lambda a, b: 0.0)
    with pytest.raises(DataError, match="the mean is that of one array"):
        bootstrap(np.ones((3, 2)))
    with pytest.raises(DataError, match="draws is 0"):
        bootstrap([1.0, 2.0], draws=0)
    with pytest.raises(DataError, match=r"groups: should be one group for each of 3 clips, but their shape is \[2\]"):
        bootstrap([1.0, 2.0, 3.0], groups=[0, 1])


def shuffled_groups(sizes, seed=0):
    """Groups of these sizes with names that are no places, and their clips in no order."""
    return np.random.default_rng(seed).permutation(np.repeat(5 * np.arange(len(sizes)) - 7, sizes))


@pytest.mark.parametrize("statistic", [None, np.mean])
def test_groups_of_equal_clips_have_the_interval_of_the_groups_values(statistic):
    values = np.random.default_rng(0).normal(size=30)
    groups = shuffled_groups([4] * 30)
    of_clips = values[(groups + 7) // 5]
    found, wanted = bootstrap(of_clips, statistic, groups=groups, seed=3), bootstrap(values, seed=3)
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-14)


def test_a_drawn_group_comes_with_all_of_its_clips_and_no_other():
    groups = np.array([8, 2, 8, 8])
    drawn = set()
    bootstrap((np.array([10, 20, 11, 12]), groups), lambda clips, _: drawn.add(tuple(clips)) or 0.0, groups=groups, draws=50)
    assert drawn == {(10, 20, 11, 12), (20, 20), (20, 10, 11, 12), (10, 11, 12, 20), (10, 11, 12, 10, 11, 12)}


def test_the_mean_of_drawn_groups_of_any_size_is_a_ratio_of_sums():
    found = bootstrap([1.0, 0.0, 1.0, 1.0], groups=["long", "short", "long", "long"], draws=2000)
    assert (found.value, found.low, found.high) == (0.75, 0.0, 1.0)
    assert bootstrap([1.0, 0.0, 1.0, 1.0], groups=[0, 1, 0, 0], draws=1, seed=0).low in (0.0, 0.75, 1.0)
    sizes = np.random.default_rng(1).integers(1, 9, size=40)
    groups = shuffled_groups(sizes)
    values = np.random.default_rng(2).normal(size=len(groups))
    fast, slow = (bootstrap(values, statistic, groups=groups, draws=50, seed=3) for statistic in (None, np.mean))
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), abs=1e-14)


def test_intervals_over_groups_of_correlated_clips_hold_the_truth_and_those_over_clips_do_not():
    """40 groups of 9 clips, nine tenths of whose variance is the group's: the clips tell hardly more than 40 values."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 9)
    trials = 300
    held = {"groups": 0, "clips": 0}
    for seed in range(trials):
        values = 3.0 + generator.normal(size=40)[groups] * np.sqrt(0.9) + generator.normal(size=360) * np.sqrt(0.1)
        for over, drawn in (("groups", groups), ("clips", None)):
            score = bootstrap(values, draws=200, seed=seed, groups=drawn)
            held[over] += score.low <= 3.0 <= score.high
    assert held["groups"] / trials == pytest.approx(0.935, abs=3 * np.sqrt(0.94 * 0.06 / trials))
    assert held["clips"] / trials < 0.65


@pytest.mark.parametrize("statistic", [None, np.mean])
def test_every_clip_a_group_of_its_own_is_no_group_and_a_single_group_has_no_interval(statistic):
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap(values, statistic, groups=np.arange(50)) == bootstrap(values, statistic)
    assert bootstrap(values, statistic, groups=np.zeros(50)) == Score(value=values.mean())


def test_groups_are_drawn_piece_by_piece_with_the_same_result(monkeypatch):
    from rwae_kit.evaluation.metrics import bootstrap as function

    values, groups = np.random.default_rng(4).normal(size=300), shuffled_groups([10] * 30)
    whole = bootstrap(values, draws=40, seed=5, groups=groups)
    monkeypatch.setitem(function.__globals__, "AT_ONCE", 70)
    assert bootstrap(values, draws=40, seed=5, groups=groups) == whole
