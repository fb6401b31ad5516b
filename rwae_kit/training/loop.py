"""The training loop: steps, and between them records, validations, checkpoints and the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from attrs import frozen

from rwae_kit import checkpoint, distributed
from rwae_kit.data import Clips
from rwae_kit.errors import CheckpointError, TrainingError
from rwae_kit.interfaces import Tracker
from rwae_kit.training.batches import Batches, resident
from rwae_kit.training.compiled import compile_frame_nets, compiling_failed
from rwae_kit.training.config import TrainingConfig
from rwae_kit.training.course import Course, learning_rate_factor
from rwae_kit.training.optimizers import make_groups
from rwae_kit.training.progress import Reporter
from rwae_kit.training.records import Records, Running
from rwae_kit.training.resume import Progress, all_tensors, restore_state, save_state
from rwae_kit.training.schedules import Learner
from rwae_kit.training.signals import Interruption
from rwae_kit.training.validation import validate

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder
    from rwae_kit.objective import Objective


STEADY: Final = 0.5
"""Adam's beta1 up to which alternating steps of encoder and decoder were seen to work (benchmarks/alternating.py)."""


@frozen(kw_only=True)
class Outcome:
    """How training ended: steps and epochs done, the lowest validation loss (None without one), why, and what it warned of."""

    step: int
    epoch: int
    best: float | None
    stopped: Literal["finished", "time", "signal"]
    warnings: tuple[str, ...] = ()


def train_loop(
    model: SequenceAutoencoder,
    objective: Objective,
    clips: Clips,
    validation: Clips | None,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    reporter: Reporter | None = None,
    trackers: Sequence[Tracker] = (),
) -> Outcome:
    """Train a model on its device and write the run folder: metrics, checkpoints, and the model to use.

    The model to use (`model.safetensors`) is the best on validation; without validation clips, the last. A run that ends early, by
    SIGTERM, SIGINT, SIGUSR1 or `max_minutes`, leaves a checkpoint, and `resume` goes on from it bit for bit (on the same device,
    with the same number of threads and processes). `resume` without a checkpoint begins.

    Raises:
        TrainingError: the loss is not finite, memory or disk is full, the folder has another run, or options do not allow it.
        CheckpointError: a checkpoint is damaged, or of another model.
    """
    loop = _Loop(model, objective, clips, validation, config, folder, reporter or Reporter())
    with loop.explained():
        outcome = loop.begin(resume, trackers) or loop.run(max_minutes)
        distributed.agreed(0)  # no rank returns before the first one has written the files
        return outcome


class _Loop:
    """One call of `train_loop`."""

    def __init__(
        self,
        model: SequenceAutoencoder,
        objective: Objective,
        clips: Clips,
        validation: Clips | None,
        config: TrainingConfig,
        folder: Path,
        reporter: Reporter,
    ) -> None:
        self.config, self.folder, self.reporter, self.info = config, folder, reporter, clips.info
        self.course = Course.of(config, len(clips))
        if config.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            compile_frame_nets(model, model.device)
        objective.to(model.device)
        model.train()
        objective.train()
        self.learner = Learner(model=model, objective=objective, groups=make_groups(model, objective, config), config=config)
        self.batches = Batches(clips, self.course, config.seed, model.device)
        self.validation = None if validation is None else resident(validation, model.device)
        self.running, self.progress, self.warned = Running(), Progress(), dict[str, str]()
        self.saved = -1

    def begin(self, resume: bool, trackers: Sequence[Tracker]) -> Outcome | None:
        """Fresh, or from the latest checkpoint; an outcome if there is nothing left to do."""
        model, found = self.learner.model, self._latest()
        if found is not None and not resume:
            raise TrainingError(
                f"{self.folder}: there is a run already (checkpoint {found.name}). Resume it (--resume), or choose another folder"
            )
        distributed.broadcast(all_tensors(self.learner))
        noise = torch.Generator(model.device).manual_seed(self.config.seed + distributed.rank())
        model.noise.restore(noise.get_state(), model.device)
        if found is not None:
            self.running, self.progress, remarks = restore_state(found, self.learner, self.course, self.info)
            for text in (f"resumed {self.folder} after step {self.progress.step}", *remarks):
                self.reporter.say(text)
        elif resume:
            self.reporter.say(f"{self.folder}: no checkpoint yet, training begins")
        if self.progress.step >= self.course.steps:
            self.reporter.say(f"{self.folder}: all {self.config.epochs} epochs are done. To go on, give more (training.epochs)")
            return self._outcome("finished")
        beta1 = max(self.config.encoder.beta1, self.config.decoder.beta1)
        if self.config.schedule == "alternating" and beta1 > STEADY:
            self._warn(
                "beta1",
                f"training.encoder.beta1 or training.decoder.beta1 is {beta1:g}: under the alternating schedule so much momentum "
                f"makes encoder and decoder overshoot each other, and latents collapse. Take {STEADY:g} (R-WAE App. G) or less",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records = Records(self.folder, trackers, self.reporter.warn, keep=self.progress.records)
        return None

    def _latest(self) -> Path | None:
        """The newest sound checkpoint, as the first rank sees it: it may have been writing until now."""
        found = checkpoint.latest(self.folder, self.reporter.warn) if distributed.is_main() else None
        step = distributed.agreed(-1 if found is None else int(found.name.removeprefix("step-")))
        return None if step < 0 else checkpoint.step_folder(self.folder, step)

    def run(self, max_minutes: float | None) -> Outcome:
        """Step until the end, a signal, or the time is up."""
        self.began = time.monotonic() - self.progress.seconds
        deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
        clips = self.config.batch_size * self.course.batches_per_step
        self.reporter.begin(self.course.steps, self.progress.step, clips)
        try:
            with Interruption() as interruption:
                while self.progress.step < self.course.steps:
                    self._step()
                    late = time.monotonic() >= deadline
                    if distributed.any_rank(bool(interruption.caught) or late) and self.progress.step < self.course.steps:
                        by_signal = distributed.any_rank(bool(interruption.caught))
                        return self._stop("signal" if by_signal else "time", interruption.caught)
            return self._outcome("finished")
        finally:
            self.reporter.end()
            self.records.close()

    def _step(self) -> None:
        progress, course, config = self.progress, self.course, self.config
        factor = learning_rate_factor(config, progress.step, course)
        for group in self.learner.groups.values():
            group.set_learning_rate(factor)
        self.running.add(self.learner.step(self.batches.step(progress.step), progress.step))
        progress.step += 1
        self.reporter.advance(progress.step)
        if progress.step % config.log_every == 0 or progress.step == course.steps:
            self._log(factor)
        if self.validation is not None and course.due(progress.step, config.validate_every):
            self._validate(self.validation)
        if course.due(progress.step, config.checkpoint_every):
            self._save()

    def _log(self, factor: float) -> None:
        """A record of the mean losses since the last one, and what the objective warns of (each warning once)."""
        means = self._finite_means()
        self.running.clear()
        rates = {name: group.settings.learning_rate * factor for name, group in self.learner.groups.items() if group.parameters}
        self._record({"lr": rates, "parts": means})
        for text in self.learner.objective.warnings(means):
            self._warn(text.split(" ")[0], f"step {self.progress.step}: {text}")

    def _warn(self, about: str, text: str) -> None:
        """Warn, once for each thing that there is to warn about."""
        if about not in self.warned:
            self.warned[about] = text
            self.reporter.warn(text)

    def _finite_means(self) -> dict[str, float]:
        means = self.running.means()
        wrong = [f"{name} = {value}" for name, value in means.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                f"step {self.progress.step}: the loss is not finite ({', '.join(wrong)}). Likely causes: too high a learning rate "
                f"(training.GROUP.learning_rate; training.clip_gradient helps), too high a weight of that part, or values in the "
                f"data that are not finite. {self._kept()}"
            )
        return means

    def _validate(self, clips: Clips) -> None:
        """Record the loss on held-out clips and keep the model if it is the best."""
        means = validate(self.learner, clips)
        total = means["total"]
        if not math.isfinite(total):
            raise TrainingError(f"step {self.progress.step}: the validation loss is not finite ({total}). {self._kept()}")
        best = self.progress.best is None or total < self.progress.best
        if best:
            self._write_model()
            self.progress.best = total
        self._record({"validation": means, "best": best})

    def _save(self) -> None:
        self._finite_means()
        self._check_weights()
        self.progress.seconds = time.monotonic() - self.began
        self.records.sync()
        save_state(self.folder, self.learner, self.running, self.progress, self.course, self.info)
        self.saved = self.progress.step
        if self.validation is None:
            self._write_model()

    def _check_weights(self) -> None:
        """A finite loss may have had a gradient that is not: what is kept must be good."""
        weights = [p for group in self.learner.groups.values() for p in group.parameters]
        if not bool(torch.stack([p.detach().isfinite().all() for p in weights]).all()):
            raise TrainingError(
                f"step {self.progress.step}: weights are not finite, though the losses were: a gradient was not. Lower the "
                f"learning rates (training.GROUP.learning_rate), or set training.clip_gradient. {self._kept()}"
            )

    def _stop(self, why: Literal["time", "signal"], name: str) -> Outcome:
        """Keep everything. When the time is up there is still time for a last validation; it is no part of what is resumed."""
        if self.saved != self.progress.step:
            self._save()
        if why == "time" and self.validation is not None:
            self._validate(self.validation)
        elif not (self.folder / checkpoint.MODEL[0]).exists():
            self._write_model()
        by = "the time limit" if why == "time" else name or "another process's signal"
        self.reporter.say(f"stopped by {by} after step {self.progress.step}; --resume goes on")
        return self._outcome(why)

    def _write_model(self) -> None:
        model = self.learner.model
        if distributed.is_main():
            meta = {"origin": dict(model.origin), "info": model.info.to_dict(), "step": self.progress.step}
            checkpoint.write_model(self.folder, model.state_dict(), meta)

    def _record(self, values: Mapping[str, Any]) -> None:
        progress = self.progress
        seconds = round(time.monotonic() - self.began, 3)
        record = {"step": progress.step, "epoch": self.course.epoch(progress.step), "seconds": seconds, **values}
        self.records.add(record)
        self.progress.records = self.records.count
        self.reporter.losses(record)

    def _outcome(self, stopped: Literal["finished", "time", "signal"]) -> Outcome:
        step = self.progress.step
        return Outcome(
            step=step,
            epoch=self.course.epoch(step),
            best=self.progress.best,
            stopped=stopped,
            warnings=tuple(self.warned.values()),
        )

    def _kept(self) -> str:
        """Where the last good checkpoint is."""
        kept = checkpoint.latest(self.folder, self.reporter.warn)
        return f"The last good checkpoint is kept: {kept}" if kept else "There was no checkpoint yet"

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Full memory, full disks and a compiler that fails, in words."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if compiling_failed(error):
                said = str(error).strip().splitlines()[0]
                raise TrainingError(f"training.compile: torch.compile failed: {said}. Set training.compile = false") from error
            if not _no_memory(error):
                raise
            raise TrainingError(
                f"step {self.progress.step}: out of memory with training.batch_size = {self.config.batch_size}. Make it smaller, "
                f"or shorten the clips. {self._kept()}"
            ) from error
        except OSError as error:
            raise TrainingError(f"{self.folder}: cannot be written: {error.strerror or error}. {self._kept()}") from error
        except CheckpointError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise TrainingError(f"step {self.progress.step}: {error}. {self._kept()}") from error


def _no_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full, on the device (its own type) or on the host (a RuntimeError, by its words)."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(w in str(error).lower() for w in words)
