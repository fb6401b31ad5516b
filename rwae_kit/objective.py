"""What is minimised: reconstruction, penalties and terms, each under its own name.

    sum_t c(x_t, G(z_t)) + beta_1 D(Q_s, P_s) + beta_2 sum_t D(Q_z_t, P_z_t) + ...

Latents are gathered over all processes before any divergence or term sees them, so a penalty is that of the global batch.

Source: R-WAE Eq. 9 (Han et al. 2021), with the KL on the dynamic latent of App. D as one more penalty; C-DSVAE Eq. 6 (Bai et al.
2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from attrs import evolve, field, frozen
from einops import rearrange
from torch import Tensor, nn

from rwae_kit.distributed import gather
from rwae_kit.errors import RecipeError, RwaeError
from rwae_kit.interfaces import AdversarialDivergence, CategoricalDivergence, Divergence, FrameView, LatentTerm, OrderView
from rwae_kit.latents import CategoricalLatent, Encoded, Latent, SequencePosterior, SequencePrior
from rwae_kit.model import SequenceAutoencoder

WIDE = 10.0
"""A scale (root mean square) of latent draws above which a warning is due: priors of the static latent have scale 1."""


@frozen(kw_only=True, eq=False)
class Penalty:
    """A weighted divergence between posterior and prior of one latent; of the action, a `CategoricalDivergence`.

    `conditioning`: where the prior draws of the dynamic latent come from. "posterior": p(z_t | z_<t) given the posterior's past,
    the formula of Eq. 9; the draws are paired with the posterior's. "ancestral": the prior's own past, as Algorithms 1 and 2 read.
    """

    latent: Literal["static", "dynamic", "action"]
    name: str
    divergence: Divergence | CategoricalDivergence
    weight: float
    warmup_steps: int = 0
    conditioning: Literal["posterior", "ancestral"] = "posterior"

    def __attrs_post_init__(self) -> None:
        categorical = isinstance(self.divergence, CategoricalDivergence)
        if self.latent == "action" and not categorical:
            raise RecipeError(
                f"{self.path}: the action latent is categorical; {self.name!r} compares continuous draws. Take a divergence for it"
            )
        if self.latent != "action" and categorical:
            raise RecipeError(
                f"{self.path}: the {self.latent} latent is continuous; {self.name!r} is for the action latent. Take another"
            )
        if self.conditioning == "ancestral":
            if self.latent != "dynamic":
                raise RecipeError(f"{self.path}: conditioning is for the dynamic latent only: leave it out")
            if isinstance(self.divergence, Divergence) and (self.divergence.paired or self.divergence.needs_density):
                raise RecipeError(
                    f"{self.path}: ancestral draws have no density and no partner; {self.name} needs them. Set conditioning = "
                    f"'posterior', or take a divergence that compares draws alone"
                )

    @property
    def path(self) -> str:
        """Its place in a recipe."""
        return f"penalty.{self.latent}.{self.name}"

    def weight_at(self, step: int) -> float:
        """The weight at a step: it rises linearly from 0 during the warm-up."""
        return self.weight * warmth(step, self.warmup_steps)


@frozen(kw_only=True, eq=False)
class Term:
    """A weighted loss on the latents of some views of the batch."""

    key: str
    loss: LatentTerm
    weight: float
    warmup_steps: int = 0
    views: Mapping[str, FrameView | OrderView] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for name, latent in self.loss.keeping.items():
            if name in self.views and latent not in self.views[name].keeps:
                kept = " and ".join(self.views[name].keeps)
                raise RecipeError(
                    f"term.{self.key}: needs a view that keeps the {latent} latent; {name!r} changes it, and keeps the {kept} one"
                )

    def weight_at(self, step: int) -> float:
        """The weight at a step: it rises linearly from 0 during the warm-up."""
        return self.weight * warmth(step, self.warmup_steps)


@frozen(kw_only=True, eq=False)
class Losses:
    """`total` is minimised; `parts` holds every term without its weight, detached, and the scales of the latents."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective(nn.Module):
    """Reconstruction, penalties and terms of a model."""

    def __init__(self, penalties: Sequence[Penalty], terms: Sequence[Term] = ()) -> None:
        super().__init__()
        self.penalties, self.terms = tuple(penalties), tuple(terms)
        self._divergences = nn.ModuleDict({f"{p.latent}:{p.name}": p.divergence for p in self.penalties})
        self._losses = nn.ModuleDict({t.key: t.loss for t in self.terms})
        self._views = nn.ModuleDict({name: view for t in self.terms for name, view in t.views.items()})

    def critic_parameters(self) -> list[nn.Parameter]:
        """Parameters of all divergences: the critics'."""
        return list(self._divergences.parameters())

    def try_out(self, encoded: Encoded) -> None:
        """Refuse a divergence that asks for a density where there is none, and what views and terms refuse of these clips.

        Raises:
            RecipeError: with the place in the recipe.
        """
        for penalty in self.penalties:
            if isinstance(penalty.divergence, Divergence) and penalty.divergence.needs_density:
                for owner, latents in (("posterior", encoded.posterior), ("prior", encoded.prior)):
                    latent: Latent = getattr(latents, penalty.latent)
                    if latent.mean is None or latent.log_var is None:
                        raise RecipeError(
                            f"{penalty.path}: {penalty.name} reads densities, and this {owner} of the {penalty.latent} latent has "
                            f"none (no mean, no log_var). Take a divergence that compares draws alone, or another {owner}"
                        )
        for term in self.terms:
            _try_term(term, encoded)

    def critic_loss(self, model: SequenceAutoencoder, encoded: Encoded, step: int) -> Tensor | None:
        """The sum of the critics' losses on detached latents; None without a critic, or while its penalty has no weight."""
        losses = [
            p.divergence.critic_loss(*(_map(latent, Tensor.detach) for latent in _pair(p, model, encoded)))
            for p in self.penalties
            if isinstance(p.divergence, AdversarialDivergence) and p.weight_at(step) > 0
        ]
        return torch.stack(losses).sum() if losses else None

    def forward(self, model: SequenceAutoencoder, encoded: Encoded, step: int, *, outer: bool = False) -> Losses:
        """All terms at a step. `outer`: only those that move the decoder and the prior (alternating schedule, outer step)."""
        cost = model.reconstruction(model.pre_activations(encoded.posterior), encoded.batch).float().mean()
        parts, total = {"reconstruction": cost.detach()}, cost
        posterior, mask = encoded.posterior, encoded.batch.mask
        for name, latent, weight in (("static", posterior.static, None), ("dynamic", posterior.dynamic, mask)):
            parts[f"scale.{name}"] = _root_mean_square(latent.sample.detach().float(), weight)
        views = self._encode_views(model, encoded) if self.terms and not outer else {}
        with torch.autocast(cost.device.type, enabled=False):
            for penalty in self.penalties:
                if outer and penalty.latent != "dynamic":
                    continue
                value = _value(penalty, model, encoded)
                parts[penalty.path] = value.detach()
                total = total + penalty.weight_at(step) * value
            for term in self.terms if views else ():
                value = term.loss({name: views[name] for name in term.loss.needs})
                parts[f"term.{term.key}"] = value.detach()
                parts |= {f"term.{term.key}.{name}": estimate.detach() for name, estimate in term.loss.estimates.items()}
                total = total + term.weight_at(step) * value
        return Losses(total=total, parts=parts)

    def warnings(self, parts: Mapping[str, float]) -> list[str]:
        """What a person should know of the values of a step: a saturated penalty, a latent that runs away."""
        found = [
            f"{p.path} is {parts[p.path]:.2f}, above {p.divergence.saturates_at:g}: its gradient has all but vanished. Lower the "
            f"critic's learning rate (training.critic.learning_rate), or add a small kl penalty on the {p.latent} latent"
            for p in self.penalties
            if p.divergence.saturates_at is not None and parts.get(p.path, 0.0) > p.divergence.saturates_at
        ]
        scales = {latent: parts.get(f"scale.{latent}", 0.0) for latent in ("static", "dynamic")}
        return found + [
            f"scale.{latent} is {scale:.1f}: the {latent} latent runs away from its prior. Raise its penalties' weights, slow the "
            f"critic, or add a small kl penalty on it"
            for latent, scale in scales.items()
            if scale > WIDE
        ]

    def _encode_views(self, model: SequenceAutoencoder, encoded: Encoded) -> dict[str, Encoded]:
        """The clip and every view that a term reads, encoded; a reordered view's features are gathered, not computed again.

        The encoder's running statistics move as often as if they were.
        """
        views = {"clip": encoded}
        for name, view in self._views.items():
            batch = encoded.batch
            if isinstance(view, OrderView):
                order = view(batch)
                reordered = evolve(
                    batch, x=_reorder(batch.x, order), mask=None if batch.mask is None else _reorder(batch.mask, order)
                )
                views[name] = model.encoded(reordered, _reorder(encoded.features, order))
                if encoded.statistics is not None:
                    encoded.statistics.repeat()
            else:
                views[name] = model(evolve(batch, x=view(batch)))
        return {name: _gathered(view) for name, view in views.items()}


def _try_term(term: Term, encoded: Encoded) -> None:
    """A term and its views, once; no view's pixels are encoded."""
    t = encoded.batch.x.shape[1]
    for name, view in term.views.items():
        if t == 1 and isinstance(view, OrderView):
            raise RecipeError(
                f"term.{term.key}: the view {name!r} reorders the frames of a clip, and clips have one. Take longer clips"
            )
        _placed(f"term.{term.key}: view {name!r}", partial(view, encoded.batch))
    _placed(f"term.{term.key}", partial(term.loss, dict.fromkeys(term.loss.needs, encoded)))
    term.loss.estimates = {}


def _placed(where: str, call: Callable[[], object]) -> None:
    """Call, and put the place in a recipe in front of what is refused."""
    try:
        call()
    except RwaeError as error:
        raise RecipeError(f"{where}: {error}") from error


def warmth(step: int, warmup_steps: int) -> float:
    """The share of its weight that a loss has at a step: `step / warmup_steps`, at most 1."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


def _root_mean_square(x: Tensor, weight: Tensor | None) -> Tensor:
    """Of `[..., d]` over everything, with a weight `[...]` for each vector."""
    square = x.square().mean(-1)
    return (square.mean() if weight is None else (square * weight).sum() / weight.sum().clamp(min=1)).sqrt()


def _value(penalty: Penalty, model: SequenceAutoencoder, encoded: Encoded) -> Tensor:
    """A penalty without its weight, summed over the independent problems."""
    value: Tensor
    if penalty.latent == "action":
        action = _ready_action(encoded.posterior.action)
        if action is None:
            raise RecipeError(f"{penalty.path}: the model has no action latent")
        value = penalty.divergence(action, model.action_prior().to(action.logits))
    else:
        value = penalty.divergence(*_pair(penalty, model, encoded))
    return value.sum()


def _pair(penalty: Penalty, model: SequenceAutoencoder, encoded: Encoded) -> tuple[Latent, Latent]:
    """Posterior and prior of a penalty's latent, at least float32, of all processes, time in front: `[n, d]` or `[t, n, d]`."""
    if penalty.latent == "static":
        return _map(encoded.posterior.static, _ready), _map(encoded.prior.static, _ready)
    posterior, prior, mask = encoded.posterior.dynamic, encoded.prior.dynamic, encoded.batch.mask
    if penalty.conditioning == "ancestral":
        prior = Latent(sample=model.prior.sample(*posterior.sample.shape[:2]))
    if mask is not None:
        posterior, prior = evolve(posterior, weight=mask), evolve(prior, weight=mask)
    return _map(posterior, _timed), _map(prior, _timed)


def _ready(x: Tensor) -> Tensor:
    return gather(x.float() if x.dtype in (torch.bfloat16, torch.float16) else x)


def _ready_action(action: CategoricalLatent | None) -> CategoricalLatent | None:
    return None if action is None else CategoricalLatent(sample=_ready(action.sample), logits=_ready(action.logits))


def _timed(x: Tensor) -> Tensor:
    return rearrange(_ready(x), "b t ... -> t b ...")


def _map(latent: Latent, change: Callable[[Tensor], Tensor]) -> Latent:
    mean, log_var, weight = (None if x is None else change(x) for x in (latent.mean, latent.log_var, latent.weight))
    return Latent(sample=change(latent.sample), mean=mean, log_var=log_var, weight=weight)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """`[b, t, ...]` with the times of each clip in the order `[b, t]`."""
    index = order.reshape(*order.shape, *([1] * (x.ndim - 2))).expand(-1, -1, *x.shape[2:])
    return x.gather(1, index)


def _gathered(view: Encoded) -> Encoded:
    """A view with the latents of all processes."""
    q, p = view.posterior, view.prior
    static, dynamic = _map(q.static, _ready), _map(q.dynamic, _ready)
    posterior = SequencePosterior(static=static, dynamic=dynamic, action=_ready_action(q.action))
    prior = SequencePrior(static=_map(p.static, _ready), dynamic=_map(p.dynamic, _ready))
    return evolve(view, posterior=posterior, prior=prior)
