"""What a table's steps work with: its data set, whole or cut, its judge, and the recipe of each run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, frozen

from rwae_kit.build import resolve
from rwae_kit.convert import structure
from rwae_kit.data import Clips, DataInfo
from rwae_kit.errors import DataError, RwaeError
from rwae_kit.evaluation.judges import judge_path
from rwae_kit.evaluation.protocols import PROTOCOLS
from rwae_kit.interfaces import JudgedDataset, SequenceDataset
from rwae_kit.recipe import Recipe
from rwae_kit.registry import Registry
from rwae_kit.reproduce.tables import SMOKE_CLIPS, Budget, Method, PaperTable
from rwae_kit.run import choose_device, compose

SPLITS = ("train", "validation", "test")


@frozen(kw_only=True, eq=False)
class Work:
    """The data of a table under a budget; `clips` are given where they are cut, else every step opens them by their name."""

    data: str
    options: Mapping[str, Any]
    dataset: SequenceDataset
    info: DataInfo
    clips: Mapping[str, Clips] | None
    judge: Path | None
    """Where the judge lies, or is to; None where the data set brings one, or no protocol asks."""


def open_work(table: PaperTable, data: str, budget: str, folder: Path, registry: Registry) -> Work:
    """Open the data set of a table.

    A smoke test cuts clips out of every split, evenly, and names them by a hash of their own; its judge lies in the table's folder,
    where nobody finds it for other runs. Any other judge lies beside the stores.

    Raises:
        DataError: the store is not there; says which command builds it.
    """
    data, choice = table.choose(data)
    chosen = choice.budget(budget)
    cls = registry.get("dataset", data, f"reproduce {table.name}")
    dataset: SequenceDataset = cls(structure(chosen.options, cls.Config, f"{table.name}.toml: data.{data}"))
    try:
        info = dataset.info()
    except DataError as error:
        raise DataError(f"reproduce {table.name}: {error}") from error
    own = isinstance(dataset, JudgedDataset)
    clips = cut(dataset) if budget == "smoke" and not own else None
    info = info if clips is None else clips["train"].info
    asked = any(PROTOCOLS[one.protocol].judged for one in table.scoring) and not own
    judge = None if not asked else folder / "judge" if budget == "smoke" else judge_path(info)
    return Work(data=data, options=chosen.options, dataset=dataset, info=info, clips=clips, judge=judge)


def cut(dataset: SequenceDataset) -> dict[str, Clips]:
    """A few clips of each split, taken evenly; their hash is not that of the whole."""
    found = {}
    for split in SPLITS:
        clips = dataset.clips(split)
        most = min(SMOKE_CLIPS[split], len(clips))
        place = torch.linspace(0, len(clips) - 1, most).round().long()
        few = clips.subset(place)
        name = hashlib.sha256(f"{clips.info.hash} {json.dumps(SMOKE_CLIPS)}".encode()).hexdigest()
        found[split] = evolve(few, info=evolve(few.info, hash=name))
    return found


def recipe_of(method: Method, budget: Budget, work: Work, seed: int, registry: Registry, found: Mapping[str, Any] = {}) -> Recipe:
    """The whole recipe of a run, every default filled in; `found` are the values that a search chose, or that a trial of one tries.

    Raises:
        RwaeError: the recipe does not exist, or does not take what the table changes in it.
    """
    values = {"base": method.recipe, **({"remove": list(method.remove)} if method.remove else {})}
    data = {} if work.clips is not None else {"data": {"name": work.data, **work.options}}
    title = {"title": method.title} if method.title else {}
    length = method.epochs or budget.epochs
    epochs = {} if length is None else {"training.epochs": length}
    changes = {**data, **title, **epochs, **budget.set, **method.set, **found, "training.seed": seed}
    return resolve(compose(values, changes, registry, given=work.clips is not None), registry)


def device_for(budget: str, asked: str | None) -> str:
    """Where a budget is spent: smoke and cpu on the processor, full on an accelerator, unless another device is asked for.

    Raises:
        RwaeError: there is no accelerator, and nobody asked for the processor.
    """
    name = asked or ("auto" if budget == "full" else "cpu")
    device = choose_device(name)
    if budget == "full" and device.type == "cpu" and asked != "cpu":
        raise RwaeError(
            "reproduce: --budget full has the papers' sizes and wants CUDA, and here is a CPU alone. Take --budget cpu, or "
            "say --device cpu if you mean it"
        )
    return str(device)


def hardware(device: str) -> str:
    """The name of what computes: of the GPU, or of the processor."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8", errors="replace").splitlines() if about.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
