from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from rwae_kit import RecipeError, Spec
from rwae_nets.tfgan import Block

SMALL = {"channels": [4, 6, 8]}
PARTS = ["frame_encoder", "frame_decoder"]


def images(*frame: int) -> Spec:
    return Spec(frame=frame, value_range=(0.0, 1.0), static=4, dynamic=2)


@pytest.mark.parametrize("frame", [(3, 32, 32), (1, 16, 16), (2, 4, 12)], ids=str)
def test_shapes_and_gradients_of_every_parameter_and_the_input(make, frame):
    encoder = make("frame_encoder", "tfgan", images(*frame), first=5, features=7, **SMALL)
    decoder = make("frame_decoder", "tfgan", images(*frame), features=7, **SMALL)
    frames = torch.rand(5, *frame, requires_grad=True)
    features = encoder(frames)
    assert features.shape == (5, encoder.size) == (5, 7)
    pre = decoder(features)
    assert pre.shape == (5, *frame)
    (pre * torch.randn_like(pre)).sum().backward()
    for key, weight in [("input", frames), *encoder.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


def test_widths_and_sizes_are_those_of_the_published_code(make):
    encoder = make("frame_encoder", "tfgan", images(3, 64, 64))
    decoder = make("frame_decoder", "tfgan", images(3, 64, 64), features=768)
    seen: list[tuple[int, ...]] = []
    for net in (encoder, decoder):
        for block in net.blocks:
            block.register_forward_hook(lambda module, given, output: seen.append(tuple(output.shape[1:])))
    encoder(torch.rand(1, 3, 64, 64))
    assert seen == [(64, 64, 64), (128, 32, 32), (128, 16, 16), (128, 8, 8), (256, 4, 4), (256, 2, 2)]
    assert (encoder.image.out_channels, encoder.fully_connected.in_features, encoder.size) == (32, 1024, 128)
    seen.clear()
    decoder(torch.rand(1, 768))
    assert seen == [(256, 2, 2), (128, 4, 4), (128, 8, 8), (128, 16, 16), (64, 32, 32), (32, 64, 64)]
    for net in (encoder, decoder):
        for module in net.modules():
            assert not isinstance(module, (nn.BatchNorm2d, nn.GroupNorm))


def test_a_block_adds_one_convolution_of_the_activated_input(make):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 4, dtype=torch.float64)
    same, other = Block(5, 5).double(), Block(5, 3).double()
    expected = x + same.convolution(functional.leaky_relu(x, 0.2))
    torch.testing.assert_close(same(x), expected, rtol=1e-12, atol=1e-12)
    assert other.shortcut.bias is None
    beside = torch.einsum("oc,nchw->nohw", other.shortcut.weight[:, :, 0, 0], x)
    expected = beside + other.convolution(functional.leaky_relu(x, 0.2))
    torch.testing.assert_close(other(x), expected, rtol=1e-12, atol=1e-12)


def test_left_out_the_decoders_features_are_the_latents_together(make):
    assert make("frame_decoder", "tfgan", images(3, 16, 16), **SMALL).size == 6


def test_signals_neither_die_nor_explode_at_the_start(make):
    shapes = torch.zeros(16, 3, 64, 64)
    shapes[:, :, 20:40, 10:50] = 1.0
    features = make("frame_encoder", "tfgan", images(3, 64, 64))(shapes + 0.1 * torch.randn_like(shapes))
    pre = make("frame_decoder", "tfgan", images(3, 64, 64), features=128)(torch.randn(16, 128))
    assert 0.1 < features.square().mean().sqrt() < 3
    assert 0.3 < pre.square().mean().sqrt() < 3


def test_output_bias_is_where_the_pixels_begin(make):
    decoder = make("frame_decoder", "tfgan", images(3, 16, 16), output_bias=-3.0, **SMALL)
    with torch.no_grad():
        decoder.output.weight.zero_()
    assert torch.equal(decoder(torch.randn(2, 6)), torch.full((2, 3, 16, 16), -3.0))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("frame", "words"),
    [((40,), r"frames are \(40,\), not images .* 'mlp'"), ((3, 24, 22), r"\(3, 24, 22\), .* multiples of 4 .* \[4, 6, 8\]")],
    ids=["vectors", "sizes"],
)
def test_frames_that_do_not_fit_are_refused(make, part, frame, words):
    with pytest.raises(RecipeError, match=words):
        make(part, "tfgan", images(*frame), **SMALL)
