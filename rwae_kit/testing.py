"""Conformance checks for authors of plugins: does a component keep the contract of `rwae_kit.interfaces`?

    from rwae_kit.testing import check_divergence

    def test_energy_keeps_the_contract() -> None:
        check_divergence(EnergyDistance)

Every check builds the component from its config (default: its default config) at a small size, on the CPU, and raises an
`AssertionError` that says what happened and what would be right. What holds for every kind: it is built with the documented
arguments; the config is a frozen attrs class whose options have defaults and help, and survives the way through plain values; float32
and float64; inputs are not written; gradients reach every input; all randomness comes from `self.noise`; eval mode is deterministic;
a state dict restores the outputs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import attrs
import torch
from attrs import frozen
from torch import Tensor, nn

from rwae_kit import interfaces
from rwae_kit.convert import options_of, structure, unstructure
from rwae_kit.errors import DataError, RwaeError, did_you_mean
from rwae_kit.interfaces import Component, FrameDecoder, FrameEncoder, Spec
from rwae_kit.latents import Batch, Encoded, Latent, SequencePosterior, SequencePrior
from rwae_kit.noise import Noise

SPECS = tuple(Spec(frame=frame, value_range=(0.0, 1.0), static=5, dynamic=3) for frame in ((3, 32, 32), (12,)))
"""Images, and vectors for components that refuse images with an `RwaeError`."""
B, T, H, D = 4, 5, 6, 3
Tensors = Mapping[str, Tensor]


def check_component(kind: str, cls: Any, config: Any = None) -> None:
    """Run the checks of a registry kind ("divergence", "prior", ...).

    Raises:
        AssertionError: the component does not keep its contract.
        RwaeError: there are no checks for this kind.
    """
    if kind not in CHECKS:
        raise RwaeError(f"no conformance checks for kind {kind!r}. {did_you_mean(kind, CHECKS)}")
    CHECKS[kind](cls, config)


def check_divergence(cls: Any, config: Any = None) -> None:
    """A `Divergence`: leading axes, n != m (n = m where `paired`), weights; `critic_loss` moves its own parameters only."""
    build = _builder(cls, interfaces.Divergence, config, lambda c: (c, D), "(config, d)")
    adversarial = issubclass(cls, interfaces.AdversarialDivergence)
    owned = any(True for _ in build().parameters())
    _require(adversarial or not owned, cls, "has parameters but no critic_loss to train them; derive from AdversarialDivergence")
    _require(owned or not adversarial, cls, "is an AdversarialDivergence without parameters; derive from Divergence")
    for leading in ((), (2,), (2, 3)):
        for n, m in ((6, 6),) if cls.paired else ((6, 6), (6, 4)):
            where = f"posterior {[*leading, n, D]}, prior {[*leading, m, D]}"
            _behaves(cls, build, lambda dtype, s=(*leading, n), p=(*leading, m): _draws(dtype, s, p), _diverge, _reached(cls, leading), where)
            value = _diverge(build(), _draws(torch.float64, (*leading, n), (*leading, m)))["value"]
            _require(value.shape == leading, cls, f"{where}: the result is {list(value.shape)}, not {list(leading)}: one value a problem")
    _check_groups_and_weights(cls, build)
    if adversarial:
        _check_critic(cls, build)


def check_frame_encoder(cls: Any, config: Any = None) -> None:
    """A `FrameEncoder`: `[n, *frame] -> [n, h]`, every frame on its own, `size` is h."""
    spec, build = _fitting(cls, interfaces.FrameEncoder, config, lambda c, spec: (c, spec), "(config, spec)")
    size = _size(cls, build())
    _behaves(cls, build, lambda dtype: {"frames": _uniform(dtype, B, *spec.frame)}, _call("frames"), {"frames": 1})
    net, frames = build().eval(), _uniform(torch.float64, B, *spec.frame)
    _shape(cls, "features", net(frames), (B, size))
    _require(_close(net(frames)[:1], net(frames[:1])), cls, "a frame's features depend on the other frames, in eval mode")


def check_frame_decoder(cls: Any, config: Any = None) -> None:
    """A `FrameDecoder`: `[n, h] -> [n, *frame]`, `size` is h."""
    spec, build = _fitting(cls, interfaces.FrameDecoder, config, lambda c, spec: (c, spec), "(config, spec)")
    size = _size(cls, build())
    _behaves(cls, build, lambda dtype: {"features": _normal(dtype, B, size)}, _call("features"), {"features": 1})
    _shape(cls, "frames", build()(_normal(torch.float64, B, size)), (B, *spec.frame))


def check_encoder(cls: Any, config: Any = None) -> None:
    """A `SequenceEncoder`, on a tiny frame encoder: shapes, densities, sampling, and padding that leaves the static latent alone."""
    spec = SPECS[0]
    build = _builder(cls, interfaces.SequenceEncoder, config, lambda c: (c, spec, _TinyEncoder(spec)), "(config, spec, frames)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        encoder, batch = cast(interfaces.SequenceEncoder, net), _batch(given["x"], given.get("mask"))
        posterior = encoder.posterior(encoder.features(batch), batch)
        latents = {"static": posterior.static, "dynamic": posterior.dynamic}
        missing = [name for name, latent in latents.items() if latent.mean is None or latent.log_var is None]
        _require(not missing, cls, f"posterior: {missing} have no mean and log_var; use self.draw(mean, log_var)")
        return {f"{name}.{key}": getattr(latent, key) for name, latent in latents.items() for key in ("sample", "mean", "log_var")}

    for t in (T, 1):
        inputs = lambda dtype, t=t: {"x": _uniform(dtype, B, t, *spec.frame)}  # noqa: E731
        _behaves(cls, build, inputs, run, {"x": 2}, f"t = {t}")
        found = run(build(), inputs(torch.float64))
        _shape(cls, "static", found["static.sample"], (B, spec.static))
        _shape(cls, "dynamic", found["dynamic.sample"], (B, t, spec.dynamic))
    net, x = build(), _uniform(torch.float64, B, T, *spec.frame)
    _check_sampling(cls, net, lambda: run(net, {"x": x}), ("static", "dynamic"))
    mask = torch.ones(B, T, dtype=x.dtype)
    mask[:, -2:] = 0
    other = torch.where(mask[..., None, None, None] > 0, x, 1 - x)
    one, two = (run(net.eval(), {"x": v, "mask": mask})["static.mean"] for v in (x, other))
    _require(_close(one, two), cls, "padding (mask 0) changes the static latent; leave those frames out")


def check_action_encoder(cls: Any, config: Any = None) -> None:
    """An `ActionEncoder`: `[b, a]` relaxed one-hot draws (not negative, sum 1) and their logits."""
    spec = attrs.evolve(SPECS[0], action=4)
    build = _builder(cls, interfaces.ActionEncoder, config, lambda c: (c, spec, H), "(config, spec, h)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        action = net(given["dynamic"], given["features"])
        return {"sample": action.sample, "logits": action.logits}

    inputs = lambda dtype: {"dynamic": _normal(dtype, B, T, spec.dynamic), "features": _normal(dtype, B, T, H)}  # noqa: E731
    _behaves(cls, build, inputs, run, {"dynamic": 2})
    for name, value in run(build(), inputs(torch.float64)).items():
        _shape(cls, name, value, (B, spec.action))
        if name == "sample":
            fine = (value >= 0).all() and _close(value.sum(-1), torch.ones_like(value[:, 0]))
            _require(bool(fine), cls, "the draws must not be negative, and sum to 1 over the actions")


def check_static_prior(cls: Any, config: Any = None) -> None:
    """A `StaticPrior`: `[b, d_s]`, drawn in train mode and its mean in eval mode."""
    spec = SPECS[0]
    build = _builder(cls, interfaces.StaticPrior, config, lambda c: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        return _parameters(net(_batch(given["x"])), "static")

    _behaves(cls, build, lambda dtype: {"x": _uniform(dtype, B, T, *spec.frame)}, run, {})
    net, given = build(), {"x": _uniform(torch.float64, B, T, *spec.frame)}
    _shape(cls, "the draw", run(net, given)["static.sample"], (B, spec.static))
    _check_sampling(cls, net, lambda: run(net, given), ("static",))


def check_prior(cls: Any, config: Any = None) -> None:
    """A `DynamicPrior`: causal, ancestral draws of any length with noise and gradient, from the distribution that `forward` gives."""
    spec = SPECS[0]
    build = _builder(cls, interfaces.DynamicPrior, config, lambda c: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        return _parameters(net(given["z"]), "dynamic")

    _behaves(cls, build, lambda dtype: {"z": _normal(dtype, B, T, spec.dynamic)}, run, {})
    net = cast(interfaces.DynamicPrior, build())
    z = _normal(torch.float64, B, T, spec.dynamic).requires_grad_()
    for name, value in run(net, {"z": z}).items():
        _shape(cls, name, value, (B, T, spec.dynamic))
        for t in range(T):
            gradient = _gradients(value[:, t].sum(), [z])[0][:, t:]
            _require(not gradient.any(), cls, f"{name} at t = {t} depends on z at t >= {t}; it may see the past only: shift z by one")
    _check_sampling(cls, net, lambda: run(net, {"z": z.detach()}), ("dynamic",))
    _check_ancestral(cls, net.eval(), spec)


def check_decoder(cls: Any, config: Any = None) -> None:
    """A `Decoder`, on a tiny frame decoder: `[b, t, *frame]` for any t, with and without actions."""
    for spec in (SPECS[0], attrs.evolve(SPECS[0], action=2)):
        frames = lambda spec=spec: _TinyDecoder(spec)  # noqa: E731
        build = _builder(cls, interfaces.Decoder, config, lambda c, s=spec, f=frames: (c, s, f()), "(config, spec, frames)")
        for t in (T, 1):

            def inputs(dtype: torch.dtype, spec: Spec = spec, t: int = t) -> dict[str, Tensor]:
                sizes = {"static": (B, spec.static), "dynamic": (B, t, spec.dynamic), "action": (B, spec.action)}
                return {name: _normal(dtype, *size) for name, size in sizes.items() if size[-1]}

            _behaves(cls, build, inputs, _call("static", "dynamic", "action"), {k: v.ndim - 1 for k, v in inputs(torch.float64).items()})
            _shape(cls, "pre-activations", build()(*inputs(torch.float64).values()), (B, t, *spec.frame))


def check_reconstruction(cls: Any, config: Any = None) -> None:
    """A `Reconstruction`: the cost of a clip is the sum over its frames that are not padding."""
    spec, build = _fitting(cls, interfaces.Reconstruction, config, lambda c, spec: (c, spec), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        reconstruction = cast(interfaces.Reconstruction, net)
        return {"cost": reconstruction(given["pre"], _batch(given["x"], given.get("mask"))), "mean": reconstruction.mean(given["pre"])}

    size = (B, T, *spec.frame)
    _behaves(cls, build, lambda dtype: {"pre": _normal(dtype, *size), "x": _uniform(dtype, *size)}, run, {"pre": 2})
    given = {"pre": _normal(torch.float64, *size), "x": _uniform(torch.float64, *size)}
    found = run(build(), given)
    _shape(cls, "the cost", found["cost"], (B,))
    _shape(cls, "mean(pre)", found["mean"], size)
    first = (torch.arange(T) < 2).to(torch.float64).expand(B, T)
    parts = [run(build(), {**given, "mask": mask})["cost"] for mask in (first, 1 - first)]
    _require(_close(parts[0] + parts[1], found["cost"]), cls, "the cost is no sum over the frames whose mask is 1")


def check_term(cls: Any, config: Any = None) -> None:
    """A `LatentTerm`: a scalar of the views it needs, with gradient to their latents and scalar estimates."""
    build = _builder(cls, interfaces.LatentTerm, config, lambda c: (c, SPECS[0]), "(config, spec)")

    def run(net: Component, given: Tensors) -> dict[str, Tensor]:
        views = {name: _encoded(given, name) for name in cls.needs}
        value = net(views)
        estimates = cast(interfaces.LatentTerm, net).estimates
        _require(all(isinstance(e, Tensor) and e.ndim == 0 for e in estimates.values()), cls, "estimates must be scalar tensors")
        return {"value": value, **{f"estimate {name}": e.detach() for name, e in estimates.items()}}

    def inputs(dtype: torch.dtype) -> dict[str, Tensor]:
        sizes = {"static": (B, SPECS[0].static), "dynamic": (B, T, SPECS[0].dynamic), "features": (B, T, H)}
        parts = [(f"{view} {name}", size) for view in cls.needs for name, size in sizes.items()]
        return {name: _normal(dtype, *size, seed=i) for i, (name, size) in enumerate(parts)}

    _behaves(cls, build, inputs, run, {})
    given = {name: value.requires_grad_() for name, value in inputs(torch.float64).items()}
    value = run(build(), given)["value"]
    _shape(cls, "the loss", value, ())
    _require(any(g.any() for g in _gradients(value, list(given.values()))), cls, "the loss has no gradient to any latent")


def check_view(cls: Any, config: Any = None) -> None:
    """A `FrameView` (clips of the same shape) or an `OrderView` (a permutation of the times of every clip)."""
    order = issubclass(cls, interfaces.OrderView)
    base = interfaces.OrderView if order else interfaces.FrameView
    spec, build = _fitting(cls, base, config, lambda c, spec: (c, spec), "(config, spec)")
    run = lambda net, given: {"view": net(_batch(given["x"]))}  # noqa: E731
    inputs = lambda dtype: {"x": _uniform(dtype, B, T, *spec.frame)}  # noqa: E731
    _behaves(cls, build, inputs, run, {}, draws_in_eval=True, integer=order)
    view = run(build(), inputs(torch.float64))["view"]
    _shape(cls, "the view", view, (B, T) if order else (B, T, *spec.frame))
    if order:
        _require(torch.equal(view.sort(1).values, torch.arange(T).expand(B, T)), cls, f"every row must be a permutation of 0..{T - 1}")


def check_dataset(cls: Any, config: Any = None) -> None:
    """A `SequenceDataset`: three splits as `info` declares them, the same at every opening. A store that is not built ends the check."""
    _require(isinstance(cls, type) and issubclass(cls, interfaces.SequenceDataset), cls, "does not derive from SequenceDataset")
    dataset = cls(_config(cls, config))
    try:
        info = dataset.info()
        splits = {name: dataset.clips(name) for name in ("train", "validation", "test")}
        again = dataset.clips("validation")
    except DataError:
        if issubclass(cls, interfaces.StoredDataset):
            return
        raise
    for name, clips in splits.items():
        batch, (low, high) = clips.batch(torch.arange(min(len(clips), 16))), info.value_range
        _shape(cls, f"clips of {name!r}", batch.x, (len(batch.index), info.length, *info.frame))
        inside = bool((batch.x >= low).all() and (batch.x <= high).all())
        _require(inside, cls, f"{name!r} has values in [{float(batch.x.min()):g}, {float(batch.x.max()):g}], declared {info.value_range}")
        _require(set(clips.factors) == set(info.factors), cls, f"{name!r} has labels {sorted(clips.factors)}, not {sorted(info.factors)}")
    _require(torch.equal(again.frames, splits["validation"].frames), cls, "a second opening gives other clips; seed what is drawn")
    try:
        dataset.clips("no such split")
    except RwaeError:
        pass
    else:
        raise AssertionError(f"{cls.__qualname__}: clips('no such split') must raise DataError")
    if issubclass(cls, interfaces.JudgedDataset):
        found = dataset.judge().predict(splits["test"].batch(torch.arange(min(len(splits["test"]), 16))).x)
        _require(bool(found) and set(found) <= set(info.factors), cls, f"its judge names {sorted(found)}, not {sorted(info.factors)}")


def check_metric(cls: Any, config: Any = None) -> None:
    """A `Metric`: named numbers from codes and labels. It has no config."""
    _require(isinstance(cls, type) and issubclass(cls, interfaces.Metric), cls, "does not derive from Metric")
    static, dynamic = _normal(torch.float64, 40, 5).numpy(), _normal(torch.float64, 40, T, D).numpy()
    found = cls()(static, dynamic, {"shape": torch.arange(40).remainder(2).numpy()})
    fine = isinstance(found, Mapping) and all(isinstance(v, float | int) and math.isfinite(v) for v in found.values())
    _require(fine, cls, f"must return names with finite numbers, not {found!r}")


def check_tracker(cls: Any, config: Any = None) -> None:
    """A `Tracker`: takes records of any keys, and closes. It has no config."""
    _require(isinstance(cls, type) and issubclass(cls, interfaces.Tracker), cls, "does not derive from Tracker")
    with TemporaryDirectory() as folder:
        tracker = cls(Path(folder))
        for record in ({"step": 1, "loss": 0.5}, {"step": 2, "note": "a word", "validation": {"loss": 1.0}}):
            tracker.log(record)
        tracker.close()


CHECKS: Mapping[str, Callable[[Any, Any], None]] = {
    name.removeprefix("check_"): value
    for name, value in list(globals().items())
    if name.startswith("check_") and name != "check_component"
}
"""The check of every kind that has one."""
