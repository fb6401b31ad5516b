"""What does an equal error rate cost beside scikit-learn's ROC, and is it the same number?

python benchmarks/eer.py [--rounds 15]

Codes of 192 utterances (24 speakers, 18,336 pairs, as in TIMIT's core test) and of more, with noise of three sizes. The reference
takes all cosines, then `sklearn.metrics.roc_curve` and the crossing of its two rates by interpolation. The median ratio of the
processor times, measured in turn; the largest difference of the two rates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from rows import RESULTS, write_rows
from sklearn.metrics import roc_curve

from rwae_kit.evaluation import equal_error_rate

SIZES = ((24, 8), (60, 10), (100, 20))
NOISES = (0.5, 1.5, 4.0)


def by_scikit_learn(codes: np.ndarray, labels: np.ndarray) -> float:
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    i, j = np.triu_indices(len(codes), 1)
    wrong, right, _ = roc_curve(labels[i] == labels[j], (unit @ unit.T)[i, j], drop_intermediate=False)
    after = int(np.argmax(wrong + right >= 1))
    before = wrong[after - 1] + right[after - 1] - 1
    share = -before / (wrong[after] + right[after] - 1 - before)
    return float(wrong[after - 1] + share * (wrong[after] - wrong[after - 1]))


def timed(call: Callable[[np.ndarray, np.ndarray], float], codes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    start = time.process_time()
    value = call(codes, labels)
    return time.process_time() - start, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    rows = []
    for speakers, each in SIZES:
        labels = np.repeat(np.arange(speakers), each)
        ratios, differences, times = [], [], []
        for seed, noise in enumerate(NOISES):
            generator = np.random.default_rng(seed)
            codes = generator.normal(size=(speakers, 16))[labels] + noise * generator.normal(size=(len(labels), 16))
            for _ in range(rounds):  # in turn: on a busy machine both have the same luck
                ours, rate = timed(equal_error_rate, codes, labels)
                theirs, reference = timed(by_scikit_learn, codes, labels)
                times.append(ours)
                ratios.append(theirs / ours)
            differences.append(abs(rate - reference))
        n, ratio = len(labels), float(np.median(ratios))
        rows.append(
            {
                "utterances": n,
                "pairs": n * (n - 1) // 2,
                "times as fast as scikit-learn's ROC": f"{ratio:.1f}",
                "largest difference": f"{max(differences):.1e}",
            }
        )
        print(f"{n} utterances: {1e3 * np.median(times):.1f} ms, {ratio:.1f}x as fast, off by {max(differences):.1e}")
    write_rows(rows, RESULTS / "eer.csv")


if __name__ == "__main__":
    main()
