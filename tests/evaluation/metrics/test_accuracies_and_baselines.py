from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from rwae_kit.data import Factor
from rwae_kit.errors import DataError
from rwae_kit.evaluation import BASELINES, Codes, accuracies, equal_error_rate, probe_accuracy, trivial_codes

FACTORS = {
    "speaker": Factor(classes=tuple("abcdefgh"), kind="static"),
    "sex": Factor(classes=("f", "m"), kind="static"),
    "digit": Factor(classes=tuple("0123"), kind="dynamic"),
}
N, T = 400, 3


@pytest.fixture(scope="module")
def codes():
    generator = np.random.default_rng(0)
    labels = {"speaker": generator.integers(8, size=N), "digit": generator.integers(4, size=N)}
    return Codes(
        static=generator.normal(size=(N, 5)).astype(np.float32),
        dynamic=generator.normal(size=(N, T, 2)).astype(np.float32),
        factors={**labels, "sex": labels["speaker"] % 2},
        mask=(np.arange(T) < generator.integers(1, T + 1, size=(N, 1))).astype(np.float32),
    )


def test_accuracies_agree_with_scikit_learn():
    generator = np.random.default_rng(1)
    true, read = generator.integers(5, size=(2, 300))
    found = accuracies(true, read)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(true, read))
    assert found.balanced == pytest.approx(balanced_accuracy_score(true, read))
    assert found.accuracy == pytest.approx(np.mean(true == read))
    assert found.chance == np.bincount(true).max() / 300


def test_a_class_without_a_clip_counts_nothing_and_classes_may_be_declared():
    found = accuracies([0, 0, 2], [0, 1, 2], classes=4)
    assert found.confusion.shape == (4, 4)
    np.testing.assert_array_equal(found.per_class, [0.5, np.nan, 1.0, np.nan])
    assert found.balanced == 0.75


def test_classes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="class 3 is out of range: there are 3, 0 to 2"):
        accuracies([0, 1], [0, 3], classes=3)
    with pytest.raises(DataError, match="there is -1"):
        accuracies([0, -1], [0, 1])
    with pytest.raises(DataError, match="3 classes for 2 clips"):
        accuracies([0, 1], [0, 1, 1])
    with pytest.raises(DataError, match="there is no clip"):
        accuracies(np.empty(0, int), np.empty(0, int))


def test_trivial_codes_have_the_same_clips_and_fitting_sizes(codes):
    made = trivial_codes(codes, FACTORS)
    assert tuple(made) == BASELINES
    for name, one in made.items():
        assert one.dynamic.shape[:2] == (N, T), name
        assert one.static.dtype == one.dynamic.dtype == np.float32
        assert one.mask is codes.mask
        assert one.factors is codes.factors
    for name in ("constant", "noise"):
        assert (made[name].static.shape, made[name].dynamic.shape) == (codes.static.shape, codes.dynamic.shape)
    assert (made["oracle"].static.shape[1], made["oracle"].dynamic.shape[2]) == (8 + 2, 4)
    np.testing.assert_array_equal(made["copy"].static[:, :5], codes.static)
    np.testing.assert_array_equal(made["copy"].dynamic[:, 1], np.concatenate([codes.static, codes.dynamic[:, 1]], axis=1))
    assert trivial_codes(codes, {"sex": FACTORS["sex"]})["oracle"].dynamic.shape == (N, T, 1)


def test_a_constant_dynamic_code_has_an_equal_error_rate_of_one_half_and_the_oracles_static_code_none(codes):
    made, speaker = trivial_codes(codes, FACTORS), codes.factors["speaker"]
    assert equal_error_rate(made["constant"].dynamic_mean(), speaker) == 0.5
    assert equal_error_rate(made["oracle"].static, speaker) == 0.0
    assert equal_error_rate(made["noise"].static, speaker) == pytest.approx(0.5, abs=0.03)
    assert equal_error_rate(made["oracle"].dynamic_mean(), speaker) == pytest.approx(0.5, abs=0.03)


def test_the_oracle_is_read_perfectly_where_it_should_be_and_noise_and_constants_at_chance(codes):
    half = N // 2

    def read(values, name):
        labels = codes.factors[name]
        return probe_accuracy("linear", values[:half], labels[:half], values[half:], labels[half:])

    made = trivial_codes(codes, FACTORS)
    assert read(made["oracle"].static, "speaker") == read(made["oracle"].dynamic_mean(), "digit") == 1.0
    assert read(made["oracle"].static, "digit") == pytest.approx(0.25, abs=0.1)
    for name in ("noise", "constant"):
        assert read(made[name].static, "speaker") == pytest.approx(1 / 8, abs=0.08)


def test_the_seed_decides_the_noise(codes):
    one, same, other = (trivial_codes(codes, FACTORS, seed)["noise"].static for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_labels_that_the_oracle_cannot_have_are_refused(codes):
    with pytest.raises(DataError, match="factor 'age': the codes have no labels of it"):
        trivial_codes(codes, {"age": Factor(classes=("1",), kind="static")})
    with pytest.raises(DataError, match="its classes are 0 to 1, but the labels are 0 to 7"):
        trivial_codes(codes, {"speaker": FACTORS["sex"]})
