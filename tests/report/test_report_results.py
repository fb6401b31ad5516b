from __future__ import annotations

import json

import pytest
from report_toys import toy_result

from rwae_kit.errors import RwaeError
from rwae_kit.evaluation import Score
from rwae_kit.report.results import WIDE, Cell, read_results, result_table


def test_every_model_is_a_row_and_every_score_a_column_with_its_interval():
    table = result_table(toy_result())
    assert table.title == "swap"
    assert table.headers == ["Acc", "H(y|x)"]
    assert not table.long
    assert table.rows == [
        ("model", [Cell("99.2 %", "98.0 to 100.0"), Cell("0.0551")]),
        ("copy <it>", [Cell("25.0 %"), Cell("–")]),
    ]


def test_many_scores_become_rows():
    names = [f"score {n}" for n in range(WIDE + 1)]
    rows = {model: {name: Score(value=value) for name in names} for model, value in (("model", 0.5), ("noise", 0.1))}
    table = result_table(toy_result(rows=rows))
    assert table.headers == ["model", "noise"]
    assert table.long
    assert table.rows == [(name, [Cell("50.0 %"), Cell("10.0 %")]) for name in names]


def test_the_notes_say_how_it_was_measured_and_by_which_judge():
    notes = result_table(toy_result()).notes
    assert notes[0].startswith("12 clips of toy (test), 3 draws for each, seed 0.")
    assert notes[1] == "Judge abababababab, right on real clips: level 99.8 %."
    assert notes[2] == "Settings: k = 1, 2."
    assert len(result_table(toy_result(judge="", settings={}, draws=1)).notes) == 1


def test_other_data_than_the_model_was_trained_on_are_told():
    (note,) = (note for note in result_table(toy_result(), "d" * 64).notes if "trained" in note)
    assert "sha256 cccccccccccc, not dddddddddddd" in note
    assert not [note for note in result_table(toy_result(), "c" * 64).notes if "trained" in note]


def test_results_are_read_in_the_order_of_their_names(tmp_path):
    assert read_results(tmp_path) == []
    (tmp_path / "results").mkdir()
    for name in ("swap", "eer"):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(toy_result(protocol=name).to_dict()))
    assert read_results(tmp_path) == [toy_result(protocol="eer", settings={"k": [1, 2]}), toy_result(protocol="swap")]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": {"model": {"Acc": 3}}}', '{"rows": {}, "protocol": "a", "what": 1}'])
def test_a_file_that_is_no_result_is_named(tmp_path, text):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "swap.json").write_text(text)
    with pytest.raises(RwaeError, match=r"results/swap.json: this is no result of a protocol"):
        read_results(tmp_path)
