import pytest
import torch
from torch.nn import functional

from rwae_datasets.moving_shapes import MovingShapes
from rwae_kit import DataError


def real_clips(**options):
    dataset = MovingShapes(MovingShapes.Config(**options))
    clips = dataset.clips("test")
    return dataset.judge(), clips, clips.frames.float() / 255


def accuracy(judge, x, clips):
    judged = judge.predict(x)
    assert set(judged) == set(clips.factors)
    return {name: (judged[name] == labels).double().mean().item() for name, labels in clips.factors.items()}


def blurred(x, sigma):
    at = torch.arange(-3, 4.0)
    kernel = torch.softmax(-at.square() / (2 * sigma**2), 0)
    flat = x.flatten(0, 2)[:, None]
    flat = functional.conv2d(flat, kernel[None, None, :, None], padding=(3, 0))
    return functional.conv2d(flat, kernel[None, None, None, :], padding=(0, 3)).view_as(x)


@pytest.mark.parametrize("variant", ["easy", "hard"])
@pytest.mark.parametrize("options", [{}, {"pixels": 48, "test_clips": 200}, {"length": 20, "test_clips": 200}], ids=str)
def test_the_judge_is_always_right_on_real_clips(variant, options):
    judge, clips, x = real_clips(variant=variant, **options)
    assert set(accuracy(judge, x, clips).values()) == {1.0}


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_the_judge_bears_blur_and_noise(variant):
    judge, clips, x = real_clips(variant=variant, test_clips=300)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    worse = (blurred(x, 0.7) + 0.03 * noise).clamp(0, 1)
    assert min(accuracy(judge, worse, clips).values()) >= 0.98


def test_brightness_does_not_matter():
    judge, clips, x = real_clips(test_clips=200)
    assert set(accuracy(judge, 0.5 * x, clips).values()) == {1.0}


def test_the_judge_is_at_chance_where_there_is_nothing_to_see():
    judge, clips, x = real_clips(test_clips=600)
    black = accuracy(judge, torch.zeros_like(x), clips)
    mean = accuracy(judge, x.mean(0, keepdim=True).expand_as(x), clips)
    for name, factor in clips.info.factors.items():
        assert black[name] < 1 / len(factor.classes) + 0.1
        assert mean[name] < 1 / len(factor.classes) + 0.1


def test_frames_in_reverse_are_judged_to_move_the_other_way():
    judge, clips, x = real_clips(test_clips=300)
    kind = clips.factors["motion_type"]
    judged = judge.predict(x.flip(1))
    assert torch.equal(judged["motion"][kind < 2], (kind * 4 + (clips.factors["direction"] + 2) % 4)[kind < 2])
    assert torch.equal(judged["shape"], clips.factors["shape"])


def test_a_judgement_does_not_depend_on_the_other_clips():
    judge, _, x = real_clips(test_clips=300)
    whole = judge.predict(x)
    assert all(torch.equal(judge.predict(x[255:260])[name], labels[255:260]) for name, labels in whole.items())


@pytest.mark.parametrize("shape", [(2, 8, 1, 32, 32), (2, 7, 3, 32, 32), (2, 8, 3, 48, 48)])
def test_clips_of_another_shape_are_refused(shape):
    judge, _, _ = real_clips(test_clips=2)
    with pytest.raises(DataError, match="but it judges"):
        judge.predict(torch.zeros(shape))


def test_values_that_are_not_finite_are_refused():
    judge, _, x = real_clips(test_clips=2)
    x[1, 2, 0, 3, 4] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        judge.predict(x)
