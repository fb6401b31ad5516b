from __future__ import annotations

from typing import Any, Literal

import pytest

from rwae_kit import RecipeError, Registry
from rwae_kit.cli.options import flags_of, nearest_flag, scan, select, type_words

VALUES: dict[str, Any] = {
    "encoder": {"name": "autoregressive", "hidden": 8, "frames": {"name": "conv", "features": 8}},
    "prior": {"name": "lstm", "hidden": 8},
    "penalty": {
        "static": {"scaled_mmd": {"weight": 100.0, "hidden": [8]}, "kl": {"weight": 0.1}},
        "dynamic": {"mmd": {"weight": 60.0, "bandwidths": [1.0]}, "kl": {"weight": 1.0}},
    },
}


def selected(*words: str) -> dict[str, Any]:
    return select(VALUES, scan(words))


def test_one_penalty_takes_the_place_and_the_weight_of_the_first_and_leaves_the_rest() -> None:
    assert selected("--penalty", "mmd")["penalty"] == {
        "static": {"mmd": {"weight": 100.0}, "kl": {"weight": 0.1}},
        "dynamic": VALUES["penalty"]["dynamic"],
    }


def test_a_penalty_that_the_recipe_has_there_keeps_all_it_has() -> None:
    assert selected("--penalty", "scaled_mmd") == VALUES
    assert selected("--penalty=dynamic=mmd") == VALUES


def test_a_penalty_that_the_recipe_has_as_second_keeps_its_own_weight_and_drops_the_first() -> None:
    assert selected("--penalty", "dynamic=kl")["penalty"]["dynamic"] == {"kl": {"weight": 1.0}}


def test_several_penalties_on_a_latent_are_its_complete_set() -> None:
    found = selected("--penalty", "dynamic=scaled_mmd", "--penalty", "dynamic=mmd")
    assert found["penalty"]["dynamic"] == {"scaled_mmd": {"weight": 1.0}, "mmd": VALUES["penalty"]["dynamic"]["mmd"]}


def test_none_removes_all_penalties_of_a_latent() -> None:
    assert selected("--penalty", "static=none")["penalty"] == {"static": {}, "dynamic": VALUES["penalty"]["dynamic"]}


def test_a_penalty_where_the_recipe_has_none_gets_no_weight_from_nowhere() -> None:
    assert select({}, scan(["--penalty", "mmd"])) == {"penalty": {"static": {"mmd": {}}}}


def test_another_part_drops_the_options_of_the_one_before_and_the_same_part_keeps_them() -> None:
    assert selected("--prior", "gru")["prior"] == {"name": "gru"}
    assert selected("--prior", "lstm") == VALUES


def test_another_encoder_keeps_the_frame_net() -> None:
    assert selected("--encoder", "bidirectional")["encoder"] == {"name": "bidirectional", "frames": {"name": "conv", "features": 8}}


@pytest.mark.parametrize(
    "words", [["--set", "encoder.frames.name=mlp"], ["--encoder.frames.name", "mlp"], ["--encoder.frames.name=mlp"]]
)
def test_a_part_is_chosen_by_its_name_in_every_spelling(words: list[str]) -> None:
    assert selected(*words)["encoder"] == {"name": "autoregressive", "hidden": 8, "frames": {"name": "mlp"}}


def test_settings_come_after_the_parts_whatever_their_order() -> None:
    words = ["--set", "prior.hidden=3", "--set", "prior.name=gru", "--set", "prior.layers=2"]
    assert selected("--set", "prior.hidden=3", "--prior", "gru")["prior"] == {"name": "gru", "hidden": 3}
    assert selected(*words)["prior"] == {"name": "gru", "layers": 2}


def test_settings_are_read_as_toml_and_bare_words_as_words() -> None:
    found = scan(["--set", "a.b=[1, 2.5]", "--set", "c=true", "--set", "d = lstm", "--set", "e=x=y"])
    assert found.settings == (("a.b", [1, 2.5]), ("c", True), ("d", "lstm"), ("e", "x=y"))


def test_terms_and_the_views_that_have_a_table_have_flags() -> None:
    values = {"term": {"keep": {"name": "info_nce", "weight": 1.0}}, "view": {"augment": {"blur": {"sigma": 2.0}}}}
    flags = {flag.path: flag for flag in flags_of(values, Registry.installed())}
    assert "term.keep.temperature" in flags
    assert flags["view.augment.blur.sigma"].shown_default() == "2.0"
    assert "view.augment.crop.area" in flags


def test_the_values_of_a_recipe_are_not_written() -> None:
    before = repr(VALUES)
    selected("--penalty", "mmd", "--prior", "gru", "--set", "encoder.frames.features=2")
    assert repr(VALUES) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--penalty", "statick=mmd"], "--penalty statick=mmd: unknown latent 'statick'. Did you mean 'static'?"),
        (
            ["--penalty", "static="],
            "--penalty static=: needs a divergence, such as --penalty static=mmd, or none to remove what is there",
        ),
        (["--set", "a.b"], "--set a.b: needs a path and a value, such as --set training.batch_size=32"),
        (["--set", "=3"], "--set =3: needs a path and a value, such as --set training.batch_size=32"),
    ],
)
def test_a_choice_that_cannot_be_read_says_what_would_be_right(words: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        scan(words)
    assert str(caught.value) == message


def test_a_part_that_recipes_do_not_have_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"a recipe has no part 'encoderr'. Did you mean 'encoder'\?"):
        selected("--encoderr.name", "lstm")


def test_every_option_of_every_chosen_part_has_a_flag_with_the_value_that_holds_without_it() -> None:
    flags = {flag.path: flag for flag in flags_of(VALUES, Registry.installed())}
    assert flags["penalty.dynamic.mmd.bandwidths"].shown_default() == "[1.0]"
    assert flags["penalty.dynamic.mmd.average"].shown_default() == "true"
    assert flags["penalty.static.kl.weight"].shown_default() == "0.1"
    assert flags["prior.hidden"].panel == "prior: lstm"
    assert flags["encoder.frames.features"].shown_default() == "8"
    assert flags["training.critic.learning_rate"].shown_default() == "0.001"
    assert flags["training.clip_gradient"].shown_default() == "none"
    assert flags["latents.static"].shown_default() == "required"
    assert not any(path.startswith("penalty.static.mmd") for path in flags)


def test_every_flag_has_help() -> None:
    assert [flag.path for flag in flags_of(VALUES, Registry.installed()) if not flag.option.help] == []


@pytest.mark.parametrize(
    ("flag", "nearest"),
    [
        ("--bacth-size", "--training.batch_size"),
        ("--penalty.dynamic.mmd.bandwith", "--penalty.dynamic.mmd.bandwidths"),
        ("--bandwidth", "--penalty.dynamic.mmd.bandwidths"),
        ("--epoch", "--epochs"),
    ],
)
def test_a_misspelt_flag_finds_the_nearest_of_all(flag: str, nearest: str) -> None:
    known = ["--epochs", "--training.batch_size", "--penalty.dynamic.mmd.bandwidths", "--penalty.dynamic.mmd.weight"]
    assert nearest_flag(flag, known) == f"Did you mean {nearest!r}?"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "N"),
        (bool, "true|false"),
        (float | None, "NUMBER"),
        (tuple[int, ...], "[N,...]"),
        (Literal["mean", "lstm"], "mean|lstm"),
        (Literal["auto"] | float, "auto|NUMBER"),
    ],
)
def test_types_are_shown_in_words(kind: Any, words: str) -> None:
    assert type_words(kind) == words
