"""One of several processes in the tests of distributed training: python ranks_script.py FOLDER, in torchrun's environment."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from training_toys import StopAfter, toy_clips, toy_config, toy_model, toy_run

from rwae_kit import distributed
from rwae_kit.training.config import TrainingConfig
from rwae_kit.training.loop import Outcome, train_loop
from rwae_kit.training.progress import Reporter
from rwae_nets.mixture import Mixture


def noiseless_run(folder: Path, config: TrainingConfig) -> Outcome:
    """Train without any noise or batch statistics, so that the number of processes cannot matter."""
    model, objective = toy_model()
    model.encoder.frames[1] = nn.Identity()
    model.noise.normal = lambda *shape, like: like.new_zeros(shape)  # type: ignore[method-assign]
    return train_loop(model, objective, toy_clips(), toy_clips(20, seed=2), config, folder)


def pairwise_loss(w: Tensor, x: Tensor) -> Tensor:
    """A loss over all pairs of a global batch: no sum over clips, so a slice-wise gradient would be wrong."""
    z = distributed.gather(torch.tanh(x @ w))
    return torch.exp(-torch.cdist(z, z).square()).sum() / 7


def gradient_of_pairs(rank: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    w = nn.Parameter(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    pairwise_loss(w, x.chunk(size)[rank]).backward()
    distributed.average_gradients([w, nn.Parameter(torch.zeros(2))])
    assert w.grad is not None
    return w.grad


def counted_mixture(rank: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    mixture = Mixture(3, 2, initial=0.0, bounds=None).double()
    with torch.no_grad():
        mixture.mean.copy_(torch.randn(3, 2, generator=generator, dtype=torch.float64))
        mixture.share.copy_(torch.tensor([0.6, 0.39, 0.01]))  # the last is lost and begins again
    mixture.of(torch.randn(6, 2, generator=generator, dtype=torch.float64).chunk(size)[rank], None)
    return torch.cat((mixture.share.unsqueeze(1), mixture.mean.detach()), 1)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    distributed.start()
    rank, size = distributed.rank(), distributed.world_size()
    mine = torch.full((2, 3), float(rank))
    shared = torch.full((2,), float(rank))
    distributed.broadcast([shared])
    found = {
        "world": torch.tensor([rank, size, int(distributed.is_main())]),
        "gathered": distributed.gather(mine),
        "mean": distributed.mean(mine),
        "broadcast": shared,
        "any": torch.tensor([distributed.any_rank(rank == 1), distributed.any_rank(False)]),
        "gradient": gradient_of_pairs(rank, size),
        "mixture": counted_mixture(rank, size),
    }
    noiseless_run(folder / "joint", toy_config(epochs=2))
    noiseless_run(folder / "alternating", toy_config(epochs=2, schedule="alternating"))
    toy_run(folder / "whole", toy_config(epochs=2))
    # the signal reaches one rank only, and both must stop after the same step
    reporter = StopAfter(5) if rank == 1 else Reporter()
    outcome = train_loop(
        *toy_model(), toy_clips(), toy_clips(20, seed=2), toy_config(epochs=2), folder / "parts", reporter=reporter
    )
    assert (outcome.step, outcome.stopped) == (5, "signal")
    toy_run(folder / "parts", toy_config(epochs=2), resume=True)
    distributed.stop()
    save_file(found, folder / f"rank-{rank}.safetensors")


if __name__ == "__main__":
    main()
