"""Values that the papers leave open are chosen by trials, without labels, and the choice is what is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from attrs import evolve

from rwae_kit import Registry
from rwae_kit.cli import main
from rwae_kit.convert import flat
from rwae_kit.errors import CheckpointError, DataError, RecipeError
from rwae_kit.evaluation.cycle import CycleScore
from rwae_kit.reproduce import execute, search
from rwae_kit.reproduce.execute import prepare, reproduce
from rwae_kit.reproduce.search import SHIPPED, SearchRecord, record_file, trial_values
from rwae_kit.reproduce.tables import Method, PaperTable, SearchBudget, find_table, paper_tables
from rwae_kit.reproduce.work import recipe_of
from rwae_kit.run_folder import saved_recipe
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
NAME, METHOD, RUN = "rwae-9", "rwae-mmd-small", "rwae-mmd-small-0"
TABLE = find_table(NAME)
GRID = {"penalty.static.kl.weight": (0.3, 1.0), "penalty.dynamic.kl.weight": (0.25, 1.0, 2.0)}


def make(folder: Path, *, searched: bool = True, table: PaperTable = TABLE) -> execute.Reproduction:
    plan, work = prepare(table, budget="smoke", only=["rwae-mmd"], search=searched, out=folder, registry=REGISTRY)
    return reproduce(plan, work, registry=REGISTRY, reporter=Reporter())


def with_a_row_like(other: str) -> PaperTable:
    """The table with R-WAE(MMD) and HSIC, and what the search chose for another row."""
    choice = TABLE.data["moving_shapes"]
    methods = (*choice.cpu.methods, Method(recipe="rwae-mmd:small+hsic", like=other))
    return evolve(TABLE, data={"moving_shapes": evolve(choice, cpu=evolve(choice.cpu, methods=methods))})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished table with a search, read by many tests: none may change it."""
    folder = tmp_path_factory.mktemp("search") / "table"
    assert make(folder).ended == "done"
    return folder


def record(folder: Path) -> SearchRecord:
    return SearchRecord.load(folder / "searches" / f"{METHOD}.json")


def test_the_first_trial_is_the_recipe_and_no_other_is_tried_twice() -> None:
    method = Method(recipe="x:small", search=GRID)
    own = {"penalty": {"static": {"kl": {"weight": 0.3}}, "dynamic": {"kl": {"weight": 1.0}}}}
    first, *others = trial_values(method, SearchBudget(trials=8, epochs=1), own)
    assert first == {}
    assert len(others) == 5
    assert len({tuple(one.values()) for one in others}) == 5
    assert {"penalty.static.kl.weight": 0.3, "penalty.dynamic.kl.weight": 1.0} not in others
    assert trial_values(method, SearchBudget(trials=3, epochs=1), own) == [first, *others[:2]]
    assert trial_values(evolve(method, search={}), SearchBudget(trials=8, epochs=1), own) == [{}]


def test_trials_stay_the_same_points_when_the_recipe_changes() -> None:
    method, budget = Method(recipe="x:small", search=GRID), SearchBudget(trials=5, epochs=1)
    _, *points = trial_values(method, budget, {})
    _, *others = trial_values(method, budget, points[1])
    assert others[:3] == [points[0], *points[2:]]
    assert len(others) == 4
    assert points[1] not in others


def test_trials_are_trained_with_a_seed_of_their_own_on_what_they_try(made: Path) -> None:
    trials = record(made).trials
    assert [trial.steps for trial in trials] == [2, 2]
    for number, trial in enumerate(trials):
        recipe = saved_recipe(made / "searches" / f"{METHOD}-{number}")
        assert recipe.training.seed == search.SEED
        weights = flat(recipe.to_dict())
        assert {path: weights[path] for path in trial.values} == dict(trial.values)
    assert trials[0].values == {} != trials[1].values


def test_a_run_is_trained_with_the_values_of_the_best_trial(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shutil.copytree(made / "searches", folder / "searches")
    found = record(made)
    for best in (0, 1):
        trials = tuple(evolve(trial, score=float(k == best)) for k, trial in enumerate(found.trials))
        evolve(found, trials=trials).save(folder / "searches" / f"{METHOD}.json")
        shutil.rmtree(folder / RUN, ignore_errors=True)
        assert make(folder).ended == "done"
        about = json.loads((folder / RUN / "reproduced.json").read_text())
        assert about["searched"] == dict(found.trials[best].values)
        plan, work = prepare(TABLE, budget="smoke", only=["rwae-mmd"], out=folder, registry=REGISTRY)
        values = trials[best].values
        assert saved_recipe(folder / RUN) == recipe_of(plan.chosen.methods[1], plan.chosen, work, 0, REGISTRY, values)


def test_a_row_like_another_one_takes_what_was_chosen_there_and_searches_nothing(made: Path, tmp_path: Path) -> None:
    folder, found = tmp_path / "table", record(made)
    shutil.copytree(made / "searches", folder / "searches")
    chosen = {"penalty.static.kl.weight": 7.0}
    evolve(found, trials=(evolve(found.trials[1], values=chosen),)).save(folder / "searches" / f"{METHOD}.json")
    done = make(folder, table=with_a_row_like("rwae-mmd:small"))
    assert [step.method.called() for step in done.plan.steps if step.method is not None] == [METHOD]
    runs = [folder / f"{name}-0" for name in (METHOD, f"{METHOD}-hsic")]
    assert [json.loads((run / "reproduced.json").read_text())["searched"] for run in runs] == [chosen] * 2
    one, two = (flat(saved_recipe(run).to_dict()) for run in runs)
    assert {path.partition(".")[0] for path in one.keys() ^ two.keys()} == {"term"}
    assert {path for path in one.keys() & two.keys() if one[path] != two[path]} <= {"title", "method"}
    page = (folder / "RESULTS.md").read_text()
    assert "R-WAE(MMD), variant small+hsic: what the search chose for `rwae-mmd:small`" in page
    evolve(found, trials=(evolve(found.trials[1], values={}),)).save(folder / "searches" / f"{METHOD}.json")
    for name in (f"{METHOD}-0", f"{METHOD}-1"):
        shutil.rmtree(folder / "searches" / name, ignore_errors=True)
    with pytest.raises(CheckpointError, match=r"other options \(penalty.static.kl.weight"):
        make(folder, table=with_a_row_like("rwae-mmd:small"))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            Method(recipe="x", like="rwae-mmd:smal"),
            r"'like' = 'rwae-mmd:smal' is no row with a search. Did you mean 'rwae-mmd:small'\?",
        ),
        (Method(recipe="x", like="x"), "'like' = 'x' is no row with a search"),
        (Method(recipe="x", like="rwae-mmd:small", search=GRID), "values of its own to search, and 'like'"),
    ],
)
def test_a_row_like_none_or_with_a_search_too_is_refused(method: Method, words: str) -> None:
    budget = TABLE.data["moving_shapes"].cpu
    with pytest.raises(ValueError, match=words):
        evolve(budget, methods=(*budget.methods, method))


def test_a_search_that_was_cut_off_goes_on_after_the_last_trial(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(BaseException):
        pass

    calls = []

    def cut(*values: object) -> object:
        calls.append(values)
        if len(calls) == 2:
            raise Cut
        return execute.cycle_score(*values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        whole = execute.cycle_score
        patch.setattr(
            execute, "cycle_score", lambda *values: cut(*values) if len(calls) else (calls.append(values), whole(*values))[1]
        )
        with pytest.raises(Cut):
            make(tmp_path / "table")
    first = tmp_path / "table" / "searches" / f"{METHOD}-0"
    before = (first / "trial.json").stat().st_mtime_ns
    assert make(tmp_path / "table").ended == "done"
    assert (first / "trial.json").stat().st_mtime_ns == before
    scores = [[(trial.values, trial.score) for trial in record(folder).trials] for folder in (made, tmp_path / "table")]
    assert scores[0] == scores[1]


def test_a_finished_search_is_not_made_again_and_counts_without_being_asked_for(made: Path) -> None:
    assert make(made).made == make(made, searched=False).made == ()


def test_runs_of_other_values_are_refused(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shutil.copytree(made, folder)
    found = record(made)
    other = evolve(found.trials[1], values={"penalty.static.kl.weight": 7.0}, score=9.0)
    evolve(found, trials=(other,)).save(folder / "searches" / f"{METHOD}.json")
    with pytest.raises(CheckpointError, match=r"other options \(penalty.static.kl.weight"):
        make(folder)


def the_best_is(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([CycleScore(static=1.0, dynamic=1.0 + (k == number), explained=1.0) for k in range(2)])
    monkeypatch.setattr(execute, "cycle_score", lambda *_: next(scores))


def test_a_record_that_was_removed_is_made_again_from_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    the_best_is(1, monkeypatch)
    assert make(tmp_path / "table").ended == "done"
    file = tmp_path / "table" / "searches" / f"{METHOD}.json"
    before = file.read_bytes()
    file.unlink()
    assert make(tmp_path / "table").made[0].kind == "search"
    assert file.read_bytes() == before


def test_a_search_refuses_runs_that_were_made_with_other_values_than_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SHIPPED", tmp_path)
    for best in (0, 1):
        assert make(tmp_path / str(best), searched=False).ended == "done"
    the_best_is(0, monkeypatch)
    assert make(tmp_path / "0").ended == "done"
    the_best_is(1, monkeypatch)
    with pytest.raises(CheckpointError, match=rf"{RUN}: is a run with other options"):
        make(tmp_path / "1")
    assert not (tmp_path / "1" / "searches" / f"{METHOD}.json").exists()


def test_trials_of_other_values_are_refused(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "searches", tmp_path / "searches")
    (tmp_path / "searches" / f"{METHOD}.json").unlink()
    first, second = (tmp_path / "searches" / f"{METHOD}-{number}" for number in (0, 1))
    shutil.rmtree(first)
    second.rename(first)
    with pytest.raises(CheckpointError, match=rf"{METHOD}-0: is a run with other options \(penalty"):
        make(tmp_path)


def test_without_a_record_in_the_folder_that_of_the_package_counts(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SHIPPED", tmp_path / "shipped")
    found = record(made)
    chosen = evolve(found.trials[1], values={"penalty.static.kl.weight": 7.0}, score=9.0)
    evolve(found, trials=(chosen,)).save(tmp_path / "shipped" / "rwae-9-moving_shapes-cpu" / f"{METHOD}.json")
    assert make(tmp_path / "table", searched=False).ended == "done"
    assert json.loads((tmp_path / "table" / RUN / "reproduced.json").read_text())["searched"] == {"penalty.static.kl.weight": 7.0}


def test_a_damaged_record_and_a_table_without_a_search_are_refused(tmp_path: Path) -> None:
    method = TABLE.data["moving_shapes"].cpu.methods[1]
    file = record_file(tmp_path, method)
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"rwae-mmd-small.json: is no record of a search"):
        make(tmp_path, searched=False)
    with pytest.raises(RecipeError, match="--search: nothing is searched on moving_shapes at the budget full"):
        prepare(TABLE, budget="full", search=True, out=tmp_path, registry=REGISTRY)


def test_the_command_refuses_a_search_where_there_is_nothing_to_search(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = ["reproduce", NAME, "--search", "--budget", "full", "--device", "cpu", "--out", str(tmp_path / "it"), "--dry-run"]
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2
    assert "nothing is searched on moving_shapes at the budget full" in capfd.readouterr().err


def test_shipped_records_are_of_methods_that_tables_have() -> None:
    known = {
        f"{table.name}-{data}-{budget}/{method.called()}.json"
        for table in paper_tables()
        for data, choice in table.data.items()
        for budget in ("cpu", "full")
        for method in choice.budget(budget).methods
    }
    shipped = {file.relative_to(SHIPPED).as_posix() for file in SHIPPED.glob("*/*.json")}
    assert shipped <= known
    for name in shipped:
        found = SearchRecord.load(SHIPPED / name)
        assert found.trials[0].values == {}
        assert len({json.dumps(dict(trial.values)) for trial in found.trials}) == len(found.trials)
