"""Recipes that build on others, and their variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rwae_kit import Recipe, RecipeError, Registry
from rwae_kit.composition import composed, overlay, parse_reference, recipe_values, variants_of
from rwae_kit.run import compose

REGISTRY = Registry.installed()

BASE = """
title = "Base"
[data]
name = "moving_shapes"
[encoder]
name = "autoregressive"
hidden = 64
frames = { name = "conv", features = 32 }
[prior]
name = "lstm"
hidden = 16
[penalty.static.mmd]
weight = 3.0
[variant.large]
encoder.hidden = 256
[variant.other]
data = { name = "sprites" }
penalty.static.mmd.weight = 5.0
[variant.deep]
encoder.frames = { name = "resblock", features = 60 }
[variant."large+deep"]
encoder.frames.features = 150
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "base.toml").write_text(BASE)
    return tmp_path


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_reference_is_a_name_or_file_and_variants() -> None:
    assert parse_reference("a") == ("a", ())
    assert parse_reference("a:b+c") == ("a", ("b", "c"))
    assert parse_reference("x/y.toml:b") == ("x/y.toml", ("b",))
    assert parse_reference("C:\\x\\y.toml") == ("C:\\x\\y.toml", ())


def test_another_part_takes_the_place_of_the_old_one_but_for_its_frame_net() -> None:
    old = {"encoder": {"name": "full", "hidden": 3, "frames": {"name": "conv", "features": 2}}}
    assert overlay(old, {"encoder": {"name": "full", "log_var": 1.0}})["encoder"] == {**old["encoder"], "log_var": 1.0}
    assert overlay(old, {"encoder": {"name": "cdsvae"}})["encoder"] == {"name": "cdsvae", "frames": {"name": "conv", "features": 2}}
    assert overlay(old, {"encoder": {"frames": {"name": "mlp"}}})["encoder"]["frames"] == {"name": "mlp"}
    assert overlay({"prior": "lstm"}, {"prior": {"hidden": 3}}) == {"prior": {"name": "lstm", "hidden": 3}}


def test_variants_are_applied_in_the_order_of_the_file_and_pairs_where_both_are_asked_for(files: Path) -> None:
    base = str(files / "base.toml")
    assert variants_of(base, REGISTRY) == ["large", "other", "deep"]
    one, other = (recipe_values(f"{base}:{names}", REGISTRY) for names in ("large+deep", "deep+large"))
    assert one == other
    assert one["encoder"] == {"name": "autoregressive", "hidden": 256, "frames": {"name": "resblock", "features": 150}}
    assert one["title"] == "Base, variant large+deep"
    assert recipe_values(f"{base}:deep", REGISTRY)["encoder"]["frames"] == {"name": "resblock", "features": 60}
    assert "variant" not in one
    plain = recipe_values(base, REGISTRY)
    assert plain["encoder"]["hidden"] == 64
    assert plain["title"] == "Base"


def test_a_recipe_changes_its_base_and_goes_without_what_it_removes_in_every_variant(files: Path) -> None:
    mine = write(
        files,
        'base = "base.toml:large"\nremove = ["penalty.static.mmd"]\ntitle = "Mine"\n[penalty.static.kl]\nweight = 1.0\n'
        '[variant.other]\npenalty.static.kl.weight = 2.0\nprior = { name = "linear" }\n',
    )
    values = recipe_values(mine, REGISTRY)
    assert values["encoder"]["hidden"] == 256
    assert values["title"] == "Mine"
    assert values["penalty"] == {"static": {"kl": {"weight": 1.0}}}
    other = recipe_values(f"{mine}:other", REGISTRY)
    assert other["penalty"] == {"static": {"kl": {"weight": 2.0}}}
    assert other["data"] == {"name": "sprites"}
    assert other["prior"] == {"name": "linear"}
    assert recipe_values(f"{mine}:deep", REGISTRY)["encoder"]["frames"]["features"] == 60


def test_a_variant_of_a_base_does_not_remove_what_its_heir_has_removed(files: Path) -> None:
    write(files, BASE + '[variant.bare]\nremove = ["penalty.static.mmd", "prior.hidden"]\n', "base.toml")
    mine = write(files, 'base = "base.toml"\nremove = ["penalty.static.mmd"]\n[variant.bare]\nremove = ["encoder.hidden"]\n')
    values = recipe_values(f"{mine}:bare", REGISTRY)
    assert values["prior"] == {"name": "lstm"}
    assert "hidden" not in values["encoder"]


def test_a_shipped_recipe_is_a_base_for_a_file_and_for_plain_values(files: Path) -> None:
    mine = write(files, 'base = "rwae-gan"\n[latents]\nstatic = 7\n')
    recipe = compose(mine, {"latents.dynamic": 3}, REGISTRY)
    assert (recipe.latents.static, recipe.latents.dynamic) == (7, 3)
    assert {entry.part.name for entry in recipe.penalties if entry.latent == "static"} == {"js_gan"}
    assert Recipe.from_dict(composed({"base": "rwae-gan", "latents": {"static": 7}}, REGISTRY)).latents.static == 7


@pytest.mark.parametrize(
    ("text", "variant", "message"),
    [
        ('base = "base.toml"', ":larg", r"no variant 'larg'. Did you mean 'large'\?"),
        ('base = "rwae-mmd:nothing"', "", r"mine.toml: base: rwae-mmd: no variant 'nothing'. Known: "),
        ('base = "base.toml"\nremove = ["penalty.static.kl"]', "", r"remove: nothing at 'penalty.static.kl'. Known: mmd"),
        ('base = "base.toml"\nremove = "prior"', "", r"remove: needs a list of paths"),
        ('base = "mine.toml"', "", r"builds on itself: .*mine.toml -> .*mine.toml"),
        ("base = 3", "", r"base: needs the name of a recipe, not 3"),
        ('base = "base.toml"\nvariant = 3', "", r"variant: needs tables, such as \[variant.mug\]"),
        ('base = "base.toml"\n[variant."large+huge"]', "", r"variant.'large\+huge': there is no variant 'huge'"),
        (
            'base = "base.toml"\n[variant.third]\ndata = "mine"',
            ":other+third",
            r"the variants other and third both choose the data",
        ),
        ('base = "nowhere"', "", r"unknown recipe 'nowhere'"),
    ],
)
def test_what_cannot_be_composed_says_why(files: Path, text: str, variant: str, message: str) -> None:
    mine = write(files, text)
    with pytest.raises(RecipeError if "nowhere" not in text else Exception, match=message):
        recipe_values(mine + variant, REGISTRY)


def test_a_recipe_without_variants_says_that_it_has_none(files: Path) -> None:
    mine = write(files, "[latents]\nstatic = 3\n")
    with pytest.raises(RecipeError, match=r"no variant 'c'. It has none"):
        recipe_values(mine + ":c", REGISTRY)


def test_values_of_any_kind_pass_through() -> None:
    values: dict[str, Any] = {"a": {"b": [1, 2]}, "c": "d"}
    assert composed(values, REGISTRY) == values
