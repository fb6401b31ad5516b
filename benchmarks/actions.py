"""What does the action latent come to hold, and which KL does it need? The default recipe with 12 actions, on 12 movements.

python benchmarks/actions.py [--epochs 4] [--seeds 0 1] [--only NAME ...] [--jobs 1]

Of the most likely action of each held-out clip: the mutual information with each labelled factor, normalised by the mean of the
two entropies (1 is a renaming, "chance" is what shuffled labels give), the purity (share of clips whose movement is the most
frequent one of their action), and the share of the variance of the shape's mean place that the actions account for. Of q(a | x):
its mean entropy and that of its mean, in nats. And what the decoder reads: the explained variance, and the judge's readings, when
only the action is that of another clip.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rows import RESULTS, print_rows, write_rows
from torch import Tensor

from rwae_kit import Clips, Judge, Registry, SequenceAutoencoder, train
from rwae_kit.evaluation import derangement, mean_clip, reconstruction_score, swap_accuracy
from rwae_kit.run import dataset_of

ACTIONS = 12
FACTORS = ("motion", "motion_type", "direction", "shape", "size", "colour")
JUDGED = ("shape", "size", "colour", "motion")


def action(weight: float, *, aggregated: bool = False, **encoder: Any) -> dict[str, Any]:
    """An action latent under the categorical KL; the temperature goes from 1 to 0.5 in the first half of this short training."""
    return {
        "latents.action": ACTIONS,
        "action": {"name": "lstm", "anneal_draws": 256, **encoder},
        "penalty.action.categorical_kl": {"weight": weight, "aggregated": aggregated},
    }


VARIATIONS: dict[str, dict[str, Any]] = {
    "no action": {},
    "no penalty": action(0.0),
    "each clip, 1": action(1.0),
    "each clip, 50": action(50.0),
    "aggregated, 1": action(1.0, aggregated=True),
    "aggregated, 50": action(50.0, aggregated=True),
}


def normalised_information(one: Tensor, two: Tensor) -> float:
    """I / ((H(one) + H(two)) / 2) of two labellings `[n]`; 0 where both are constant."""
    joint = torch.zeros(int(one.max()) + 1, int(two.max()) + 1, dtype=torch.float64)
    joint.index_put_((one, two), torch.ones(len(one), dtype=torch.float64), accumulate=True)
    joint /= len(one)
    first, second, both = entropy(joint.sum(1)), entropy(joint.sum(0)), entropy(joint.flatten())
    return float(2 * (first + second - both) / (first + second).clamp_min(1e-12))


def entropy(p: Tensor) -> Tensor:
    """In nats, over the last axis."""
    return -torch.special.xlogy(p, p).sum(-1)


def purity(groups: Tensor, labels: Tensor) -> float:
    counts = torch.zeros(int(groups.max()) + 1, int(labels.max()) + 1)
    counts.index_put_((groups, labels), torch.ones(len(groups)), accumulate=True)
    return float(counts.max(1).values.sum() / len(groups))


def between_groups(groups: Tensor, values: Tensor) -> float:
    """The share of the variance of `values` `[n, k]` that lies between the groups."""
    one_hot = torch.nn.functional.one_hot(groups).to(values)
    means = (one_hot.mT @ values) / one_hot.sum(0).clamp_min(1)[:, None]
    centred = values - values.mean(0)
    return float(1 - (values - means[groups]).square().sum() / centred.square().sum())


def mean_place(x: Tensor) -> Tensor:
    """The centre of the shape, averaged over a clip's frames: `[b, t, c, h, w] -> [b, 2]`."""
    light = x.double().sum(2).mean(1)
    rows, columns = (torch.arange(n, dtype=light.dtype) for n in light.shape[-2:])
    total = light.sum((1, 2))
    return torch.stack([(light.sum(2) @ rows) / total, (light.sum(1) @ columns) / total], 1)


def of_the_posterior(model: SequenceAutoencoder, clips: Clips) -> dict[str, float]:
    """What q(a | x) says, and what its most likely action goes with."""
    found, places = [], []
    for batch in pieces(clips):
        posterior = model.encode(batch.x).action
        assert posterior is not None
        found.append(posterior.logits.double().softmax(-1))
        places.append(mean_place(batch.x))
    q = torch.cat(found)
    likely = q.argmax(1)
    shuffled = clips.factors["motion"][torch.randperm(len(q), generator=torch.Generator().manual_seed(0))]
    return {
        "H(a given x)": float(entropy(q).mean()),
        "H(a)": float(entropy(q.mean(0))),
        "actions used": float(len(likely.unique())),
        "chance": normalised_information(likely, shuffled),
        **{f"information {name}": normalised_information(likely, clips.factors[name]) for name in FACTORS},
        "purity motion": purity(likely, clips.factors["motion"]),
        "place": between_groups(likely, torch.cat(places)),
    }


def of_the_decoder(model: SequenceAutoencoder, clips: Clips, judge: Judge, mean: Tensor) -> dict[str, float]:
    """Explained variance, and factors that the judge still reads rightly, with the action of another clip."""
    partner, at = derangement(len(clips)), 0
    error, trivial, right = 0.0, 0.0, dict.fromkeys(JUDGED, 0)
    for batch in pieces(clips):
        own = model.encode(batch.x)
        other = model.encode(clips.batch(partner[at : at + len(batch.x)]).x).action
        assert other is not None
        shown = model.decode(own.static.sample, own.dynamic.sample, other.sample)
        error += float((shown.double() - batch.x.double()).square().sum())
        trivial += float((mean - batch.x.double()).square().sum())
        for name, read in judge.predict(shown).items():
            if name in right:
                right[name] += int((read == clips.factors[name][at : at + len(batch.x)]).sum())
        at += len(batch.x)
    return {
        "explained, another's action": 1 - error / trivial,
        **{f"another's action, {name}": count / len(clips) for name, count in right.items()},
    }


def pieces(clips: Clips) -> Iterator[Any]:
    for start in range(0, len(clips), 256):
        yield clips.batch(torch.arange(start, min(start + 256, len(clips))))


def one(name: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train one variation with one seed, and score it on the held-out clips."""
    torch.set_num_threads(1)
    length = {"training.epochs": epochs, "training.validate_every": epochs, "training.seed": seed}
    run = train("quickstart", options={**length, **VARIATIONS[name]}, out=Path(tempfile.mkdtemp()) / "run", report=False)
    return {"penalty": name, "seed": seed, "batches": run.outcome.step, **scores(run.model)}


def scores(model: SequenceAutoencoder) -> dict[str, float]:
    dataset: Any = dataset_of(model, Registry.installed())
    clips, judge = dataset.clips("test"), dataset.judge()
    mean = mean_clip(dataset.clips("train"))
    swap: Mapping[str, float] = swap_accuracy(model, clips, judge)["swap"]
    found = {
        "explained": reconstruction_score(model, clips, mean)[0].explained,
        **{f"swap {factor}": swap[factor] for factor in JUDGED},
    }
    if model.action_encoder is None:
        return found
    return {**found, **of_the_posterior(model, clips), **of_the_decoder(model, clips, judge, mean)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="*", choices=list(VARIATIONS), default=list(VARIATIONS))
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS / "actions.csv")
    words = parser.parse_args()
    plan = [(name, seed, words.epochs) for name in words.only for seed in words.seeds]
    with ProcessPoolExecutor(words.jobs, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(one, *zip(*plan, strict=True)))
    write_rows(rows, words.out)
    print_rows(rows)


if __name__ == "__main__":
    main()
