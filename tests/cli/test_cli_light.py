from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from rwae_kit.cli import main
try:
    main({words!r})
finally:
    print("torch was imported:", "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["train", "--help"], ["plugins"], ["plugins", "list", "--json"], ["recipes"], ["--version"]],
    ids=" ".join,
)
def test_help_and_lists_import_no_torch(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(words=words)], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("torch was imported: False")
    assert done.stderr == ""


def test_python_m_rwae_kit_is_rwk() -> None:
    from rwae_kit import __version__

    done = subprocess.run([sys.executable, "-m", "rwae_kit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"rwae_kit {__version__}\n"
