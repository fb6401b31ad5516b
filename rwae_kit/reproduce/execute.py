"""Doing the steps of a table in order. Each can be killed at any point and done again; what is there is not made again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from attrs import asdict, evolve, field, frozen

from rwae_kit import __version__
from rwae_kit.build import build_view, from_pretrained
from rwae_kit.checkpoint import MODEL, replace_file, weights_digest
from rwae_kit.convert import changes
from rwae_kit.errors import CheckpointError, RwaeError
from rwae_kit.evaluation.cycle import cycle_score
from rwae_kit.evaluation.judges import JudgeSizes, JudgeTraining, save_judge, train_judge
from rwae_kit.evaluation.protocols import PROTOCOLS
from rwae_kit.interfaces import FrameView
from rwae_kit.recipe import Part, Recipe
from rwae_kit.registry import Registry
from rwae_kit.reproduce.plan import ENDED, Plan, Run, Step, make_plan, run_of, scored_runs
from rwae_kit.reproduce.search import SEED, SearchRecord, Trial, find_record, record_file, trial_values
from rwae_kit.reproduce.tables import Method, PaperTable, SearchBudget
from rwae_kit.reproduce.work import SPLITS, Work, device_for, hardware, open_work, recipe_of
from rwae_kit.reproduce.writing import write_table
from rwae_kit.run import Run as TrainedRun, score, train, trained_recipe
from rwae_kit.training.progress import PlainReporter, Reporter

MOMENT = 1e-6
"""Minutes: the least that training can be given; it ends after one step."""


@frozen(kw_only=True)
class Reproduction:
    """What became of a table."""

    plan: Plan
    """As it was before."""
    ended: Literal["done", "time", "signal"]
    made: tuple[Step, ...] = ()


@frozen(kw_only=True, eq=False)
class _Executor:
    plan: Plan
    work: Work
    registry: Registry
    device: str
    deadline: float | None
    reporter: Reporter
    say: Callable[[str], None]
    made: list[Step] = field(factory=list)

    def left(self) -> float | None:
        """Minutes until the time is up."""
        return None if self.deadline is None else (self.deadline - time.monotonic()) / 60


def prepare(
    table: PaperTable,
    *,
    data: str | None = None,
    budget: str = "cpu",
    epochs: int | None = None,
    seeds: int | None = None,
    only: Sequence[str] = (),
    search: bool = False,
    out: Path | None = None,
    registry: Registry,
) -> tuple[Plan, Work]:
    """The plan of a table, and its data; nothing is written.

    Raises:
        RwaeError: an unknown budget, method or data set, a store that is not there, or runs in the folder that are not these.
    """
    name, choice = table.choose(data)
    chosen = choice.budget(budget, epochs)
    folder = out or Path("reproduce") / table.called(name, budget, epochs)
    work = open_work(table, name, budget, folder, registry)
    plan = make_plan(table, name, budget, folder, epochs=epochs, seeds=seeds, only=only, search=search, judge=work.judge)
    searching = {step.method.called() for step in plan.steps if step.method is not None and step.state != "done"}
    planned = [step.run for step in plan.steps if step.kind == "train" and step.run is not None]
    for run in {one.folder: one for one in (*planned, *scored_runs(table, chosen, folder))}.values():
        recipe = recipe_of(run.method, chosen, work, run.seed, registry, found_values(plan, run.method))
        if (run.folder / ENDED).is_file() and chosen.searched_for(run.method).called() not in searching:
            _same(run.folder, recipe, registry)
            _same_begin(plan, run)
    return plan, work


def _same(folder: Path, recipe: Recipe, registry: Registry) -> None:
    """Raise if what has ended in a folder was trained by another recipe."""
    if changed := changes(trained_recipe(folder, registry).to_dict(), recipe.to_dict(), ()):
        raise CheckpointError(f"{folder}: is a run with other options ({changed}). Choose another folder (--out)")


def _same_begin(plan: Plan, run: Run) -> None:
    """Raise if a run began from other weights than the run that it is said to begin from has now."""
    begin = _begin(plan, run)
    if begin is None or not (begin / MODEL[0]).is_file():
        return
    said = json.loads((run.folder / ENDED).read_text(encoding="utf-8")).get("init_sha256")
    if said != weights_digest(begin):
        raise CheckpointError(f"{run.folder}: began from other weights than {begin} has now. Remove it, and it is made again")


def _begin(plan: Plan, run: Run) -> Path | None:
    """The run that another one begins from."""
    first = plan.chosen.begun_from(run.method)
    return None if first is None else run_of(first, run.seed, plan.folder).folder


def reproduce(
    plan: Plan,
    work: Work,
    *,
    max_minutes: float | None = None,
    device: str | None = None,
    registry: Registry,
    reporter: Reporter | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Reproduction:
    """Do what is left of a plan.

    Arguments:
        max_minutes: stop cleanly after this time, all of the command; the same command goes on.
        device: None as the budget has it.
        say: is told of every step in a line.

    Raises:
        RwaeError: something of a step is wrong; what was done before stays.
    """
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    place = device_for(plan.budget, device)
    executor = _Executor(
        plan=plan,
        work=work,
        registry=registry,
        device=place,
        deadline=deadline,
        reporter=reporter or PlainReporter(),
        say=say,
    )
    for number, step in enumerate(plan.steps, 1):
        head = f"[{number}/{len(plan.steps)}] {step.words()}"
        if step.state == "done":
            say(f"{head}: done before")
            continue
        if (left := executor.left()) is not None and left <= 0:
            return Reproduction(plan=plan, ended="time", made=tuple(executor.made))
        say(f"{head}{' (goes on)' if step.state == 'begun' and step.kind == 'train' else ''}")
        stopped = _DO[step.kind](executor, step)
        if stopped:
            return Reproduction(plan=plan, ended=stopped, made=tuple(executor.made))
        executor.made.append(step)
    return Reproduction(plan=plan, ended="done", made=tuple(executor.made))


Stopped = Literal["", "time", "signal"]


def found_values(plan: Plan, method: Method) -> Mapping[str, Any]:
    """What a search chose for a method, or for the one that it is like; nothing where none was made."""
    record = find_record(plan.folder, plan.searched, plan.chosen.searched_for(method))
    return {} if record is None else record.best().values


def _judge(executor: _Executor, step: Step) -> Stopped:
    budget, work = executor.plan.chosen.judge, executor.work
    clips = work.clips or {split: work.dataset.clips(split) for split in SPLITS}
    training = JudgeTraining(epochs=budget.epochs, sizes=JudgeSizes(width=budget.width))
    judge = train_judge(
        clips,
        training,
        factors=budget.factors,
        options=work.options,
        device=executor.device,
        say=executor.say,
    )
    save_judge(judge, step.folder)
    return ""


def _search(executor: _Executor, step: Step) -> Stopped:
    """Train and score trial by trial: one that was cut off goes on, and one that has ended is not made again."""
    plan, work, method = executor.plan, executor.work, step.method
    budget = plan.chosen.search
    if method is None or budget is None:
        raise RwaeError("reproduce: a step that searches has no method, or nothing to spend")
    clips = work.clips or {split: work.dataset.clips(split) for split in ("train", "validation")}
    looks = _looks(budget, work, executor.registry)
    trials = []
    short = evolve(plan.chosen, epochs=budget.epochs)
    own = recipe_of(method, short, work, SEED, executor.registry).to_dict()
    for number, values in enumerate(trial_values(method, budget, own)):
        folder = step.folder / f"{method.called()}-{number}"
        recipe = recipe_of(method, short, work, SEED, executor.registry, values)
        if (file := folder / "trial.json").is_file():
            _same(folder, recipe, executor.registry)
            trials.append(Trial.from_dict(json.loads(file.read_text(encoding="utf-8"))))
            continue
        stopped, done = _trained(executor, recipe, folder, budget.minutes)
        if done is None:
            return stopped
        trial = Trial.scored(
            values,
            cycle_score(done.model, clips["validation"], clips["train"], looks),
            epochs=done.outcome.epoch,
            steps=done.outcome.step,
            seconds=seconds_of(folder),
            warnings=tuple(done.outcome.warnings),
        )
        replace_file(file, json.dumps(asdict(trial)).encode())
        executor.say(f"{method.called()}, trial {number}: {trial.score:.3f} with {dict(values) or 'the recipe as it is'}")
        trials.append(trial)
    record = SearchRecord(
        recipe=method.recipe,
        data=work.data,
        data_hash=work.info.hash,
        looks=budget.looks,
        hardware=hardware(executor.device),
        threads=torch.get_num_threads(),
        rwae_kit=__version__,
        trials=tuple(trials),
    )
    chosen = record.best().values
    for run in (_run(one) for one in plan.steps if one.kind == "train" and one.state == "done"):
        if plan.chosen.searched_for(run.method) == method:
            _same(run.folder, recipe_of(run.method, plan.chosen, work, run.seed, executor.registry, chosen), executor.registry)
    record.save(record_file(plan.folder, method))
    return ""


def _looks(budget: SearchBudget, work: Work, registry: Registry) -> FrameView | None:
    if not budget.looks:
        return None
    return build_view(Part(name=budget.looks, options=budget.looks_options), work.info, registry, "search.looks")


def _train(executor: _Executor, step: Step) -> Stopped:
    run, budget = _run(step), executor.plan.chosen
    found = found_values(executor.plan, run.method)
    recipe = recipe_of(run.method, budget, executor.work, run.seed, executor.registry, found)
    begin = _begin(executor.plan, run)
    stopped, done = _trained(executor, recipe, run.folder, budget.minutes, begin, report=executor.plan.budget != "smoke")
    if done is None:
        return stopped
    outcome = done.outcome
    about: dict[str, Any] = {
        "recipe": run.method.recipe,
        "searched": dict(found),
        "init": "" if begin is None else begin.name,
        "init_sha256": "" if begin is None else weights_digest(begin),
        "method": recipe.method or recipe.title,
        "title": recipe.title,
        "seed": run.seed,
        "data": executor.work.data,
        "data_hash": executor.work.info.hash,
        "epochs": outcome.epoch,
        "epochs_planned": recipe.training.epochs,
        "steps": outcome.step,
        "stopped": outcome.stopped,
        "seconds": seconds_of(run.folder),
        "parameters": sum(p.numel() for p in done.model.parameters()),
        "warnings": list(outcome.warnings),
        "hardware": hardware(executor.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rwae_kit": __version__,
    }
    replace_file(run.folder / ENDED, json.dumps(about, indent=1).encode())
    return ""


def _trained(
    executor: _Executor, recipe: Recipe, folder: Path, minutes: float | None, begin: Path | None = None, report: bool = False
) -> tuple[Stopped, TrainedRun | None]:
    """Train a run, or what is left of it, for `minutes` in all; None for it where the command stopped first."""
    rest = None if minutes is None else max(minutes - seconds_of(folder) / 60, MOMENT)
    left = executor.left()
    limits = [limit for limit in (rest, left) if limit is not None]
    done = train(
        recipe,
        executor.work.clips,
        out=folder,
        resume=(folder / "recipe.toml").is_file(),
        init=begin,
        max_minutes=min(limits, default=None),
        device=executor.device,
        registry=executor.registry,
        reporter=executor.reporter,
        report=report,
    )
    if done.outcome.stopped == "signal":
        return "signal", None
    if done.outcome.stopped == "time" and (rest is None or (left is not None and left < rest)):
        return "time", None  # the command's, not the run's
    return "", done


def _score(executor: _Executor, step: Step) -> Stopped:
    run, work = _run(step), executor.work
    scoring = next(one for one in executor.plan.table.scoring if one.protocol == step.protocol)
    asks = PROTOCOLS[step.protocol].judged
    found = score(
        from_pretrained(run.folder, registry=executor.registry, device=executor.device),
        step.protocol,
        work.clips,
        settings=scoring.settings,
        judge=work.judge if asks else None,
        draws=scoring.draws if scoring.draws > 1 else None,
        registry=executor.registry,
    )
    file = run.result(step.protocol)
    file.parent.mkdir(exist_ok=True)
    replace_file(file, json.dumps(found.to_dict(), indent=2, allow_nan=False).encode())
    return ""


def _table(executor: _Executor, step: Step) -> Stopped:
    write_table(executor.plan)
    return ""


_DO: dict[str, Callable[[_Executor, Step], Stopped]] = {
    "judge": _judge,
    "search": _search,
    "train": _train,
    "score": _score,
    "table": _table,
}


def seconds_of(folder: Path) -> float:
    """How long a run has trained, by the last of its records; 0 for one that has none."""
    file = folder / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    for line in reversed(lines):
        try:
            return float(json.loads(line)["seconds"])
        except (ValueError, KeyError, TypeError):  # cut off when the process was killed
            continue
    return 0.0


def _run(step: Step) -> Run:
    if step.run is None:
        raise RwaeError(f"reproduce: a step that {step.kind}s has no run")
    return step.run
