"""A run, from a recipe to a folder with a trained model: what `rwk train` and `rwae_kit.train` do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from rwae_kit import checkpoint, distributed, evaluation
from rwae_kit.build import GIVEN, build, from_pretrained, open_dataset, require, resolve
from rwae_kit.composition import composed, recipe_values
from rwae_kit.convert import structure
from rwae_kit.data import Clips, check_finite, clips_from
from rwae_kit.errors import DataError, RwaeError, did_you_mean
from rwae_kit.evaluation import Evaluation, Result
from rwae_kit.evaluation.judges import find_judge, load_judge
from rwae_kit.evaluation.protocols import PROTOCOLS, Subject
from rwae_kit.interfaces import Judge, JudgedDataset, SequenceDataset
from rwae_kit.model import SequenceAutoencoder
from rwae_kit.recipe import Recipe, merge
from rwae_kit.registry import Registry
from rwae_kit.report import write_report
from rwae_kit.run_folder import begin, next_folder, saved_recipe, surroundings
from rwae_kit.training.course import Course
from rwae_kit.training.loop import Outcome, train_loop
from rwae_kit.training.optimizers import make_groups
from rwae_kit.training.progress import Reporter, make_reporter


@frozen(kw_only=True, eq=False)
class Run:
    """A training that has ended: its folder, the model to use (in eval mode) and how it ended."""

    folder: Path
    model: SequenceAutoencoder
    outcome: Outcome


def train(
    recipe: str | Path | Recipe | Mapping[str, Any] = "quickstart",
    data: Any = None,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    init: Path | str | None = None,
    max_minutes: float | None = None,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    reporter: Reporter | None = None,
    report: bool = True,
) -> Run:
    """Train a recipe and write a run folder.

    Args:
        recipe: a recipe's name or a TOML file, with variants or not ("rwae-mmd:mug+c"), a `Recipe`, or its plain values.
        data: clips `[n, t, *frame]` (tensor or array), a torch Dataset or DataLoader, or `Clips` by split, instead of the recipe's.
        out: the run folder; None for `runs/NAME-1`, `runs/NAME-2`, ...
        resume: go on where the run in `out` stopped, bit for bit.
        init: a run or model folder whose weights to start from, where names and shapes fit.
        max_minutes: stop cleanly, with a checkpoint, after this time.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        options: values by path over the recipe's, such as `{"training.epochs": 3, "latents.static": 8}`.
        registry: what is registered; None for all installed plugins.
        reporter: shows progress; None for what fits the terminal.
        report: write pictures and `report.html` at the end.

    Raises:
        RwaeError: with what is wrong and what would be right.
    """
    registry = registry or Registry.installed()
    plan = resolve(compose(recipe, options or {}, registry, given=data is not None), registry)
    folder = Path(out) if out else next_folder(plan)
    target = choose_device(device)
    distributed.start(target.type)
    try:
        clips = _splits(plan, data, registry)
        model, objective = build(plan, registry, clips["train"].info)
        Course.of(plan.training, len(clips["train"]))  # before the folder is made, as what follows
        make_groups(model, objective, plan.training)
        reporter = reporter or make_reporter()
        if init is not None:
            reporter.say(f"{init}: {checkpoint.load_weights(model, Path(init))}")
        about = surroundings(target, None if init is None else Path(init))
        reporter.say(f"computing on {about['device']}, {about['threads']} threads; MMD by path {about['mmd']}")
        if distributed.is_main():
            begin(folder, plan, about, before=trained_recipe(folder, registry) if resume else None)
        outcome = train_loop(
            model.to(target),
            objective,
            clips["train"],
            _enough(clips.get("validation"), reporter),
            plan.training,
            folder,
            resume=resume,
            max_minutes=max_minutes,
            reporter=reporter,
            trackers=[registry.get("tracker", name)(folder) for name in registry.names("tracker")],
        )
        best = from_pretrained(folder, registry=registry, device=str(target))
        if report and distributed.is_main():
            write_report(folder, best, clips.get("validation", clips["train"]), warnings=outcome.warnings)
    finally:
        distributed.stop()
    return Run(folder=folder, model=best, outcome=outcome)


def trained_recipe(folder: Path, registry: Registry) -> Recipe:
    """The recipe of a run, with defaults for options that parts have got since: a newer version goes on with older runs.

    Raises:
        CheckpointError: not a run folder.
        RecipeError, PluginError: the recipe has a part or an option that is not there any more.
    """
    return resolve(saved_recipe(folder), registry)


def evaluate(
    model: SequenceAutoencoder,
    data: Mapping[str, Clips] | None = None,
    *,
    split: str = "test",
    untrained: bool = True,
    seed: int = 0,
    registry: Registry | None = None,
    judge: Path | str | None = None,
) -> Evaluation:
    """Score a model on held-out clips, beside the same model untrained; with a judge where its data set has one.

    Args:
        model: as `train` or `load` gave it.
        data: clips by split ("train" and `split`); None opens the data set that the model was trained on.
        split: where the scores are taken; probes are fitted on "train".
        untrained: score the model with fresh weights too: what the architecture reaches without learning.
        seed: of pairs, probes and draws.
        registry: what is registered; None for all installed plugins.
        judge: the folder of a trained judge; None takes the data set's own, or the one that was trained for these data.

    Raises:
        DataError: the data came from Python and are not given, or are not those that the model was trained on.
    """
    registry = registry or Registry.installed()
    data, asked = _scored(model, data, split, registry, judge)
    return evaluation.evaluate(
        model,
        {"train": data["train"], "test": data[split]},
        judge=asked,
        untrained=_fresh(model, registry) if untrained else None,
        metrics={name: registry.get("metric", name)() for name in registry.names("metric")},
        seed=seed,
    )


def score(
    model: SequenceAutoencoder,
    protocol: str,
    data: Mapping[str, Clips] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    judge: Path | str | None = None,
    split: str = "test",
    untrained: bool = True,
    draws: int | None = None,
    seed: int = 0,
    registry: Registry | None = None,
) -> Result:
    """Score a model by a protocol: "cdsvae2021", "rwae2021", "long", "swap", "probe", "eer" or "msd".

    Args:
        model, data, split, untrained, registry, judge: as for `evaluate`.
        settings: the protocol's own, by name.
        draws: how often whatever the protocol samples is drawn for each clip; None for once.
        seed: of pairs, draws, probes and bootstrap.

    Raises:
        RwaeError: an unknown protocol or setting, no judge for one that needs it, or draws for one that samples nothing.
        DataError: as for `evaluate`.
    """
    if protocol not in PROTOCOLS:
        raise RwaeError(f"unknown protocol {protocol!r}. {did_you_mean(protocol, PROTOCOLS)}")
    chosen = PROTOCOLS[protocol]
    if draws is not None and (draws < 1 or not chosen.draws):
        raise RwaeError(f"draws is {draws}, but " + ("has to be at least 1" if chosen.draws else f"{protocol} samples nothing"))
    if judge is not None and not chosen.judged:
        raise RwaeError(f"{protocol} asks no judge: leave {judge} out")
    values: Any = structure(settings or {}, chosen.settings, protocol)
    registry = registry or Registry.installed()
    data, asked = _scored(model, data, split, registry, judge, wanted=chosen.judged)
    subject = Subject(
        model=model,
        test=data[split],
        train=data["train"],
        untrained=_fresh(model, registry) if untrained else None,
        judge=asked,
        split=split,
        draws=draws or 1,
        seed=seed,
    )
    return chosen.run(subject, values)


def _scored(
    model: SequenceAutoencoder,
    data: Mapping[str, Clips] | None,
    split: str,
    registry: Registry,
    judge: Path | str | None,
    wanted: bool = True,
) -> tuple[Mapping[str, Clips], Judge | None]:
    """The clips that a model is scored with, and their judge: the one that is named, the data set's own, or a trained one."""
    own = None
    if data is None:
        dataset = dataset_of(model, registry)
        data = {name: dataset.clips(name) for name in {"train", split}}
        own = dataset.judge() if isinstance(dataset, JudgedDataset) and judge is None and wanted else None
    for name in ("train", split):
        if name not in data:
            raise DataError(f"evaluate: the clips of the split {name!r} are missing; given: {', '.join(data)}")
    info = data[split].info
    folder = Path(judge) if judge is not None else find_judge(info) if own is None and wanted else None
    if folder is None:
        return data, own
    trained = load_judge(folder, str(model.device))
    trained.check(info, str(folder))
    return data, trained


def _fresh(model: SequenceAutoencoder, registry: Registry) -> SequenceAutoencoder:
    """The same model untrained."""
    return build(Recipe.from_dict(model.origin["recipe"]), registry, model.info)[0].to(model.device).eval()


def dataset_of(model: SequenceAutoencoder, registry: Registry) -> SequenceDataset:
    """The data set that a model was trained on.

    Raises:
        DataError: the data were passed from Python, or the data set has changed since.
    """
    recipe = Recipe.from_dict(model.origin["recipe"])
    if recipe.data.name == GIVEN:
        raise DataError(
            "this model was trained on data that were passed from Python: pass them again (rwae_kit.evaluate(model, data))"
        )
    require([part for part in model.origin["parts"] if part["kind"] == "dataset"], registry, recipe.data.name)
    dataset = open_dataset(recipe, registry)
    if (now := dataset.info().hash) != model.info.hash:
        raise DataError(
            f"{recipe.data.name}: the data are not those that the model was trained on (sha256 {now[:12]}..., then "
            f"{model.info.hash[:12]}...). Build them again from the same source, or train anew"
        )
    return dataset


def compose(
    recipe: str | Path | Recipe | Mapping[str, Any], options: Mapping[str, Any], registry: Registry, *, given: bool = False
) -> Recipe:
    """A recipe with options over it, later ones winning; `given`: its data were passed from Python.

    Raises:
        RwaeError: an unknown recipe or key, or a wrong value.
    """
    where = "recipe"
    if isinstance(recipe, Recipe):
        values: Mapping[str, Any] = recipe.to_dict()
    elif isinstance(recipe, Mapping):
        values = composed(recipe, registry)
    else:
        values, where = recipe_values(recipe, registry), str(recipe)
    if given:
        values = {**values, "data": {"name": GIVEN}}
    for path, value in options.items():
        values = merge(values, path, value)
    return Recipe.from_dict(values, where)


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" takes CUDA, then MPS, then the CPU.

    Where it is the CPU, this thread and those that it starts take subnormal numbers (below 1.2e-38) for 0 from now on, if the
    processor can (`torch.set_flush_denormal`): gradients of recurrences can be so small, and are then many times as slow as others.

    Raises:
        RwaeError: not a device, or not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RwaeError(f"device: {name!r} is no device: auto, cpu, cuda, cuda:0 or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise RwaeError(f"device: {name!r}, but this machine has {count} CUDA devices. Take 'cpu' or 'auto'")
        return torch.device("cuda", distributed.local_rank() if device.index is None else device.index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RwaeError("device: 'mps', but this machine has none. Take 'cpu' or 'auto'")
    if device.type not in ("cpu", "mps"):
        raise RwaeError(f"device: {name!r} is not supported: auto, cpu, cuda, cuda:0 or mps")
    if device.type == "cpu":
        torch.set_flush_denormal(True)
    return device


def _splits(plan: Recipe, data: Any, registry: Registry) -> Mapping[str, Clips]:
    if data is None:
        dataset = open_dataset(plan, registry)
        splits = {split: dataset.clips(split) for split in ("train", "validation")}
    elif isinstance(data, Mapping) and all(isinstance(split, Clips) for split in data.values()):
        if "train" not in data:
            raise RwaeError(f"data: clips for 'train' are missing; given: {', '.join(data)}")
        splits = dict(data)
    else:
        return clips_from(data)
    for split, clips in splits.items():
        check_finite(clips.frames, f"{clips.info.name}, split {split!r}")
    return splits


def _enough(validation: Clips | None, reporter: Reporter) -> Clips | None:
    """Penalties compare draws, so a validation of fewer than two clips says nothing."""
    if validation is not None and len(validation) < 2:
        reporter.warn("the validation split has a single clip: there is no validation, and the last model is kept")
        return None
    return validation
