"""What do reconstructions lose by, the encoder or the decoder?

    rwk reproduce rwae-2-sm-mnist
    python benchmarks/best_codes.py reproduce/rwae-2-sm-mnist-cpu

For each run of a table whose clips have a judge, and whose reconstructions are sigmoids: test clips are decoded from their encoded
latents, and from latents that begin there and are fitted to each clip, the static one, the dynamic one or both, by Adam on the
reconstruction's own cost. What fitted codes save, the encoder loses; what they leave, the decoder does. The cost is told above that
of a perfect copy, in nats where it is a cross-entropy; errors are shares of the clips of which the judge misreads a static factor.
"""

from __future__ import annotations

import torch
from judged import measure_runs
from torch import Tensor

from rwae_kit import Clips, SequenceAutoencoder
from rwae_kit.evaluation.judges import TrainedJudge

CLIPS = 500
STEPS, RATE = 60, 0.03
FITTED = {"encoded": (), "static fitted": ("static",), "dynamic fitted": ("dynamic",), "both fitted": ("static", "dynamic")}


def measured(model: SequenceAutoencoder, clips: Clips, judge: TrainedJudge) -> dict[str, float]:
    """Errors of static factors and costs, for each choice of latents that are fitted."""
    batch = clips.batch(torch.arange(min(CLIPS, len(clips))))
    looks = [name for name in judge.card.factors if clips.info.factors[name].kind == "static"]
    labels = {name: clips.factors[name][batch.index] for name in looks}
    copy = float(model.reconstruction(torch.logit(batch.x, eps=1e-6), batch).mean())
    posterior = model.encode(batch.x)  # of a model that evaluates: means
    encoded = {"static": posterior.static.sample, "dynamic": posterior.dynamic.sample}
    model.requires_grad_(False)

    def cost(codes: dict[str, Tensor]) -> Tensor:
        of_clips: Tensor = model.reconstruction(model.decoder(codes["static"], codes["dynamic"]), batch)
        return of_clips

    found: dict[str, float] = {}
    for kind, names in FITTED.items():
        codes = {name: code.clone().requires_grad_(name in names) for name, code in encoded.items()}
        if names:
            optimizer = torch.optim.Adam([codes[name] for name in names], lr=RATE)
            for _ in range(STEPS):
                optimizer.zero_grad()
                cost(codes).sum().backward()
                optimizer.step()
        with torch.no_grad():
            read = judge.predict(model.decode(codes["static"], codes["dynamic"]))
            found |= {f"{name} error, {kind}": (read[name] != label).double().mean().item() for name, label in labels.items()}
            found[f"cost, {kind}"] = float(cost(codes).mean()) - copy
    return found


if __name__ == "__main__":
    measure_runs(__doc__, "best-codes.csv", measured)
