"""`rwk convert`: checkpoints of C-DSVAE's published code to model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry
from rwae_kit.cli.output import note
from rwae_kit.cli.runs import open_model, wrote
from rwae_kit.errors import CheckpointError, DataError
from rwae_kit.registry import Registry

if TYPE_CHECKING:
    from rwae_kit.data import DataInfo


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE.pth|RUN", help="a checkpoint of C-DSVAE's code, or a run (or model) folder")
    ],
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE.pth", help="a new model folder, or a new checkpoint")],
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Take over a checkpoint of C-DSVAE's published code as a model folder, or write a folder's model as such a checkpoint."""
    from rwae_kit.build import save_pretrained
    from rwae_kit.checkpoint import MODEL
    from rwae_kit.interop import load_cdsvae, save_cdsvae

    registry = find_registry(plugin)
    if target.exists():
        raise CheckpointError(f"{target}: is there already. Choose another place")
    if source.is_dir():
        if target.suffix != ".pth":
            raise CheckpointError(f"{target}: the model in {source} is written as a checkpoint: give a file that ends in .pth")
        save_cdsvae(open_model(source, registry, "cpu"), target, registry=registry)
        wrote([target], json)
    else:
        save_pretrained(load_cdsvae(source, info=_data(registry), registry=registry), target)
        wrote([target / name for name in MODEL], json)


def _data(registry: Registry) -> DataInfo | None:
    """Of the clips that a checkpoint is for, where they are at hand."""
    from rwae_kit.build import open_dataset
    from rwae_kit.interop import RECIPE
    from rwae_kit.run import compose

    try:
        return open_dataset(compose(RECIPE, {}, registry), registry).info()
    except DataError as error:
        note(f"{error}. Without them rwk sample will do, but not what needs clips: convert again once they are built", "note")
        return None
