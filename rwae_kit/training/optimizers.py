"""Groups of parameters by who owns them, an Adam for each, and its state as plain tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from rwae_kit import distributed
from rwae_kit.errors import CheckpointError, TrainingError
from rwae_kit.interfaces import Component
from rwae_kit.training.adam import FusedAdam
from rwae_kit.training.config import GROUPS, Adam, TrainingConfig

if TYPE_CHECKING:
    from rwae_kit.model import SequenceAutoencoder
    from rwae_kit.objective import Objective


@frozen(kw_only=True, eq=False)
class Group:
    """Parameters that move together, with their optimiser (None where there are no parameters)."""

    name: str
    settings: Adam
    parameters: tuple[nn.Parameter, ...]
    optimizer: FusedAdam | None = field()

    def set_learning_rate(self, factor: float) -> None:
        """Multiply the configured learning rate."""
        if self.optimizer is not None:
            self.optimizer.learning_rate = self.settings.learning_rate * factor

    def step(self, clip: float | None) -> None:
        """Average the gradients over processes, clip their norm, move, and leave no gradient behind."""
        if self.optimizer is None:
            return
        distributed.average_gradients(self.parameters)
        if clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimizer.step()
        self.optimizer.zero_grad()


def make_groups(model: SequenceAutoencoder, objective: Objective, config: TrainingConfig) -> dict[str, Group]:
    """The groups of `GROUPS`. A term's own parameters move with the encoder: only its phase computes the terms.

    Groups that `config.only` leaves out are empty: their parameters need no gradient from here on, and normalisations and dropout
    of their nets are in eval mode. Their latents are drawn as in training.

    Raises:
        TrainingError: a parameter of the model that no part owns; nothing to train, or a critic that would stay untrained.
    """
    critic = objective.critic_parameters()
    own = {id(p) for p in critic}
    terms = [p for p in objective.parameters() if id(p) not in own]
    modules = {
        "encoder": (model.encoder, model.action_encoder),
        "decoder": (model.decoder, model.reconstruction),
        "prior": (model.prior, model.static_prior),
    }
    lists = {name: [p for m in parts if m is not None for p in m.parameters()] for name, parts in modules.items()}
    lists["encoder"] += terms
    lists["critic"] = critic
    owned = {id(p) for group in lists.values() for p in group}
    for name, parameter in model.named_parameters():
        if id(parameter) not in owned:
            raise TrainingError(f"{name} belongs to no part of the model (encoder, decoder, priors), so no optimiser would move it")
    for name in GROUPS if config.only else ():
        if name not in config.only:
            _hold(modules.get(name, ()), lists[name])
    _check_only(config, {name: any(p.requires_grad for p in lists[name]) for name in GROUPS}, bool(critic))
    taken: set[int] = set()
    groups = {}
    for name in GROUPS:
        # tied weights belong to the first group that has them
        free = tuple({id(p): p for p in lists[name] if p.requires_grad and id(p) not in taken}.values())
        taken |= {id(p) for p in free}
        settings: Adam = getattr(config, name)
        groups[name] = Group(name=name, settings=settings, parameters=free, optimizer=FusedAdam(free, settings) if free else None)
    return groups


def _hold(parts: Sequence[nn.Module | None], parameters: Sequence[nn.Parameter]) -> None:
    """Let parts stay as they are while others are trained. Components stay in train mode, in which they draw."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    for module in (inner for part in parts if part is not None for inner in part.modules()):
        module.training = module.training and isinstance(module, Component)


def _check_only(config: TrainingConfig, movable: Mapping[str, bool], critics: bool) -> None:
    if config.only and not any(movable.values()):
        raise TrainingError(f"training.only is {', '.join(config.only)}, which has no parameters here: nothing would be trained")
    if config.only and critics and "critic" not in config.only:
        raise TrainingError(
            f"training.only is {', '.join(config.only)}, and a penalty has a critic, which begins anew in every run and would stay "
            f"untrained. Remove that penalty, or add 'critic'"
        )


@contextmanager
def frozen_parameters(*groups: Group) -> Iterator[None]:
    """Compute no gradient for these groups' weights; gradients still pass through them to what came before."""
    held = [(p, p.requires_grad) for group in groups for p in group.parameters]
    for parameter, _ in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, was in held:
            parameter.requires_grad_(was)


def optimizer_tensors(groups: Mapping[str, Group]) -> dict[str, Tensor]:
    """The state of all optimisers by name: `optimizer.encoder.3.exp_avg`."""
    found = {}
    for name, group in groups.items():
        if group.optimizer is None:
            continue
        for i, parameter in enumerate(group.parameters):
            for key, value in group.optimizer.state[parameter].items():
                found[f"optimizer.{name}.{i}.{key}"] = value
    return found


def restore_optimizers(groups: Mapping[str, Group], tensors: Mapping[str, Tensor], where: str) -> None:
    """Give the optimisers the state that `optimizer_tensors` took.

    Raises:
        CheckpointError: the state of other parameters.
    """
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in groups}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind != "optimizer":
            continue
        name, place, what = rest.split(".")
        states[name].setdefault(int(place), {})[what] = value
    for name, group in groups.items():
        for i, state in states[name].items():
            if group.optimizer is None or i >= len(group.parameters) or state["exp_avg"].shape != group.parameters[i].shape:
                raise CheckpointError(f"{where}: the state of the {name}'s optimiser is of another model")
            group.optimizer.state[group.parameters[i]] = {k: _like(v, group.parameters[i]) for k, v in state.items()}


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """In the parameter's memory format: the fused kernels read both side by side in memory. The step count is a scalar."""
    if value.ndim == 0:
        return value.to(parameter.device)
    laid: Any = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False)
    return laid.copy_(value)  # type: ignore[no-any-return]
