from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from rwae_kit import Registry, hookimpl
from rwae_kit.cli import doctor
from rwae_kit.cli.output import show


def with_command(name: str, target: str) -> Registry:
    """The installed plugins and one that adds a command."""

    class Plugin:
        @hookimpl
        def rwae_commands(self) -> dict[str, str]:
            return {name: target}

    return Registry.installed().with_plugin(Plugin(), name="stranger", distribution="stranger-kit")


def install(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setattr(Registry, "installed", classmethod(lambda cls, files=(): registry))


def test_no_words_at_all_show_the_help(rwk: Callable[..., Any]) -> None:
    found = rwk()
    assert found.status == 0
    for command in ("train", "eval", "swap", "sample", "traverse", "report", "recipes", "plugins", "data", "doctor"):
        assert f" {command} " in found.out


def test_a_misspelt_command_is_answered_with_the_nearest(rwk: Callable[..., Any]) -> None:
    found = rwk("tarin")
    assert (found.status, found.out) == (2, "")
    assert found.err == "error: No such command 'tarin'. Did you mean 'train'?\n"


def test_a_misspelt_option_is_answered_with_the_nearest(rwk: Callable[..., Any]) -> None:
    found = rwk("swap", "run", "--devise", "cpu")
    assert (found.status, found.err) == (2, "error: No such option: --devise. Did you mean --device?\n")


def test_a_command_without_its_argument_says_which_one(rwk: Callable[..., Any]) -> None:
    found = rwk("eval")
    assert found.status == 2
    assert "RUN" in found.err


def test_interrupting_a_command_leaves_with_130(rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupted)
    found = rwk("doctor")
    assert (found.status, found.err) == (130, "interrupted\n")


def test_an_error_of_the_system_names_the_file(rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "/disk/file")

    monkeypatch.setattr(doctor, "examine", full)
    assert rwk("doctor") == (2, "", "error: /disk/file: No space left on device\n")


def test_a_broken_plugin_is_named_and_all_else_works(rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, evolve(Registry.installed(), broken={"odd": "odd-kit: ImportError: no module 'numba'"}))
    found = rwk("recipes")
    assert found.status == 0
    assert "quickstart" in found.out
    assert found.err == "warning: plugin 'odd' is not loaded: odd-kit: ImportError: no module 'numba'\n"


def test_a_command_of_a_plugin_is_loaded_when_called_and_gets_its_words(
    rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, with_command("greet", "strangers_commands:greet"))
    assert " greet " in rwk("--help").out  # not loaded yet: there is no such module

    def greet(name: str, loud: bool = False) -> None:
        """Greet somebody."""
        print(f"hello {name}{'!' if loud else ''}")

    module = types.ModuleType("strangers_commands")
    module.greet = greet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "strangers_commands", module)
    assert rwk("greet", "Ada", "--loud") == (0, "hello Ada!\n", "")
    assert "Greet somebody." in rwk("greet", "--help").out
    assert rwk("greet", "Ada", "--lood").status == 2


def test_a_command_of_a_plugin_that_cannot_be_loaded_names_the_plugin(
    rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, with_command("greet", "no_such_module:greet"))
    found = rwk("greet")
    assert found.status == 2
    assert "stranger-kit" in found.err
    assert "no_such_module" in found.err


def test_a_plugin_cannot_take_the_name_of_a_command(rwk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, with_command("recipes", "strangers_commands:recipes"))
    found = rwk("recipes")
    assert (found.status, "quickstart" in found.out) == (0, True)
    assert found.err == "warning: plugin 'stranger': its command 'recipes' is left out: rwk has one of that name\n"


def test_tables_are_folded_on_a_narrow_terminal_and_not_in_a_pipe(monkeypatch, capsys) -> None:
    row = ["a name", *("a long cell of words " * 3 for _ in range(6))]
    monkeypatch.setenv("COLUMNS", "80")
    show("", [f"column {i}" for i in range(7)], [row])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    monkeypatch.delenv("COLUMNS")
    show("", [f"column {i}" for i in range(7)], [row])
    assert len(capsys.readouterr().out.rstrip().splitlines()) == 2
