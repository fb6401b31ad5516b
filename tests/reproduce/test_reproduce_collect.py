"""Finished tables on one page: what is on it, what is kept beside it, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from PIL import Image

from rwae_kit import Registry
from rwae_kit.cli import main
from rwae_kit.errors import DataError
from rwae_kit.report.words import FRAMES, VECTORS
from rwae_kit.reproduce.collect import MOST, SAID, collect
from rwae_kit.reproduce.execute import prepare, reproduce
from rwae_kit.reproduce.made import read_made
from rwae_kit.reproduce.tables import find_table, paper_tables
from rwae_kit.reproduce.words import BUDGETS, results_page
from rwae_kit.training.progress import Reporter

MMD = "rwae-mmd-small-0"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished smoke test; none may change it."""
    folder = tmp_path_factory.mktemp("collect") / "rwae-9-smoke"
    registry = Registry.installed()
    plan, work = prepare(find_table("rwae-9"), budget="smoke", out=folder, registry=registry)
    assert reproduce(plan, work, registry=registry, reporter=Reporter()).ended == "done"
    return folder


@pytest.fixture
def tables(smoke: Path, tmp_path: Path) -> list[Path]:
    """Two tables with pictures, one of each budget whose figures mean something."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    found = []
    for budget in ("cpu", "full"):
        folder = tmp_path / "reproduce" / budget
        shutil.copytree(smoke, folder)
        values = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        (folder / "results.json").write_text(json.dumps({**values, "budget": budget}), encoding="utf-8")
        for run in ("dsvae-full-small-0", MMD):
            (folder / run / "pictures").mkdir()
            Image.fromarray(noise).save(folder / run / "pictures" / "swap.png")
        Image.new("RGBA", (40, 30)).save(folder / MMD / "pictures" / "codes.png")
        found.append(folder)
    return found


def collected(tables: list[Path], at: Path) -> tuple[str, list[str]]:
    """The page, and what was said of pictures."""
    said: list[str] = []
    collect(tables, at / "RESULTS.md", keep=at / "benchmarks" / "results", pictures=at / "docs" / "pictures", say=said.append)
    return (at / "RESULTS.md").read_text(encoding="utf-8"), said


def test_the_page_has_every_table_under_a_link_and_every_linked_file_is_there(tables: list[Path], tmp_path: Path) -> None:
    page, _ = collected(tables, tmp_path / "kept")
    assert page.count("\n# ") + page.startswith("# ") == 1
    assert page.count("\n## R-WAE Table 9: Moving-Shape") == 2
    assert page.count("\n### rwae2021: moving_shapes\n") == page.count("\n### Every run\n") == 2
    assert page.count("| R-WAE(TFGAN) |") == 2
    anchors, links = re.findall(r'<a id="([^"]*)">', page), re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"", page)
    targets = [one or other for one, other in links]
    assert [target[1:] for target in targets if target.startswith("#")] == anchors == ["rwae-9-cpu", "rwae-9-full"]
    files = [target for target in targets if not target.startswith("#")]
    assert len(files) == 2 * (1 + 3)
    assert all((tmp_path / "kept" / file).is_file() for file in files)


def test_the_kept_csv_is_the_tables_own(tables: list[Path], tmp_path: Path) -> None:
    collected(tables, tmp_path / "kept")
    for folder in tables:
        kept = tmp_path / "kept" / "benchmarks" / "results" / f"reproduced-rwae-9-{folder.name}.csv"
        assert kept.read_bytes() == (folder / "table.csv").read_bytes()


def test_what_holds_for_all_tables_is_said_once(tables: list[Path], tmp_path: Path) -> None:
    page, _ = collected(tables, tmp_path / "kept")
    for words in (BUDGETS["cpu"], BUDGETS["full"], SAID[0], SAID[2]):
        assert page.count(words) == 1
    assert BUDGETS["smoke"] not in page
    assert page.count("Made by `rwk reproduce rwae-9 --budget cpu --seeds 1`") == 1
    assert page.count("Made by `rwk reproduce rwae-9 --budget full --only dsvae-full-small --only rwae-mmd-small --seeds 1`") == 1


def test_what_the_table_sets_over_its_recipes_is_told_of_all_methods_and_of_single_ones(smoke: Path) -> None:
    made = read_made(smoke)
    choice = made.table.data["moving_shapes"]
    first, second, *rest = choice.cpu.methods
    own = evolve(second, set={"penalty.static.kl": {"weight": 0.3}}, remove=("term.leak", "view.motion"))
    budget = evolve(
        choice.cpu,
        set={"decoder.hidden": [512], "training.channels_last": True, "encoder.frames.features": 256},
        methods=(first, own, *rest),
    )
    page = results_page(evolve(made, budget="cpu", table=evolve(made.table, data={"moving_shapes": evolve(choice, cpu=budget)})))
    assert page.count("What the table sets over the recipes' own values:") == 1
    assert "\n- Every method: `decoder.hidden = [512]`, `training.channels_last = true`, `encoder.frames.features = 256`\n" in page
    assert f"\n- {made.runs[1]['title']}: `penalty.static.kl = {{ weight = 0.3 }}`, no `term.leak`, no `view.motion`\n" in page

    nothing = evolve(budget, set={}, methods=choice.cpu.methods)
    page = results_page(evolve(made, budget="cpu", table=evolve(made.table, data={"moving_shapes": evolve(choice, cpu=nothing)})))
    assert "What the table sets" not in page


def test_the_same_folders_make_the_same_bytes(tables: list[Path], tmp_path: Path) -> None:
    def contents(root: Path) -> dict[str, bytes]:
        return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}

    collected(tables, tmp_path / "kept")
    first = contents(tmp_path / "kept")
    collected(tables, tmp_path / "kept")
    assert contents(tmp_path / "kept") == first
    assert str(tmp_path) not in first["RESULTS.md"].decode()


def test_tables_are_added_to_a_page_whose_other_tables_folders_are_gone(tables: list[Path], tmp_path: Path) -> None:
    whole, _ = collected(tables, tmp_path / "whole")
    at = tmp_path / "kept"
    places: dict[str, Path] = {"keep": at / "benchmarks" / "results", "pictures": at / "docs" / "pictures"}
    for folder in tables:
        collect([folder], at / "RESULTS.md", add=True, **places)
        shutil.move(folder, tmp_path / "elsewhere" / folder.name)
    assert (at / "RESULTS.md").read_text(encoding="utf-8") == whole

    again = tmp_path / "elsewhere" / "cpu"
    values = json.loads((again / "results.json").read_text(encoding="utf-8"))
    values["runs"][0]["steps"] = 12345
    (again / "results.json").write_text(json.dumps(values), encoding="utf-8")
    main(["collect", str(again), "--out", str(at / "RESULTS.md"), "--add"])
    page = (at / "RESULTS.md").read_text(encoding="utf-8")
    assert re.findall(r'<a id="([^"]*)">', page) == ["rwae-9-cpu", "rwae-9-full"]
    assert page.index("| 12,345 |") < page.index('<a id="rwae-9-full">')
    assert page.partition('<a id="rwae-9-full">')[2] == whole.partition('<a id="rwae-9-full">')[2]
    collect([again], at / "RESULTS.md")
    assert "rwae-9-full" not in (at / "RESULTS.md").read_text(encoding="utf-8")


def test_a_file_that_is_no_page_of_tables_is_not_added_to(tables: list[Path], tmp_path: Path) -> None:
    page = collected(tables, tmp_path)[0]
    for text in (
        "# Notes",
        "",
        page.replace("](#rwae-9-full): ", "](#rwae-9-fall): "),
        page.replace("`cpu`", "`tpu`"),
    ):
        (tmp_path / "other.md").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"other.md: is no page of rwk collect, so no table can be added to it"):
            collect(tables, tmp_path / "other.md", add=True)
        assert (tmp_path / "other.md").read_text(encoding="utf-8") == text


def test_epochs_that_were_asked_for_are_in_the_name_the_title_and_the_command(tables: list[Path], tmp_path: Path) -> None:
    values = json.loads((tables[1] / "results.json").read_text(encoding="utf-8"))
    (tables[1] / "results.json").write_text(json.dumps({**values, "budget": "cpu", "epochs": 60}), encoding="utf-8")
    page, _ = collected(tables, tmp_path / "kept")
    assert re.findall(r'<a id="([^"]*)">', page) == ["rwae-9-cpu", "rwae-9-cpu-60-epochs"]
    assert len(re.findall(r"^## R-WAE Table 9: .*, 60 epochs$", page, flags=re.MULTILINE)) == 1
    assert "Made by `rwk reproduce rwae-9 --budget cpu --epochs 60 --seeds 1`" in page
    assert (tmp_path / "kept" / "benchmarks" / "results" / "reproduced-rwae-9-cpu-60-epochs.csv").is_file()


def test_pictures_are_small_pngs_of_the_first_seed_and_one_that_is_missing_is_told(tables: list[Path], tmp_path: Path) -> None:
    shutil.copytree(tables[0] / MMD, tables[0] / "rwae-mmd-small-1")
    values = json.loads((tables[0] / "results.json").read_text(encoding="utf-8"))
    values["runs"].append({**values["runs"][-1], "folder": "rwae-mmd-small-1", "seed": 1})
    (tables[0] / "results.json").write_text(json.dumps(values), encoding="utf-8")
    page, said = collected(tables[:1], tmp_path / "kept")
    made = sorted((tmp_path / "kept" / "docs" / "pictures").iterdir())
    assert [file.name for file in made] == [
        "rwae-9-cpu-dsvae-full-small-0-swap.png",
        "rwae-9-cpu-rwae-mmd-small-0-codes.png",
        "rwae-9-cpu-rwae-mmd-small-0-swap.png",
    ]
    for file in made:
        assert file.stat().st_size <= MOST
        with Image.open(file) as image:
            assert (image.format, image.mode) == ("PNG", "P")
    assert FRAMES["swap"].alt in page
    assert page.index("DS-VAE, full q, variant small, seed 0:") < page.index("R-WAE(MMD), variant small, seed 0:")
    (told,) = said
    assert "dsvae-full-small-0/pictures/codes.png: is not there" in told
    assert "rwk report" in told


def test_without_folders_for_them_there_are_no_pictures_and_no_csv(tables: list[Path], tmp_path: Path) -> None:
    (page,) = collect(tables, tmp_path / "kept" / "RESULTS.md")
    assert list((tmp_path / "kept").iterdir()) == [page]
    text = page.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "Pictures" not in text
    assert ".csv" not in text


def test_results_read_back_make_the_page_of_the_folder(smoke: Path) -> None:
    assert results_page(read_made(smoke)) == (smoke / "RESULTS.md").read_text(encoding="utf-8")


def test_a_smoke_test_is_refused_by_the_command_and_nothing_is_written(
    smoke: Path, tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kept" / "RESULTS.md"
    with pytest.raises(SystemExit) as leaving:
        main(["collect", str(tables[0]), str(smoke), "--out", str(out), "--keep", str(tmp_path / "kept")])
    assert leaving.value.code == 2
    assert "rwae-9-smoke: is a smoke test, whose figures mean nothing" in capsys.readouterr().err
    assert not out.parent.exists()
    main(["collect", *map(str, tables), "--out", str(out)])
    assert "RESULTS.md: written" in capsys.readouterr().out


def test_what_is_no_finished_table_is_refused_with_the_reason(tables: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.md"
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: there is no results.json, so this is no finished table. rwk reproduce TABLE --out"
    ):
        collect([tmp_path / "empty"], out)
    with pytest.raises(DataError, match=r"cpu: is the table rwae-9-cpu, and so is .*cpu; give one of them"):
        collect([tables[0], tables[0]], out)
    with pytest.raises(DataError, match=r"lies in a table's own folder, whose page it would replace"):
        collect(tables, tables[1] / "RESULTS.md")
    with pytest.raises(DataError, match=r"no folder is given"):
        collect([], out)
    (tables[0] / "results.json").write_text('{"table": "rwae-9"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"results.json: is damaged or of another version .*the same rwk reproduce command"):
        collect(tables, out)
    assert not out.exists()


def test_every_table_names_pictures_that_have_words() -> None:
    for table in paper_tables():
        assert table.pictures
        assert set(table.pictures) <= set(FRAMES) & set(VECTORS)
