"""How the documentation is built: offline, with warnings as errors (`sphinx-build -W docs docs/_build`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from rwae_kit import __version__

project = "rwae_kit"
author = "The rwae_kit authors"
copyright = "the rwae_kit authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tables"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"rwae_kit {version}"
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_custom_sections = ["Shape", "Source", "Arguments"]
napoleon_use_rtype = False

_CODE = re.compile(r"(`[^`]*`)")


def _plain(_app: Any, what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Docstrings are plain text with code in single backticks: keep reStructuredText from reading more into them."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = _CODE.split(line)
            parts[::2] = [re.sub(r"([*|])|(_)(?=\W|$)", r"\\\1\2", part) for part in parts[::2]]
            parts[1::2] = [f"`{part}`" for part in parts[1::2]]
            lines[i] = "".join(parts)
    if what == "module":
        lines[:] = re.sub(r"(?m)^(\S.*)\n\n(?=    )", r"\1\n\n::\n\n", "\n".join(lines)).split("\n")
    elif what in ("attribute", "data", "property"):
        lines.insert(0, "\\")  # shows nothing, but napoleon would take "word: sentence" for a type and its description


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _plain, priority=100)
