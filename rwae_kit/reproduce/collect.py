"""Many tables on one page: what is kept of them when their folders are not."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen
from PIL import Image

from rwae_kit.checkpoint import replace_file
from rwae_kit.errors import DataError
from rwae_kit.evaluation.comparison_tables import PUBLISHED
from rwae_kit.report.drawing import save_small
from rwae_kit.report.make import LONG
from rwae_kit.report.words import Words, words
from rwae_kit.reproduce.made import Made, method_of, read_made
from rwae_kit.reproduce.words import BUDGETS, CHOSEN, SEARCHED, bullets, page, record, scores

MOST = 60_000
"""Bytes of a picture, at most."""
WIDE = 640
"""Pixels across of a picture on the page, at most."""
SAID = (PUBLISHED, SEARCHED, CHOSEN)
"""What the page says once, at its head, for all tables."""
_PICTURES = (
    "Pictures are of the first seed of each method, whatever its scores, as the run's report has them; a method that begins from "
    "another's weights has none. Which held-out clips they show follows from labels and a fixed seed, and what is sampled from "
    "that seed; nothing was picked by hand."
)
_PICTURED = "### Pictures"
_STRIPS = "Film strips of the first four; one of more than 16 frames is thinned out evenly."


@frozen(kw_only=True)
class _Folder:
    """A table and where it lies."""

    path: Path
    made: Made

    def firsts(self) -> Iterator[tuple[str, Path]]:
        """The first seed's run of each method that was trained anew: in words, and its folder."""
        seen = set()
        for run in self.made.runs:
            method = method_of(run)
            if method not in seen and not run.get("init"):
                seen.add(method)
                yield f"{run['title']}, seed {run['seed']}", self.path / run["folder"]


@frozen(kw_only=True)
class _Entry:
    """A table as the page has it."""

    name: str
    listed: str
    """Its line in the list at the page's head."""
    section: str

    @property
    def budget(self) -> str:
        found = re.search(r"budget `(\w+)`", self.listed)
        return found[1] if found else ""


@frozen(kw_only=True)
class _Collector:
    """Where things go; every file that is written is noted."""

    out: Path
    keep: Path | None
    pictures: Path | None
    say: Callable[[str], None]
    written: list[Path]

    def link(self, file: Path) -> str:
        """A path as the page's folder sees it."""
        return Path(os.path.relpath(file, self.out.parent)).as_posix()

    def kept(self, folder: _Folder) -> str:
        """Copy the CSV file of a table; what the page says of it."""
        if self.keep is None:
            return ""
        file = self.keep / f"reproduced-{folder.made.name}.csv"
        replace_file(file, (folder.path / "table.csv").read_bytes())
        self.written.append(file)
        return f"; all scores: [{file.name}]({self.link(file)})"

    def drawn(self, folder: _Folder) -> list[str]:
        """The pictures of a table, each kind under its words, methods one after the other."""
        if self.pictures is None:
            return []
        blocks = []
        for name in folder.made.table.pictures:
            shown: list[str] = []
            for title, run in folder.firsts():
                source = run / "pictures" / f"{name}.png"
                if not source.is_file():
                    self.say(
                        f"{source}: is not there, and the page goes without it; rwk report {run} draws it, where it can be drawn"
                    )
                    continue
                said = _words(run, name)
                file = self.pictures / f"{folder.made.name}-{run.name}-{name}.png"
                with Image.open(source) as image:
                    save_small(image, file, MOST)
                self.written.append(file)
                shown += [] if shown else [f"**{name.replace('_', ', ').capitalize()}.** {said.alt} {said.caption}"]
                shown += [f"{title}:", self._image(file, f"{title}. {said.alt}")]
            blocks += shown
        return [_PICTURED, *blocks] if blocks else []

    def _image(self, file: Path, alt: str) -> str:
        with Image.open(file) as image:
            width = min(WIDE, image.width)
        words = html.escape(alt, quote=False).replace('"', "&quot;")
        return f'<img src="{self.link(file)}" alt="{words}" width="{width}">'


def collect(
    folders: Sequence[Path],
    out: Path,
    *,
    add: bool = False,
    keep: Path | None = None,
    pictures: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write a page of the tables in these folders, in their order, and return what was written, the page last.

    The same folders make the same bytes.

    Arguments:
        add: keep the other tables of a page that is there, whose folders may be gone or on another machine; a table that it has is
            replaced where it stands, a new one comes last.
        keep: where to copy each table's CSV file.
        pictures: where to put the pictures that each table names, small; without it the page has none.
        say: is told of a picture that is not there.

    Raises:
        DataError: a folder without a finished table, one of a smoke test, a table given twice, a page in a table's own folder, or
            a page to add to that is none of these.
    """
    found = [_Folder(path=path, made=read_made(path)) for path in folders]
    _check(found, out)
    entries = {one.name: one for one in (_read(out) if add and out.exists() else ())}
    for place in (out.parent, keep, pictures):
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
    collector = _Collector(out=out, keep=keep, pictures=pictures, say=say, written=[])
    entries |= {one.name: one for one in (_entry(folder, collector) for folder in found)}
    replace_file(out, page([*_head([*entries.values()], collector), *(one.section for one in entries.values())]).encode())
    return [*collector.written, out]


def _check(folders: Sequence[_Folder], out: Path) -> None:
    if not folders:
        raise DataError("collect: no folder is given; name those that rwk reproduce has made")
    names: dict[str, Path] = {}
    for folder in folders:
        if folder.made.budget == "smoke":
            raise DataError(
                f"{folder.path}: is a smoke test, whose figures mean nothing. Collect what --budget cpu or full has made"
            )
        if other := names.get(folder.made.name):
            raise DataError(f"{folder.path}: is the table {folder.made.name}, and so is {other}; give one of them")
        names[folder.made.name] = folder.path
        if out.resolve().parent == folder.path.resolve():
            raise DataError(f"--out {out}: lies in a table's own folder, whose page it would replace. Choose a file elsewhere")


def _read(out: Path) -> list[_Entry]:
    """The tables of a page that was written here."""
    head, *sections = re.split(r'^(?=<a id="[^"]+"></a>$)', out.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
    found = []
    for section in sections:
        name = section.split('"', 2)[1]
        if line := re.search(rf"^- (\[.*\]\(#{re.escape(name)}\): .*)$", head, flags=re.MULTILINE):
            found.append(_Entry(name=name, listed=line[1], section=section.rstrip("\n")))
    if not sections or len(found) < len(sections) or not {one.budget for one in found} <= set(BUDGETS):
        raise DataError(
            f"--out {out}: is no page of rwk collect, so no table can be added to it. Choose another file, or leave --add out"
        )
    return found


def _entry(folder: _Folder, collector: _Collector) -> _Entry:
    made = folder.made
    section = page(_section(folder, collector)).rstrip("\n")
    return _Entry(name=made.name, listed=f"[{made.title}](#{made.name}): {_size(made)}", section=section)


def _head(entries: Sequence[_Entry], collector: _Collector) -> list[str]:
    """How the page is made, what is on it, and what holds for all tables."""
    places = (("--keep", collector.keep), ("--pictures", collector.pictures))
    given = "".join(f" {option} {collector.link(place)}" for option, place in places if place is not None)
    budgets = list(dict.fromkeys(one.budget for one in entries))
    general = [f"Budget `{name}`: {BUDGETS[name]}" for name in budgets] + [
        *SAID,
        *[_PICTURES] * any(f"\n{_PICTURED}\n" in one.section for one in entries),
    ]
    return [
        "# Results",
        "Tables of the papers, made again by `rwk reproduce`. This page was written by a command, and is not edited by hand:",
        f"    rwk collect FOLDER... --out {collector.out.name}{given}",
        bullets(one.listed for one in entries),
        "## What holds for all tables",
        bullets(general),
    ]


def _section(folder: _Folder, collector: _Collector) -> list[str]:
    made = folder.made
    return [
        f'<a id="{made.name}"></a>',
        f"## {made.title}",
        f"Made by `{_command(made)}`{collector.kept(folder)}.",
        *scores(made, "###", SAID),
        *collector.drawn(folder),
        *record(made, "###", SAID),
    ]


def _command(made: Made) -> str:
    """What makes the same runs: methods and seeds are told where they are not those of the budget."""
    _, choice = made.table.choose(made.data)
    budget, count = choice.budget(made.budget), 1 + max(int(run["seed"]) for run in made.runs)
    whole = {method.called() for method in budget.methods} <= set(_methods(made))
    data = "" if made.data == next(iter(made.table.data)) else f" --data {made.data}"
    only = "" if whole else "".join(f" --only {method}" for method in _methods(made))
    epochs = "" if made.epochs is None else f" --epochs {made.epochs}"
    seeds = "" if count == budget.seeds else f" --seeds {count}"
    return f"rwk reproduce {made.table.name}{data} --budget {made.budget}{epochs}{only}{seeds}"


def _methods(made: Made) -> list[str]:
    """What the methods' folders are called, without the seeds."""
    return list(dict.fromkeys(map(method_of, made.runs)))


def _size(made: Made) -> str:
    methods, runs = len(_methods(made)), len(made.runs)
    return f"`{made.data}`, budget `{made.budget}`, {methods} method{'s'[: methods > 1]}, {runs} run{'s'[: runs > 1]}"


def _words(run: Path, name: str) -> Words:
    """What is said of a run's picture; of which kind its clips are, its model knows. A still of samples is not all of them."""
    file = run / "model.json"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))["info"]
        said = words(name, tuple(info["frame"]), LONG if name == "samples_long" else info["length"])
        return said._replace(caption=_STRIPS) if name.startswith("samples") and len(info["frame"]) > 1 else said
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); {run} is no whole run folder") from error
