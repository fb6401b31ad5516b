"""Who moves in which phase, bit for bit, and what the gradients are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from training_toys import toy_clips, toy_config, toy_model

from rwae_kit.errors import TrainingError
from rwae_kit.objective import Objective
from rwae_kit.training.adam import FusedAdam
from rwae_kit.training.config import Adam
from rwae_kit.training.optimizers import GROUPS, frozen_parameters, make_groups, optimizer_tensors, restore_optimizers
from rwae_kit.training.schedules import Learner, alternating_step, joint_step

STEP = 9
"""After the toy's warm-up of weights."""


def learner(**changes) -> Learner:
    model, objective = toy_model()
    model.train()
    config = toy_config(**changes)
    return Learner(model=model, objective=objective, groups=make_groups(model, objective, config), config=config)


def batch(first: int = 0):
    return toy_clips().batch(torch.arange(first, first + 8))


def weights(found: Learner) -> dict[str, list[Tensor]]:
    return {name: [p.detach().clone() for p in group.parameters] for name, group in found.groups.items()}


def moved(before: dict[str, list[Tensor]], found: Learner) -> dict[str, str]:
    """Per group: whether "all", "none" or "some" of its parameters differ."""
    words = {}
    for name, group in found.groups.items():
        same = [torch.equal(a, b) for a, b in zip(before[name], group.parameters, strict=True)]
        words[name] = "none" if all(same) else "some" if any(same) else "all"
    return words


def spy_on_moves(found: Learner, monkeypatch) -> list[tuple[str, dict[str, str]]]:
    """Record, for each optimiser step, which groups it changed."""
    seen = []
    original = Learner.move

    def move(self: Learner, *names: str) -> None:
        for name in names:
            before = weights(self)
            original(self, name)
            seen.append((name, moved(before, self)))

    monkeypatch.setattr(Learner, "move", move)
    return seen


def only(name: str) -> dict[str, str]:
    return {group: "all" if group == name else "none" for group in GROUPS}


def test_groups_hold_every_parameter_once_by_who_owns_it():
    found = learner()
    everything = [*found.model.parameters(), *found.objective.parameters()]
    grouped = [p for group in found.groups.values() for p in group.parameters]
    assert {id(p) for p in grouped} == {id(p) for p in everything}
    assert len(grouped) == len(everything)
    assert [id(p) for p in found.groups["critic"].parameters] == [id(p) for p in found.objective.critic_parameters()]
    assert any(p is found.objective.terms[0].loss.scale for p in found.groups["encoder"].parameters)


def test_a_parameter_that_no_part_owns_is_refused_by_name():
    model, objective = toy_model()
    model.register_parameter("stray", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(TrainingError, match="stray belongs to no part"):
        make_groups(model, objective, toy_config())


@pytest.mark.parametrize("chosen", [("prior", "critic"), ("encoder", "decoder", "critic"), ("critic", "decoder")])
def test_only_what_is_chosen_moves_and_statistics_of_the_rest_stay(chosen):
    found = learner(only=chosen)
    whole, before = learner(), {key: value.clone() for key, value in found.model.state_dict().items()}
    joint_step(found, batch(), STEP)
    assert {name for name, group in found.groups.items() if group.parameters} == set(chosen)
    owners = {"static_prior": "prior", "reconstruction": "decoder"}
    for key, value in found.model.state_dict().items():
        part = key.partition(".")[0]
        assert torch.equal(before[key], value) != (owners.get(part, part) in chosen), key
    joint_step(whole, batch(), STEP)
    assert not torch.equal(whole.model.encoder.frames[1].running_mean, before["encoder.frames.1.running_mean"])


def test_parts_that_are_not_trained_draw_as_in_training():
    found = learner(only=("prior", "critic"))
    latent = found.encode(batch()).posterior.dynamic
    assert not torch.equal(latent.sample, latent.mean)


def test_training_nothing_is_refused_as_is_a_critic_that_stays_untrained():
    with pytest.raises(TrainingError, match=r"training.only is prior, and a penalty has a critic.*Remove that penalty, or add"):
        learner(only=("prior",))
    with pytest.raises(TrainingError, match=r"training.only is critic, and nothing in the objective depends on that"):
        joint_step(learner(only=("critic",)), batch(), STEP)
    model, objective = toy_model()
    for parameter in model.prior.parameters():
        parameter.requires_grad_(False)
    objective = Objective(objective.penalties[1:], objective.terms)
    with pytest.raises(TrainingError, match=r"training.only is prior, which has no parameters here"):
        make_groups(model, objective, toy_config(only=("prior",)))
    with pytest.raises(ValueError, match="'only' is for the joint schedule"):
        toy_config(only=("prior",), schedule="alternating")


def test_tied_weights_move_with_one_optimiser_only():
    model, objective = toy_model()
    model.decoder.net[0].bias = model.encoder.frames[0].bias
    groups = make_groups(model, objective, toy_config())
    grouped = [id(p) for group in groups.values() for p in group.parameters]
    assert len(grouped) == len(set(grouped))


def test_weights_that_were_frozen_before_stay_frozen():
    model, objective = toy_model()
    model.decoder.net[0].weight.requires_grad_(False)
    config = toy_config()
    found = Learner(model=model, objective=objective, groups=make_groups(model, objective, config), config=config)
    before = model.decoder.net[0].weight.clone()
    joint_step(found, batch(), STEP)
    alternating_step(found, [batch()], STEP)
    assert torch.equal(model.decoder.net[0].weight, before)
    assert not model.decoder.net[0].weight.requires_grad


def test_the_joint_step_moves_the_critic_alone_and_then_each_of_the_others(monkeypatch):
    found = learner()
    seen = spy_on_moves(found, monkeypatch)
    parts = joint_step(found, batch(), STEP)
    assert seen == [(name, only(name)) for name in ("critic", "encoder", "decoder", "prior")]
    assert {"total", "critic", "reconstruction", "penalty.static.critic"} <= set(parts)
    assert not any(value.requires_grad for value in parts.values())


def test_inner_steps_leave_decoder_and_prior_bitwise_and_the_outer_step_encoder_and_critic(monkeypatch):
    found = learner()
    seen = spy_on_moves(found, monkeypatch)
    alternating_step(found, [batch(), batch(8), batch(16)], STEP)
    inner = [("critic", only("critic")), ("encoder", only("encoder"))]
    assert seen == [*inner * 3, ("decoder", only("decoder")), ("prior", only("prior"))]


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_no_gradient_is_left_behind_and_no_parameter_stays_frozen(schedule):
    found = learner(schedule=schedule)
    found.step([batch(), batch(8)], STEP)
    for group in found.groups.values():
        assert all(p.grad is None and p.requires_grad for p in group.parameters)


def test_each_inner_step_takes_its_own_batch_and_the_outer_step_the_last(monkeypatch):
    found = learner()
    seen = []
    encode = Learner.encode
    monkeypatch.setattr(Learner, "encode", lambda self, given: (seen.append(int(given.index[0])), encode(self, given))[1])
    alternating_step(found, [batch(), batch(8), batch(16)], STEP)
    assert seen == [0, 8, 16, 16]


def test_the_inner_gradient_passes_through_the_frozen_prior_into_the_encoder():
    found = learner()
    frozen = (found.groups["decoder"], found.groups["prior"], found.groups["critic"])
    gradients = []
    for cut in (False, True):
        state = found.model.noise.state()
        with frozen_parameters(*frozen):
            if cut:
                found.model.prior.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))
            found.losses(found.encode(batch()), STEP).total.backward()
        found.model.noise.restore(state)
        gradients.append(found.model.encoder.dynamic.weight.grad.clone())
        found.groups["encoder"].optimizer.zero_grad()
    assert not torch.allclose(gradients[0], gradients[1])


def test_freezing_changes_no_gradient_of_the_others():
    found = learner()
    found.objective.eval()  # or the power iterations of the spectral norm would differ
    state = found.model.noise.state()
    found.losses(found.encode(batch()), STEP).total.backward()
    free = [p.grad.clone() for p in found.groups["encoder"].parameters]
    for group in found.groups.values():
        group.optimizer.zero_grad()
    found.model.noise.restore(state)
    with frozen_parameters(found.groups["decoder"], found.groups["prior"], found.groups["critic"]):
        found.losses(found.encode(batch()), STEP).total.backward()
    for expected, parameter in zip(free, found.groups["encoder"].parameters, strict=True):
        torch.testing.assert_close(parameter.grad, expected)
    assert all(p.grad is None for p in found.groups["decoder"].parameters)


def test_frozen_parameters_may_be_nested():
    group = learner().groups["prior"]
    with frozen_parameters(group):
        with frozen_parameters(group):
            pass
        assert not any(p.requires_grad for p in group.parameters)
    assert all(p.requires_grad for p in group.parameters)


def test_clipping_bounds_the_gradient_norm_of_each_group(monkeypatch):
    found = learner(clip_gradient=1e-3)
    norms = {}
    for name, group in found.groups.items():

        def step(name=name, group=group) -> None:
            norms[name] = torch.stack([p.grad.norm() for p in group.parameters]).norm().item()

        monkeypatch.setattr(group.optimizer, "step", step)
    joint_step(found, batch(), STEP)
    assert set(norms) == set(GROUPS)
    assert all(norm <= 1e-3 * 1.001 for norm in norms.values())
    assert max(norms.values()) > 0.99e-3


@pytest.mark.parametrize(("decay", "theirs"), [(0.0, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_an_optimiser_moves_as_torchs_adam_or_with_weight_decay_adamw_to_the_bit(decay, theirs):
    generator = torch.Generator().manual_seed(0)
    one, two, alone = (torch.nn.Parameter(torch.randn(3, 5, generator=generator)) for _ in range(3))
    copies = [torch.nn.Parameter(p.detach().clone()) for p in (one, two, alone)]
    ours = FusedAdam((one, two, alone), Adam(learning_rate=0.1, beta1=0.5, beta2=0.9, weight_decay=decay))
    reference = theirs(copies, lr=0.1, betas=(0.5, 0.9), weight_decay=decay, fused=True)
    for factor in (1.0, 0.5, 0.25):
        ours.learning_rate = reference.param_groups[0]["lr"] = 0.1 * factor
        for mine, other in ((one, copies[0]), (two, copies[1])):
            mine.grad = torch.randn(3, 5, generator=generator)
            other.grad = mine.grad.clone()
        ours.step()
        reference.step()
    assert all(torch.equal(mine, other) for mine, other in zip((one, two, alone), copies, strict=True))
    assert not ours.state[alone]
    assert {key: value.dtype for key, value in ours.state[one].items()} == {
        key: value.dtype for key, value in reference.state[copies[0]].items()
    }


def test_a_step_does_not_bring_torchs_compiler_in():
    toys = Path(__file__).parent
    code = (
        "import sys; from test_training_schedules import STEP, batch, learner; from rwae_kit.training.schedules import joint_step; "
        "joint_step(learner(), batch(), STEP); assert 'torch._dynamo' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=toys, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_optimiser_state_round_trips_and_keeps_the_memory_format():
    def convolutions():
        torch.manual_seed(0)
        model, objective = toy_model()
        model.decoder = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return make_groups(model, objective, toy_config())

    one, two = convolutions(), convolutions()
    generator = torch.Generator().manual_seed(0)
    pushes = [torch.randn(4, 3, 3, 3, generator=generator) for _ in range(4)]

    def push(groups, gradient: Tensor) -> None:
        weight = groups["decoder"].parameters[0]
        weight.grad = torch.empty_like(weight).copy_(gradient)
        groups["decoder"].step(None)

    for gradient in pushes[:2]:
        push(one, gradient)
    tensors = {key: value.contiguous().clone() for key, value in optimizer_tensors(one).items()}
    restore_optimizers(two, tensors, "here")
    two["decoder"].parameters[0].data.copy_(one["decoder"].parameters[0].data)
    for gradient in pushes[2:]:
        push(one, gradient)
        push(two, gradient)
    assert torch.equal(one["decoder"].parameters[0], two["decoder"].parameters[0])
    assert two["decoder"].optimizer.state[two["decoder"].parameters[0]]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_bf16_computes_the_nets_in_bf16_and_keeps_weights_and_penalties_in_float32():
    found = learner(precision="bf16")
    seen = {}
    found.model.decoder.net[0].register_forward_hook(lambda module, inputs, output: seen.update(decoder=output.dtype))
    penalty = found.objective.penalties[1].divergence
    penalty.register_forward_pre_hook(lambda module, inputs: seen.update(penalty=inputs[0].sample.dtype))
    joint_step(found, batch(), STEP)
    assert seen == {"decoder": torch.bfloat16, "penalty": torch.float32}
    assert all(p.dtype == torch.float32 for p in found.model.parameters())
