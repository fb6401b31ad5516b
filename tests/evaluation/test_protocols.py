from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from attrs import evolve
from protocol_worlds import bar_judge, copying, perfect, twice

from rwae_kit.data import Clips
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.evaluation import Result
from rwae_kit.evaluation.protocols import PROTOCOLS, Subject, cdsvae2021, judge_name, run_protocol, rwae2021
from rwae_kit.evaluation.protocols.generation import fix_static
from rwae_kit.evaluation.protocols.readings import oracle_places
from rwae_kit.evaluation.swap import derangement
from rwae_kit.latents import Latent

TRIVIAL = {"real", "oracle", "noise", "constant"}
N = 240


@pytest.fixture(scope="module")
def splits(make_bars):
    return {"train": make_bars(300, seed=0), "validation": make_bars(60, seed=1), "test": make_bars(N, seed=2)}


@pytest.fixture
def subject(splits, oracle_class, judge):
    return Subject(
        model=perfect(oracle_class),
        test=splits["test"],
        train=splits["train"],
        judge=judge,
        untrained=copying(oracle_class),
        resamples=50,
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_scores_the_whole_split_and_its_result_survives_json(name, subject, splits):
    pytest.importorskip("sklearn")
    result = run_protocol(name, subject)
    assert (result.protocol, result.data, result.split, result.clips, result.seed) == (name, "bars", "test", N, 0)
    assert Result.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))).to_dict() == result.to_dict()
    assert {"model", "untrained", "oracle", "copy", "noise", "constant"} <= {row.split(" of ")[0] for row in result.rows}
    assert result.judge == ("" if name in ("probe", "eer") else judge_name(subject.judge))
    assert set(result.judge_accuracy.values()) == ({1.0} if result.judge else set())
    for row in ("model", "untrained"):
        for score in result.rows[row].values():
            assert score.low is None or score.low - 1e-9 <= score.value <= score.high + 1e-9
    assert any(score.low is not None for score in result.rows["model"].values())
    assert run_protocol(name, subject).to_dict() == result.to_dict()


def test_cdsvae2021_knows_a_perfect_model_and_one_that_copies(subject, splits):
    rows = cdsvae2021.run(subject, cdsvae2021.Settings()).rows
    assert list(rows) == ["model", "untrained", "reconstruction", "real", "oracle", "copy", "noise", "constant"]
    for row in ("model", "real", "oracle", "copy", "reconstruction"):
        assert rows[row]["fix-dynamic: direction accuracy"].value == 1.0
        assert rows[row]["fix-static: brightness accuracy"].value == 1.0
    for scores in rows.values():
        for mode in cdsvae2021.MODES:
            one, conditional, marginal = (scores[f"{mode}: direction {name}"].value for name in ("IS", "H(y|x)", "H(y)"))
            assert one == pytest.approx(math.exp(marginal - conditional), rel=1e-6)
            assert conditional == 0  # this judge is always sure
    assert rows["model"]["fix-static: direction IS"].value == pytest.approx(2.0, abs=0.02)
    assert rows["model"]["fix-dynamic: unchanged"].value == pytest.approx(1 / 3, abs=0.1)
    assert rows["model"]["fix-static: unchanged"].value == pytest.approx(1 / 2, abs=0.1)
    assert rows["copy"]["fix-static: unchanged"].value == rows["untrained"]["fix-static: unchanged"].value == 1.0
    assert rows["untrained"]["fix-static: brightness accuracy"].value == 1.0  # it copies: accuracy alone does not see it
    assert rows["constant"]["fix-static: direction IS"].value == 1.0
    labels = splits["test"].factors["brightness"]
    shares = (torch.bincount(labels) / N).tolist()
    assert rows["constant"]["fix-static: brightness accuracy"].value in [pytest.approx(share) for share in shares]
    assert rows["noise"]["fix-static: brightness accuracy"].value == pytest.approx(1 / 3, abs=0.1)
    assert rows["noise"]["fix-dynamic: direction accuracy"].value == pytest.approx(1 / 2, abs=0.1)


def test_the_sampled_part_is_drawn_anew_for_every_clip_and_every_draw(subject):
    one = cdsvae2021.run(subject, cdsvae2021.Settings())
    seeds = [asked.seed for asked in subject.model.asked]
    subject.model.asked.clear()
    small = evolve(subject, draws=3, batch_size=100, untrained=None)
    result = cdsvae2021.run(small, cdsvae2021.Settings())
    assert [asked.seed for asked in subject.model.asked] == [0, 100, 200, 240, 340, 440, 480, 580, 680]
    assert seeds == [0]
    assert (one.draws, result.draws) == (1, 3)
    walks = torch.cat([asked.dynamic for asked in subject.model.asked])
    assert walks.shape[0] == 3 * N
    assert float((walks[:N] == walks[N : 2 * N]).flatten(1).all(1).float().mean()) < 0.2  # 16 walks there are
    assert result.rows["model"]["fix-dynamic: unchanged"].value != one.rows["model"]["fix-dynamic: unchanged"].value
    assert result.rows["copy"]["fix-dynamic: unchanged"].value == 1.0


def test_prior_means_are_taken_along_a_sampled_trajectory_unless_draws_are_asked_for(oracle_class, splits):
    model, x = perfect(oracle_class), splits["test"].batch(torch.arange(20))
    means, drawn = (fix_static(model, x, seed=3, t=4, sampled=sampled) for sampled in ("means", "draws"))
    torch.testing.assert_close(means, 0.98 * drawn)
    assert [asked.seed for asked in model.asked] == [3, 3]
    model.prior = type("NoMeans", (), {"sample": model.prior.sample, "__call__": lambda self, z: Latent(sample=z)})()
    with pytest.raises(RwaeError, match=r"the prior NoMeans has no means: take its draws \(--set prior=draws\)"):
        fix_static(model, x, seed=3, t=4, sampled="means")


def test_the_encoded_latent_is_the_mean_unless_draws_are_asked_for(oracle_class, splits):
    model, x = perfect(oracle_class), splits["test"].batch(torch.arange(20))
    kept, drawn = (fix_static(model, x, seed=0, t=4, encoded=encoded) for encoded in ("means", "draws"))
    brightness = x.x.amax((1, 2, 3, 4))
    torch.testing.assert_close(kept.amax((1, 2, 3, 4)), brightness)
    torch.testing.assert_close(drawn.amax((1, 2, 3, 4)), brightness - 0.05)


def test_the_quirks_of_the_published_code_choose_the_clips(splits):
    test: Clips = splits["test"]
    chosen = cdsvae2021.chosen(test, cdsvae2021.Settings(drop_last=100))
    assert torch.equal(chosen.frames, test.frames[:200])
    balanced = cdsvae2021.chosen(test, cdsvae2021.Settings(balance="direction"))
    counts = torch.bincount(test.factors["direction"])
    assert torch.bincount(balanced.factors["direction"]).tolist() == [int(counts.min())] * 2
    for value in (0, 1):
        of_all = test.frames[test.factors["direction"] == value][: int(counts.min())]
        assert torch.equal(balanced.frames[balanced.factors["direction"] == value], of_all)
    both = cdsvae2021.chosen(test, cdsvae2021.Settings(balance="direction", drop_last=50))
    assert torch.equal(both.frames, balanced.frames[: len(balanced) // 50 * 50])
    with pytest.raises(DataError, match=r"no factor 'direktion'\. Did you mean 'direction'\?"):
        cdsvae2021.chosen(test, cdsvae2021.Settings(balance="direktion"))
    with pytest.raises(DataError, match="0 clips are left of 240: drop_last = 500 is too large"):
        cdsvae2021.chosen(test, cdsvae2021.Settings(drop_last=500))


def test_the_settings_and_the_number_of_clips_stand_in_the_result(subject):
    result = cdsvae2021.run(subject, cdsvae2021.Settings(drop_last=100, prior="draws"))
    assert (result.clips, result.settings) == (200, {"encoded": "means", "prior": "draws", "drop_last": 100, "balance": ""})


def test_rwae2021_counts_errors_and_its_means_leave_out_what_they_are_told(subject, splits):
    result = rwae2021.run(subject, rwae2021.Settings(length=7))
    assert result.settings == {"length": 7, "left_out": []}
    assert {asked.t for asked in subject.model.asked} == {7}
    assert result.rows["model"] == {
        name: evolve(score, value=0.0, low=0.0, high=0.0) for name, score in result.rows["real"].items()
    }
    assert set(result.rows["model"]) == {"brightness error", "direction error"}
    assert result.rows["noise"]["brightness error"].value == pytest.approx(2 / 3, abs=0.1)
    assert result.rows["untrained"]["brightness error"].value == 0.0
    # a copying decoder makes black clips of a sampled static latent, whatever the motion was
    assert 0.3 < result.rows["untrained"]["direction error"].value < 0.7
    clips = twice(splits["test"], "brightness")

    class Both(type(subject.judge)):
        def predict(self, x):
            read = super().predict(x)
            return {**read, "again": (read["brightness"] + 1) % 3}

    bare = evolve(subject, test=clips, judge=Both())
    assert rwae2021.run(bare, rwae2021.Settings()).rows["model"]["static error"].value == pytest.approx(0.5)
    left_out = rwae2021.run(bare, rwae2021.Settings(left_out=("again",))).rows["model"]
    assert (left_out["static error"].value if "static error" in left_out else 0.0, left_out["again error"].value) == (0.0, 1.0)
    assert rwae2021.LENGTHS == {"moving_mnist": 10}


def test_swap_tells_a_perfect_model_from_one_that_copies(subject, splits):
    rows = run_protocol("swap", subject).rows
    for row in ("model", "real", "reconstruction", "oracle"):
        assert {name: score.value for name, score in rows[row].items()} == {"brightness": 1.0, "direction": 1.0, "all factors": 1.0}
    direction = splits["test"].factors["direction"]
    agree = float((direction == direction[derangement(N, 0)]).float().mean())
    for row in ("untrained", "copy of the static clip"):
        assert rows[row]["brightness"].value == 1.0
        assert rows[row]["direction"].value == rows[row]["all factors"].value == pytest.approx(agree)
    assert rows["copy of the dynamic clip"]["direction"].value == 1.0
    assert rows["noise"]["all factors"].value == pytest.approx(1 / 6, abs=0.08)


def test_every_draw_of_swaps_pairs_the_clips_anew(subject):
    model, shown = subject.model, []
    swap = model.swap
    model.swap = lambda own, other, **masks: (shown.append(other), swap(own, other, **masks))[1]
    assert run_protocol("swap", evolve(subject, draws=2, untrained=None)).draws == 2
    for draw, other in enumerate(shown):
        assert torch.equal(other, subject.test.frames[derangement(N, draw)])


def test_the_oracle_is_the_clip_whose_labels_agree_best_and_another_one_if_it_can_be():
    labels = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0, 1])}
    own = {name: values[:, None] for name, values in labels.items()}
    assert oracle_places(labels, own, seed=0)[:, 0].tolist() == [0, 1, 2, 3]  # no other has the same two labels
    assert oracle_places(labels, {"a": own["a"]}, seed=0)[:, 0].tolist() == [1, 0, 3, 2]
    wanted = {"a": np.array([[1], [1], [0], [0]]), "b": np.array([[0], [1], [0], [1]])}
    assert oracle_places(labels, wanted, seed=0)[:, 0].tolist() == [2, 3, 0, 1]


def test_without_a_judge_or_a_common_factor_the_error_says_what_to_do(subject):
    with pytest.raises(DataError, match=r"swap: needs a judge of bars, and there is none\. Train one: rwk judge train --data bars"):
        run_protocol("swap", evolve(subject, judge=None))
    unlabelled = evolve(subject, test=evolve(subject.test, factors={}))
    with pytest.raises(DataError, match="the judge reads brightness, direction, but the labels of bars are none"):
        run_protocol("msd", unlabelled)


def test_a_judge_that_reads_static_factors_alone_is_asked_for_them_alone(subject):
    class Half(type(subject.judge)):
        def predict(self, x):
            return {"brightness": super().predict(x)["brightness"]}

    half = evolve(subject, judge=Half())
    rows = cdsvae2021.run(half, cdsvae2021.Settings()).rows
    assert set(rows["model"]) == {"fix-dynamic: unchanged", "fix-static: brightness accuracy"}
    assert set(rwae2021.run(half, rwae2021.Settings()).rows["oracle"]) == {"brightness error"}
    assert set(run_protocol("swap", half).rows["model"]) == {"brightness", "all factors"}


@pytest.fixture(scope="module")
def trained(splits):
    return bar_judge(splits)


def test_a_trained_judge_adds_entropies_and_distances_of_its_features(subject, trained):
    subject = evolve(subject, judge=trained)
    result = cdsvae2021.run(subject, cdsvae2021.Settings(prior="draws"))
    rows = result.rows
    assert result.judge == trained.card.hash
    assert result.judge_accuracy == {name: pytest.approx(score.test) for name, score in trained.card.scores.items()}
    distance = "fix-dynamic: FID (judge features)"
    assert distance in rows["model"]
    assert distance not in rows["constant"]
    assert rows["reconstruction"][distance].value == pytest.approx(0, abs=1e-6)
    assert rows["model"][distance].value < 0.1 * rows["untrained"][distance].value
    assert 0 < rows["real"]["fix-static: direction H(y|x)"].value < math.log(2)


def test_the_model_is_told_of_padding(subject):
    mask = torch.ones(N, 4)
    mask[::3, 3] = 0
    padded = evolve(subject, test=evolve(subject.test, mask=mask), untrained=None, batch_size=100 * N)
    for name in ("cdsvae2021", "rwae2021", "long", "eer"):
        subject.model.masks.clear()
        run_protocol(name, padded)
        assert subject.model.masks
        assert all(torch.equal(given, mask) for given in subject.model.masks if given is not None)
        assert sum(given is None for given in subject.model.masks) == (
            1 if name != "eer" else 0
        )  # the oracle's reconstruct has none
    partners, swap = derangement(N, 0), subject.model.swap
    subject.model.swap = lambda own, other, **masks: (given.append(masks), swap(own, other, **masks))[1]
    given = []
    run_protocol("swap", padded)
    assert torch.equal(given[0]["static_mask"], mask)
    assert torch.equal(given[0]["dynamic_mask"], mask[partners])


def test_padding_is_not_shown_to_the_judge(subject, trained):
    mask = torch.ones(N, 4)
    mask[::2, 2:] = 0
    clips = evolve(subject.test, mask=mask, frames=subject.test.frames.clone())
    results = []
    for filling in (0.0, 1.0):
        clips.frames[::2, 2:] = filling
        model = perfect(type(subject.model).__mro__[1])
        model.swap = lambda own, other, **masks: other  # as if it had learned to fill up as well
        rows = run_protocol("swap", evolve(subject, model=model, test=clips, judge=trained, untrained=None)).rows
        results.append({row: rows[row] for row in ("model", "real", "noise")})
    assert results[0] == results[1]
