"""`rwk data inspect`, `validate` and `export`: what there is of a data set, whether it is whole, and its clips as one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rwae_kit.cli.options import JsonFlag, PluginFiles, find_registry, read_setting
from rwae_kit.cli.output import emit, note, progress, say, show
from rwae_kit.cli.runs import check_out, wrote

if TYPE_CHECKING:
    from PIL import Image

    from rwae_kit.data import Clips
    from rwae_kit.data.check import Summary
    from rwae_kit.interfaces import SequenceDataset

SPLITS = ("train", "validation", "test")
ROWS = 4
"""Clips of each split on a contact sheet."""
COLUMNS = 10
"""Frames of a clip on a contact sheet, at most."""
_SHOWN = 20
"""Classes of a factor that are counted one by one."""

Settings = Annotated[list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="an option of the data set")]


def inspect_data(
    name: str,
    setting: Settings = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="draw a contact sheet too: clips of each split that differ, and labels")
    ] = None,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Show sizes, values and labels of each split."""
    import attrs

    from rwae_kit.data.check import summarise

    check_out(out, ".png")
    with progress():
        splits = _splits(_open(name, setting, plugin))
        found = {split: summarise(clips) for split, clips in splits.items()}
    info = splits["train"].info
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        _contact_sheet(splits).save(out)
    if json:
        emit({"info": info.to_dict(), "splits": {split: attrs.asdict(one) for split, one in found.items()}, "sheet": out})
        return
    low, high = info.value_range
    say(f"{info.name}: frames {info.frame}, {info.length} to a clip, {info.fps:g} a second, values {low:g}..{high:g}")
    columns = ("split", "clips", "frames", "shortest", "longest", "least", "greatest", "mean")
    show("", columns, [(s, x.clips, x.frames, x.shortest, x.longest, x.low, x.high, x.mean) for s, x in found.items()])
    _show_labels(info.factors, found)
    if out is not None:
        wrote([out], json)


def validate(name: str, setting: Settings = None, plugin: PluginFiles = None, json: JsonFlag = False) -> None:
    """Look for damage: hashes, values, labels, masks, and whether splits are apart. Exit 2 if there is any."""
    from rwae_kit.data import store_path
    from rwae_kit.data.check import check_clips, check_store, refuse
    from rwae_kit.interfaces import StoredDataset

    dataset = _open(name, setting, plugin)
    folder = store_path(name, dataset.config)  # type: ignore[attr-defined]
    stored = isinstance(dataset, StoredDataset) and folder.exists()
    done = []
    with progress():
        if stored:
            store, problems = check_store(folder)
            refuse(str(folder), problems)
            done.append(f"sha256 of {sum(1 for _ in folder.glob('*.npy'))} arrays")
            if store.recordings is not None:
                apart = " and ".join(filter(None, (f"{len(store.recording_names)} recordings", store.split_by)))
                done.append(f"no two splits share one of the {apart}")
        splits = _splits(dataset)
        refuse(str(folder) if stored else name, [line for split, clips in splits.items() for line in check_clips(split, clips)])
    done.append("values are finite and in their range, labels among their classes")
    clips = {split: len(one) for split, one in splits.items()}
    if json:
        emit({"data": name, "store": str(folder) if stored else None, "clips": clips, "checked": done, "whole": True})
        return
    say(f"{folder if stored else name}: whole, {', '.join(f'{n} {split} clips' for split, n in clips.items())}")
    for line in done:
        say(f"  {line}")


def export(
    name: str,
    form: Annotated[Literal["hdf5", "npz"], typer.Option("--format", help="in the layout of the MSD benchmark, both")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="the file to write")],
    setting: Settings = None,
    plugin: PluginFiles = None,
    json: JsonFlag = False,
) -> None:
    """Write all clips, labels and splits into one file for other programs."""
    from rwae_kit.data import export_clips

    with progress():
        export_clips(_splits(_open(name, setting, plugin)), out, form)
    wrote([out], json)


def _open(name: str, setting: list[str] | None, plugin: list[Path] | None) -> SequenceDataset:
    from rwae_kit.convert import structure

    cls = find_registry(plugin).get("dataset", name)
    dataset: SequenceDataset = cls(structure(dict(read_setting(text) for text in setting or ()), cls.Config, f"data {name}"))
    return dataset


def _splits(dataset: SequenceDataset) -> dict[str, Clips]:
    return {split: dataset.clips(split) for split in SPLITS}


def _show_labels(factors: Mapping[str, Any], found: Mapping[str, Summary]) -> None:
    rows: list[tuple[Any, ...]] = []
    for name, factor in factors.items():
        counts = [summary.counts[name] for summary in found.values()]
        for place, word in enumerate(factor.classes[:_SHOWN]):
            rows.append((f"{name} ({factor.kind})" if place == 0 else "", word, *(count[place] for count in counts)))
        if len(factor.classes) > _SHOWN:
            rows.append(("", f"... ({len(factor.classes)} in all)", *(sum(count[_SHOWN:]) for count in counts)))
        unseen = [word for place, word in enumerate(factor.classes) if counts[0][place] == 0 and sum(c[place] for c in counts) > 0]
        if unseen:
            note(f"no training clip has {name} = {', '.join(unseen[:_SHOWN])}{', ...' if len(unseen) > _SHOWN else ''}", "note")
    if rows:
        show("", ("factor", "class", *found), rows)


def _contact_sheet(splits: Mapping[str, Clips]) -> Image.Image:
    """Some clips of each split that differ, with their labels; padding is left out."""
    from rwae_kit.report.drawing import grid

    rows = [row for split, clips in splits.items() for row in _rows(split, clips)]
    starts = [i for i, (word, _) in enumerate(rows) if i and word.split(":")[0] != rows[i - 1][0].split(":")[0]]
    return grid([cells for _, cells in rows], rows=[word for word, _ in rows], breaks=starts, shown=64)


def _rows(split: str, clips: Clips) -> Iterator[tuple[str, list[Any]]]:
    from rwae_kit.report.drawing import pictures_of
    from rwae_kit.report.pictures import choose

    places = choose(clips, ROWS)
    batch = clips.batch(places)
    pictures = pictures_of(batch.x, clips.info.value_range)
    for i, place in enumerate(places.tolist()):
        shown = list(pictures[i])
        if batch.mask is not None:
            real = int(batch.mask[i].sum())
            shown = shown[:real]
            if len(pictures[i]) == 1:  # of vectors, whose times stand side by side
                shown[0][:, real:] = 255
        labels = [f"{name} {clips.info.factors[name].classes[values[place]]}" for name, values in clips.factors.items()]
        yield f"{split}: " + ", ".join([f"clip {place}", *labels])[:60], shown[:: -(-len(shown) // COLUMNS)]
