"""What there is to do for a table is told from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from rwae_kit.errors import RecipeError
from rwae_kit.reproduce.plan import ENDED, FILES, Plan, is_written, make_plan, scored_runs, sources
from rwae_kit.reproduce.tables import find_table

TABLE = find_table("rwae-9")


def plan_in(folder: Path, **more: object) -> Plan:
    return make_plan(TABLE, "moving_shapes", "cpu", folder, **more)  # type: ignore[arg-type]


def write(file: Path, text: str = "{}") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_steps_come_seed_by_seed_each_run_trained_then_scored_and_the_table_last(tmp_path: Path) -> None:
    steps = plan_in(tmp_path, seeds=2).steps
    assert [step.words() for step in steps] == [
        *(
            words
            for seed in (0, 1)
            for method in ("dsvae-full-small", "rwae-mmd-small")
            for words in (f"train {method}, seed {seed}", f"score {method}, seed {seed} by rwae2021")
        ),
        "write the table",
    ]
    assert {step.state for step in steps} == {"to do"}
    assert steps[0].folder == tmp_path / "dsvae-full-small-0"
    assert not list(tmp_path.iterdir())


def test_seeds_are_those_of_the_budget_unless_given(tmp_path: Path) -> None:
    assert sum(step.kind == "train" for step in plan_in(tmp_path).steps) == 2 * TABLE.data["moving_shapes"].cpu.seeds


def test_epochs_take_the_place_of_the_budgets_and_nothing_else_changes(tmp_path: Path) -> None:
    plan, own = plan_in(tmp_path, epochs=60), plan_in(tmp_path)
    assert (plan.epochs, plan.chosen.epochs, own.epochs) == (60, 60, None)
    assert plan.chosen == evolve(own.chosen, epochs=60)
    assert plan.steps == own.steps
    assert TABLE.called("moving_shapes", "cpu", 60) == "rwae-9-cpu-60-epochs"


def test_a_judge_comes_first_where_one_is_asked(tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    first = plan_in(tmp_path, judge=judge).steps[0]
    assert (first.kind, first.state, first.folder) == ("judge", "to do", judge)
    write(judge / "judge.json")
    assert plan_in(tmp_path, judge=judge).steps[0].state == "done"


@pytest.mark.parametrize("word", ["rwae-mmd", "rwae-mmd:small", "rwae-mmd-small"])
def test_a_method_is_chosen_by_recipe_reference_or_folder(tmp_path: Path, word: str) -> None:
    steps = plan_in(tmp_path, seeds=1, only=[word]).steps
    assert [step.kind for step in steps] == ["train", "score", "table"]
    assert steps[0].folder.name == "rwae-mmd-small-0"


def test_an_unknown_method_data_set_or_budget_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--only rwae-mdm: no such method. Did you mean 'rwae-mmd'\?"):
        plan_in(tmp_path, only=["rwae-mdm"])
    with pytest.raises(RecipeError, match=r"not made on --data mug. Known: moving_shapes"):
        make_plan(TABLE, "mug", "cpu", tmp_path)
    with pytest.raises(RecipeError, match="--budget gpu: no such budget"):
        make_plan(TABLE, "moving_shapes", "gpu", tmp_path)


def test_a_run_is_begun_with_its_recipe_and_done_with_its_mark(tmp_path: Path) -> None:
    folder = tmp_path / "rwae-mmd-small-0"
    write(folder / "recipe.toml", "")
    write(folder / "model.safetensors")
    states = {step.words(): step.state for step in plan_in(tmp_path, seeds=1).steps}
    assert states["train rwae-mmd-small, seed 0"] == "begun"
    write(folder / ENDED)
    write(folder / "results" / "rwae2021.json")
    states = {step.words(): step.state for step in plan_in(tmp_path, seeds=1).steps}
    assert states["train rwae-mmd-small, seed 0"] == states["score rwae-mmd-small, seed 0 by rwae2021"] == "done"
    assert states["train dsvae-full-small, seed 0"] == states["write the table"] == "to do"


def test_a_result_of_a_run_that_has_not_ended_does_not_count(tmp_path: Path) -> None:
    write(tmp_path / "rwae-mmd-small-0" / "results" / "rwae2021.json")
    assert not [step for step in plan_in(tmp_path, seeds=1).steps if step.state == "done"]
    assert not scored_runs(TABLE, TABLE.data["moving_shapes"].cpu, tmp_path)


def test_a_table_is_written_when_it_is_that_of_the_runs_in_the_folder(tmp_path: Path) -> None:
    budget = TABLE.data["moving_shapes"].cpu
    for name in ("dsvae-full-small-0", "rwae-mmd-small-0"):
        write(tmp_path / name / ENDED)
        write(tmp_path / name / "results" / "rwae2021.json")
    for name in FILES:
        write(tmp_path / name)
    assert not is_written(TABLE, budget, tmp_path)
    write(tmp_path / "results.json", json.dumps({"from": sources(TABLE, budget, tmp_path)}))
    assert [step.state for step in plan_in(tmp_path, seeds=1).steps] == ["done"] * 5
    write(tmp_path / "rwae-mmd-small-0" / "results" / "rwae2021.json", '{"other": 1}')
    assert plan_in(tmp_path, seeds=1).left()[0].kind == "table"


def test_runs_of_further_seeds_and_of_methods_that_are_not_asked_for_stay_in_the_table(tmp_path: Path) -> None:
    for name in ("rwae-mmd-small-10", "rwae-mmd-small-2", "dsvae-full-small-0", "rwae-mmd-small-x", "rwae-mmd-small-c-0"):
        write(tmp_path / name / ENDED)
        write(tmp_path / name / "results" / "rwae2021.json")
    found = [run.folder.name for run in scored_runs(TABLE, TABLE.data["moving_shapes"].cpu, tmp_path)]
    assert found == ["dsvae-full-small-0", "rwae-mmd-small-2", "rwae-mmd-small-10"]


def test_a_result_of_another_judge_is_to_be_made_again(tmp_path: Path) -> None:
    judge, run = tmp_path / "judge", tmp_path / "rwae-mmd-small-0"
    write(run / ENDED)
    write(run / "results" / "rwae2021.json", '{"judge": "one"}')
    for name, state in (("one", "done"), ("another", "to do")):
        write(judge / "judge.json", json.dumps({"hash": name}))
        steps = plan_in(tmp_path, seeds=1, only=["rwae-mmd"], judge=judge).steps
        assert [step.state for step in steps if step.kind == "score"] == [state]
