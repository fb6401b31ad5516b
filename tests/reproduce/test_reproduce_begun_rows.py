"""A row of a table that begins from the weights of another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from attrs import evolve

from rwae_kit import Registry
from rwae_kit.checkpoint import weights_digest
from rwae_kit.errors import CheckpointError
from rwae_kit.reproduce import execute
from rwae_kit.reproduce.collect import collect
from rwae_kit.reproduce.execute import prepare, reproduce
from rwae_kit.reproduce.tables import Method, PaperTable, find_table
from rwae_kit.training.progress import Reporter

REGISTRY = Registry.installed()
FIRST, SECOND = "dsvae-full-small", "dsvae-full-small-refit"
REFIT = Method(
    recipe="dsvae-full:small",
    name=SECOND,
    title="refitted",
    init=FIRST,
    epochs=5,
    remove=("penalty.static",),
    set={"method": "refitted", "training.only": ["prior"], "prior.modes": 4},
)


def with_row(method: Method = REFIT) -> PaperTable:
    table = find_table("rwae-9")
    choice = table.data["moving_shapes"]
    budget = evolve(choice.cpu, methods=(*choice.cpu.methods, method))
    return evolve(table, data={"moving_shapes": evolve(choice, cpu=budget)})


def make(folder: Path, *only: str) -> execute.Reproduction:
    plan, work = prepare(with_row(), budget="smoke", only=only, out=folder, registry=REGISTRY)
    return reproduce(plan, work, registry=REGISTRY, reporter=Reporter())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by asking for the second row alone; none may change it."""
    folder = tmp_path_factory.mktemp("begun") / "table"
    assert make(folder, SECOND).ended == "done"
    return folder


def test_what_a_row_begins_from_is_trained_first_and_scored_when_it_is_asked_for(made: Path, tmp_path: Path) -> None:
    assert (made / f"{FIRST}-0" / "reproduced.json").is_file()
    assert not (made / f"{FIRST}-0" / "results").exists()
    folder = tmp_path / "table"
    shutil.copytree(made, folder)
    again = make(folder, FIRST, SECOND)
    assert [step.words() for step in again.made] == [f"score {FIRST}, seed 0 by rwae2021", "write the table"]


def test_a_row_has_the_weights_of_the_one_it_begins_from_but_for_what_it_trains(made: Path) -> None:
    one, two = (safetensors.torch.load_file(made / f"{name}-0" / "model.safetensors") for name in (FIRST, SECOND))
    assert one.keys() <= two.keys()
    assert {key.partition(".")[0] for key in two if key not in one or not torch.equal(one[key], two[key])} == {"prior"}
    said = json.loads((made / f"{SECOND}-0" / "reproduced.json").read_text())
    assert (said["init"], said["init_sha256"]) == (f"{FIRST}-0", weights_digest(made / f"{FIRST}-0"))
    assert (said["steps"], said["epochs"]) == (2, 1)


def test_the_page_says_what_a_row_begins_from_and_it_has_no_pictures_of_its_own(made: Path, tmp_path: Path) -> None:
    page = (made / "RESULTS.md").read_text(encoding="utf-8")
    begins = f"- refitted: begins from the weights of `{FIRST}` of the same seed"
    assert f'{begins}, `method = "refitted"`' in page
    folder = tmp_path / "table"
    shutil.copytree(made, folder)
    values = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (folder / "results.json").write_text(json.dumps({**values, "budget": "cpu"}), encoding="utf-8")
    said: list[str] = []
    collect([folder], tmp_path / "RESULTS.md", pictures=tmp_path / "pictures", say=said.append)
    assert said == []


def test_a_row_that_began_from_weights_that_are_gone_since_is_refused(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    shutil.copytree(made, folder)
    file = folder / f"{SECOND}-0" / "reproduced.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "init_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=rf"{SECOND}-0: began from other weights than .*{FIRST}-0 has now. Remove it"):
        make(folder, SECOND)
    shutil.rmtree(folder / f"{SECOND}-0")
    assert f"train {SECOND}, seed 0" in [step.words() for step in make(folder, SECOND).made]


def test_a_row_has_epochs_of_its_own_whatever_is_asked_for_but_in_a_smoke_test() -> None:
    choice = with_row().data["moving_shapes"]
    for budget in (choice.budget("cpu"), choice.budget("cpu", 7)):
        assert [method.epochs or budget.epochs for method in budget.methods[1:]] == [budget.epochs, 5]
    assert choice.budget("smoke").methods[-1].epochs is None


@pytest.mark.parametrize("init", ["dsvae-full-smal", SECOND, "rwae-mmd:small"])
def test_a_row_begins_from_a_row_above_that_is_trained_anew(init: str) -> None:
    with pytest.raises(ValueError, match=f"{SECOND}: 'init' = '{init}' is no row above that is trained anew"):
        with_row(evolve(REFIT, init=init))
