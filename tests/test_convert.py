"""Plain values to attrs classes: strict, and errors that carry their path."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from attrs import field, frozen
from attrs.validators import gt

from rwae_kit.convert import options_of, structure, unstructure
from rwae_kit.errors import RecipeError


@frozen(kw_only=True)
class Inner:
    rate: float = field(default=0.1, validator=gt(0), metadata={"help": "a rate"})


@frozen(kw_only=True)
class Outer:
    count: int = field(default=1, metadata={"help": "a count"})
    on: bool = field(default=False, metadata={"help": "a switch"})
    word: Literal["left", "right"] = field(default="left", metadata={"help": "a side"})
    sizes: tuple[int, ...] = field(default=(1, 2), metadata={"help": "sizes"})
    bounds: tuple[float, float] = field(default=(0.0, 1.0), metadata={"help": "bounds"})
    limit: float | None = field(default=None, metadata={"help": "a limit"})
    inner: Inner = field(factory=Inner, metadata={"help": "more"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1.7}, "here.count: needs a whole number, not 1.7"),
        ({"count": True}, "here.count: needs a whole number, not True"),
        ({"count": "3"}, "here.count: needs a whole number, not '3'"),
        ({"on": "false"}, "here.on: needs true or false, not 'false'"),
        ({"word": "lift"}, "here.word: 'lift' is no choice. Did you mean 'left'?"),
        ({"sizes": 3}, "here.sizes: needs a list such as [3], not 3"),
        ({"sizes": [1, "x"]}, "needs a whole number, not 'x'"),
        ({"bounds": [1.0]}, "here.bounds: needs 2 entries, not [1.0]"),
        ({"limit": "high"}, "here.limit: needs a number, not 'high'"),
        ({"inner": {"rate": -1.0}}, "here.inner.rate: must be > 0, not -1.0"),
        ({"inner": {"rat": 1.0}}, "here.inner: unknown key 'rat'. Did you mean 'rate'?"),
        ({"inner": 3}, "here.inner: needs a table of options"),
        ({"cuont": 3}, "here: unknown key 'cuont'. Did you mean 'count'?"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_what_would_be_right(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        structure(values, Outer, "here")
    assert message in str(caught.value)


def test_every_error_of_a_table_is_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        structure({"count": "a", "on": 1, "inner": {"rate": "b"}}, Outer, "here")
    assert len(str(caught.value).splitlines()) == 3


def test_whole_numbers_serve_as_numbers_and_lists_as_tuples() -> None:
    made = structure({"limit": 2, "sizes": [4], "bounds": [0, 2], "inner": {"rate": 1}}, Outer, "here")
    assert made == Outer(limit=2.0, sizes=(4,), bounds=(0.0, 2.0), inner=Inner(rate=1.0))
    assert isinstance(made.limit, float)


def test_plain_values_come_back_as_the_same_object_and_none_is_left_out() -> None:
    made = Outer(count=5, sizes=(), inner=Inner(rate=2.0))
    plain = unstructure(made)
    assert "limit" not in plain
    assert plain["sizes"] == []
    assert structure(plain, Outer, "here") == made


def test_options_of_nested_classes_have_dotted_paths_types_defaults_and_help() -> None:
    options = {option.path: option for option in options_of(Outer)}
    assert options["inner.rate"].default == 0.1
    assert options["inner.rate"].help == "a rate"
    assert options["sizes"].type == tuple[int, ...]
    assert "inner" not in options
