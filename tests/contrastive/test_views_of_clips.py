"""Views: permutations of real frames, and looks that are drawn once for each clip."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rwae_contrastive.looks import Augment, Blur, Colour, Crop, ToneCurves
from rwae_contrastive.orders import Reverse, Shuffle
from rwae_kit import Batch, FrameView, RecipeError, Spec
from rwae_kit.noise import Noise

STILL = {
    Crop: Crop.Config(area=1.0, aspect=1.0),
    Colour: Colour.Config(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0),
    Blur: Blur.Config(sigma=0.0),
}
"""Each look at strength zero."""
STILL[Augment] = Augment.Config(crop=STILL[Crop], colour=STILL[Colour], blur=STILL[Blur])
LOOKS = (*STILL, ToneCurves)


def batch(b: int = 5, t: int = 4, frame: tuple[int, ...] = (3, 16, 12), mask: Tensor | None = None) -> Batch:
    x = torch.rand(b, t, *frame, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Batch(x=x, index=torch.arange(b), mask=mask, dataset_size=b)


def look(cls: type, config=None, value_range: tuple[float, float] = (0.0, 1.0), frame: tuple[int, ...] = (3, 16, 12)) -> FrameView:
    view = cls(config or cls.Config(), Spec(frame=frame, value_range=value_range, static=2, dynamic=2))
    for part in view.modules():
        part.noise = Noise(3)
    return view


def test_every_clip_is_shuffled_in_an_order_of_its_own(spec) -> None:
    view = Shuffle(Shuffle.Config(), spec)
    order = view(batch(b=600, t=3, frame=(1,)))
    assert torch.equal(order.sort(1).values, torch.arange(3).expand(600, 3))
    counts = torch.stack([(order == torch.tensor(p)).all(1).sum() for p in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)]])
    assert (counts - 100).abs().max() < 45
    assert not torch.equal(order, view(batch(b=600, t=3, frame=(1,))))


@pytest.mark.parametrize("cls", [Shuffle, Reverse])
def test_padding_stays_where_it_is(spec, cls) -> None:
    lengths = torch.tensor([4, 1, 2, 3])
    mask = (torch.arange(4) < lengths[:, None]).float()
    order = cls(cls.Config(), spec)(batch(b=4, t=4, mask=mask))
    for row, length in zip(order.tolist(), lengths.tolist(), strict=True):
        assert sorted(row[:length]) == list(range(length))
        assert row[length:] == list(range(length, 4))
        assert cls is Shuffle or row[:length] == list(range(length))[::-1]


@pytest.mark.parametrize("cls", STILL)
def test_a_look_of_no_strength_is_the_clip(cls) -> None:
    data = batch()
    torch.testing.assert_close(look(cls, STILL[cls])(data), data.x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cls", LOOKS)
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (10.0, 266.0)])
def test_a_look_is_one_draw_a_clip_stays_in_range_and_means_the_same_in_any_range(cls, value_range) -> None:
    data = batch()
    low, high = value_range
    still = data.x[:1, :1].expand_as(data.x)
    found = look(cls, value_range=value_range)(Batch(x=low + (high - low) * still, index=data.index, dataset_size=5))
    assert torch.equal(found, found[:, :1].expand_as(found)), "the frames of one clip look different"
    assert low - 1e-9 <= found.min() <= found.max() <= high + 1e-9
    unit = look(cls)(Batch(x=still, index=data.index, dataset_size=5))
    assert all(not torch.allclose(unit[0], unit[i]) for i in range(1, 5)), "two clips got the same draw"
    torch.testing.assert_close((found - low) / (high - low), unit, rtol=0, atol=1e-9)


@pytest.mark.parametrize("frame", [(1, 16, 12), (2, 9, 16)])
@pytest.mark.parametrize("cls", LOOKS)
def test_looks_take_any_number_of_channels_and_any_size(cls, frame) -> None:
    data = batch(frame=frame)
    found = look(cls, frame=frame)(data)
    assert found.shape == data.x.shape
    assert not torch.allclose(found, data.x)


@pytest.mark.parametrize("cls", LOOKS)
def test_looks_refuse_frames_that_are_no_images(cls) -> None:
    with pytest.raises(RecipeError, match=r"frames are vectors \(12,\)"):
        look(cls, frame=(12,))


@pytest.mark.parametrize("cls", [Crop, Blur])
def test_crop_and_blur_are_smooth_in_the_pixels(cls) -> None:
    x = batch(b=2, t=1, frame=(1, 5, 4)).x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: look(cls, frame=(1, 5, 4))(Batch(x=x, index=torch.arange(2), dataset_size=2)), [x])


def test_a_crop_is_a_window_of_the_frame_of_at_least_the_least_area() -> None:
    """On an image of coordinates, the crop shows its window's corners."""
    rows, columns = torch.meshgrid(*(torch.arange(64, dtype=torch.float64) for _ in range(2)), indexing="ij")
    x = torch.stack([rows, columns]).expand(200, 1, 2, 64, 64) / 64
    found = 64 * look(Crop, frame=(2, 64, 64))(Batch(x=x, index=torch.arange(200), dataset_size=200))[:, 0]
    height, width = (found[:, i, -1, -1] - found[:, i, 0, 0] + 1 for i in range(2))
    area = height * width / 64**2
    assert area.min() > 0.45
    assert area.max() <= 1.0 + 1e-9
    assert area.min() < 0.6 < 0.8 < area.max()
    assert 0.7 < (width / height).min() < 0.85 < 1.2 < (width / height).max() < 1.4
    assert found.min() >= 0
    straight = found[:, 0, :, 0] - found[:, 0, :, -1]
    assert straight.abs().max() < 1e-9, "a crop turns or shears"


def test_brightness_contrast_saturation_and_hue_do_what_their_names_say() -> None:
    data = batch()
    x = 0.4 + 0.1 * data.x
    data = Batch(x=x, index=data.index, dataset_size=5)
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}

    def seen(**strength: float) -> Tensor:
        return look(Colour, Colour.Config(**{**off, **strength}))(data)

    ratio = seen(brightness=0.4) / x
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1, :1].expand_as(x))
    assert 0.6 <= ratio.min() < 0.95 < 1.05 < ratio.max() <= 1.4
    mean = x.mean((1, 2, 3, 4), keepdim=True)
    factor = (seen(contrast=0.4) - mean) / (x - mean)
    torch.testing.assert_close(factor, factor[:, :1, :1, :1, :1].expand_as(x))
    grey = x.mean(2, keepdim=True)
    factor = (seen(saturation=0.4) - grey) / (x - grey)
    torch.testing.assert_close(factor, factor[:, :1, :1, :1, :1].expand_as(x))
    turned = seen(hue=0.5)
    torch.testing.assert_close(turned.mean(2, keepdim=True), grey)
    torch.testing.assert_close((turned - grey).norm(dim=2), (x - grey).norm(dim=2))
    assert (turned - x).abs().amax((1, 2, 3, 4)).min() > 1e-3


def test_a_tone_curve_is_straight_between_its_knots_and_begins_where_the_range_does() -> None:
    ramp = torch.linspace(0, 1, 25, dtype=torch.float64).expand(300, 2, 2, 1, 25)
    found = look(ToneCurves, frame=(2, 1, 25))(Batch(x=ramp, index=torch.arange(300), dataset_size=300))[:, 0, :, 0]
    assert found[..., 0].abs().max() == 0
    knots = found[..., ::6]  # four pieces of six steps each
    between = torch.nn.functional.interpolate(knots, size=25, mode="linear", align_corners=True)
    torch.testing.assert_close(found, between)
    assert knots[..., 1:].mean((0, 1)).sub(0.5).abs().max() < 0.05
    assert knots[..., 1:].min() < 0.02 < 0.98 < knots[..., 1:].max()
    correlation = torch.corrcoef(knots[..., 1:].flatten(1).T)
    assert (correlation - torch.eye(8)).abs().max() < 0.25, "knots or channels go together"
    assert ((found[..., -1] < found[..., 12]).float().mean() - 0.5).abs() < 0.1, "what was lighter stays lighter"


def test_augmentation_has_tone_curves_where_they_are_asked_for() -> None:
    """A grey clip stays grey under the others alone."""
    grey = batch(frame=(1, 16, 12)).x.expand(-1, -1, 3, -1, -1)
    data = Batch(x=grey, index=torch.arange(5), dataset_size=5)
    without, having = (look(Augment, Augment.Config(tone_curves=curves))(data) for curves in (None, ToneCurves.Config()))
    torch.testing.assert_close(without[:, :, 0], without[:, :, 1])
    assert (having[:, :, 0] - having[:, :, 1]).abs().amax((1, 2, 3)).min() > 0.1


def test_padding_has_no_part_in_the_mean_about_which_contrast_turns() -> None:
    mask = torch.ones(5, 4)
    mask[:, 2:] = 0
    data = batch(mask=mask)
    other = Batch(x=torch.cat([data.x[:, :2], 0 * data.x[:, 2:]], 1), index=data.index, mask=mask, dataset_size=5)
    assert torch.equal(look(Colour)(data)[:, :2], look(Colour)(other)[:, :2])


def test_a_blur_keeps_flat_frames_and_spreads_a_point_by_its_sigma() -> None:
    def blurred(x: Tensor) -> Tensor:
        return look(Blur, Blur.Config(sigma=2.0), frame=(1, 21, 21))(Batch(x=x, index=torch.arange(9), dataset_size=9))

    flat = torch.full((9, 1, 1, 21, 21), 0.7, dtype=torch.float64)
    torch.testing.assert_close(blurred(flat), flat)
    point = torch.zeros_like(flat)
    point[..., 10, 10] = 1
    sigma = 2.0 * Noise(3).uniform(9, like=flat)
    wide = sigma > 0.7  # a narrower Gaussian on whole pixels has another variance
    assert 3 < wide.sum() < 9
    found, place = blurred(point)[wide, 0, 0], (torch.arange(21).double() - 10) ** 2
    for dim in (1, 2):
        torch.testing.assert_close((found.sum(dim) * place).sum(1).sqrt(), sigma[wide], rtol=2e-3, atol=0)


def test_a_blur_has_no_subnormal_weights_which_would_slow_products_down() -> None:
    torch.set_flush_denormal(False)  # else they count as 0, and could not be found
    point = torch.zeros(500, 1, 1, 40, 40)
    point[..., 20, 20] = 1
    found = look(Blur, Blur.Config(sigma=2.0), frame=(1, 40, 40))(Batch(x=point, index=torch.arange(500), dataset_size=500))
    assert found[found > 0].min() >= torch.finfo(found.dtype).tiny
    torch.testing.assert_close(found.sum((1, 2, 3, 4)), torch.ones(500))


@pytest.mark.parametrize("cls", LOOKS)
def test_looks_keep_single_precision_under_autocast(cls) -> None:
    data = batch()
    data = Batch(x=data.x.float(), index=data.index, dataset_size=5)
    plain = look(cls)(data)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(look(cls)(data), plain)
