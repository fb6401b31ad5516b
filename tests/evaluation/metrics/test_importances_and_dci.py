from __future__ import annotations

import builtins

import numpy as np
import pytest

from rwae_kit.errors import DataError, RwaeError
from rwae_kit.evaluation import dci
from rwae_kit.evaluation.metrics import completeness, disentanglement, importances

FACTORS = {"colour": 4, "shape": 3, "size": 2}


def labels(n, seed):
    generator = np.random.default_rng(seed)
    return {name: generator.integers(k, size=n) for name, k in FACTORS.items()}


def perfect(factors, seed=0):
    """One dimension for each factor, and one of noise."""
    n = len(factors["colour"])
    noise = np.random.default_rng(seed).normal(size=(n, 4))
    return 0.01 * noise + np.stack([*factors.values(), np.zeros(n)], axis=1)


def scrambled(factors):
    """Every factor in every dimension: four orthogonal mixtures, each centred and scaled factor with the same weight."""
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    spread = (perfect(factors) - perfect(factors).mean(0)) / np.array([1.1, 0.8, 0.5, 0.01])
    return spread @ hadamard


def test_disentanglement_and_completeness_of_known_importances():
    assert disentanglement(np.eye(3)) == completeness(np.eye(3)) == 1.0
    assert disentanglement(np.ones((3, 2))) == pytest.approx(0)
    assert completeness(np.ones((3, 2))) == pytest.approx(0)
    two_dimensions_each = np.repeat(np.eye(3), 2, axis=0) / 2
    assert disentanglement(two_dimensions_each) == pytest.approx(1)
    assert completeness(two_dimensions_each) == pytest.approx(1 - np.log(2) / np.log(6))
    both_in_one = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert disentanglement(both_in_one) == pytest.approx(0)
    assert completeness(both_in_one) == 1.0


def test_dimensions_count_by_their_importance_and_empty_ones_not_at_all():
    matrix = np.array([[0.9, 0.0, 0.0], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]])
    assert disentanglement(matrix) == pytest.approx(0.9 / 1.2 * 1 + 0.3 / 1.2 * 0)
    assert disentanglement(np.zeros((3, 2))) == completeness(np.zeros((3, 2))) == 0.0
    assert completeness([[1.0, 0.0]]) == 0.5


@pytest.mark.parametrize("trees", ["forest", "boosting"])
def test_a_perfect_code_has_full_marks_and_a_scrambled_one_holds_as_much_without_order(trees):
    train, test = labels(600, 0), labels(300, 1)
    good = dci(perfect(train), train, perfect(test, 1), test, trees=trees)
    assert good.disentanglement > 0.99
    assert good.completeness > 0.99
    assert good.informativeness == 1.0
    np.testing.assert_allclose(good.importances.matrix.sum(0), 1)
    bad = dci(scrambled(train), train, scrambled(test), test, trees=trees)
    assert bad.disentanglement < 0.25
    assert bad.completeness < 0.25
    assert bad.informativeness > 0.8


def test_noise_is_read_at_chance_and_constants_hold_nothing():
    train, test = labels(600, 0), labels(300, 1)
    noise = np.random.default_rng(2).normal(size=(900, 4))
    found = dci(noise[:600], train, noise[600:], test)
    assert found.informativeness == pytest.approx(np.mean([1 / k for k in FACTORS.values()]), abs=0.05)
    assert found.disentanglement < 0.05
    constant = dci(np.ones((600, 4)), train, np.ones((300, 4)), test)
    assert (constant.disentanglement, constant.completeness) == (0.0, 0.0)


def test_groups_of_features_add_up_and_the_seed_decides():
    train = labels(300, 0)
    code = perfect(train)
    whole, grouped = (importances(code, train, groups=groups, seed=1) for groups in (None, [0, 1, 0, 1]))
    np.testing.assert_allclose(grouped.matrix, whole.matrix[:2] + whole.matrix[2:])
    np.testing.assert_array_equal(whole.matrix, importances(code, train, seed=1).matrix)
    assert whole.factors == ("colour", "shape", "size")


def test_what_cannot_be_scored_is_refused():
    train, code = labels(30, 0), perfect(labels(30, 0))
    with pytest.raises(DataError, match="at least 2 factors, but there is 1"):
        dci(code, {"size": train["size"]}, code, train)
    with pytest.raises(DataError, match="factor 'size': all 30 clips have the class 0"):
        dci(code, {**train, "size": np.zeros(30, int)}, code, train)
    with pytest.raises(DataError, match="factor 'size' is missing in the held-out clips"):
        dci(code, train, code, {name: train[name] for name in ("colour", "shape")})
    with pytest.raises(DataError, match="3 features, but the codes have 4"):
        dci(code, train, code[:, :3], train)
    with pytest.raises(DataError, match="factor 'colour': 29 classes for 30 clips"):
        dci(code, {**train, "colour": train["colour"][1:]}, code, train)
    with pytest.raises(DataError, match="none may be negative"):
        disentanglement([[-1.0, 1.0]])
    with pytest.raises(RwaeError, match="'forest' or 'boosting'"):
        importances(code, train, trees="oak")


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RwaeError, match=r"pip install 'rwae-kit\[eval\]'"):
        importances(perfect(labels(30, 0)), labels(30, 0))
