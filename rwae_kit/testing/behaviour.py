"""What must hold for a component of any kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import torch
from torch import Tensor

from rwae_kit.convert import options_of, structure, unstructure
from rwae_kit.errors import RwaeError
from rwae_kit.interfaces import Component, Spec
from rwae_kit.noise import Noise
from rwae_kit.testing.inputs import SPECS, Tensors

Build: TypeAlias = Callable[..., Component]
"""Makes a component in float64; `seed` of its initial weights."""
Run: TypeAlias = Callable[[Component, Tensors], Mapping[str, Tensor]]
"""Calls a component and names the tensors it gives."""


def require(holds: bool, cls: Any, message: str) -> None:
    """Raise an AssertionError that names the component, also under `python -O`."""
    if not holds:
        raise AssertionError(f"{getattr(cls, '__qualname__', cls)}: {message}")


def shape(cls: Any, what: str, value: Tensor, size: Sequence[int]) -> None:
    """Require the shape of a result."""
    require(value.shape == torch.Size(size), cls, f"{what}: the shape is {list(value.shape)}, not {list(size)}")


def close(one: Tensor, two: Tensor) -> bool:
    """Whether two float64 results agree."""
    return torch.allclose(one, two, rtol=1e-6, atol=1e-8)


def gradients(value: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Gradients in the inputs; zeros where there is none."""
    if not inputs or not value.requires_grad:
        return [torch.zeros_like(i) for i in inputs]
    found = torch.autograd.grad(value, inputs, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(i) if g is None else g for g, i in zip(found, inputs, strict=True)]


def config_of(cls: Any, config: Any) -> Any:
    """The given config, or the default one, after checking the nested class `Config`."""
    made = getattr(cls, "Config", None)
    require(
        isinstance(made, type) and attrs.has(made), cls, "needs a nested attrs class Config: @frozen(kw_only=True) class Config"
    )
    assert made is not None
    require(made.__setattr__ is not object.__setattr__, cls, "Config must be frozen: @frozen(kw_only=True)")
    positional = [a.name for a in attrs.fields(made) if not a.kw_only]
    require(not positional, cls, f"Config takes {positional} by position; write @frozen(kw_only=True)")
    for option in options_of(made):
        require(option.default is not attrs.NOTHING, cls, f"Config: {option.path!r} has no default; defaults live in the config")
        require(bool(option.help), cls, f"Config: {option.path!r} has no help; give field(..., metadata={{'help': '...'}})")
    config = made() if config is None else config
    back = structure(unstructure(config), made, "config")
    require(back == config, cls, f"Config does not survive plain values: {config} comes back as {back}; check types and converters")
    return config


def builder(cls: Any, base: type, config: Any, arguments: Callable[[Any], tuple[Any, ...]], signature: str) -> Build:
    """Check class, config and constructor, and return how to make the component.

    `arguments` gives the constructor's arguments from the config; it runs once for every component, so that none share a net.
    """
    require(isinstance(cls, type) and issubclass(cls, base), cls, f"does not derive from {base.__name__}")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    require(not missing, cls, f"does not define {', '.join(missing)}")
    config = config_of(cls, config)
    try:
        inspect.signature(cls).bind(*arguments(config))
    except TypeError as error:
        raise AssertionError(f"{cls.__qualname__}: is built as {signature}, but {error}") from error

    def build(seed: int = 0) -> Component:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made: Component = cls(*arguments(config))
        require(getattr(made, "config", None) == config, cls, "does not keep its config; begin with super().__init__(config)")
        return made.double()

    build()
    return build


def fitting(
    cls: Any, base: type, config: Any, arguments: Callable[[Any, Spec], tuple[Any, ...]], signature: str
) -> tuple[Spec, Build]:
    """As `builder`, for the first of `SPECS` that the component does not refuse with an `RwaeError`."""
    refused = []
    for spec in SPECS:
        try:
            return spec, builder(cls, base, config, lambda c, spec=spec: arguments(c, spec), signature)  # type: ignore[misc]
        except RwaeError as error:
            refused.append(f"frames {spec.frame}: {error}")
    raise AssertionError(f"{cls.__qualname__}: takes neither images nor vectors. {' '.join(refused)}")


def behaves(
    cls: Any,
    build: Build,
    inputs: Callable[[torch.dtype], Tensors],
    run: Run,
    reached: Mapping[str, int],
    where: str = "",
    *,
    draws_in_eval: bool = False,
    integer: bool = False,
) -> None:
    """Precision, finite values, determinism, randomness, inputs, gradients and state.

    `reached`: inputs that need a gradient, with the number of leading axes along each entry of which it must not be 0.
    """
    at = f"{where}: " if where else ""
    for dtype in (torch.float32, torch.float64):
        given = inputs(dtype)
        component = build().to(dtype)
        try:
            found = _repeatable(cls, component.train(), given, run, f"{at}train mode, {dtype}", any_seed=False)
            _repeatable(cls, component.eval(), given, run, f"{at}eval mode, {dtype}", any_seed=not draws_in_eval)
        except (AssertionError, RwaeError):
            raise
        except Exception as error:
            raise AssertionError(f"{cls.__qualname__}: {at}{dtype}: {type(error).__name__}: {error}") from error
        for name, value in found.items():
            require(
                integer or value.dtype == dtype,
                cls,
                f"{at}{name} is {value.dtype} for inputs in {dtype}; make tensors like the inputs",
            )
            require(bool(torch.isfinite(value).all()), cls, f"{at}{name} is not finite")
    _reaches(cls, build(), inputs(torch.float64), run, reached, at)
    _restores(cls, build, inputs(torch.float64), run, at)


def _repeatable(cls: Any, component: Component, given: Tensors, run: Run, at: str, *, any_seed: bool) -> Mapping[str, Tensor]:
    """Call twice from one state; with `any_seed`, from two states of the noise."""
    before = {name: value.clone() for name, value in given.items()}
    state = {name: value.clone() for name, value in component.state_dict().items()}
    world = torch.get_rng_state()
    found = []
    for seed in (0, 1 if any_seed else 0):
        component.load_state_dict(state)
        found.append(run(with_noise(component, seed), given))
    require(torch.equal(world, torch.get_rng_state()), cls, f"{at}: draws from torch's global generator; use self.noise")
    written = [name for name, value in given.items() if not torch.equal(value, before[name])]
    require(not written, cls, f"{at}: writes its input {', '.join(written)}; work on a copy")
    require(set(found[0]) == set(found[1]), cls, f"{at}: gives different results in two calls")
    for name, value in found[0].items():
        cause = (
            "eval mode takes means: ask self.drawing, or use self.draw" if any_seed else "all randomness must come from self.noise"
        )
        require(torch.equal(value, found[1][name]), cls, f"{at}: {name} differs between two calls from the same state; {cause}")
    return found[0]


def _reaches(cls: Any, component: Component, given: Tensors, run: Run, reached: Mapping[str, int], at: str) -> None:
    leaves = {name: given[name].clone().requires_grad_() for name in reached}
    found = run(with_noise(component.train(), 0), {**given, **leaves})
    generator = torch.Generator().manual_seed(0)
    parts = [(v * torch.rand(v.shape, generator=generator, dtype=v.dtype)).sum() for v in found.values() if v.requires_grad]
    require(bool(parts) or not leaves, cls, f"{at}the result has no gradient to {', '.join(leaves)}; is something detached?")
    for (name, leading), gradient in zip(
        reached.items(), gradients(sum(parts, torch.zeros(())), list(leaves.values())), strict=True
    ):
        require(bool(torch.isfinite(gradient).all()), cls, f"{at}the gradient of {name} is not finite")
        entries = gradient.flatten(leading).abs().sum(-1) if gradient.ndim > leading else gradient.abs()
        dead = int((entries == 0).sum())
        require(dead == 0, cls, f"{at}no gradient reaches {dead} of the {entries.numel()} entries of {name} {list(gradient.shape)}")


def _restores(cls: Any, build: Build, given: Tensors, run: Run, at: str) -> None:
    one, two = build(seed=0), build(seed=1)
    try:
        two.load_state_dict(one.state_dict())
    except RuntimeError as error:
        raise AssertionError(f"{cls.__qualname__}: {at}its state dict does not load: {error}") from error
    found = [run(with_noise(component.eval(), 0), given) for component in (one, two)]
    for name, value in found[0].items():
        same = torch.equal(value, found[1][name])
        require(same, cls, f"{at}{name} differs after load_state_dict; keep what is random or learned in parameters and buffers")


def with_noise(component: Component, seed: int) -> Component:
    """The component and those inside it, all drawing from one fresh source."""
    noise = Noise(seed)
    for module in component.modules():
        if isinstance(module, Component):
            module.noise = noise
    return component


def check_sampling(cls: Any, component: Component, call: Callable[[], Tensors], latents: Sequence[str]) -> None:
    """Draws in train mode and inside `Noise.fork`, means in eval mode; `call` names `LATENT.sample`, and `LATENT.mean` if known."""
    with_noise(component, 0)
    component.train()
    drawn = call()
    component.eval()
    mean = call()
    with component.noise.fork(0):
        forked = call()
    for name in latents:
        require(
            not torch.equal(drawn[f"{name}.sample"], mean[f"{name}.sample"]),
            cls,
            f"{name} is not sampled in train mode; use self.draw",
        )
        inside = not torch.equal(forked[f"{name}.sample"], mean[f"{name}.sample"])
        require(inside, cls, f"{name} is not sampled inside noise.fork in eval mode; ask self.drawing, not self.training")
        known = f"{name}.mean" in mean
        require(
            not known or torch.equal(mean[f"{name}.sample"], mean[f"{name}.mean"]), cls, f"in eval mode, {name} is not its mean"
        )
