from __future__ import annotations

import pytest
import torch
from attrs import evolve
from torch import nn

from rwae_kit import RecipeError, Spec

SMALL = {"channels": [4, 6, 8]}
PARTS = ["frame_encoder", "frame_decoder"]


def images(*frame: int) -> Spec:
    return Spec(frame=frame, value_range=(0.0, 1.0), static=4, dynamic=2)


@pytest.mark.parametrize("frame", [(3, 32, 32), (1, 16, 16), (2, 8, 24)], ids=str)
def test_shapes_and_gradients_of_every_parameter_and_the_input(make, frame):
    encoder = make("frame_encoder", "dcgan", images(*frame), features=7, **SMALL)
    decoder = make("frame_decoder", "dcgan", images(*frame), features=7, **SMALL)
    frames = torch.rand(5, *frame, requires_grad=True)
    features = encoder(frames)
    assert features.shape == (5, encoder.size) == (5, 7)
    pre = decoder(features)
    assert pre.shape == (5, *frame)
    (pre * torch.randn_like(pre)).sum().backward()
    for key, weight in [("input", frames), *encoder.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, key
        # A bias before batch normalisation is taken out again: its gradient is 0 up to rounding.
        assert key.endswith(".0.bias") or weight.grad.abs().sum() > 0, key


def test_the_layers_are_those_of_the_published_code(make):
    encoder = make("frame_encoder", "dcgan", images(3, 64, 64))
    decoder = make("frame_decoder", "dcgan", images(3, 64, 64), features=288)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 128]
    assert all(m.kernel_size == (4, 4) for m in convolutions)
    assert [(m.stride, m.padding) for m in convolutions] == [((2, 2), (1, 1))] * 4 + [((1, 1), (0, 0))]
    transposed = [m for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in transposed] == [(288, 512), (512, 256), (256, 128), (128, 64), (64, 3)]
    assert all(m.kernel_size == (4, 4) for m in transposed)
    assert [(m.stride, m.padding) for m in transposed] == [((1, 1), (0, 0))] + [((2, 2), (1, 1))] * 4
    kinds = [type(m) for m in decoder.modules() if not list(m.children())]
    assert kinds == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.LeakyReLU] * 4 + [nn.ConvTranspose2d]
    kinds = [type(m) for m in encoder.modules() if not list(m.children())]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 4 + [nn.Conv2d, nn.BatchNorm2d, nn.Tanh]


def test_convolutions_begin_near_0_and_batch_normalisation_makes_up_for_it(make):
    encoder = make("frame_encoder", "dcgan", images(3, 32, 32), **SMALL)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            assert 0.008 < layer.weight.std() < 0.012
            assert not layer.bias.any()
    assert 0.4 < encoder(torch.rand(64, 3, 32, 32)).std() < 0.8


def test_left_out_the_decoders_features_are_the_latents_together(make):
    assert make("frame_decoder", "dcgan", images(3, 16, 16), **SMALL).size == 6
    assert make("frame_decoder", "dcgan", evolve(images(3, 16, 16), action=5), **SMALL).size == 11


def test_output_bias_is_where_the_pixels_begin(make):
    decoder = make("frame_decoder", "dcgan", images(3, 16, 16), output_bias=-3.0, **SMALL)
    with torch.no_grad():
        decoder.stages[-1].weight.zero_()
    assert torch.equal(decoder(torch.randn(2, 6)), torch.full((2, 3, 16, 16), -3.0))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ((40,), r"frames are \(40,\), not images .* 'mlp'"),
        ((3, 24, 20), r"frames are \(3, 24, 20\), .* multiples of 8 .* \[4, 6, 8\]"),
    ],
    ids=["vectors", "sizes"],
)
def test_frames_that_do_not_fit_are_refused(make, part, frame, words):
    with pytest.raises(RecipeError, match=words):
        make(part, "dcgan", images(*frame), **SMALL)


def test_without_hidden_layers_the_latents_are_the_frame_decoders_features(make):
    spec = evolve(images(3, 16, 16), action=2)
    frames = make("frame_decoder", "dcgan", spec, **SMALL)
    decoder = make("decoder", "framewise", spec, frames, hidden=[]).eval()
    assert len(list(decoder.parameters())) == len(list(frames.parameters()))
    static, dynamic, action = torch.randn(2, 4), torch.randn(2, 3, 2), torch.randn(2, 2)
    pre = decoder(static, dynamic, action)
    expected = frames(torch.cat((static, dynamic[:, 1], action), dim=1))
    torch.testing.assert_close(pre[:, 1], expected)
    with pytest.raises(RecipeError, match=r"hidden = \[\] needs .*features.*, 8 \(static 4, dynamic 2, action 2\), not 9"):
        make("decoder", "framewise", spec, make("frame_decoder", "dcgan", spec, features=9, **SMALL), hidden=[])


def test_without_bounds_a_priors_log_variance_is_a_linear_layer_of_its_state(make):
    spec = images(3, 16, 16)
    free, held = (make("prior", "lstm", spec, hidden=5, layers=2, log_var=0.5, bounded=bounded) for bounded in (False, True))
    held.load_state_dict(free.state_dict())
    with torch.no_grad():
        for net in (free, held):
            net.chain.head.both.weight.mul_(2000)
    z = torch.randn(8, 6, 2)
    before = torch.cat((torch.zeros(8, 1, 2), z[:, :-1]), 1)
    expected = free.chain.head.both(free.chain.recurrence(before)[0])[..., 2:]
    assert torch.equal(free(z).log_var, expected)
    assert expected.abs().max() > 8
    assert held(z).log_var.min() > -8.1
    assert make("prior", "lstm", spec, log_var=5.0, bounded=False)(0 * z).log_var[:, 0].std() < 0.3
