"""A run that was trained from the command line, and a way to call it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rwae_kit.cli import main

SMALL = {
    "--data.train_clips": "16",
    "--data.validation_clips": "8",
    "--data.test_clips": "16",
    "--latents.static": "3",
    "--latents.dynamic": "2",
    "--encoder.hidden": "8",
    "--encoder.static_hidden": "8",
    "--encoder.frames.channels": "[4]",
    "--encoder.frames.strides": "[4]",
    "--encoder.frames.features": "8",
    "--decoder.hidden": "[8]",
    "--decoder.frames.channels": "[4]",
    "--decoder.frames.strides": "[4]",
    "--decoder.frames.features": "8",
    "--prior.hidden": "8",
    "--penalty.static.scaled_mmd.hidden": "[8,8]",
    "--training.batch_size": "8",
    "--epochs": "1",
    "--device": "cpu",
}
TINY = [*(word for pair in SMALL.items() for word in pair), "--no-report", "--quiet"]


class Answer(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny_words() -> list[str]:
    """Options that make the default recipe so small that it trains in a second."""
    return list(TINY)


@pytest.fixture
def rwk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """`rwk WORDS` in this process."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: object) -> Answer:
        capsys.readouterr()
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return call


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, read by many tests: none may change it."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    main(["train", *TINY, "--out", str(folder)])
    return folder
