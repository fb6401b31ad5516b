from __future__ import annotations

import pytest
import torch
from attrs import evolve
from protocol_worlds import bar_judge

from rwae_kit.errors import DataError
from rwae_kit.evaluation import derangement, swap_accuracy
from rwae_kit.evaluation.swap import ROWS


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_nobody_is_his_own_partner_and_everybody_is_a_partner_once(n):
    for seed in range(20):
        partner = derangement(n, seed)
        assert sorted(partner.tolist()) == list(range(n))
        assert not (partner == torch.arange(n)).any()


def test_pairs_follow_the_seed_and_one_clip_has_no_partner():
    assert derangement(50, 1).tolist() == derangement(50, 1).tolist() != derangement(50, 2).tolist()
    with pytest.raises(DataError, match="at least 2 clips"):
        derangement(1)


def test_an_oracle_is_right_in_every_row(make_bars, oracle_class, judge):
    rows = swap_accuracy(oracle_class(), make_bars(41, seed=0), judge, seed=3, batch_size=16)
    assert tuple(rows) == ROWS
    for row in ("real", "reconstruction", "swap"):
        assert rows[row] == {"direction": 1.0, "brightness": 1.0}
    assert rows["motion sampled"] == {"brightness": 1.0}
    assert rows["static sampled"] == {"direction": 1.0}


def test_a_model_that_leaks_all_is_right_only_where_the_labels_agree_by_chance(make_bars, oracle_class, judge):
    clips = make_bars(41, seed=0)
    model = oracle_class()
    model.swap = lambda static_from, dynamic_from, **_: static_from
    rows = swap_accuracy(model, clips, judge, seed=3, batch_size=16)
    direction = clips.factors["direction"]
    agree = float((direction == direction[derangement(41, 3)]).float().mean())
    assert 0 < agree < 1
    assert rows["swap"] == {"direction": pytest.approx(agree), "brightness": 1.0}
    assert rows["copy of the static clip"] == rows["swap"]
    assert rows["copy of the dynamic clip"]["direction"] == 1.0
    assert rows["copy of the dynamic clip"]["brightness"] < 0.7


def test_a_model_that_swaps_the_wrong_way_round_is_found_out(make_bars, oracle_class, judge):
    model, other = oracle_class(), oracle_class()
    model.swap = lambda static_from, dynamic_from, **_: other.swap(dynamic_from, static_from)
    rows = swap_accuracy(model, make_bars(200, seed=0), judge)
    assert rows["swap"]["brightness"] < 0.5
    assert rows["swap"]["direction"] < 0.7


def test_every_batch_is_given_other_draws(make_bars, oracle_class, judge):
    model, seeds = oracle_class(), []
    sample = model.sample
    model.sample = lambda *args, seed, **kwargs: (seeds.append(seed), sample(*args, seed=seed, **kwargs))[1]
    swap_accuracy(model, make_bars(40, seed=0), judge, seed=7, batch_size=20)
    assert seeds == [7, 7, 27, 27]


def test_a_trained_judge_looks_away_from_padding(make_bars, oracle_class):
    splits = {name: make_bars(n, seed) for seed, (name, n) in enumerate({"train": 300, "validation": 60, "test": 41}.items())}
    judge, rows = bar_judge(splits), []
    mask = torch.ones(41, 4)
    mask[::2, 2:] = 0
    for filling in (0.0, 1.0):
        clips = evolve(splits["test"], mask=mask, frames=splits["test"].frames.clone())
        clips.frames[::2, 2:] = filling
        found = swap_accuracy(oracle_class(), clips, judge, batch_size=16)
        rows.append({row: found[row] for row in ("real", "copy of the static clip", "copy of the dynamic clip")})
    assert rows[0] == rows[1]
