"""Recordings of four clips that are all the same: whatever is read of them, they tell no more than one clip of each would."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from attrs import evolve
from protocol_worlds import copying, perfect

from rwae_kit.errors import DataError
from rwae_kit.evaluation import Result, Score, bootstrap, compare, footnotes, result_table
from rwae_kit.evaluation.protocols import PROTOCOLS, Subject, cdsvae2021, eer, long, run_protocol
from rwae_kit.report.results import result_table as report_table
from rwae_kit.reproduce.words import intervals_over

K, EACH = 40, 4


@pytest.fixture(scope="module")
def takes(make_bars):
    """One clip of each recording, and the frames of some of them that are padding."""
    clips = make_bars(K, seed=2)
    mask = torch.ones(K, 4)
    mask[::3, 3] = 0
    return evolve(clips, mask=mask)


@pytest.fixture(scope="module")
def cut(takes):
    """All clips of all recordings, in no order; the recordings' names are in that of `takes`."""
    index = torch.arange(K).repeat(EACH)[torch.randperm(K * EACH, generator=torch.Generator().manual_seed(0))]
    return evolve(takes.subset(index), recordings=3 * index + 7)


@pytest.fixture
def subject(takes, cut, make_bars, oracle_class, judge):
    return Subject(model=perfect(oracle_class), test=cut, train=make_bars(200, seed=0), judge=judge, resamples=60)


def ends(scores):
    return {name: (score.value, score.low, score.high) for name, score in scores.items()}


ROWS = {
    "cdsvae2021": "constant",
    "rwae2021": "constant",
    "long": "constant",
    "swap": "reconstruction",
    "probe": "model",
    "eer": "model",
}
"""Rows in which clips that are the same are read the same, whatever was drawn beside them."""


@pytest.mark.parametrize("name", ROWS)
def test_every_protocol_draws_recordings_with_all_of_their_clips(name, subject, takes, oracle_class):
    pytest.importorskip("sklearn")
    blurred = evolve(subject, model=copying(oracle_class))  # its codes are probed with errors
    found, alone = (run_protocol(name, evolve(blurred, test=test)) for test in (subject.test, takes))
    assert (found.recordings, alone.recordings) == (K, None)
    assert (found.intervals_over, alone.intervals_over) == ("40 recordings", "clips")
    scores, wanted = ends(found.rows[ROWS[name]]), ends(alone.rows[ROWS[name]])
    assert list(scores) == list(wanted)
    for score, values in wanted.items():
        assert scores[score] == (pytest.approx(values, abs=1e-12) if None not in values else values)
    assert Result.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("name", PROTOCOLS)
def test_intervals_over_recordings_are_wider_than_over_their_clips_and_of_one_recording_there_is_none(name, subject):
    pytest.importorskip("sklearn")
    blind = evolve(subject, test=evolve(subject.test, recordings=None))
    single = evolve(subject, test=evolve(subject.test, recordings=torch.zeros(K * EACH, dtype=torch.int64)))
    chosen = {"eer": {"unit": "clips"}, "msd": {"trees": "forest", "train_clips": 60}, "probe": {"train_clips": 60}}
    settings = PROTOCOLS[name].settings(**chosen.get(name, {}))
    over, clips, none = (PROTOCOLS[name].run(one, settings) for one in (subject, blind, single))

    def width(result):
        return sum(score.high - score.low for row in result.rows.values() for score in row.values() if score.low is not None)

    assert 1.1 * width(clips) < width(over) < 3 * width(clips)  # twice, but for rows that are drawn anew for every clip
    assert (over.recordings, clips.recordings, none.recordings, none.intervals_over) == (K, None, 1, "1 recording")
    assert {score.low for row in none.rows.values() for score in row.values()} == {None}
    for row, scores in clips.rows.items():
        assert {name: score.value for name, score in over.rows[row].items()} == {
            name: score.value for name, score in scores.items()
        }


def test_swapped_clips_count_for_the_recording_that_a_factor_is_from(subject, takes):
    several = evolve(subject, draws=3)
    rows = run_protocol("swap", several).rows
    own, lent = (takes.factors[name].numpy() for name in ("brightness", "direction"))
    for name, labels in (("brightness", own), ("direction", lent)):
        found = ends(rows["constant"])[name]
        wanted = [bootstrap(labels == k, draws=60) for k in range(labels.max() + 1)]
        assert [found == pytest.approx((one.value, one.low, one.high)) for one in wanted].count(True) == 1


def test_clips_that_a_setting_leaves_out_leave_with_their_recordings(subject):
    few = cdsvae2021.chosen(subject.test, cdsvae2021.Settings(balance="brightness", drop_last=7))
    assert len(few) < len(subject.test)
    result = cdsvae2021.run(subject, cdsvae2021.Settings(balance="brightness", drop_last=7))
    assert (result.clips, result.recordings) == (len(few), len(few.recordings.unique()))
    found = result.rows["constant"]["fix-static: brightness accuracy"]
    assert found in [bootstrap((few.factors["brightness"] == k).numpy(), draws=60, groups=few.recordings.numpy()) for k in range(3)]
    some = long.run(subject, long.Settings(length=8, clips=30))
    assert some.clips == 30
    assert 0 < some.recordings <= 30


def test_utterances_are_recordings_already_and_at_most_those_that_are_paired_count(subject, monkeypatch):
    monkeypatch.setattr("rwae_kit.evaluation.code_scores.PAIRED_CLIPS", 25)
    monkeypatch.setattr(eer, "PAIRED_CLIPS", 25)
    result = eer.run(subject, eer.Settings())
    assert (result.settings, result.clips, result.recordings) == ({"unit": "utterance"}, 25, 25)


def test_clips_without_labels_have_intervals_over_their_recordings_too(subject):
    plain = evolve(subject, test=evolve(subject.test, factors={}))
    values = np.random.default_rng(0).normal(size=K * EACH)
    assert (
        plain.bootstrap(values) == bootstrap(values, draws=60, groups=plain.test.recordings.numpy()) != bootstrap(values, draws=60)
    )
    with pytest.raises(DataError, match="groups: should be one group for each of 3 clips"):
        plain.bootstrap(np.ones(3))


def made(recordings, protocol="swap", high=0.9):
    rows = {"model": {"Acc": Score(value=0.5, low=0.1, high=high)}}
    return Result(protocol=protocol, data="toy", data_hash="abc", clips=261, recordings=recordings, rows=rows)


def test_a_result_that_was_written_before_there_were_recordings_is_over_clips():
    values = made(None).to_dict()
    del values["recordings"]
    assert Result.from_dict(values) == made(None)
    assert Result.from_dict(values).intervals_over == "clips"


def test_tables_say_what_their_intervals_are_over():
    assert result_table(made(8)).title == "swap: toy, 261 clips; intervals over 8 recordings"
    assert result_table(made(None)).title == "swap: toy, 261 clips"
    assert report_table(made(8)).notes[0].endswith("The smaller numbers are 95 % intervals, by bootstrap over 8 recordings.")
    assert report_table(made(None)).notes[0].endswith("The smaller numbers are 95 % intervals, by bootstrap over clips.")
    assert report_table(made(1)).notes[0].endswith("There are no intervals: all clips are of one recording.")
    assert intervals_over([{"swap": made(8)}, {"swap": made(8)}]) == "8 recordings of the test clips"
    assert intervals_over([{"swap": made(None)}]) == "test clips"
    mixed = [{"swap": made(8), "msd": made(8, "msd"), "eer": made(None, "eer")}] * 2
    assert intervals_over(mixed) == "8 recordings of the test clips (swap and msd), test clips (eer)"


def test_a_comparison_says_what_its_intervals_are_over_and_names_a_run_whose_are_over_something_else(tmp_path):
    folders = []
    for name, result in (("new", made(8)), ("old", made(None, high=0.6))):
        folders.append(tmp_path / name)
        (folders[-1] / "results").mkdir(parents=True)
        (folders[-1] / "results" / "swap.json").write_text(json.dumps(result.to_dict()))
    notes = footnotes(compare(folders)[0])
    assert "one: its value and the 95 % interval over 8 recordings." in notes[0]
    assert notes[-1] == f"{folders[1]}: its intervals are over clips, not over 8 recordings as the first run's are."
    assert not any("not over" in note for note in footnotes(compare(folders[:1])[0]))
