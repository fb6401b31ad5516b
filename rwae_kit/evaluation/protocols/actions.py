"""`actions`: whether generated clips show the action that they are asked to show, as R-WAE scores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rwae_kit.data import Clips
from rwae_kit.errors import DataError, RwaeError, did_you_mean
from rwae_kit.evaluation.codes import batches
from rwae_kit.evaluation.metrics import frechet_distance, inception_intervals
from rwae_kit.evaluation.protocols.generation import fix_dynamic
from rwae_kit.evaluation.protocols.readings import Ints, Mode, Readings, judged_rows, known, made_clips, read_clips, stacked
from rwae_kit.evaluation.protocols.subject import Protocol, Subject, judge_name
from rwae_kit.evaluation.results import Result, Score
from rwae_kit.latents import Batch

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder


@frozen(kw_only=True)
class Settings:
    """What the actions are."""

    factor: str = field(default="", metadata={"help": "the dynamic factor that is asked for; empty: the only one that is read"})


def run(subject: Subject, settings: Settings) -> Result:
    """Score generated clips, as many as test clips: each is asked to show the class of one of them.

    A model with an action latent draws s and z from their priors and is given the action that stands for the class. Its actions
    have no names, so classes and actions are matched one to one, such that q(a | x), at its likeliest action, is right for as many
    training clips as can be; a class that is left without an action is shown by the first one, and counts as wrong. A model without
    an action latent draws s, and keeps the z of a clip of that class.

    Scores of every row: the accuracy of the factor; its IS, H(y|x) and H(y); and the Frechet distance of the judge's features of
    single frames to those of the real clips, where the judge has features. Of models with an action latent also: the share of
    test clips whose class is that of q's likeliest action ("read off the action"), and the share of drawn (s, z) in which the judge
    reads another class once the next action is given ("changed by the action": 0 where the decoder passes it over).

    Raises:
        DataError: several dynamic factors, and none chosen; or none that the judge reads.
        RwaeError: an action latent, and SciPy (extra `eval`) is not installed.

    Source: R-WAE (Han et al. 2021), section 5.2 and Table 3, where what knows no actions keeps encoded motions, too. How it names
    actions and whether it draws z the paper does not say, and its FID is by Inception. The last two scores are ours.
    """
    clips = subject.test
    about = known(subject, "actions", clips)
    name = _factor(clips, about.classes, settings.factor)
    about = evolve(about, classes={name: about.classes[name]})
    labels = clips.factors[name]
    actions = {model: _actions(subject, model, name) for model in subject.models().values() if model.spec.action}

    def asked(model: SequenceAutoencoder, own: Batch, seed: int, steps: int = 0) -> Tensor:
        if model not in actions:
            return fix_dynamic(model, own, seed)
        place = (actions[model][labels[own.index].cpu()].clamp(min=0) + steps) % model.spec.action
        one_hot = functional.one_hot(place, model.spec.action).to(model.device, own.x.dtype)
        return model.sample(len(own.x), clips.info.length, seed=seed, action=one_hot)

    mode = Mode(name="asked", make=lambda model, own, other, seed: asked(model, own, seed), keeps={"dynamic": "own"})
    following = evolve(mode, make=lambda model, own, other, seed: asked(model, own, seed, 1))
    readings, expected = judged_rows(subject, about, clips, mode)
    stands = {row: actions[model][labels.cpu()].numpy() for row, model in subject.models().items() if model in actions}
    wanted = {row: np.where(stood[:, None] < 0, -1, expected[name]) for row, stood in stands.items()}
    rows = {
        row: _scores(subject, reading, name, wanted.get(row, expected[name]), readings["real"]) for row, reading in readings.items()
    }
    for row, stood in stands.items():
        model = subject.models()[row]
        pieces = (made_clips(subject, model, clips, following, draw) for draw in range(subject.draws))
        others = stacked(read_clips(about.judge, about.classes, one) for one in pieces)
        changed = (others.read(name) != readings[row].read(name)).mean(1)
        rows[row] |= {
            f"{name} read off the action": subject.bootstrap(_likeliest(model, clips, subject.batch_size) == stood),
            f"{name} changed by the action": subject.bootstrap(changed),
        }
    return subject.result(
        "actions",
        evolve(settings, factor=name),
        rows,
        draws=subject.draws,
        judge=judge_name(about.judge),
        judge_accuracy={name: rows["real"][f"{name} accuracy"].value},
    )


def _factor(clips: Clips, classes: Mapping[str, int], chosen: str) -> str:
    dynamic = [name for name in classes if clips.info.factors[name].kind == "dynamic"]
    if not dynamic:
        raise DataError(f"actions: the judge reads no dynamic factor of {clips.info.name}, only {', '.join(classes)}")
    if not chosen and len(dynamic) > 1:
        raise DataError(f"actions: which factor is the action? Choose one: --set factor={dynamic[0]} (of {', '.join(dynamic)})")
    if chosen and chosen not in dynamic:
        raise DataError(f"actions: factor: no dynamic factor {chosen!r} that the judge reads. {did_you_mean(chosen, dynamic)}")
    return chosen or dynamic[0]


def _actions(subject: Subject, model: SequenceAutoencoder, name: str) -> Tensor:
    """The action that stands for each class, `[k]`; -1 where there is none."""
    try:
        from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
    except ImportError as error:
        raise RwaeError("matching actions needs SciPy, which is not installed: pip install 'rwae-kit[eval]'") from error
    clips = subject.train or subject.test
    k = len(clips.info.factors[name].classes)
    counts = np.zeros((k, model.spec.action), np.int64)
    np.add.at(counts, (clips.factors[name].cpu().numpy(), _likeliest(model, clips, subject.batch_size)), 1)
    found = torch.full((k,), -1)
    classes, actions = linear_sum_assignment(counts, maximize=True)
    found[torch.from_numpy(classes)] = torch.from_numpy(actions)
    return found


def _likeliest(model: SequenceAutoencoder, clips: Clips, batch_size: int) -> Ints:
    """The action that q(a | x) finds likeliest in each clip, `[n]`."""
    found = [model.encode(batch.x.to(model.device), batch.mask).action for batch in batches(clips, batch_size)]
    place: NDArray[np.int64] = torch.cat([one.sample.argmax(-1) for one in found if one is not None]).cpu().numpy()
    return place


def _scores(subject: Subject, reading: Readings, name: str, wanted: Ints, real: Readings) -> dict[str, Score]:
    found = {f"{name} accuracy": subject.bootstrap((reading.read(name) == wanted).mean(1))}
    intervals = inception_intervals(reading.probabilities[name], subject.resamples, subject.seed, subject.recordings())
    found |= {f"{name} {score}": value for score, value in intervals.items()}
    if reading.features is not None and real.features is not None and reading is not real:
        found["FID (judge features)"] = Score(value=frechet_distance(reading.features, real.features))
    return found


PROTOCOL = Protocol(settings=Settings, run=run, about="clips asked to show an action: accuracy, inception score, entropies (R-WAE)")
