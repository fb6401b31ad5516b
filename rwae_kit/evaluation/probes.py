"""What can be read from the codes: linear and MLP probes, each way, beside chance.

A probe alone is a poor bar: an untrained encoder's codes already hold much that is linear in the pixels. Read the row of the
untrained model and the swap accuracy beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import frozen

from rwae_kit.data import Factor
from rwae_kit.errors import RwaeError
from rwae_kit.evaluation.codes import Array, Codes

CODES = ("static", "dynamic mean", "dynamic trajectory")
"""What a probe reads: the static code, the dynamic code averaged over time, and the dynamic codes of all frames side by side."""

PROBES: tuple[Literal["linear", "mlp"], ...] = ("linear", "mlp")


@frozen(kw_only=True)
class ProbeScore:
    """Accuracy of one probe on held-out codes; `chance` is the share of the held-out labels' most frequent class."""

    code: str
    factor: str
    kind: str
    probe: str
    accuracy: float
    chance: float

    @property
    def above_chance(self) -> float:
        """Accuracy - chance."""
        return self.accuracy - self.chance

    @property
    def leak(self) -> bool:
        """Whether the factor has no business in this code: static ones in the dynamic mean, dynamic ones in the static code."""
        return (self.kind, self.code) in {("static", "dynamic mean"), ("dynamic", "static")}


def probe_accuracy(
    probe: Literal["linear", "mlp"], train: Array, train_labels: Array, test: Array, test_labels: Array, seed: int = 0
) -> float:
    """Fit a probe on one set of codes and return its accuracy on another.

    `linear` is multinomial logistic regression; `mlp` has one hidden layer of 64 units, the least that reads what is not linear
    in a code. Both see each feature standardised by the training codes; a feature that is constant there is left out.

    Shape:
        train, test: `[n, d]` and `[m, d]`; labels `[n]` and `[m]`.

    Raises:
        RwaeError: if scikit-learn is not installed.
    """
    return float(np.mean(probe_readings(probe, train, train_labels, test, seed) == test_labels))


def probe_readings(probe: Literal["linear", "mlp"], train: Array, train_labels: Array, test: Array, seed: int = 0) -> Array:
    """Fit a probe on one set of codes and return the classes that it reads from another, `[m]`: see `probe_accuracy`."""
    values, counts = np.unique(train_labels, return_counts=True)
    train, test = _standardised(train, test)
    if len(values) == 1 or train.shape[1] == 0:
        return np.full(len(test), values[counts.argmax()])
    classifier, not_converged = _classifier(probe, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", not_converged)
        classifier.fit(train, train_labels)
    return np.asarray(classifier.predict(test))


def probe_codes(train: Codes, test: Codes, factors: Mapping[str, Factor], seed: int = 0) -> tuple[ProbeScore, ...]:
    """Probe every code for every factor, with every probe: trained on `train`, scored on `test`.

    A factor none of whose held-out classes was seen in training, such as the speaker where speakers are held out, cannot be probed
    and is left out.
    """
    scores = []
    for code in CODES:
        seen, held_out = read_code(train, code), read_code(test, code)
        for name, factor in factors.items():
            labels = test.factors[name]
            if not np.isin(labels, train.factors[name]).any():
                continue
            chance = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
            for probe in PROBES:
                accuracy = probe_accuracy(probe, seen, train.factors[name], held_out, labels, seed)
                scores.append(ProbeScore(code=code, factor=name, kind=factor.kind, probe=probe, accuracy=accuracy, chance=chance))
    return tuple(scores)


def read_code(codes: Codes, code: str) -> Array:
    """One of `CODES`, as vectors: `[n, d]`."""
    match code:
        case "static":
            return codes.static
        case "dynamic mean":
            return codes.dynamic_mean()
        case _:
            return codes.trajectory()


def _standardised(train: Array, test: Array) -> tuple[Array, Array]:
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, std = train.mean(axis=0), train.std(axis=0)
    # Rounding leaves a constant feature a std of about 1e-8 of its size; scaling that to 1 would show noise to the probe.
    moving = std > 1e-6 * np.abs(mean) + 1e-12
    return (train[:, moving] - mean[moving]) / std[moving], (test[:, moving] - mean[moving]) / std[moving]


def _classifier(probe: Literal["linear", "mlp"], seed: int) -> tuple[Any, type[Warning]]:
    """An unfitted classifier, and the warning it gives when it stops before it has converged."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier
    except ImportError as error:
        raise RwaeError("probes need scikit-learn, which is not installed: pip install 'rwae-kit[eval]'") from error
    if probe == "linear":
        return LogisticRegression(max_iter=500, tol=1e-3), ConvergenceWarning
    classifier = MLPClassifier(
        hidden_layer_sizes=(64,),
        alpha=1e-3,
        learning_rate_init=3e-3,
        max_iter=100,
        early_stopping=True,
        n_iter_no_change=8,
        random_state=seed,
    )
    return classifier, ConvergenceWarning
