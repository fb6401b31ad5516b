from __future__ import annotations

import pytest

from rwae_kit.evaluation import broken_identity, published

ROWS = published()


def test_of_the_twenty_rows_with_inception_scores_six_break_their_identity_by_more_than_one_percent():
    with_scores = [row for row in ROWS if any(name.endswith("IS") for name in row.scores)]
    broken = [(row.data, row.protocol, row.method) for row in with_scores if broken_identity(row.scores)]
    assert len(with_scores) == 20
    assert broken == [
        ("sprites", "cdsvae2021", "MoCoGAN"),
        ("mug", "cdsvae2021", "MoCoGAN"),
        ("mug", "cdsvae2021", "S3VAE"),
        ("moving_mnist", "cdsvae2021", "MoCoGAN"),
        ("moving_mnist", "cdsvae2021", "R-WAE"),
        ("moving_mnist", "cdsvae2021", "C-DSVAE"),
    ]


def test_a_broken_identity_is_told_with_both_values():
    assert broken_identity({"IS": 7.163, "H(y|x)": 0.145, "H(y)": 2.176}) == "IS 7.163, but exp(H(y) - H(y|x)) is 7.622"
    assert broken_identity({"a IS": 5.0, "b H(y|x)": 0.1, "b H(y)": 1.0}) == ""
    assert broken_identity({"accuracy": 0.9}) == ""
    assert "IS nan" in broken_identity({"IS": float("nan"), "H(y|x)": 0.1, "H(y)": 1.0})


@pytest.mark.parametrize(
    ("data", "method", "scores"),
    [
        ("sprites", "C-DSVAE", (0.9999, 8.871, 0.014, 2.197)),
        ("mug", "R-WAE", (0.7125, 5.149, 0.131, 1.771)),
        ("moving_mnist", "DS-VAE", (0.8819, 6.210, 0.185, 2.011)),
    ],
)
def test_rows_are_those_of_the_papers(data, method, scores):
    (row,) = [row for row in ROWS if (row.data, row.method, row.protocol) == (data, method, "cdsvae2021")]
    assert tuple(row.scores.values()) == scores
    assert row.source.startswith("C-DSVAE (Bai et al. 2021), Table")


def test_error_rates_and_shares_are_fractions_and_every_row_has_a_source():
    for row in ROWS:
        assert row.source
        for name, value in row.scores.items():
            if name.endswith(("accuracy", "error")) or "EER" in name:
                assert 0 < value < 1, (row.method, name)
    eer = {row.method: row.scores for row in ROWS if row.protocol == "eer"}
    assert eer["R-WAE"] == {"static EER of speaker": 0.0473, "dynamic EER of speaker": 0.2341}
    assert len(eer) == 8


def test_no_method_stands_twice_in_a_table():
    keys = [(row.protocol, row.data, row.method) for row in ROWS]
    assert len(set(keys)) == len(keys)
