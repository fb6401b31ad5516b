"""`rwk doctor`: what this machine and this installation can do."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from rwae_kit import __version__
from rwae_kit.cli.output import emit, say, show
from rwae_kit.registry import Registry

_EXTRAS = {"eval": "sklearn"}
"""What a plain install lacks, by the module that it brings."""


def doctor(
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    build: Annotated[bool, typer.Option("--build", help="first compile the C++ kernels, once, into the cache folder")] = False,
) -> None:
    """Show what this machine and this installation can do."""
    if build:
        from rwae_kit.kernels.mmd import cpp

        place = cpp.build()
        if not json:
            say(f"built {place}")
    found = examine()
    if json:
        emit(found)
        return
    flat = [(key, value if isinstance(value, str) else _words(value)) for key, value in found.items()]
    show("", ("what", "found"), flat)
    if found["mmd"] != "cpp" and found["device"] == "cpu":
        say("the C++ kernels are not built: rwk doctor --build makes MMD penalties faster")
    for extra, present in found["extras"].items():
        if not present:
            say(f"extra {extra!r} is not installed: pip install 'rwae-kit[{extra}]'")


def examine() -> dict[str, Any]:
    """What there is, as plain values."""
    import torch

    from rwae_kit.data import data_root
    from rwae_kit.kernels.mmd import available_paths, choose_path

    registry = Registry.installed()
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else ("mps" if torch.backends.mps.is_available() else "cpu")
    root = data_root()
    return {
        "rwae_kit": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "cuda": str(torch.version.cuda or "none"),
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count(),
        "bf16": torch.cuda.is_bf16_supported() if cuda else torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "mmd": choose_path(device if device == "mps" else "cuda" if cuda else "cpu", "float32", available=available_paths()),
        "plugins": {e.plugin: f"{e.distribution} {e.version}" for e in registry.entries.values()},
        "broken": dict(registry.broken),
        "extras": {extra: importlib.util.find_spec(module) is not None for extra, module in _EXTRAS.items()},
        "data_root": str(root),
        "data_root_writable": _writable(root),
        "stores": sorted(p.parent.name for p in root.glob("*/dataset.json")),
    }


def _writable(folder: Path) -> bool:
    """Whether files can be made in the folder, or in the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} ({inner})" if not isinstance(inner, bool) else f"{key} {'yes' if inner else 'no'}"
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
