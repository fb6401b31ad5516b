"""`rwk collect`: the tables of many folders on one page, with what is to be kept of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rwae_kit.cli.options import JsonFlag
from rwae_kit.cli.output import note
from rwae_kit.cli.runs import check_out, wrote


def collect(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="of tables, as rwk reproduce has finished them")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="the page, in Markdown")],
    add: Annotated[bool, typer.Option("--add", help="keep the other tables that the page has")] = False,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="copy each table's CSV file here")] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="put pictures of the runs here, small, and show them on the page")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Put reproduced tables on one page, with links to their figures and with pictures; for a repository, say."""
    check_out(out, ".md")
    from rwae_kit.reproduce.collect import collect as run

    wrote(run(folders, out, add=add, keep=keep, pictures=pictures, say=note), json)
