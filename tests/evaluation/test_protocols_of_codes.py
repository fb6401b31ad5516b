from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from protocol_worlds import copying, perfect

from rwae_kit.data import Factor
from rwae_kit.errors import DataError
from rwae_kit.evaluation import Codes
from rwae_kit.evaluation.protocols import Subject, eer, msd, probe

pytest.importorskip("sklearn")


@pytest.fixture
def subject(make_bars, oracle_class, judge):
    return Subject(
        model=perfect(oracle_class),
        test=make_bars(150, seed=2),
        train=make_bars(200, seed=0),
        judge=judge,
        untrained=copying(oracle_class),
        resamples=40,
    )


def test_probe_reads_the_right_codes_and_finds_the_leaks_of_a_copying_model(subject):
    rows = probe.run(subject, probe.Settings()).rows
    assert list(rows) == ["model", "untrained", "constant", "noise", "copy", "oracle"]
    assert rows["oracle"]["brightness from static, linear"].value == 1.0
    assert rows["model"]["leak of brightness"].value < 0.15
    assert rows["oracle"]["direction from dynamic mean, linear"].value == 1.0
    assert rows["model"]["leak of direction"].value < 0.15
    assert rows["untrained"]["leak of direction"].value > 0.3
    chance = rows["constant"]["chance of direction"].value
    assert rows["constant"]["direction from static, linear"].value in (pytest.approx(chance), pytest.approx(1 - chance))
    few = probe.run(subject, probe.Settings(train_clips=20))
    assert few.settings == {"train_clips": 20}
    assert few.rows["model"] != rows["model"]
    with pytest.raises(DataError, match="probe: the train clips of bars have no labels"):
        probe.run(evolve(subject, train=evolve(subject.train, factors={})), probe.Settings())


def test_codes_of_an_utterance_are_means_over_its_clips_and_real_frames():
    codes = Codes(
        static=np.array([[1.0], [2.0], [4.0]]),
        dynamic=np.array([[[1.0], [3.0]], [[5.0], [99.0]], [[7.0], [7.0]]]),
        factors={"utterance": np.array([8, 8, 3]), "speaker": np.array([1, 1, 0])},
        mask=np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
    )
    pooled = eer.pooled(codes, codes.factors["utterance"])
    np.testing.assert_array_equal(pooled.static, [[4.0], [1.5]])
    np.testing.assert_array_equal(pooled.dynamic, [[[7.0]], [[3.0]]])
    assert pooled.factors["speaker"].tolist() == [0, 1]
    assert eer.pooled(codes, None) is codes


def test_eer_of_utterances_knows_who_speaks_by_the_static_code(subject, make_bars):
    info = subject.test.info
    named = evolve(info, factors={**info.factors, "utterance": Factor(classes=tuple(map(str, range(50))), kind="static")})
    order = torch.argsort(subject.test.factors["brightness"])
    spoken = subject.test.subset(order)
    spoken = evolve(spoken, info=named, factors={**spoken.factors, "utterance": torch.arange(150) // 3})
    model = subject.model
    model.encode = lambda x, mask=None, encode=model.encode: _turned(encode(x, mask))
    result = eer.run(evolve(subject, test=spoken, untrained=None), eer.Settings())
    assert (result.clips, result.settings) == (50, {"unit": "utterance"})
    rows = result.rows
    assert set(rows["model"]) == {"static EER of brightness", "dynamic EER of brightness"}
    assert rows["model"]["static EER of brightness"].value < 0.1  # two utterances are of two levels
    assert rows["model"]["dynamic EER of brightness"].value == pytest.approx(0.5, abs=0.1)
    assert {score.value for score in rows["constant"].values()} == {0.5}
    assert rows["oracle"]["static EER of brightness"].value == 0.0
    cut = evolve(spoken, info=info, factors={**subject.test.subset(order).factors}, recordings=torch.arange(150) // 3)
    of_recordings = eer.run(evolve(subject, test=cut, untrained=None), eer.Settings())  # recordings do as well as a factor
    assert (of_recordings.clips, of_recordings.settings) == (50, {"unit": "utterance"})
    assert of_recordings.rows["model"] == rows["model"]
    by_level = evolve(subject, test=evolve(cut, recordings=torch.arange(150) // 3), untrained=None)
    assert eer.run(by_level, eer.Settings(unit="clips")).clips == 150
    each = eer.run(subject, eer.Settings())  # there are no utterances: every clip for itself
    assert (each.clips, each.settings) == (150, {"unit": "clips"})


def _turned(posterior):
    """The static code on a circle, so that a cosine tells the levels apart."""
    angle = 2 * posterior.static.sample
    circle = torch.cat([angle.cos(), angle.sin()], 1)
    return evolve(posterior, static=evolve(posterior.static, sample=circle, mean=circle))


def test_eer_refuses_a_unit_that_is_not_there_and_data_without_pairs(subject):
    with pytest.raises(DataError, match="no factor 'utterence'"):
        eer.run(subject, eer.Settings(unit="utterence"))
    alone = evolve(subject, test=evolve(subject.test, factors={"direction": subject.test.factors["direction"]}))
    with pytest.raises(DataError, match="eer: no static factor of bars has two test clips of one class"):
        eer.run(alone, eer.Settings())


def test_msd_moves_one_factor_at_a_time_in_a_perfect_model(subject):
    result = msd.run(subject, msd.Settings(trees="forest", train_clips=150))
    rows = result.rows
    names = ["intervention", "brightness moved", "brightness alone", "direction moved", "direction alone"]
    assert list(rows["oracle"]) == names
    assert [rows["oracle"][name].value for name in names] == [1.0] * 5
    assert rows["copy"]["intervention"].value == 0.5
    assert [rows["copy"][f"{name} moved"].value for name in ("brightness", "direction")] == [0.0, 0.0]
    assert [rows["copy"][f"{name} alone"].value for name in ("brightness", "direction")] == [1.0, 1.0]
    assert list(rows["model"]) == [*names, "benchmark intervention", "consistency"]
    assert rows["model"]["brightness moved"].value == 1.0
    assert rows["model"]["brightness alone"].value == 1.0
    assert rows["noise"]["intervention"].value == pytest.approx((1 / 3 + 1 / 2) / 2, abs=0.1)
    score = rows["model"]["intervention"]
    assert score.low <= score.value <= score.high
    assert result.settings == {"trees": "forest", "train_clips": 150}


def test_factors_that_others_determine_are_not_moved_on_their_own():
    motion = np.arange(24) % 12
    labels = {"shape": np.arange(24) // 6 % 3, "motion": motion, "type": motion // 4, "direction": motion % 4, "one": 0 * motion}
    assert msd.independent(labels) == ["shape", "motion"]
    assert msd.independent({"a": motion, "b": motion}) == ["a", "b"]  # none of the two has more classes


def test_msd_needs_two_factors_and_leaves_out_what_never_differs(subject):
    only = {"brightness": subject.train.factors["brightness"], "direction": 0 * subject.train.factors["direction"]}
    with pytest.raises(DataError, match="msd: needs two factors or more that vary and that the judge reads; there is brightness"):
        msd.run(evolve(subject, train=evolve(subject.train, factors=only)), msd.Settings(trees="forest"))
    still = {"brightness": subject.test.factors["brightness"], "direction": 0 * subject.test.factors["direction"]}
    rows = msd.run(evolve(subject, test=evolve(subject.test, factors=still)), msd.Settings(trees="forest")).rows
    assert "direction moved" not in rows["model"]
    assert "brightness alone" not in rows["model"]
    assert "brightness moved" in rows["model"]
