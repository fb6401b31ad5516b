from __future__ import annotations

import builtins
import warnings

import numpy as np
import pytest

from rwae_kit.data import Factor
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Codes, probe_accuracy, probe_codes, probes
from rwae_kit.evaluation.probes import CODES, PROBES


def _labels(n, seed, classes=4):
    return np.random.default_rng(seed).integers(classes, size=n)


def _noise(n, d, seed):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("probe", PROBES)
def test_separable_codes_are_read_perfectly_whatever_their_scale(probe):
    labels, test_labels = _labels(600, 0), _labels(300, 1)
    codes = np.eye(4, dtype=np.float32)[labels] * 1e-3 + 50
    test = np.eye(4, dtype=np.float32)[test_labels] * 1e-3 + 50
    assert probe_accuracy(probe, codes, labels, test, test_labels) == 1.0


@pytest.mark.parametrize("probe", PROBES)
def test_noise_is_read_at_chance(probe):
    accuracy = probe_accuracy(probe, _noise(2000, 4, 0), _labels(2000, 1), _noise(1000, 4, 2), _labels(1000, 3))
    assert accuracy == pytest.approx(0.25, abs=0.06)


def test_only_the_mlp_probe_reads_an_exclusive_or():
    codes, test = _noise(2000, 2, 0), _noise(1000, 2, 1)
    labels, test_labels = ((c[:, 0] > 0) ^ (c[:, 1] > 0) for c in (codes, test))
    assert probe_accuracy("linear", codes, labels, test, test_labels) < 0.65
    assert probe_accuracy("mlp", codes, labels, test, test_labels) > 0.9


@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 1], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [0] * 30 + [1]])
def test_few_clips_of_a_class_are_enough_to_fit_a_probe(labels):
    codes = np.array(labels, dtype=np.float64)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(len(labels), 3))
    assert probe_accuracy("mlp", codes, np.array(labels), codes, np.array(labels)) > 0.3


def test_a_constant_code_gives_the_most_frequent_class_and_one_class_is_no_error():
    labels, test_labels = np.array([0, 0, 1, 1, 1] * 20), np.array([0, 1, 1, 2])
    for rounding in (0.0, 1e-4):
        codes, test = (1e3 + rounding * one[:, None] for one in (labels, test_labels))
        assert probe_accuracy("linear", codes, labels, test, test_labels) == 0.5
        assert probe_accuracy("mlp", codes, np.ones(100, int), test, test_labels) == 0.5


def test_the_same_seed_gives_the_same_accuracy_and_leaves_the_global_state_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    arguments = ("mlp", _noise(300, 4, 0), _labels(300, 1), _noise(100, 4, 2), _labels(100, 3))
    assert probe_accuracy(*arguments, seed=1) == probe_accuracy(*arguments, seed=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_every_code_is_probed_for_every_factor_and_leaks_are_the_crossed_ones():
    person, action, test_person, test_action = (_labels(n, seed, 3) for seed, n in enumerate((400, 400, 200, 200)))

    def codes(person, action, seed):
        dynamic = np.eye(3)[action][:, None] + 0.01 * _noise(len(action), 6, seed).reshape(-1, 2, 3)
        return Codes(static=np.eye(3)[person], dynamic=dynamic, factors={"person": person, "action": action})

    factors = {name: Factor(classes=("a", "b", "c"), kind=kind) for name, kind in (("person", "static"), ("action", "dynamic"))}
    scores = probe_codes(codes(person, action, 0), codes(test_person, test_action, 1), factors)
    found = {(s.code, s.factor, s.probe): s for s in scores}
    assert set(found) == {(code, factor, probe) for code in CODES for factor in factors for probe in PROBES}
    assert {(s.code, s.factor) for s in scores if s.leak} == {("static", "action"), ("dynamic mean", "person")}
    for s in scores:
        if s.leak:
            assert abs(s.above_chance) < 0.15
        elif (s.code, s.factor) != ("dynamic trajectory", "person"):
            assert s.accuracy == 1.0
    shares = np.bincount(test_person) / 200
    assert found["static", "person", "mlp"].chance == shares.max()


def test_a_factor_whose_classes_are_all_held_out_is_not_probed():
    def codes(speaker):
        return Codes(static=np.eye(4)[speaker], dynamic=np.zeros((40, 2, 1)), factors={"speaker": speaker, "sex": speaker % 2})

    factors = {"speaker": Factor(classes=tuple("abcd"), kind="static"), "sex": Factor(classes=("f", "m"), kind="static")}
    scores = probe_codes(codes(np.arange(40) % 2), codes(2 + np.arange(40) % 2), factors)
    assert {s.factor for s in scores} == {"sex"}


def test_only_the_convergence_warning_is_silenced(monkeypatch):
    class Warns:
        def __init__(self, category):
            self.category = category

        def set_params(self, **_):
            return self

        def fit(self, codes, labels):
            warnings.warn("from the classifier", self.category, stacklevel=1)

        def predict(self, codes):
            return np.zeros(len(codes))

    arguments = ("mlp", _noise(8, 2, 0), _labels(8, 1), _noise(8, 2, 2), np.zeros(8))
    monkeypatch.setattr(probes, "_classifier", lambda probe, seed: (Warns(ResourceWarning), ResourceWarning))
    assert probe_accuracy(*arguments) == 1.0
    monkeypatch.setattr(probes, "_classifier", lambda probe, seed: (Warns(UserWarning), ResourceWarning))
    with pytest.raises(UserWarning, match="from the classifier"):
        probe_accuracy(*arguments)


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RwaeError, match=r"pip install 'rwae-kit\[eval\]'"):
        probe_accuracy("linear", _noise(8, 2, 0), _labels(8, 1), _noise(8, 2, 2), _labels(8, 3))
