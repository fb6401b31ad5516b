"""Steps, epochs, learning rates and batches as functions of the step's number."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from training_toys import toy_clips, toy_config

from rwae_kit.errors import TrainingError
from rwae_kit.training.batches import Batches, in_order, permutation
from rwae_kit.training.config import TrainingConfig, check_resumable
from rwae_kit.training.course import Course, learning_rate_factor

CPU = torch.device("cpu")


def course(config: TrainingConfig, clips: int = 50) -> Course:
    return Course.of(config, clips)


def factors(config: TrainingConfig) -> list[float]:
    found = course(config)
    return [learning_rate_factor(config, step, found) for step in range(found.steps)]


def test_an_epoch_is_a_pass_over_the_clips_without_the_last_incomplete_batch():
    joint = course(TrainingConfig(batch_size=8, epochs=10))
    assert (joint.batches_per_epoch, joint.steps) == (6, 60)
    assert [joint.epoch(step) for step in (0, 5, 6, 60)] == [0, 0, 1, 10]


def test_alternating_steps_take_several_batches_and_cross_the_end_of_an_epoch():
    found = course(TrainingConfig(schedule="alternating", inner_steps=4, batch_size=8, epochs=10))
    assert found.steps == 15
    assert [found.epoch(step) for step in (0, 1, 2, 3, 15)] == [0, 0, 1, 2, 10]


def test_what_happens_every_two_epochs_is_due_once_after_each_two_and_at_the_end():
    joint = course(TrainingConfig(batch_size=8, epochs=5))
    assert [step for step in range(1, 31) if joint.due(step, 2)] == [12, 24, 30]
    alternating = course(TrainingConfig(schedule="alternating", inner_steps=4, batch_size=8, epochs=5))
    assert [step for step in range(1, alternating.steps + 1) if alternating.due(step, 2)] == [3, 6, 7]


def test_a_constant_course_is_1_throughout():
    assert set(factors(TrainingConfig(batch_size=8, epochs=3))) == {1.0}


def test_a_course_in_steps_halves_after_epoch_50_and_takes_a_fifth_more_after_80_as_in_the_paper():
    found = factors(TrainingConfig(batch_size=8, epochs=100, decay="steps"))
    assert [found[6 * epoch] for epoch in (0, 49, 50, 79, 80, 99)] == pytest.approx([1, 1, 0.5, 0.5, 0.1, 0.1])
    assert (found[299], found[300]) == (1.0, 0.5)


def test_a_linear_course_falls_from_its_start_to_0_just_after_the_end():
    found = factors(TrainingConfig(batch_size=8, epochs=100, decay="linear", decay_from=0.6))
    assert found[:361] == [1.0] * 361
    assert found[480] == pytest.approx(0.5)
    assert found[599] == pytest.approx(1 / 240)
    assert found == sorted(found, reverse=True)
    assert len(set(found[360:])) == 240


def test_a_warm_up_rises_to_1_and_multiplies_the_course():
    found = factors(TrainingConfig(batch_size=8, epochs=10, warmup_steps=4, decay="linear", decay_from=0.0))
    assert found[:5] == pytest.approx([0.25, 0.5 * 59 / 60, 0.75 * 58 / 60, 57 / 60, 56 / 60])


def test_an_epoch_sees_each_clip_at_most_once_and_epochs_differ():
    stream = Batches(toy_clips(), course(toy_config()), 3, CPU)
    epochs = [torch.cat([stream[6 * epoch + i].index for i in range(6)]).tolist() for epoch in range(3)]
    assert all(len(set(epoch)) == 48 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(set(map(frozenset, epochs))) > 1  # other clips are left out


def test_batches_follow_from_their_place_alone():
    ahead, anew = (Batches(toy_clips(), course(toy_config()), 3, CPU) for _ in range(2))
    indices = [ahead[place].index.tolist() for place in range(20)]
    assert anew[13].index.tolist() == indices[13]
    assert anew[2].index.tolist() == indices[2]
    assert Batches(toy_clips(), course(toy_config()), 4, CPU)[2].index.tolist() != indices[2]


def test_a_steps_batches_are_the_next_ones_of_the_stream():
    config = toy_config(schedule="alternating", inner_steps=4)
    stream = Batches(toy_clips(), course(config), 3, CPU)
    assert [b.index.tolist() for b in stream.step(1)] == [stream[place].index.tolist() for place in (4, 5, 6, 7)]


def test_large_seeds_and_epochs_give_different_orders():
    orders = {tuple(permutation(30, seed, epoch).tolist()) for seed in (0, 1, 2**32, 2**40) for epoch in (0, 1, 2)}
    assert len(orders) == 12


def test_validation_takes_whole_batches_in_order_or_one_smaller_one():
    assert [b.index.tolist() for b in in_order(toy_clips(11), 4, CPU, 100)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [len(b.index) for b in in_order(toy_clips(50), 4, CPU, 12)] == [4, 4, 4]
    assert [len(b.index) for b in in_order(toy_clips(3), 4, CPU, 100)] == [3]


def test_epochs_and_intervals_may_change_on_resume():
    old = TrainingConfig()
    check_resumable(old, evolve(old, epochs=999, validate_every=3, checkpoint_every=2, log_every=7))


def test_everything_that_changed_and_may_not_is_listed():
    old = TrainingConfig()
    new = evolve(old, seed=5, decay_epochs=(1, 2), prior=evolve(old.prior, beta1=0.5))
    with pytest.raises(TrainingError) as caught:
        check_resumable(old, new)
    for text in (
        "training.seed was 0, is 5",
        "training.prior.beta1 was 0.9, is 0.5",
        "training.decay_epochs was [50, 80], is [1, 2]",
    ):
        assert text in str(caught.value)
    assert "Only training.epochs, training.validate_every, training.checkpoint_every, training.log_every may change" in str(
        caught.value
    )
