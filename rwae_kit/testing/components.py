"""The checks of the parts of a model, one for each interface."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import attrs
import torch
from torch import Tensor

from rwae_kit import interfaces
from rwae_kit.interfaces import Component, Spec
from rwae_kit.latents import Latent
from rwae_kit.testing.behaviour import (
    Build,
    Run,
    behaves,
    builder,
    check_sampling,
    close,
    fitting,
    gradients,
    require,
    shape,
    with_noise,
)
from rwae_kit.testing.categorical import check_categorical_divergence
from rwae_kit.testing.inputs import SPECS, B, D, H, T, Tensors, TinyDecoder, TinyEncoder, batch_of, draws, encoded, normal, uniform


def check_divergence(cls: Any, config: Any = None) -> None:
    """A `Divergence`: leading axes, n != m (n = m where `paired`), weights; `critic_loss` moves its own parameters only.

    A `CategoricalDivergence`: a scalar from the posteriors `[b, a]`, whatever their order, and the prior.
    """
    if isinstance(cls, type) and issubclass(cls, interfaces.CategoricalDivergence):
        check_categorical_divergence(cls, config)
        return
    build = builder(cls, interfaces.Divergence, config, lambda c: (c, D), "(config, d)")
    adversarial = issubclass(cls, interfaces.AdversarialDivergence)
    owned = any(True for _ in build().parameters())
    require(adversarial or not owned, cls, "has parameters but no critic_loss to train them; derive from AdversarialDivergence")
    require(owned or not adversarial, cls, "is an AdversarialDivergence without parameters; derive from Divergence")
    for leading in ((), (2,), (2, 3)):
        for n, m in ((6, 6),) if cls.paired else ((6, 6), (6, 4)):
            where = f"posterior {[*leading, n, D]}, prior {[*leading, m, D]}"
            inputs = partial(draws, posterior=(*leading, n), prior=(*leading, m))
            behaves(cls, build, inputs, _diverge, _reached(cls, leading), where)
            value = _diverge(build(), inputs(torch.float64))["value"]
            require(
                value.shape == leading, cls, f"{where}: the result is {list(value.shape)}, not {list(leading)}: one value a problem"
            )
    _check_groups_and_weights(cls, build)
    if adversarial:
        _check_critic(cls, build)


def check_frame_encoder(cls: Any, config: Any = None) -> None:
    """A `FrameEncoder`: `[n, *frame] -> [n, h]`, every frame on its own, `size` is h."""
    spec, build = fitting(cls, interfaces.FrameEncoder, config, lambda c, spec: (c, spec), "(config, spec)")
    size = _size(cls, build())
    behaves(cls, build, lambda dtype: {"frames": uniform(dtype, B, *spec.frame)}, _call("frames"), {"frames": 1})
    net, frames = build().eval(), uniform(torch.float64, B, *spec.frame)
    shape(cls, "features", net(frames), (B, size))
    require(close(net(frames)[:1], net(frames[:1])), cls, "a frame's features depend on the other frames, in eval mode")


def check_frame_decoder(cls: Any, config: Any = None) -> None:
    """A `FrameDecoder`: `[n, h] -> [n, *frame]`, `size` is h."""
    spec, build = fitting(cls, interfaces.FrameDecoder, config, lambda c, spec: (c, spec), "(config, spec)")
    size = _size(cls, build())
    behaves(cls, build, lambda dtype: {"features": normal(dtype, B, size)}, _call("features"), {"features": 1})
    shape(cls, "frames", build()(normal(torch.float64, B, size)), (B, *spec.frame))


def check_encoder(cls: Any, config: Any = None) -> None:
    """A `SequenceEncoder`, on a tiny frame encoder: densities, sampling, and padding that leaves the static latent alone."""
    spec = SPECS[0]
    build = builder(cls, interfaces.SequenceEncoder, config, lambda c: (c, spec, TinyEncoder(spec)), "(config, spec, frames)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        encoder, batch = cast(interfaces.SequenceEncoder, net), batch_of(given["x"], given.get("mask"))
        posterior = encoder.posterior(encoder.features(batch), batch)
        latents = {"static": posterior.static, "dynamic": posterior.dynamic}
        missing = [name for name, latent in latents.items() if latent.mean is None or latent.log_var is None]
        require(not missing, cls, f"posterior: {missing} have no mean and log_var; use self.draw(mean, log_var)")
        return {f"{name}.{key}": getattr(latent, key) for name, latent in latents.items() for key in ("sample", "mean", "log_var")}

    for t in (T, 1):
        inputs = partial(_frames, spec=spec, t=t)
        behaves(cls, build, inputs, run, {"x": 2}, f"t = {t}")
        found = run(build(), inputs(torch.float64))
        shape(cls, "static", found["static.sample"], (B, spec.static))
        shape(cls, "dynamic", found["dynamic.sample"], (B, t, spec.dynamic))
    net, x = build(), uniform(torch.float64, B, T, *spec.frame)
    check_sampling(cls, net, lambda: run(net, {"x": x}), ("static", "dynamic"))
    mask = torch.ones(B, T, dtype=x.dtype)
    mask[:, -2:] = 0
    other = torch.where(mask[..., None, None, None] > 0, x, 1 - x)
    one, two = (run(net.eval(), {"x": v, "mask": mask})["static.mean"] for v in (x, other))
    require(close(one, two), cls, "padding (mask 0) changes the static latent; leave those frames out")


def check_action_encoder(cls: Any, config: Any = None) -> None:
    """An `ActionEncoder`: `[b, a]` relaxed one-hot draws (not negative, sum 1) and their logits; padding leaves them alone."""
    spec = attrs.evolve(SPECS[0], action=4)
    build = builder(cls, interfaces.ActionEncoder, config, lambda c: (c, spec, H), "(config, spec, h)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        action = net(given["dynamic"], given["features"], given.get("mask"))
        return {"sample": action.sample, "logits": action.logits}

    def inputs(dtype: torch.dtype) -> dict[str, Tensor]:
        return {"dynamic": normal(dtype, B, T, spec.dynamic), "features": normal(dtype, B, T, H)}

    behaves(cls, build, inputs, run, {"dynamic": 2})
    for name, value in run(build(), inputs(torch.float64)).items():
        shape(cls, name, value, (B, spec.action))
        if name == "sample":
            fine = (value >= 0).all() and close(value.sum(-1), torch.ones_like(value[:, 0]))
            require(bool(fine), cls, "the draws must not be negative, and sum to 1 over the actions")
    mask = (torch.arange(T) < 2).to(torch.float64).expand(B, T)
    for t in (T, 1):
        given = {name: value[:, :t] for name, value in inputs(torch.float64).items()}
        shape(cls, f"logits, t = {t}", run(build(), given)["logits"], (B, spec.action))
    given, net = inputs(torch.float64), build().eval()
    moved = {name: value * (4 - 3 * mask).unsqueeze(-1) for name, value in given.items()}
    one, two = (run(net, {**v, "mask": mask})["logits"] for v in (given, moved))
    require(close(one, two), cls, "padding (mask 0) changes the action; leave those frames out")


def check_static_prior(cls: Any, config: Any = None) -> None:
    """A `StaticPrior`: `[b, d_s]`, drawn in train mode and its mean in eval mode."""
    spec = SPECS[0]
    build = builder(cls, interfaces.StaticPrior, config, lambda c: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        return _parameters(net(batch_of(given["x"])), "static")

    behaves(cls, build, partial(_frames, spec=spec), run, {})
    net, given = build(), {"x": uniform(torch.float64, B, T, *spec.frame)}
    shape(cls, "the draw", run(net, given)["static.sample"], (B, spec.static))
    check_sampling(cls, net, lambda: run(net, given), ("static",))


def check_prior(cls: Any, config: Any = None) -> None:
    """A `DynamicPrior`: causal; ancestral draws of any length, with noise and gradient, of the distribution `forward` gives."""
    spec = SPECS[0]
    build = builder(cls, interfaces.DynamicPrior, config, lambda c: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        return _parameters(net(given["z"]), "dynamic")

    behaves(cls, build, lambda dtype: {"z": normal(dtype, B, T, spec.dynamic)}, run, {})
    net = cast(interfaces.DynamicPrior, build())
    z = normal(torch.float64, B, T, spec.dynamic).requires_grad_()
    for name, value in run(net, {"z": z}).items():
        shape(cls, name, value, (B, T, spec.dynamic))
        for t in range(T):
            gradient = gradients(value[:, t].sum(), [z])[0][:, t:]
            require(
                not gradient.any(), cls, f"{name} at t = {t} depends on z at t >= {t}; it may see the past only: shift z by one"
            )
    check_sampling(cls, net, lambda: run(net, {"z": z.detach()}), ("dynamic",))
    _check_ancestral(cls, net.eval(), spec)


def check_decoder(cls: Any, config: Any = None) -> None:
    """A `Decoder`, on a tiny frame decoder: `[b, t, *frame]` for any t, with and without actions."""
    for actions in (0, 2):
        _check_decoder(cls, config, attrs.evolve(SPECS[0], action=actions))


def _check_decoder(cls: Any, config: Any, spec: Spec) -> None:
    build = builder(cls, interfaces.Decoder, config, lambda c: (c, spec, TinyDecoder(spec)), "(config, spec, frames)")

    def inputs(dtype: torch.dtype, t: int) -> dict[str, Tensor]:
        sizes = {"static": (B, spec.static), "dynamic": (B, t, spec.dynamic), "action": (B, spec.action)}
        return {name: normal(dtype, *size) for name, size in sizes.items() if size[-1]}

    for t in (T, 1):
        given = inputs(torch.float64, t)
        reached = {name: value.ndim - 1 for name, value in given.items()}
        behaves(cls, build, partial(inputs, t=t), _call("static", "dynamic", "action"), reached, f"t = {t}, {spec.action} actions")
        shape(cls, "pre-activations", build()(*given.values()), (B, t, *spec.frame))


def check_reconstruction(cls: Any, config: Any = None) -> None:
    """A `Reconstruction`: the cost of a clip is the sum over its frames that are not padding."""
    spec, build = fitting(cls, interfaces.Reconstruction, config, lambda c, spec: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        reconstruction = cast(interfaces.Reconstruction, net)
        return {
            "cost": reconstruction(given["pre"], batch_of(given["x"], given.get("mask"))),
            "mean": reconstruction.mean(given["pre"]),
        }

    size = (B, T, *spec.frame)
    behaves(cls, build, lambda dtype: {"pre": normal(dtype, *size), "x": uniform(dtype, *size)}, run, {"pre": 2})
    given = {"pre": normal(torch.float64, *size), "x": uniform(torch.float64, *size)}
    found = run(build(), given)
    shape(cls, "the cost", found["cost"], (B,))
    shape(cls, "mean(pre)", found["mean"], size)
    first = (torch.arange(T) < 2).to(torch.float64).expand(B, T)
    parts = [run(build(), {**given, "mask": mask})["cost"] for mask in (first, 1 - first)]
    require(close(parts[0] + parts[1], found["cost"]), cls, "the cost is no sum over the frames whose mask is 1")


def check_term(cls: Any, config: Any = None) -> None:
    """A `LatentTerm`: a scalar of the views it needs, with gradient to their latents and scalar estimates."""
    build = builder(cls, interfaces.LatentTerm, config, lambda c: (c, SPECS[0]), "(config, spec)")
    needs = cast(interfaces.LatentTerm, build()).needs

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        views = {name: encoded(given, name) for name in needs}
        value = net(views)
        estimates = cast(interfaces.LatentTerm, net).estimates
        require(all(isinstance(e, Tensor) and e.ndim == 0 for e in estimates.values()), cls, "estimates must be scalar tensors")
        return {"value": value, **{f"estimate {name}": e.detach() for name, e in estimates.items()}}

    def inputs(dtype: torch.dtype) -> dict[str, Tensor]:
        sizes = {"static": (B, SPECS[0].static), "dynamic": (B, T, SPECS[0].dynamic), "features": (B, T, H)}
        parts = [(f"{view} {name}", size) for view in needs for name, size in sizes.items()]
        return {name: normal(dtype, *size, seed=i) for i, (name, size) in enumerate(parts)}

    behaves(cls, build, inputs, run, {})
    given = {name: value.requires_grad_() for name, value in inputs(torch.float64).items()}
    value = run(build(), given)["value"]
    shape(cls, "the loss", value, ())
    require(any(g.any() for g in gradients(value, list(given.values()))), cls, "the loss has no gradient to any latent")


def check_view(cls: Any, config: Any = None) -> None:
    """A `FrameView` (clips of the same shape) or an `OrderView` (a permutation of the times of every clip)."""
    order = issubclass(cls, interfaces.OrderView)
    base = interfaces.OrderView if order else interfaces.FrameView
    spec, build = fitting(cls, base, config, lambda c, spec: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        return {"view": net(batch_of(given["x"]))}

    inputs = partial(_frames, spec=spec)
    behaves(cls, build, inputs, run, {}, draws_in_eval=True, integer=order)
    view = run(build(), inputs(torch.float64))["view"]
    shape(cls, "the view", view, (B, T) if order else (B, T, *spec.frame))
    if order:
        require(
            torch.equal(view.sort(1).values, torch.arange(T).expand(B, T)), cls, f"every row must be a permutation of 0..{T - 1}"
        )


def _call(*names: str) -> Run:
    """Call a component with those of the named inputs that are there."""
    return lambda net, given: {"the result": net(*(given[name] for name in names if name in given))}


def _frames(dtype: torch.dtype, spec: Spec, t: int = T) -> dict[str, Tensor]:
    return {"x": uniform(dtype, B, t, *spec.frame)}


def _diverge(net: Component, given: Tensors) -> dict[str, Tensor]:
    return {"value": net(*_pair(net, given))}


def _pair(net: Component, given: Tensors) -> tuple[Latent, Latent]:
    """Posterior and prior; the prior has a density only for a divergence that asks for it."""
    density = cast(interfaces.Divergence, net).needs_density

    def latent(name: str) -> Latent:
        known = {key: given[f"{name}.{key}"] for key in (("mean", "log_var") if density or name == "posterior" else ())}
        return Latent(sample=given[f"{name}.sample"], weight=given.get(f"{name}.weight"), **known)

    return latent("posterior"), latent("prior")


def _reached(cls: Any, leading: tuple[int, ...]) -> dict[str, int]:
    read = ("mean", "log_var") if cls.needs_density else ("sample",)
    return {f"{name}.{key}": len(leading) + 1 for name in ("posterior", "prior") for key in read}


def _check_groups_and_weights(cls: Any, build: Build) -> None:
    """Every problem on its own; weights are masks."""
    net, given = build().eval(), draws(torch.float64, (2, 6), (2, 6))

    def value(given: Tensors) -> Tensor:
        return _diverge(with_noise(net, 0), given)["value"]

    other = {name: torch.cat([v[:1], 2 * v[1:]]) for name, v in given.items()}
    require(close(value(other)[0], value(given)[0]), cls, "a problem's value depends on the other problems (leading axes)")
    ones = {f"{name}.weight": torch.ones(2, 6, dtype=torch.float64) for name in ("posterior", "prior")}
    require(close(value({**given, **ones}), value(given)), cls, "weights of 1 do not give the value without weights")
    mask = torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64)
    masks = {name: mask.expand(2, 6) for name in ones}
    moved = {name: v * (4 - 3 * mask)[:, None] for name, v in given.items()}
    require(close(value({**moved, **masks}), value({**given, **masks})), cls, "draws of weight 0 (padding) change the value")
    require(not close(value({**given, **masks}), value(given)), cls, "ignores `weight`; leave draws of weight 0 (padding) out")
    nothing = {name: torch.stack([mask, 0 * mask]) for name in ones}
    leaves = {name: v.clone().requires_grad_() for name, v in given.items()}
    found = value({**leaves, **nothing})
    finite = all(bool(torch.isfinite(v).all()) for v in (found, *gradients(found.sum(), list(leaves.values()))))
    require(finite, cls, "a problem of padding alone (all weights 0) gives a value or gradient that is not finite; return 0")


def _check_critic(cls: Any, build: Build) -> None:
    """`critic_loss` is a finite scalar with gradient to the critic and to nothing else."""
    for leading in ((), (2,)):
        net = cast(interfaces.AdversarialDivergence, with_noise(build().train(), 0))
        leaves = {name: v.requires_grad_() for name, v in draws(torch.float64, (*leading, 6), (*leading, 6)).items()}
        world, state = torch.get_rng_state(), {name: value.clone() for name, value in net.state_dict().items()}
        loss = net.critic_loss(*_pair(net, leaves))
        require(torch.equal(world, torch.get_rng_state()), cls, "critic_loss draws from torch's global generator; use self.noise")
        shape(cls, "critic_loss", loss, ())
        require(bool(torch.isfinite(loss)), cls, "critic_loss is not finite")
        repeat = build().train()
        repeat.load_state_dict(state)
        again = cast(interfaces.AdversarialDivergence, with_noise(repeat, 0)).critic_loss(*_pair(net, leaves))
        require(torch.equal(loss, again), cls, "critic_loss differs between two calls from the same state and noise")
        moved = [name for name, g in zip(leaves, gradients(loss, list(leaves.values())), strict=True) if g.any()]
        require(not moved, cls, f"critic_loss has a gradient to {', '.join(moved)}; detach the latents: it moves only the critic")
        require(any(g.any() for g in gradients(loss, list(net.parameters()))), cls, "critic_loss has no gradient to the critic")


def _size(cls: Any, net: Component) -> int:
    size = getattr(net, "size", None)
    require(
        isinstance(size, int) and size > 0, cls, f"must set self.size to the number of features, a positive integer, not {size!r}"
    )
    return cast(int, size)


def _parameters(latent: Latent, name: str) -> dict[str, Tensor]:
    values = {"sample": latent.sample, "mean": latent.mean, "log_var": latent.log_var}
    return {f"{name}.{key}": value for key, value in values.items() if value is not None}


def _check_ancestral(cls: Any, net: interfaces.DynamicPrior, spec: Spec) -> None:
    """`sample`: lengths, noise in eval mode, gradient, and draws that `forward` would call standard normal."""
    with_noise(net, 0)
    world = torch.get_rng_state()
    for t in (1, 2 * T):
        shape(cls, f"sample({B}, {t})", net.sample(B, t), (B, t, spec.dynamic))
    require(
        not torch.equal(net.sample(B, T), net.sample(B, T)), cls, "sample gives the same draws twice; it draws in eval mode too"
    )
    require(torch.equal(world, torch.get_rng_state()), cls, "sample draws from torch's global generator; use self.noise")
    owned = list(net.parameters())
    alive = not owned or any(g.any() for g in gradients(net.sample(B, T).square().sum(), owned))
    require(alive, cls, "sample has no gradient to the prior's parameters; do not detach or use no_grad")
    n = 2000
    z = net.sample(n, 3).detach()
    latent = net(z)
    if latent.mean is None or latent.log_var is None:
        return
    residual = ((z - latent.mean) * torch.exp(-0.5 * latent.log_var)).detach()
    off, spread = residual.mean(0).abs().max().item() * n**0.5, (residual.var(0) - 1).abs().max().item() * (n / 2) ** 0.5
    fine = off < 6 and spread < 6
    require(fine, cls, "sample does not draw from what forward gives: (z - mean) / std of its own draws is not standard normal")
