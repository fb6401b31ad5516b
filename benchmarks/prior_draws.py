"""How far do motions drawn from the prior lie from those of clips, and which looks does that cost?

    rwk reproduce cdsvae-1
    python benchmarks/prior_draws.py reproduce/cdsvae-1-cpu

For each run of a table whose clips have a judge: the static codes of half of the test clips are decoded with three kinds of motion,
that of another of these clips, ancestral draws from the prior, and the prior's means along these draws, which the protocol
cdsvae2021 takes. A look is kept if the judge reads it as that of the clip that lent the static code. How far a draw is off is its
distance to the nearest of the clips' motions, the unit of each dimension its deviation over clips and frames. By that of whole
motions the draws are put in four quarters; that of their first and of their last frames stands beside the distance that draws of
the posterior have from the other clips.
"""

from __future__ import annotations

import torch
from judged import measure_runs
from torch import Tensor

from rwae_kit import Clips, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge

AT_ONCE = 256
SEED = 0


@torch.no_grad()
def measured(model: SequenceAutoencoder, clips: Clips, judge: TrainedJudge) -> dict[str, float]:
    """Shares of looks kept, and medians of distances."""
    index = torch.arange(0, len(clips), 2)
    posteriors = [model.encode(clips.batch(part).x) for part in torch.split(index, AT_ONCE)]
    static = torch.cat([one.static.sample for one in posteriors])
    mean = torch.cat([one.dynamic.sample for one in posteriors])  # of a model that evaluates: means
    generator = torch.Generator().manual_seed(SEED)
    with model.noise.fork(SEED):
        own = torch.cat([model.encode(clips.batch(part).x).dynamic.sample for part in torch.split(index, AT_ONCE)])
        drawn = model.prior.sample(*mean.shape[:2])
    others = mean[torch.randperm(len(mean), generator=generator)]
    motions = {"exchanged": others, "drawn": drawn, "means along": model.prior(drawn).sample}

    looks = [name for name, factor in clips.info.factors.items() if factor.kind == "static"]
    labels = {name: clips.factors[name][index] for name in looks}
    unit = mean.flatten(0, 1).std(0)
    found: dict[str, float] = {}
    for kind, motion in motions.items():
        pieces = zip(torch.split(static, AT_ONCE), torch.split(motion, AT_ONCE), strict=True)
        read = judge.predict(torch.cat([model.decode(s, z) for s, z in pieces]))
        right = {name: read[name] == label for name, label in labels.items()}
        found |= {f"{name}, {kind}": share(those) for name, those in right.items()}
        if kind == "drawn":
            order = distance(drawn / unit, mean / unit).argsort()
            for name, those in right.items():
                found |= {f"{name}, quarter {k}": share(those[part]) for k, part in enumerate(order.tensor_split(4), 1)}
    for frame, at in (("first", 0), ("last", -1)):
        here, there, again = (z[:, [at]] / unit for z in (mean, drawn, own))
        found[f"{frame} frame, drawn"] = float(distance(there, here).median())
        found[f"{frame} frame, encoded"] = float(distance(again, here, others=True).median())
    return found


def share(right: Tensor) -> float:
    """Of what is True."""
    return right.double().mean().item()


def distance(z: Tensor, clips: Tensor, others: bool = False) -> Tensor:
    """Of each motion `[n, t, d]` to the nearest of the clips', with `others` to the nearest but its own: `[n]`."""
    apart = torch.cdist(z.flatten(1), clips.flatten(1))
    return (apart.fill_diagonal_(torch.inf) if others else apart).min(1).values


if __name__ == "__main__":
    measure_runs(__doc__, "prior-draws.csv", measured)
