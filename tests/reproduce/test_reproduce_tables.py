"""Every entry of every table resolves: recipes build, data sets take their options, protocols and published rows exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rwae_kit import DataInfo, Registry
from rwae_kit.build import build
from rwae_kit.convert import flat, structure
from rwae_kit.errors import RecipeError
from rwae_kit.evaluation.protocols import PROTOCOLS
from rwae_kit.reproduce.tables import BUDGETS, PaperTable, find_table, paper_tables, read_table
from rwae_kit.reproduce.work import Work, recipe_of
from rwae_kit.reproduce.writing import published_apart

REGISTRY = Registry.installed()
TABLES = paper_tables()
CASES = [(table, data, budget) for table in TABLES for data in table.data for budget in BUDGETS]
IDS = [f"{table.name}-{data}-{budget}" for table, data, budget in CASES]
OURS = {"long", "probe"}
"""Protocols that no paper has figures of."""
SPEECH = {"timit": 200, "speech_folder": 100}


def work_of(data: str, options: dict[str, object]) -> Work:
    """The data of a table as they are declared, without the data."""
    cls = REGISTRY.get("dataset", data)
    config = structure(options, cls.Config, data)
    channels = 1 if data == "moving_mnist" else 3
    frame = (SPEECH[data],) if data in SPEECH else (channels, config.pixels, config.pixels)
    value_range = (-5.0, 5.0) if data in SPEECH else (0.0, 1.0)
    info = DataInfo(name=data, frame=frame, length=config.length if hasattr(config, "length") else 8, value_range=value_range)
    return Work(data=data, options=options, dataset=cls(config), info=info, clips=None, judge=None)


@pytest.mark.parametrize(("table", "data", "budget"), CASES, ids=IDS)
def test_every_method_of_a_table_builds_on_its_data(table: PaperTable, data: str, budget: str) -> None:
    chosen = table.data[data].budget(budget)
    work = work_of(data, dict(chosen.options))
    titles = []
    for method in chosen.methods:
        recipe = recipe_of(method, chosen, work, 7, REGISTRY)
        assert (recipe.data.name, recipe.training.seed) == (data, 7)
        assert recipe.training.epochs == (method.epochs or chosen.epochs or recipe.training.epochs)
        with torch.device("meta"):
            model, _ = build(recipe, REGISTRY, work.info)
        assert next(model.parameters()).is_meta
        titles.append(recipe.title)
    assert len(set(titles)) == len(titles), "two methods of a table have the same title"
    assert len({method.called() for method in chosen.methods}) == len(chosen.methods)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_protocols_take_their_settings_and_something_is_published(table: PaperTable) -> None:
    found_apart = []
    for scoring in table.scoring:
        protocol = PROTOCOLS[scoring.protocol]
        structure(scoring.settings, protocol.settings, scoring.protocol)
        assert scoring.draws == 1 or protocol.draws
        apart = published_apart(table, scoring.protocol)
        found_apart += apart
        assert len(apart) <= (scoring.protocol not in OURS)
        for found in apart:
            shown = [name for name in found.names() if not scoring.show or any(part in name for part in scoring.show)]
            assert shown, f"{table.name}: {scoring.show} hides all that the paper prints"
    assert found_apart
    assert len({scoring.protocol for scoring in table.scoring}) == len(table.scoring)


def test_all_methods_of_a_budget_have_the_same_frame_nets_epochs_and_batches_at_the_small_size() -> None:
    for table in TABLES:
        for data, choice in table.data.items():
            work = work_of(data, dict(choice.cpu.options))
            recipes = [recipe_of(method, choice.cpu, work, 0, REGISTRY) for method in choice.cpu.methods]
            anew = [recipe for recipe, method in zip(recipes, choice.cpu.methods, strict=True) if not method.init]
            assert len({recipe.training.epochs for recipe in anew}) == 1, table.name
            assert len({(r.training.batch_size, r.training.schedule) for r in recipes}) == 1, table.name
            nets = {str([recipe.to_dict()[part]["frames"] for part in ("encoder", "decoder")]) for recipe in recipes}
            assert len(nets) == 1, f"{table.name}: {nets}"
            assert choice.cpu.minutes is not None
            assert choice.cpu.minutes <= 40


def test_rows_that_begin_from_others_train_the_prior_alone_alike_for_every_row_that_is_trained_anew() -> None:
    choice = find_table("cdsvae-1").data["sprites"]
    work = work_of("sprites", dict(choice.cpu.options))
    anew = [method for method in choice.cpu.methods if not method.init]
    later = [method for method in choice.cpu.methods if method.init]
    assert [method.init for method in later] == [method.called() for method in anew]
    for one, other in zip(anew, later, strict=True):
        first, second = (flat(recipe_of(method, choice.cpu, work, 0, REGISTRY).to_dict()) for method in (one, other))
        kept = {path for path in second if not path.startswith(("training", "penalty", "term", "view"))}
        assert {path for path in kept if first[path] != second[path]} == {"title", "method", "prior.modes"}
        assert (second["training.only"], second["training.epochs"], second["prior.modes"]) == (["prior"], 20, 32)
        assert {path: value for path, value in second.items() if path.endswith("weight")} == {"penalty.dynamic.kl.weight": 1.0}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_value_that_a_search_would_try_is_one_that_the_recipe_takes(table: PaperTable) -> None:
    for data, choice in table.data.items():
        if (search := choice.cpu.search) is None:
            continue
        assert (search.trials, search.minutes) == (8, 10.0)
        work = work_of(data, dict(choice.cpu.options))
        for method in choice.cpu.methods:
            if method.init:
                continue
            wanted = choice.cpu.searched_for(method).search
            assert wanted, f"nothing is tried for {method.called()}, and the search is the same for all"
            assert set(wanted) <= set(flat(recipe_of(method, choice.cpu, work, 0, REGISTRY).to_dict()))
            tried = {path: values[-1] for path, values in method.search.items()}
            found = flat(recipe_of(method, choice.cpu, work, 0, REGISTRY, tried).to_dict())
            assert {path: found[path] for path in tried} == tried
            own = flat(recipe_of(method, choice.cpu, work, 0, REGISTRY).to_dict())
            assert set(tried) <= set(own), "a search changes numbers that the recipe has, and adds no part"
        if search.looks:
            cls = REGISTRY.get("view", search.looks)
            structure(search.looks_options, cls.Config, search.looks)


def test_the_tables_of_both_papers_are_there_under_their_numbers() -> None:
    names = {name for table in TABLES for name in (table.name, *table.also)}
    assert names >= {f"cdsvae-{k}" for k in range(1, 7)} | {f"rwae-{k}" for k in (1, 2, 3, 4, 9)}
    assert sum(1 + len(table.also) for table in TABLES) == len(names)
    assert find_table("cdsvae-4").name == "rwae-1"


def test_licence_gated_sets_are_made_by_the_same_tables() -> None:
    assert {data for table in TABLES for data in table.data} >= {"timit", "mug"}


def test_strips_of_people_are_split_by_person_as_their_notes_say() -> None:
    for table in TABLES:
        if (choice := table.data.get("image_strips")) is not None:
            assert "neither the models nor the judge have seen" in choice.note.replace("\n", " ")
            assert {budget.options["split_by"] for budget in (choice.cpu, choice.full) if budget is not None} == {"person"}


def test_a_smoke_run_has_two_steps_and_one_seed() -> None:
    for table in TABLES:
        for choice in table.data.values():
            smoke = choice.budget("smoke")
            assert (smoke.epochs, smoke.seeds, smoke.set["training.batch_size"] * 2) == (1, 1, 64)
            assert smoke.options.get("train_clips", 64) == 64
            assert {method.epochs for method in smoke.methods} == {None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"\npapers = "y"\npublished = "sprites"\nscorring = []', r"my.toml: unknown key 'scorring'"),
        (
            '[[scoring]]\nprotocol = "swap"\n[data.sprites]\ncpu = { methods = [] }\nfull = { methods = ["cdsvae"] }',
            r"my.toml.data\[sprites\].cpu: Length of 'methods' must be >= 1",
        ),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_table(tmp_path / "my.toml")
