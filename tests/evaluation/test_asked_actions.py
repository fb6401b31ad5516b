"""Bars that walk as an action says: every figure of `actions` is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from attrs import evolve
from protocol_worlds import bar_judge, copying, perfect, twice

from rwae_kit.errors import DataError
from rwae_kit.evaluation.protocols import Subject, actions
from rwae_kit.latents import CategoricalLatent

N = 120


@pytest.fixture(scope="module")
def splits(make_bars):
    return {"train": make_bars(300, seed=0), "validation": make_bars(60, seed=1), "test": make_bars(N, seed=2)}


def obedient(oracle_class, named, walks):
    """A perfect model whose q calls the directions `named`, and whose samples of action k walk in direction `walks[k]`."""
    model = perfect(oracle_class)
    model.spec = SimpleNamespace(**{**vars(model.spec), "action": len(walks)})
    encode = model.encode

    def encoded(x, mask=None):
        place = x[:, :, 0, 0].argmax(-1)
        direction = ((place[:, 1] - place[:, 0]) % x.shape[-1] != 1).long()
        one_hot = torch.eye(len(walks))[torch.tensor(named)[direction]]
        return evolve(encode(x, mask), action=CategoricalLatent(sample=one_hot, logits=8 * one_hot))

    def sample(n, t=None, *, seed=0, action):
        with model.noise.fork(seed):
            start = (model.noise.uniform(n, like=torch.zeros(())) * model.spec.dynamic).long()
            level = model.static_prior(SimpleNamespace(x=torch.zeros(n))).sample
        step = 1 - 2 * torch.tensor(walks)[action.argmax(-1)]
        place = (start[:, None] + step[:, None] * torch.arange(t)) % model.spec.dynamic
        return model.decode(level, torch.eye(model.spec.dynamic)[place])

    model.encode, model.sample = encoded, sample
    return model


@pytest.fixture
def subject(splits, judge):
    return Subject(model=None, test=splits["test"], train=splits["train"], judge=judge, resamples=20)


def scored(subject, model, **settings):
    result = actions.run(evolve(subject, model=model), actions.Settings(**settings))
    return {name: score.value for name, score in result.rows["model"].items()}


@pytest.mark.parametrize(
    ("named", "walks", "accuracy", "changed"),
    [
        ((0, 1), (0, 1), 1.0, 1.0),
        ((1, 0), (1, 0), 1.0, 1.0),  # names are found, not given
        ((1, 0), (0, 1), 0.0, 1.0),  # the decoder calls them otherwise than q does
        ((2, 1), (1, 1, 0), 1.0, 1.0),  # an action to spare
    ],
)
def test_a_model_that_obeys_is_right_by_the_names_that_its_posterior_gives(subject, oracle_class, named, walks, accuracy, changed):
    found = scored(subject, obedient(oracle_class, named, walks))
    assert found["direction accuracy"] == accuracy
    assert found["direction read off the action"] == 1.0
    assert found["direction changed by the action"] == changed
    assert found["direction IS"] == pytest.approx(2.0, abs=0.1)


def test_a_decoder_that_passes_the_action_over_is_right_by_chance_and_nothing_changes(subject, oracle_class):
    left = float((subject.test.factors["direction"] == 1).float().mean())
    found = scored(subject, obedient(oracle_class, (0, 1), (1, 1)))
    assert found["direction accuracy"] == pytest.approx(left)
    assert (found["direction changed by the action"], found["direction IS"]) == (0.0, pytest.approx(1.0))


def test_a_posterior_that_calls_all_clips_the_same_gains_nothing_by_it(subject, oracle_class):
    train = subject.train.factors["direction"]
    most = int((train == 1).float().mean() > 0.5)
    found = scored(subject, obedient(oracle_class, (0, 0), (0, 1)))
    assert found["direction read off the action"] == pytest.approx(
        float((subject.test.factors["direction"] == most).float().mean())
    )
    assert found["direction accuracy"] == (1.0 if most == 0 else 0.0)  # one to one: the other class has the other action


def test_a_class_without_an_action_counts_as_wrong(subject, oracle_class):
    train = subject.train.factors["direction"]
    most = int((train == 1).float().mean() > 0.5)
    share = float((subject.test.factors["direction"] == most).float().mean())
    found = scored(subject, obedient(oracle_class, (0, 0), (1 - most,)))
    assert found["direction accuracy"] == 0.0
    assert scored(subject, obedient(oracle_class, (0, 0), (most,)))["direction accuracy"] == pytest.approx(share)


def test_actions_are_named_by_training_clips_and_by_test_clips_only_where_there_are_no_others(subject, oracle_class):
    labels = subject.train.factors
    wrong = evolve(subject, train=evolve(subject.train, factors={**labels, "direction": 1 - labels["direction"]}))
    model = obedient(oracle_class, (0, 1), (0, 1))
    assert scored(wrong, model)["direction accuracy"] == 0.0
    assert scored(evolve(subject, train=None), model)["direction accuracy"] == 1.0


def test_a_model_that_knows_no_actions_keeps_the_motion(subject, oracle_class):
    found = scored(subject, perfect(oracle_class))
    assert found["direction accuracy"] == 1.0
    assert not [name for name in found if "the action" in name]


def test_rows_and_a_trained_judge(subject, splits, oracle_class):
    trained = bar_judge(splits)
    model = obedient(oracle_class, (0, 1), (0, 1))
    result = actions.run(evolve(subject, model=model, untrained=copying(oracle_class), judge=trained), actions.Settings())
    assert list(result.rows) == ["model", "untrained", "reconstruction", "real", "oracle", "copy", "noise", "constant"]
    assert result.settings == {"factor": "direction"}
    assert result.judge_accuracy == {"direction": result.rows["real"]["direction accuracy"].value}
    assert result.rows["model"]["direction accuracy"].value == pytest.approx(result.judge_accuracy["direction"], abs=0.1)
    assert result.rows["noise"]["direction accuracy"].value == pytest.approx(0.5, abs=0.15)
    assert result.rows["model"]["FID (judge features)"].value >= 0
    assert "FID (judge features)" not in result.rows["real"]


def test_all_draws_count_and_s_and_z_are_the_same_whichever_action_is_asked_for(subject, oracle_class):
    model, asked = obedient(oracle_class, (0, 1), (0, 1)), []
    sample = model.sample

    def watched(n, t=None, *, seed=0, action):
        asked.append((n, seed, tuple(action.argmax(-1).tolist())))
        return sample(n, t, seed=seed, action=action)

    model.sample = watched
    result = actions.run(evolve(subject, model=model, draws=2, batch_size=50), actions.Settings())
    assert (result.draws, sum(n for n, _, _ in asked)) == (2, 2 * 2 * N)
    first, second = asked[:6], asked[6:]
    assert [one[:2] for one in first] == [one[:2] for one in second]
    assert len({one[1] for one in first}) == 6
    assert all(tuple(1 - a for a in mine[2]) == other[2] for mine, other in zip(first, second, strict=True))


def test_the_factor_is_chosen_where_there_are_several_and_refused_where_there_is_none(subject, oracle_class):
    class Both(type(subject.judge)):
        def predict(self, x):
            read = super().predict(x)
            return {**read, "again": read["direction"]}

    class Half(type(subject.judge)):
        def predict(self, x):
            return {"brightness": super().predict(x)["brightness"]}

    several = evolve(subject, test=twice(subject.test, "direction"), judge=Both())
    with pytest.raises(
        DataError, match=r"^actions: which factor is the action\? Choose one: --set factor=direction \(of direction, again"
    ):
        scored(several, perfect(oracle_class))
    assert scored(several, perfect(oracle_class), factor="again")["again accuracy"] == 1.0
    with pytest.raises(DataError, match=r"^actions: factor: no dynamic factor 'directoin' .*direction"):
        scored(several, perfect(oracle_class), factor="directoin")
    with pytest.raises(DataError, match=r"^actions: the judge reads no dynamic factor of bars, only brightness"):
        scored(evolve(subject, judge=Half()), perfect(oracle_class))
