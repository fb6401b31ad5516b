"""Models that change who they show at a known frame: every figure of `long` is known too."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from protocol_worlds import bar_judge, copying, drifting, perfect, twice

from rwae_kit.errors import DataError
from rwae_kit.evaluation.protocols import Subject, long

N = 120
DARK, GREY, LIGHT = 0.25, 0.5, 1.0


@pytest.fixture(scope="module")
def splits(make_bars):
    return {"train": make_bars(300, seed=0), "validation": make_bars(60, seed=1), "test": make_bars(N, seed=2)}


@pytest.fixture
def subject(splits, oracle_class, judge):
    return Subject(model=perfect(oracle_class), test=splits["test"], train=splits["train"], judge=judge, resamples=20)


def values(scores):
    return {name: score.value for name, score in scores.items()}


def test_windows_lie_side_by_side_and_one_more_ends_with_the_last_frame():
    assert long.window_starts(100, 8) == [*range(0, 96, 8), 92]
    assert long.window_starts(96, 8) == list(range(0, 96, 8))
    assert long.window_starts(8, 8) == [0]
    assert long.window_starts(9, 8) == [0, 1]


def test_a_drift_at_a_known_frame_has_exactly_its_errors_and_agreement(subject, oracle_class):
    dark = float((subject.test.factors["brightness"] == 0).float().mean())
    grey = float((subject.test.factors["brightness"] == 1).float().mean())
    # of dark bars the windows from 12 on are wrong, of grey ones only the one that is left over, 18 to 21
    model = drifting(oracle_class, {12: {DARK: GREY}, 20: {GREY: LIGHT}})
    result = long.run(evolve(subject, model=model), long.Settings(length=22))
    assert result.settings == {"length": 22, "window": 4, "clips": 0}
    shares = [1.0, 1.0, 1.0, 1 - dark, 1 - dark, 1 - dark - grey]
    spans = ["1 to 4", "5 to 8", "9 to 12", "13 to 16", "17 to 20", "19 to 22"]
    assert values(result.rows["model"]) == pytest.approx(
        {
            "brightness error, first window": 0.0,
            "brightness error, last window": dark + grey,
            "brightness error, all windows": (3 * dark + grey) / 6,
            "brightness agreement": 1 - (3 * dark + grey) / 5,
            **{f"brightness accuracy, frames {span}": share for span, share in zip(spans, shares, strict=True)},
        }
    )


def test_a_sample_that_is_wrong_from_the_start_but_stays_as_it_is_agrees_with_itself(subject, oracle_class):
    model = drifting(oracle_class, {0: {DARK: GREY, GREY: LIGHT, LIGHT: DARK}})
    scores = values(long.run(evolve(subject, model=model), long.Settings(length=12)).rows["model"])
    assert scores.pop("brightness agreement") == 1.0
    assert {name: value for name, value in scores.items() if "error" in name} == {
        f"brightness error, {which}": 1.0 for which in ("first window", "last window", "all windows")
    }


def test_clips_that_are_not_generated_are_one_window_and_have_no_later_ones(subject, oracle_class):
    rows = long.run(evolve(subject, untrained=copying(oracle_class)), long.Settings(length=12)).rows
    assert list(rows) == ["model", "untrained", "reconstruction", "real", "oracle", "copy", "noise", "constant"]
    assert set(rows["untrained"]) == set(rows["model"])
    for row in ("reconstruction", "real", "oracle", "copy"):
        assert values(rows[row]) == {"brightness error, first window": 0.0}
    for row in ("noise", "constant"):
        assert list(rows[row]) == ["brightness error, first window"]
        assert rows[row]["brightness error, first window"].value == pytest.approx(2 / 3, abs=0.12)


def test_a_sample_of_one_window_has_a_first_window_alone(subject):
    assert values(long.run(subject, long.Settings(length=4)).rows["model"]) == {"brightness error, first window": 0.0}


def test_there_is_a_mean_over_static_factors_and_one_course_where_there_are_several(subject, oracle_class):
    clips = twice(subject.test, "brightness")

    class Both(type(subject.judge)):
        def predict(self, x):
            read = super().predict(x)
            return {**read, "again": torch.zeros_like(read["brightness"])}

    dark = float((clips.factors["brightness"] == 0).float().mean())
    model = drifting(oracle_class, {4: {DARK: GREY}})
    scores = values(long.run(evolve(subject, model=model, test=clips, judge=Both()), long.Settings(length=8)).rows["model"])
    assert scores["again error, last window"] == scores["again error, first window"] == pytest.approx(1 - dark)
    assert scores["static error, first window"] == pytest.approx((1 - dark) / 2)
    assert scores["static error, last window"] == pytest.approx(1 / 2)
    assert scores["static error, all windows"] == pytest.approx((2 - dark) / 4)
    assert (scores["again agreement"], scores["brightness agreement"]) == (1.0, pytest.approx(1 - dark))
    course = {name: value for name, value in scores.items() if "frames" in name}
    assert course == pytest.approx({"static accuracy, frames 1 to 4": (1 + dark) / 2, "static accuracy, frames 5 to 8": 1 / 2})


def test_more_windows_than_a_table_holds_have_no_score_each(subject):
    for windows, shown in ((long.MOST, long.MOST), (long.MOST + 1, 0)):
        scores = long.run(subject, long.Settings(length=4 * windows)).rows["model"]
        assert sum("frames" in name for name in scores) == shown
        assert "brightness agreement" in scores


def test_a_shorter_window_reads_samples_and_real_clips_alike(subject, oracle_class):
    seen = []

    class Watching(type(subject.judge)):
        def predict(self, x):
            seen.append(x)
            return super().predict(x)

    model = drifting(oracle_class, {2: {DARK: GREY}})
    result = long.run(evolve(subject, model=model, judge=Watching()), long.Settings(length=4, window=2))
    assert (result.settings["window"], {x.shape[1] for x in seen}) == (2, {2})
    assert any(torch.equal(x, subject.test.frames[:, :2]) for x in seen)
    dark = float((subject.test.factors["brightness"] == 0).float().mean())
    scores = values(result.rows["model"])
    assert (scores["brightness error, first window"], scores["brightness error, last window"]) == (0.0, pytest.approx(dark))
    assert values(result.rows["real"]) == {"brightness error, first window": 0.0}


def test_no_more_frames_are_made_at_a_time_than_in_a_batch_and_every_clip_and_draw_has_its_own(subject):
    result = long.run(evolve(subject, batch_size=50, draws=2), long.Settings(length=20))
    asked = subject.model.asked
    assert (result.draws, sum(one.n for one in asked)) == (2, 2 * N)
    assert max(one.n * one.t for one in asked) <= 50 * 4
    assert len({one.seed for one in asked}) == len(asked)
    statics = torch.cat([one.static for one in asked])
    assert torch.equal(statics[:N], subject.test.frames.amax((1, 2, 3, 4))[:, None])
    assert torch.equal(statics[:N], statics[N:])


def test_a_draw_that_drifts_counts_by_its_share(subject, oracle_class):
    model, drifts = perfect(oracle_class), drifting(oracle_class, {4: {DARK: GREY, GREY: LIGHT, LIGHT: DARK}})
    steady, drawn = model.sample, []

    def sample(n, t=None, **given):
        drawn.append(n)
        return (steady if sum(drawn) <= N else drifts.sample)(n, t, **given)

    model.sample = sample
    scores = values(long.run(evolve(subject, model=model, draws=2), long.Settings(length=8)).rows["model"])
    assert (scores["brightness error, first window"], scores["brightness error, last window"]) == (0.0, 0.5)
    assert scores["brightness agreement"] == 0.5


def test_a_trained_judge_reads_windows_too(subject, splits):
    trained = bar_judge(splits)
    result = long.run(evolve(subject, judge=trained), long.Settings(length=10))
    assert result.judge == trained.card.hash
    assert result.judge_accuracy == {"brightness": pytest.approx(trained.card.scores["brightness"].test, abs=0.01)}
    scores, real = values(result.rows["model"]), values(result.rows["real"])
    assert real["brightness error, first window"] == pytest.approx(1 - result.judge_accuracy["brightness"])
    assert scores["brightness error, first window"] == pytest.approx(real["brightness error, first window"], abs=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 3}, "long: length = 3, but the judge reads windows of 4 frames: take at least 4"),
        (
            {"length": 4, "window": 5},
            "long: window = 5, but clips of bars have 4 frames, and their judge knows no longer ones: take 4",
        ),
    ],
)
def test_a_length_or_window_that_cannot_be_read_is_refused(subject, settings, message):
    with pytest.raises(DataError, match=message):
        long.run(subject, long.Settings(**settings))


def test_data_without_a_static_factor_that_the_judge_reads_are_refused(subject):
    class Half(type(subject.judge)):
        def predict(self, x):
            return {"direction": super().predict(x)["direction"]}

    with pytest.raises(DataError, match=r"^long: the judge reads no static factor of bars, only direction"):
        long.run(evolve(subject, judge=Half()), long.Settings())
    with pytest.raises(DataError, match=r"^long: needs a judge of bars, and there is none\. Train one"):
        long.run(evolve(subject, judge=None), long.Settings())
