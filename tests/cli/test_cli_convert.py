from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_cdsvae
import pytest
import torch

from rwae_kit import from_pretrained


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As C-DSVAE's code writes it, of small latents and states."""
    path = tmp_path_factory.mktemp("official") / "model9.pth"
    torch.save({"model": plain_cdsvae.PlainCdsvae(static=5, dynamic=3, features=7, hidden=6).state_dict()}, path)
    return path


def test_a_checkpoint_becomes_a_folder_that_other_commands_read_and_a_checkpoint_again(
    rwk: Callable[..., Any], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RWAE_DATA", str(tmp_path / "nothing"))
    folder, back = tmp_path / "official", tmp_path / "back.pth"
    answer = rwk("convert", checkpoint, folder)
    assert answer.status == 0
    assert "model.safetensors: written" in answer.out
    assert "rwk data build sprites" in answer.err
    assert rwk("sample", folder, "--n", 2, "--length", 3).status == 0
    assert from_pretrained(folder).spec.static == 5
    assert rwk("convert", folder, back).status == 0
    first, second = (torch.load(file, weights_only=True)["model"] for file in (checkpoint, back))
    assert first.keys() == second.keys()
    assert all(torch.equal(second[key], value) for key, value in first.items())


def test_nothing_is_overwritten_and_mistakes_are_told(
    rwk: Callable[..., Any], checkpoint: Path, tiny_run: Path, tmp_path: Path
) -> None:
    wrong = [
        ((checkpoint, checkpoint.parent), "is there already"),
        ((tmp_path / "none.pth", tmp_path / "out"), "none.pth: no such file"),
        ((tiny_run, tmp_path / "out"), "give a file that ends in .pth"),
        ((tiny_run, tmp_path / "out.pth"), "only a model of the recipe 'cdsvae-official'"),
    ]
    for words, told in wrong:
        answer = rwk("convert", *words)
        assert answer.status == 2
        assert told in answer.err
        assert "Traceback" not in answer.err
    assert not list(tmp_path.iterdir())
