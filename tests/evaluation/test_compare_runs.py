from __future__ import annotations

import csv
import json
import statistics

import pytest
from attrs import evolve

from rwae_kit.cli import main
from rwae_kit.errors import DataError
from rwae_kit.evaluation import Result, Score, compare, comparison_tables, footnotes

ACCURACY = "fix-dynamic: action accuracy"
TRIVIAL = {"constant": {ACCURACY: Score(value=1 / 9)}, "oracle": {ACCURACY: Score(value=0.999)}}


def scores(accuracy, score=8.0, conditional=0.1, marginal=2.18):
    return {
        ACCURACY: Score(value=accuracy, low=accuracy - 0.01, high=accuracy + 0.01),
        "fix-dynamic: action IS": Score(value=score),
        "fix-dynamic: action H(y|x)": Score(value=conditional),
        "fix-dynamic: action H(y)": Score(value=marginal),
    }


def result(accuracy, **more):
    values = {
        "protocol": "cdsvae2021",
        "data": "sprites",
        "data_hash": "abc",
        "clips": 2664,
        "judge": "judge-one",
        "settings": {"encoded": "means"},
        "rows": {"model": scores(accuracy), "untrained": scores(accuracy / 4), **TRIVIAL},
    }
    return Result(**{**values, **more})


@pytest.fixture
def make(tmp_path):
    def write(name, found, title="R-WAE(MMD)", seed=0, extra="", protocol="cdsvae2021"):
        folder = tmp_path / name
        (folder / "results").mkdir(parents=True, exist_ok=True)
        words = f'method = "{title.split(",")[0]}"\ntitle = "{title}"\nabout = "{name}"\n'
        text = f"{words}[latents]\nstatic = 8\n{extra}\n[training]\nseed = {seed}\nepochs = 3\n"
        (folder / "recipe.toml").write_text(text)
        (folder / "results" / f"{protocol}.json").write_text(json.dumps(found.to_dict()))
        return folder

    return write


@pytest.fixture
def seeds(make):
    return [make(f"rwae-{seed}", result(value), seed=seed) for seed, value in enumerate((0.90, 0.94, 0.98))]


def test_runs_that_differ_in_their_seed_alone_are_one_row_with_mean_and_deviation(seeds, make):
    other = make("cdsvae", result(0.97), title="C-DSVAE")
    (comparison,) = compare([*seeds, other])
    lines = {line.name: line for line in comparison.lines}
    assert list(lines) == ["R-WAE(MMD)", "untrained: R-WAE(MMD)", "C-DSVAE", "untrained: C-DSVAE", "constant", "oracle"]
    own = lines["R-WAE(MMD)"]
    assert (own.runs, own.scores[ACCURACY].value) == (3, pytest.approx(0.94))
    assert own.std[ACCURACY] == pytest.approx(statistics.stdev([0.90, 0.94, 0.98]))
    assert lines["C-DSVAE"].scores[ACCURACY].low == pytest.approx(0.96)
    assert lines["constant"].kind == "trivial"
    assert lines["constant"].std == {}


def test_the_table_has_every_row_and_says_the_seeds(seeds, make):
    (comparison,) = compare([*seeds, make("cdsvae", result(0.97), title="C-DSVAE")])
    (table,) = comparison_tables(comparison)
    assert table.title == "cdsvae2021: sprites, fix-dynamic"
    assert table.headers == ["", "seeds", "action accuracy, %", "action IS", "action H(y|x)", "action H(y)", "source"]
    assert all(len(row) == len(table.headers) for row in table.rows)
    rows = {row[0]: row for row in table.rows}
    assert rows["R-WAE(MMD)"][1:3] == ["3", "94.0±4.0"]
    assert rows["C-DSVAE"][1:4] == ["1", "97.0 (96.0 to 98.0)", "8"]
    assert rows["constant"][1:3] == ["", "11.1"]
    assert rows["constant"][3] == "–"
    assert "2,664 clips of the split test; judge judge-one" in footnotes(comparison)[0]


def test_published_rows_come_with_their_source_and_a_mark_where_they_cannot_be(seeds):
    (comparison,) = compare(seeds, with_published=True)
    (table,) = comparison_tables(comparison)
    rows = {row[0]: row for row in table.rows}
    assert rows["C-DSVAE"][2:] == ["99.99", "8.871", "0.014", "2.197", "[1]"]
    assert "MoCoGAN !" in rows
    assert "MoCoGAN" not in rows
    notes = footnotes(comparison)
    assert any(note.startswith("[1] C-DSVAE (Bai et al. 2021), Table 1") for note in notes)
    assert any(note.startswith("! MoCoGAN: fix-dynamic: action IS 8.461, but") for note in notes)


def test_a_run_whose_own_scores_break_the_identity_is_marked_too(make):
    wrong = evolve(result(0.9), rows={"model": scores(0.9, score=9.0)})
    (comparison,) = compare([make("wrong", wrong)])
    assert comparison_tables(comparison)[0].rows[0][0] == "R-WAE(MMD) !"


def test_recipes_of_one_method_that_differ_are_different_rows_and_say_in_what(seeds, make):
    wide = make("wide", result(0.5), extra='dynamic = 4\n[prior]\nname = "lstm"\nhidden = 3\n[penalty.static.kl]\nweight = 1')
    other = make("other", result(0.5), extra='dynamic = 5\n[prior]\nname = "gru"\nhidden = 4\n[penalty.static.mmd]\nweight = 1')
    (comparison,) = compare([wide, other])
    assert own_lines(comparison) == [
        "R-WAE(MMD) (latents.dynamic 4, prior lstm, penalty.static.kl)",
        "R-WAE(MMD) (latents.dynamic 5, prior gru, penalty.static.mmd)",
    ]
    (comparison,) = compare([*seeds, wide])
    assert own_lines(comparison)[0] == "R-WAE(MMD) (no latents.dynamic)"
    assert comparison.lines[0].runs == 3
    small = make("small", result(0.5), title="R-WAE(MMD), small")
    (comparison,) = compare([*seeds, small])
    assert own_lines(comparison) == ["R-WAE(MMD)", "R-WAE(MMD), small"]


def own_lines(comparison):
    return [line.name for line in comparison.lines if line.kind == "model" and not line.name.startswith("untrained")]


def test_a_stand_in_is_one_row_where_all_runs_have_the_same_or_it_has_nothing_of_a_run(seeds, make):
    def rows(noise, copy):
        return {"model": scores(0.9), "noise": {ACCURACY: Score(value=noise)}, "copy": {ACCURACY: Score(value=copy)}}

    folders = [make(f"m{i}", evolve(result(0.9), rows=rows(0.1 + 0.02 * i, 0.5)), seed=i) for i in (0, 1)]
    lines = {line.name: line for line in compare(folders)[0].lines}
    assert list(lines) == ["R-WAE(MMD)", "noise", "copy"]
    assert lines["noise"].scores[ACCURACY].value == pytest.approx(0.11)
    assert lines["copy"].std == {}
    other = make("other", evolve(result(0.9), rows=rows(0.1, 0.7)), title="Other")
    names = [line.name for line in compare([*folders, other])[0].lines]
    assert names == ["R-WAE(MMD)", "copy: R-WAE(MMD)", "Other", "copy: Other", "noise"]


def test_the_same_seed_twice_is_told(seeds, make):
    (comparison,) = compare([*seeds, make("again", result(0.9), seed=0)])
    assert footnotes(comparison)[-2].endswith("rwae-2, " + f"{seeds[0].parent / 'again'}, seeds 0, 1, 2, 0.")
    assert footnotes(comparison)[-1] == "R-WAE(MMD): 4 runs, but 3 different seeds: the deviation is too small."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judge": "judge-two"}, r"judge differs \(judge-one, judge-two\)"),
        ({"data_hash": "xyz"}, r"data hash differs \(abc, xyz\)"),
        ({"settings": {"encoded": "draws"}}, r"setting 'encoded' differs \(means, draws\)"),
        ({"split": "validation"}, r"split differs \(test, validation\)"),
        ({"draws": 5}, r"draws differs \(1, 5\)"),
        ({"settings": {"encoded": "means", "drop_last": 64}}, r"setting 'drop_last' differs \(none, 64\)"),
    ],
)
def test_results_that_do_not_belong_together_are_refused_and_mixed_shows_them_apart(change, said, seeds, make):
    other = make("other", evolve(result(0.1), **change), title="Other")
    with pytest.raises(DataError, match=f"rwae-0 and .*other do not belong in one table of cdsvae2021: {said}.*--mixed"):
        compare([*seeds, other])
    first, second = compare([*seeds, other], mixed=True)
    assert [line.name for line in second.lines if line.kind == "model"] == ["Other", "untrained"]
    titles = {comparison_tables(one)[0].title for one in (first, second)}
    assert len(titles) == 2
    assert all(title.startswith("cdsvae2021: sprites, ") for title in titles)


def test_the_same_clips_belong_together_whatever_they_are_called_and_nameless_data_go_by_their_name(seeds, make):
    other = make("other", evolve(result(0.5), data="their-file"), title="Other")
    assert len(compare([*seeds, other])) == 1
    one, two = (make(f"bare-{name}", evolve(result(0.5), data_hash="", data=name)) for name in "ab")
    with pytest.raises(DataError, match=r"data hash differs \(a, b\)"):
        compare([one, two])


def test_without_a_name_every_protocol_that_all_runs_have_is_shown(seeds, make):
    make("rwae-0", evolve(result(0.9), protocol="swap"), protocol="swap")
    assert [one.protocol for one in compare(seeds)] == ["cdsvae2021"]
    make("rwae-1", evolve(result(0.9), protocol="swap"), seed=1, protocol="swap")
    assert [one.protocol for one in compare(seeds[:2])] == ["cdsvae2021", "swap"]
    with pytest.raises(DataError, match=r"rwae-2: no result of 'swap'. rwk eval"):
        compare(seeds, "swap")


def test_many_scores_are_split_into_tables_and_can_be_chosen(make):
    names = [*(f"score {i}" for i in range(4)), "z IS", "z H(y|x)", "z H(y)", *(f"mode: score {i}" for i in range(4, 12))]
    rows = {"model": {name: Score(value=0.5) for name in names}}
    (comparison,) = compare([make("many", evolve(result(0.5), rows=rows))])
    made = comparison_tables(comparison)
    assert [table.title for table in made] == ["cdsvae2021: sprites"] * 2 + ["cdsvae2021: sprites, mode"] * 2
    assert [table.headers[2:-1] for table in made[:2]] == [[f"score {i}, %" for i in range(4)], ["z IS", "z H(y|x)", "z H(y)"]]
    assert [len(table.headers) - 3 for table in made] == [4, 3, 5, 3]
    (chosen,) = comparison_tables(comparison, ["score 11"])
    assert chosen.headers == ["", "seeds", "score 11, %", "source"]


def test_a_folder_without_a_recipe_goes_by_its_own_name(tmp_path, make, seeds):
    folder = make("foreign", result(0.7))
    (folder / "recipe.toml").unlink()
    (comparison,) = compare([*seeds, folder])
    assert "foreign" in [line.name for line in comparison.lines]


def test_what_cannot_be_read_is_named(tmp_path, make, seeds):
    folder = make("broken", result(0.7))
    file = folder / "results" / "cdsvae2021.json"
    for text in ("{", "[]", '{"protocol": "cdsvae2021"}', json.dumps({**result(0.7).to_dict(), "more": 1})):
        file.write_text(text)
        with pytest.raises(DataError, match=r"cdsvae2021.json: is damaged or of another version"):
            compare([folder])
    file.write_text(json.dumps({**result(0.7).to_dict(), "rows": {}}))
    with pytest.raises(DataError, match="there is no row 'model'; there is none"):
        compare([folder])
    with pytest.raises(DataError, match="rwae-0: is given twice"):
        compare([seeds[0], seeds[1], seeds[0]])
    with pytest.raises(DataError, match=r"empty: there is no result of any protocol. rwk eval .*empty --protocol NAME"):
        compare([seeds[0], tmp_path / "empty"])
    with pytest.raises(DataError, match="no run is given"):
        compare([])
    with pytest.raises(DataError, match="nothing is published for the protocol 'probe'; there are cdsvae2021, eer, rwae2021"):
        compare([], "probe", with_published=True)
    (seeds[0] / "recipe.toml").write_text("title = ")
    with pytest.raises(DataError, match=r"recipe.toml: cannot be read"):
        compare(seeds)


def test_rwk_compare_prints_tables_json_and_csv_and_exits_with_2_where_runs_do_not_fit(seeds, make, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    words = ["compare", *map(str, seeds)]
    main([*words, "--published", "--csv", str(tmp_path / "deep" / "all.csv")])
    printed = capsys.readouterr().out
    assert "94.0±4.0" in printed
    assert "MoCoGAN !" in printed
    with (tmp_path / "deep" / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (own,) = [row for row in rows if row["row"] == "R-WAE(MMD)" and row["score"] == ACCURACY]
    assert (own["runs"], float(own["mean"]), float(own["std"])) == ("3", pytest.approx(0.94), pytest.approx(0.04))
    assert {row["kind"] for row in rows} == {"model", "trivial", "published"}
    main([*words, "--json", "--protocol", "cdsvae2021"])
    (comparison,) = json.loads(capsys.readouterr().out)
    assert comparison["lines"][0]["std"][ACCURACY] == pytest.approx(0.04)
    main(["compare", "--published", "--protocol", "eer"])
    assert "DiffSDA" in capsys.readouterr().out
    other = make("other", evolve(result(0.1), judge="judge-two"))
    with pytest.raises(SystemExit) as leaving:
        main([*words, str(other)])
    assert leaving.value.code == 2
    assert "cdsvae2021: judge differs (judge-one, judge-two)" in capsys.readouterr().err
