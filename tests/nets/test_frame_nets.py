from __future__ import annotations

import pytest
import torch
from torch import nn

from rwae_kit import RecipeError, Spec
from rwae_nets.conv import BlockUpsampling


def images(*frame: int) -> Spec:
    return Spec(frame=frame, value_range=(0.0, 1.0), static=4, dynamic=2)


FIVE_LAYERS = {"channels": [4, 4, 8, 8, 8], "strides": [1, 2, 2, 2, 2], "kernels": [5]}
NETS = {
    "two": {"channels": [4, 8]},
    "five": FIVE_LAYERS,
    "halving": {"channels": [4, 8, 8], "strides": [2], "kernels": [4]},
    "odd": {"channels": [4, 8], "strides": [2, 1], "kernels": [2, 3]},
}


@pytest.mark.parametrize("frame", [(3, 16, 16), (1, 32, 32), (3, 64, 64), (3, 128, 128), (2, 48, 16), (1, 16, 80)], ids=str)
@pytest.mark.parametrize("options", NETS.values(), ids=NETS)
def test_the_conv_decoder_returns_frames_of_the_size_that_the_encoder_took(make, frame, options):
    encoder = make("frame_encoder", "conv", images(*frame), features=10, **options)
    decoder = make("frame_decoder", "conv", images(*frame), features=10, **options)
    features = encoder(torch.rand(2, *frame))
    assert features.shape == (2, encoder.size) == (2, 10)
    assert decoder(features).shape == (2, *frame)
    assert decoder.size == 10


@pytest.mark.parametrize("frame", [(5,), (2, 6, 3)], ids=str)
def test_the_mlp_nets_take_vectors_and_images_of_any_size(make, frame):
    encoder = make("frame_encoder", "mlp", images(*frame), features=10)
    decoder = make("frame_decoder", "mlp", images(*frame), features=10)
    features = encoder(torch.rand(4, *frame))
    assert features.shape == (4, encoder.size) == (4, 10)
    assert decoder(features).shape == (4, *frame)


@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_gradients_reach_every_parameter_and_the_input(make, name, normalisation):
    options = {"channels": [4, 8], "normalisation": normalisation} if name == "conv" else {"hidden": [9, 6]}
    encoder = make("frame_encoder", name, images(3, 16, 16), **options)
    decoder = make("frame_decoder", name, images(3, 16, 16), **options)
    frames = torch.rand(4, 3, 16, 16, requires_grad=True)
    decoder(encoder(frames)).square().sum().backward()
    for part, weight in [("input", frames), *encoder.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, part
        # A bias before batch normalisation is taken out again: its gradient is 0 up to rounding.
        assert normalisation == "batch" or weight.grad.abs().sum() > 0, part


def test_normalisation_is_what_the_option_says(make):
    kinds = {"none": nn.Identity, "batch": nn.BatchNorm2d, "group": nn.GroupNorm}
    for name, kind in kinds.items():
        for part in ("frame_encoder", "frame_decoder"):
            net = make(part, "conv", images(1, 16, 16), channels=[4, 8, 8], strides=[2], normalisation=name)
            found = [m for m in net.modules() if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm))]
            assert all(isinstance(m, kind) for m in found)
            assert len(found) == (0 if name == "none" else 3 if part == "frame_encoder" else 2)


def test_the_conv_nets_compute_the_same_in_either_memory_format(make):
    encoder = make("frame_encoder", "conv", images(3, 32, 32)).double()
    decoder = make("frame_decoder", "conv", images(3, 32, 32)).double()
    frames = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    expected = decoder(encoder(frames))
    encoder, decoder = encoder.to(memory_format=torch.channels_last), decoder.to(memory_format=torch.channels_last)
    hidden = encoder.convolutions(frames)
    assert hidden.is_contiguous(memory_format=torch.channels_last)
    found = decoder(encoder(frames.contiguous(memory_format=torch.channels_last)))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [2, 4])
def test_block_upsampling_is_a_transposed_convolution_whose_kernel_is_its_stride(size):
    torch.manual_seed(0)
    layer = BlockUpsampling(5, 3, size, bias=0.5).double()
    reference = nn.ConvTranspose2d(5, 3, size, size).double()
    with torch.no_grad():
        reference.weight.copy_(layer.weight.view(5, size, size, 3).permute(0, 3, 1, 2))
        reference.bias.copy_(layer.bias)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, 3 * size, 4 * size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), reference(x), rtol=1e-12, atol=1e-12)
    expected = torch.autograd.grad((reference(x) * weights).sum(), [x, reference.weight, reference.bias])
    found = torch.autograd.grad((layer(x) * weights).sum(), [x, layer.weight, layer.bias])
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[1].view(5, size, size, 3).permute(0, 3, 1, 2), expected[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"channels": [4, 8]}, {"channels": [4, 8], "strides": [2]}], ids=["blocks", "overlapping"])
def test_output_bias_is_the_initial_pre_activation(make, options):
    for name, more in (("conv", options), ("mlp", {})):
        plain = make("frame_decoder", name, images(1, 16, 16), **more)
        dark = make("frame_decoder", name, images(1, 16, 16), output_bias=-3.0, **more)
        dark.load_state_dict({k: v for k, v in plain.state_dict().items() if not k.endswith("bias")}, strict=False)
        features = torch.zeros(1, plain.size)
        torch.testing.assert_close(plain(features), torch.zeros(1, 1, 16, 16))
        torch.testing.assert_close(dark(features), torch.full((1, 1, 16, 16), -3.0))


@pytest.mark.parametrize("frame", [(3, 32, 32), (3, 64, 64)], ids=str)
@pytest.mark.parametrize("options", [{}, {"channels": [8, 8, 16, 16], "strides": [2]}], ids=["default", "halving"])
def test_signals_neither_die_nor_explode_at_the_start(make, frame, options):
    features = make("frame_encoder", "conv", images(*frame), **options)(torch.randn(8, *frame))
    pre = make("frame_decoder", "conv", images(*frame), **options)(torch.randn(8, 128))
    assert 0.25 < features.square().mean().sqrt() < 2
    assert 0.5 < pre.square().mean().sqrt() < 2


@pytest.mark.parametrize("part", ["frame_encoder", "frame_decoder"])
@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        ((40,), {}, r"frames are \(40,\), not images .* 'mlp'"),
        ((3, 30, 32), {}, r"frames are \(3, 30, 32\), .* multiples of 8 .* \[4, 2\]"),
        ((3, 32, 32), {"channels": [4, 8, 8]}, r"'strides' has 2 entries, 'channels' 3"),
        ((3, 32, 32), {"channels": [4], "strides": [4], "kernels": [3]}, "kernel 3 does not fit stride 4"),
        ((3, 32, 32), {"channels": [4], "strides": [1], "kernels": [4]}, "kernel 4 does not fit stride 1"),
        ((3, 32, 32), {"channels": []}, r"channels: must be one or more numbers above 0, not \[\]"),
        ((3, 32, 32), {"features": 0}, "features"),
        ((3, 32, 32), {"normalisation": "bach"}, "batch"),
    ],
)
def test_what_a_conv_net_cannot_be_is_an_error_that_says_what_would_be_right(make, part, frame, options, words):
    with pytest.raises(RecipeError, match=words):
        make(part, "conv", images(*frame), **options)
