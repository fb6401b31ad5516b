from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from protocol_worlds import copying, perfect

from rwae_kit import FrameView
from rwae_kit.errors import DataError
from rwae_kit.evaluation.cycle import CLIPS, CycleScore, cycle_score, recognised
from rwae_kit.latents import Latent


class Brightness(FrameView):
    """Every clip in a brightness of its own."""

    @frozen
    class Config:
        pass

    def __init__(self):
        super().__init__(self.Config())

    def forward(self, batch):
        factor = 0.5 + self.noise.uniform(len(batch.x), like=batch.x)
        return batch.x * factor[:, None, None, None, None]


class Composed(Brightness):
    """The same by a view that it is made of, which has a source of noise of its own at first."""

    def __init__(self):
        super().__init__()
        self.part = Brightness()

    def forward(self, batch):
        return self.part(batch)


def entropy(labels: np.ndarray) -> float:
    _, counts = np.unique(labels, return_counts=True, axis=0)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def tells_looks_twice(oracle_class):
    """The dynamic codes tell the brightness too, and it is they that the decoder asks."""
    model = perfect(oracle_class)
    encode = model.encode

    def twice(x, mask=None):
        posterior = encode(x)
        dynamic = posterior.dynamic.sample * posterior.static.sample[:, None]
        return evolve(posterior, dynamic=Latent(sample=dynamic, mean=dynamic))

    model.encode = twice
    model.decode = lambda static, dynamic, action=None: dynamic[:, :, None, None].expand(-1, -1, 1, 2, -1)
    return model


def test_an_oracle_finds_all_that_there_is_to_know_of_both_latents(make_bars, oracle_class):
    clips = make_bars(300, seed=0)
    score = cycle_score(perfect(oracle_class), clips, clips)
    assert score.static == pytest.approx(entropy(clips.factors["brightness"].numpy()), abs=1e-6)
    walks = (clips.frames[:, :, 0, 0] > 0).flatten(1).numpy()
    assert score.dynamic == pytest.approx(entropy(walks), abs=1e-6)
    assert score.explained == pytest.approx(1.0)
    assert score.value == pytest.approx(2 / (1 / score.static + 1 / score.dynamic))


def test_a_model_that_hands_its_static_clip_back_has_found_nothing_of_the_motion(make_bars, oracle_class):
    clips = make_bars(300, seed=0)
    score = cycle_score(copying(oracle_class), clips, clips)
    assert score.static > 2.0
    assert score.dynamic < 0.05
    assert score.value < 0.1


def test_what_the_prior_of_the_other_latent_does_not_know_is_lost(make_bars, oracle_class):
    clips, model = make_bars(300, seed=0), perfect(oracle_class)
    whole = cycle_score(model, clips, clips)
    decode = model.decode
    drawn = model.prior.sample
    model.prior.sample = lambda b, t: 3.0 * drawn(b, t)  # such codes no clip has, and they decode to another brightness
    model.sample = lambda n, t=None, *, seed=0, static=None, dynamic=None: decode(
        torch.where(dynamic.amax((1, 2))[:, None] > 1, 0.5, static), dynamic.clamp(max=1)
    )
    score = cycle_score(model, clips, clips)
    assert score.static == 0.0
    assert (score.dynamic, score.explained) == (whole.dynamic, whole.explained)


def test_a_dynamic_latent_that_says_nothing_scores_nothing(make_bars, oracle_class):
    clips, model = make_bars(100, seed=1), perfect(oracle_class)
    encode = model.encode

    def mute(x, mask=None):
        silent = torch.zeros(len(x), x.shape[1], 8)
        return evolve(encode(x), dynamic=Latent(sample=silent, mean=silent))

    model.encode = mute
    assert cycle_score(model, clips, clips).value == 0.0


@pytest.mark.parametrize("view", [Brightness, Composed])
def test_with_other_looks_what_dynamic_codes_tell_of_looks_does_not_count(view, make_bars, oracle_class):
    clips, looks = make_bars(300, seed=0), view()
    right, wrong = perfect(oracle_class), tells_looks_twice(oracle_class)
    assert cycle_score(right, clips, clips, looks).dynamic == cycle_score(right, clips, clips).dynamic
    seen, changed = cycle_score(wrong, clips, clips), cycle_score(wrong, clips, clips, looks)
    more = entropy(clips.factors["brightness"].numpy())
    assert seen.dynamic == pytest.approx(cycle_score(right, clips, clips).dynamic + more, abs=0.1)
    assert changed.dynamic < seen.dynamic - 0.5 * more
    assert changed.static == seen.static < 0.05  # it is the drawn motion that tells the brightness
    assert cycle_score(wrong, clips, clips, looks) == changed  # the view's draws follow the seed


def test_draws_follow_the_seed_and_differ_from_batch_to_batch(make_bars, oracle_class):
    clips, model = make_bars(100, seed=0), perfect(oracle_class)
    cycle_score(model, clips, clips, seed=3, batch_size=25)
    assert [asked.seed for asked in model.asked] == [3, 28, 53, 78]


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_of_a_gaussian_channel_the_bound_is_the_information(noise):
    generator = np.random.default_rng(0)
    lent = generator.normal(size=(4000, 1))
    found = lent + noise * generator.normal(size=lent.shape)
    assert recognised(lent, found) == pytest.approx(0.5 * math.log(1 + noise**-2), abs=0.04)


def test_features_of_noise_take_nothing_away_and_no_more_than_log_n_is_found():
    generator = np.random.default_rng(1)
    lent = generator.normal(size=(200, 3))
    assert recognised(lent, lent) == pytest.approx(math.log(200))
    noise = generator.normal(size=(2, 200, 5))
    assert recognised(lent, generator.permutation(lent)) < 0.05
    both = recognised(np.hstack([lent, noise[0]]), np.hstack([lent + 1e-3, noise[1]]))
    assert both == pytest.approx(math.log(200), abs=0.01)


def test_at_most_a_few_hundred_clips_are_compared(make_bars, oracle_class):
    clips, model = make_bars(CLIPS + 100, seed=0), perfect(oracle_class)
    cycle_score(model, clips, clips)
    assert sum(asked.n for asked in model.asked) == CLIPS


def test_clips_with_padding_and_single_clips_are_refused(make_bars, oracle_class):
    clips = make_bars(10, seed=0)
    padded = evolve(clips, mask=torch.ones(10, 4))
    with pytest.raises(DataError, match="without padding"):
        cycle_score(perfect(oracle_class), padded, clips)
    with pytest.raises(DataError, match="at least 2 clips"):
        cycle_score(perfect(oracle_class), clips.subset(torch.arange(1)), clips)


@pytest.mark.parametrize("nothing", ["static", "dynamic", "explained"])
def test_a_score_is_nothing_where_a_part_of_it_is(nothing):
    parts = {"static": 2.0, "dynamic": 2.0, "explained": 0.5}
    assert CycleScore(**parts).value == 1.0
    assert CycleScore(**{**parts, nothing: 0.0}).value == 0.0
