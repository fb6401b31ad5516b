"""What a model does to clips, as pictures: reconstructions, swaps, samples and traversals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from attrs import frozen
from PIL import Image
from torch import Tensor

from rwae_kit.data import Clips
from rwae_kit.errors import RwaeError
from rwae_kit.report.drawing import STRIP, Pixels, grid, pictures_of, save_animation

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder

CELL = 64
"""Least size of a frame in an animation; the strips' is larger."""
WIDE = 1000
"""Pictures in reading order fill about this width."""
SPREAD = 2.5
"""Standardised features are drawn up to so many standard deviations: the range that they may have is twice as wide."""
_POOL = 300
"""Clips among which those that differ most are looked for, and over which codes are seen to spread."""


@frozen(kw_only=True, eq=False)
class Moving:
    """A picture that moves, one image for each time; empty where the data are vectors, whose clip is one `still`."""

    still: Image.Image
    frames: tuple[Image.Image, ...] = ()

    def save(self, stem: Path, fps: float) -> list[Path]:
        """Write `stem`.png, and `stem`.gif if it moves; return what was written."""
        written = [stem.with_name(stem.name + ".png")]
        self.still.save(written[0], optimize=True)
        if self.frames:
            written.append(stem.with_name(stem.name + ".gif"))
            save_animation(self.frames, written[1], fps)
        return written


def choose(clips: Clips, n: int, seed: int = 0, kind: Literal["static", "dynamic"] | None = None) -> Tensor:
    """Places of n clips that differ: one after the other, the clip whose labels agree least with those chosen already.

    Without labels (of that kind) they are any n clips; with fewer than n clips it is all of them.
    """
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))[: max(n, _POOL)]
    names = [name for name, labels in clips.factors.items() if kind is None or clips.info.factors[name].kind == kind]
    if not names:
        return order[:n]
    labels = torch.stack([clips.factors[name].cpu()[order] for name in names], dim=1)
    chosen, worst, total = [0], torch.zeros(len(order)), torch.zeros(len(order))
    while len(chosen) < min(n, len(order)):
        same = (labels == labels[chosen[-1]]).float().mean(1)
        worst, total = torch.maximum(worst, same), total + same
        score = worst + 1e-3 * total
        score[chosen] = torch.inf
        chosen.append(int(score.argmin()))
    return order[torch.tensor(chosen)]


def unpadded(clips: Clips, places: Tensor) -> Tensor:
    """The clips at these places, `[n, t, *frame]`; cut to the shortest of them where they are padded."""
    batch = clips.batch(places)
    return batch.x if batch.mask is None else batch.x[:, : int(batch.mask.sum(1).min())]


def spread(model: SequenceAutoencoder, clips: Clips, latent: Literal["static", "dynamic"]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a latent's posterior means over the first clips (and their times), `[d]` both."""
    batch = clips.batch(torch.arange(min(len(clips), _POOL)))
    posterior = model.encode(batch.x, batch.mask)
    real = slice(None) if batch.mask is None else batch.mask.to(model.device) > 0
    code = posterior.static.sample if latent == "static" else posterior.dynamic.sample[real].flatten(0, -2)
    return code.mean(0), code.std(0, correction=0)


def reconstruction_picture(model: SequenceAutoencoder, x: Tensor) -> Image.Image:
    """Clips `[n, t, *frame]`, each over its reconstruction."""
    pair = torch.stack([x.to(model.device), model.reconstruct(x)], dim=1).flatten(0, 1)
    return _strips(model, pair, words=["clip", "reconstruction"] * len(x), group=2)


def swap_picture(model: SequenceAutoencoder, a: Tensor, b: Tensor) -> Image.Image:
    """Pairs of clips exchange what moves: of each four rows the first and the last are originals, the inner ones swapped.

    Shape:
        a, b: `[t, *frame]`, or some pairs `[n, t, *frame]`.

    Source: the layout of R-WAE Fig. 2.
    """
    a, b = (x.to(model.device) if x.ndim == len(model.spec.frame) + 2 else x[None].to(model.device) for x in (a, b))
    clips = torch.stack([a, model.swap(a, b), model.swap(b, a), b], dim=1).flatten(0, 1)
    words = ("A, moving as B", "B, moving as A") if clips.ndim > 3 else ("static A, dynamic B", "static B, dynamic A")
    return _strips(model, clips, words=["A", *words, "B"] * len(a), group=4)


def matrix_picture(model: SequenceAutoencoder, static_from: Tensor, dynamic_from: Tensor) -> Moving:
    """Every static latent with every dynamic one; first column and row are the originals `[n, t, *frame]`, `[m, t, *frame]`.

    Source: the layout of R-WAE Fig. 11.
    """
    static_from, dynamic_from = static_from.to(model.device), dynamic_from.to(model.device)
    n, m = len(static_from), len(dynamic_from)
    swapped = model.swap(static_from.repeat_interleave(m, 0), dynamic_from.repeat(n, *[1] * (dynamic_from.ndim - 1)))
    original, body = _pictures(model, torch.cat([dynamic_from, static_from])), _pictures(model, swapped)

    def frame(t: int) -> Image.Image:
        cells: list[list[Pixels | None]] = [[None, *(clip[t] for clip in original[:m])]]
        cells += [[original[m + i][t], *(clip[t] for clip in body[i * m : (i + 1) * m])] for i in range(n)]
        rows, columns = [""] * (n + 1), [""] * (m + 1)
        rows[(n + 1) // 2], columns[(m + 1) // 2] = "static of", "dynamic of"
        return grid(cells, rows=rows, columns=columns, breaks=(1,), shown=CELL)

    return _moving(frame, original.shape[1])


def sample_pictures(
    model: SequenceAutoencoder, n: int, t: int | None = None, seed: int = 0, strips: int = 4, action: int | None = None
) -> Moving:
    """Clips drawn from the priors, of one action where it is given.

    The animation shows all n at a time, `still` the film strips of the first few.

    A film strip of more than 16 frames is thinned out. Clips of vectors do not move: `still` shows all n.

    Raises:
        RwaeError: an action that the model has not.
    """
    chosen = None
    if action is not None:
        if not 0 <= action < model.spec.action:
            actions = f"0 to {model.spec.action - 1}" if model.spec.action else "none: it has no action latent"
            raise RwaeError(f"sample: action {action}, but this model's actions are {actions}")
        chosen = torch.eye(model.spec.action)[action].expand(n, -1)
    pictures = _pictures(model, model.sample(n, t, seed=seed, action=chosen))
    times = pictures.shape[1]
    if times == 1:
        return Moving(still=_rows_of([clip[0] for clip in pictures]))
    thinned = pictures[:strips, :: -(-times // 16)]
    return Moving(
        still=grid([list(clip) for clip in thinned]),
        frames=tuple(_rows_of([clip[t] for clip in pictures]) for t in range(times)),
    )


def traverse_picture(model: SequenceAutoencoder, x: Tensor, latent: str, dim: int, values: Sequence[float]) -> Image.Image:
    """One clip `[t, *frame]` with one feature of a latent at each of the values: a film strip for each value."""
    return _strips(model, model.traverse(x, latent, dim, values), words=[f"{value:+.2f}" for value in values])


def traversal_picture(model: SequenceAutoencoder, x: Tensor, clips: Clips, most: int = 4, steps: int = 7) -> Moving:
    """One clip `[t, *frame]` while each of the features that vary most goes from -2 to +2 std about its mean over `clips`."""
    rows, words, breaks = [], [], []
    latents: tuple[Literal["static", "dynamic"], ...] = ("static", "dynamic")
    for latent in latents:
        mean, std = spread(model, clips, latent)
        for dim in std.argsort(descending=True)[:most].tolist():
            values = mean[dim] + std[dim] * torch.linspace(-2, 2, steps, device=std.device)
            rows.append(_pictures(model, model.traverse(x, latent, dim, values)))
            words.append(f"{latent} {dim}")
        breaks.append(len(rows))
    columns = [f"{value:+.1f}" if abs(value) > 1e-6 else "mean" for value in torch.linspace(-2, 2, steps).tolist()]

    def frame(t: int) -> Image.Image:
        cells = [[clip[t] for clip in row] for row in rows]
        return grid(cells, rows=words, columns=columns, breaks=breaks[:1], shown=CELL)

    return _moving(frame, rows[0].shape[1])


def _moving(frame: Callable[[int], Image.Image], times: int) -> Moving:
    """`still` is the middle of the clip."""
    return Moving(still=frame(times // 2), frames=tuple(frame(t) for t in range(times)) if times > 1 else ())


def _pictures(model: SequenceAutoencoder, clips: Tensor) -> Pixels:
    """As `pictures_of`; pictures of vectors are stretched, each way by itself, so that few frames of many features can be seen.

    The scale of time is that of the data's clips, also for clips that are longer.
    """
    low, high = model.spec.value_range
    if clips.ndim > 3:
        return pictures_of(clips, (low, high))
    if model.info.std:
        low, high = max(low, -SPREAD), min(high, SPREAD)
    across, down = (-(-STRIP // size) for size in (model.info.length, clips.shape[2]))
    return pictures_of(clips, (low, high)).repeat(down, axis=2).repeat(across, axis=3)


def _strips(model: SequenceAutoencoder, clips: Tensor, words: Sequence[str], group: int = 0) -> Image.Image:
    """A film strip for each clip, its word to the left; more space after each `group` of them.

    Clips of vectors, one picture each, stand side by side: a group is a column.
    """
    if len(clips) == 0:
        raise RwaeError("a picture needs at least one clip")
    pictures = _pictures(model, clips)
    if pictures.shape[1] > 1:
        breaks = range(group, len(clips), group) if group else ()
        return grid([list(clip) for clip in pictures], rows=words, breaks=breaks)
    if not group:
        return grid([[clip[0] for clip in pictures]], columns=words)
    return grid([[clip[0] for clip in pictures[row::group]] for row in range(group)], rows=words[:group])


def _rows_of(pictures: Sequence[Pixels]) -> Image.Image:
    """Pictures in reading order."""
    across = max(1, min(6, WIDE // pictures[0].shape[1]))
    return grid([list(pictures[start : start + across]) for start in range(0, len(pictures), across)], shown=CELL)
