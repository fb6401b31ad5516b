from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from rwae_kit import RecipeError, Spec
from rwae_nets.residual import Activation, DownBlock, SelfAttention, UpBlock

SMALL = {"channels": [4, 6, 8], "features": 12}
PARTS = ["frame_encoder", "frame_decoder"]


def images(*frame: int) -> Spec:
    return Spec(frame=frame, value_range=(0.0, 1.0), static=4, dynamic=2)


def both(make, frame, **options):
    return tuple(make(part, "resblock", images(*frame), **{**SMALL, **options}) for part in PARTS)


def awake(net):
    """The net with attention that counts (its gamma starts at 0)."""
    for module in net.modules():
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gamma, 0.5)
    return net


OPTIONS = [
    {},
    {"ladder": False},
    {"attention": False},
    {"spectral": True},
    {"normalisation": "batch"},
    {"normalisation": "group", "ladder": False},
    {"channels": [4], "features": 10},
]


@pytest.mark.parametrize("frame", [(3, 16, 16), (1, 32, 32), (2, 8, 24)], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_shapes_and_gradients_of_every_parameter_and_the_input(make, frame, options):
    encoder, decoder = map(awake, both(make, frame, **options))
    frames = torch.rand(4, *frame, requires_grad=True)
    features = encoder(frames)
    size = options.get("features", 12)
    assert features.shape == (4, encoder.size) == (4, decoder.size) == (4, size)
    pre = decoder(features)
    assert pre.shape == (4, *frame)
    (pre * torch.randn_like(pre)).sum().backward()
    for key, weight in [("input", frames), *encoder.named_parameters(), *decoder.named_parameters()]:
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
        # A bias before batch normalisation is taken out again: its gradient is 0 up to rounding.
        assert options.get("normalisation") == "batch" or weight.grad.abs().sum() > 0, key


def test_features_are_the_taps_of_the_blocks_the_last_first(make):
    encoder, _ = both(make, (3, 16, 16))
    outputs: list[torch.Tensor] = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    features = encoder(torch.rand(2, 3, 16, 16))
    chunks = features.chunk(4, dim=1)
    assert [tap.in_features for tap in encoder.taps] == [4 * 64, 6 * 16, 8 * 4, 8 * 4]
    for chunk, tap, output in zip(chunks[::-1], encoder.taps, [*outputs, outputs[-1]], strict=True):
        expected = functional.leaky_relu(tap(functional.leaky_relu(output, 0.2).flatten(1)), 0.2)
        torch.testing.assert_close(chunk, expected)


def test_a_tap_sees_the_blocks_up_to_its_own_and_no_further(make):
    encoder, _ = both(make, (3, 16, 16))
    levels = encoder.levels(torch.rand(2, 3, 16, 16))
    for i, level in enumerate(levels):
        seen = []
        for block in encoder.blocks:
            gradient = torch.autograd.grad(level.square().sum(), block.one.weight, allow_unused=True, retain_graph=True)[0]
            seen.append(gradient is not None and bool(gradient.any()))
        assert seen == [k <= i for k in range(3)]


def test_every_level_of_the_features_enters_the_decoder_at_its_block(make):
    _, decoder = both(make, (3, 16, 16))
    features = torch.randn(2, 12, requires_grad=True)
    inputs: list[torch.Tensor] = []
    for block in decoder.blocks:
        block.register_forward_hook(lambda module, given, output: inputs.append(output))
    pre = decoder(features)
    for k, output in enumerate([*inputs, pre]):
        (gradient,) = torch.autograd.grad(output.square().sum(), features, retain_graph=True)
        reached = gradient.view(2, 4, 3).abs().sum(2) > 0
        # The first share makes the 2 x 2 map, share k + 1 enters block k: behind block k, k + 2 shares are known.
        assert reached.all(0).tolist() == [i < min(k + 2, 4) for i in range(4)]


def test_a_level_gives_gain_and_bias_to_its_own_block_alone(make):
    _, decoder = both(make, (3, 16, 16))
    gates = [block.enter.gain_and_bias for block in decoder.blocks]
    features, found = torch.randn(2, 12), []
    for gate in gates:
        gate.register_forward_hook(lambda module, given, output: found.append(given[0]))
    decoder(features)
    assert [v.tolist() for v in found] == [features[:, 3 * k : 3 * k + 3].tolist() for k in (1, 2, 3)]


def test_without_ladder_the_blocks_know_only_the_map_they_are_given(make):
    encoder, decoder = both(make, (3, 16, 16), ladder=False)
    assert len(encoder.taps) == 1
    assert encoder.taps[0].out_features == decoder.fully_connected.in_features == 12
    assert all(block.enter.gain_and_bias is None for block in decoder.blocks)


def test_attention_stands_behind_the_first_block_and_before_the_last(make):
    encoder, decoder = both(make, (3, 16, 16))
    order: list[str] = []
    for net in (encoder, decoder):
        for name, module in [("attention", net.attention), *((f"block {i}", b) for i, b in enumerate(net.blocks))]:
            module.register_forward_hook(lambda module, given, output, name=name: order.append(name))
    decoder(encoder(torch.rand(1, 3, 16, 16)))
    assert order == ["block 0", "attention", "block 1", "block 2", "block 0", "block 1", "attention", "block 2"]


def test_attention_is_the_softmax_over_pooled_pixels_and_begins_as_the_identity():
    torch.manual_seed(0)
    net = SelfAttention(16, spectral=False).double()
    x = torch.randn(2, 16, 6, 4, dtype=torch.float64)
    assert torch.equal(net(x), x)
    nn.init.constant_(net.gamma, 0.7)
    query, key, value = (torch.einsum("oc,nchw->nohw", m.weight[:, :, 0, 0], x) for m in (net.query, net.key, net.value))
    pooled = [v.unflatten(2, (3, 2)).unflatten(4, (2, 2)).amax((3, 5)).flatten(2) for v in (key, value)]
    scores = torch.einsum("nci,ncj->nij", query.flatten(2), pooled[0]).exp()
    seen = torch.einsum("nij,ncj->nci", scores / scores.sum(2, keepdim=True), pooled[1])
    expected = x + 0.7 * torch.einsum("oc,nci->noi", net.output.weight[:, :, 0, 0], seen).view_as(x)
    torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 1), (1, 1), (3, 5)], ids=str)
def test_attention_takes_maps_of_any_size(shape):
    net = awake(SelfAttention(3, spectral=False))
    assert net(torch.randn(2, 3, *shape)).shape == (2, 3, *shape)


def identity(block):
    """Set the second convolution to 0 and the shortcut to the identity."""
    with torch.no_grad():
        block.two.weight.zero_()
        block.shortcut.weight.copy_(torch.eye(len(block.shortcut.weight))[:, :, None, None])
    return block.double()


def test_without_its_branch_a_block_halves_by_means_or_doubles_by_copies():
    x = torch.randn(2, 5, 8, 4, dtype=torch.float64)
    down = identity(DownBlock(5, 5, normalisation="none", spectral=False))
    up = identity(UpBlock(5, 5, normalisation="none", spectral=False))
    torch.testing.assert_close(down(x), x.unflatten(3, (2, 2)).unflatten(2, (4, 2)).mean((3, 5)))
    torch.testing.assert_close(up(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(down(up(x)), x)


def test_the_blocks_are_those_of_biggan():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    for first in (False, True):
        down = DownBlock(4, 6, normalisation="none", spectral=False, first=first).double()
        hidden = x if first else functional.leaky_relu(x, 0.2)
        hidden = down.two(functional.leaky_relu(down.one(hidden), 0.2))
        expected = functional.avg_pool2d(down.shortcut(x), 2) + functional.avg_pool2d(hidden, 2)
        torch.testing.assert_close(down(x), expected, rtol=1e-12, atol=1e-12)
    up, level = UpBlock(4, 6, normalisation="none", spectral=False, level=3).double(), torch.randn(2, 3, dtype=torch.float64)
    large = functional.interpolate(x, scale_factor=2)
    (g1, b1), (g2, b2) = (a.gain_and_bias(level)[:, :, None, None].chunk(2, 1) for a in (up.enter, up.middle))
    hidden = up.one(functional.leaky_relu(functional.interpolate((1 + g1) * x + b1, scale_factor=2), 0.2))
    hidden = up.two(functional.leaky_relu((1 + g2) * hidden + b2, 0.2))
    torch.testing.assert_close(up(x, level), up.shortcut(large) + hidden, rtol=1e-12, atol=1e-12)


def test_spectral_normalisation_bounds_every_weight(make):
    inputs = torch.rand(2, 3, 16, 16, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    for net, given in zip(both(make, (3, 16, 16), spectral=True), inputs, strict=True):
        net.double()
        with torch.no_grad():
            for module in net.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    module.parametrizations.weight.original.mul_(10)
        for _ in range(50):
            net(given)
        layers = [module for module in net.eval().modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
        norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
        assert max(norms) < 1.01
        assert min(norms) > 0.99


def test_without_the_option_no_weight_is_normalised(make):
    for net in both(make, (3, 16, 16)):
        assert not any("parametrizations" in key for key in net.state_dict())


def test_normalisation_is_what_the_option_says_and_gains_come_from_the_level_alone():
    for kind, expected in (("none", nn.Identity), ("batch", nn.BatchNorm2d), ("group", nn.GroupNorm)):
        for level in (0, 3):
            norm = Activation(8, kind, level).norm
            assert isinstance(norm, expected)
            assert len(list(norm.parameters())) == (0 if kind == "none" or level else 2)


def test_the_nets_compute_the_same_in_either_memory_format(make):
    encoder, decoder = (awake(net).double() for net in both(make, (3, 16, 16)))
    frames = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    expected = decoder(encoder(frames))
    encoder, decoder = encoder.to(memory_format=torch.channels_last), decoder.to(memory_format=torch.channels_last)
    found = decoder(encoder(frames.contiguous(memory_format=torch.channels_last)))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("ladder", [False, True])
def test_signals_neither_die_nor_explode_at_the_start(make, normalisation, ladder):
    options = {"channels": [8, 16, 32, 32], "features": 40, "normalisation": normalisation, "ladder": ladder}
    encoder, decoder = both(make, (3, 32, 32), **options)
    for level in encoder.levels(torch.randn(8, 3, 32, 32)):
        assert 0.1 < level.square().mean().sqrt() < 2
    assert 0.3 < decoder(torch.randn(8, 40)).square().mean().sqrt() < 3


def test_output_bias_is_added_to_every_pixel(make):
    plain = make("frame_decoder", "resblock", images(1, 16, 16), **SMALL)
    dark = make("frame_decoder", "resblock", images(1, 16, 16), output_bias=-3.0, **SMALL)
    assert torch.equal(dark.output.bias, torch.full((1,), -3.0))
    dark.load_state_dict({k: v for k, v in plain.state_dict().items() if k != "output.bias"}, strict=False)
    features = torch.randn(2, 12)
    torch.testing.assert_close(dark(features), plain(features) - 3)


def test_under_bf16_autocast_values_and_gradients_are_finite(make):
    encoder, decoder = map(awake, both(make, (3, 16, 16), spectral=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pre = decoder(encoder(torch.rand(2, 3, 16, 16)))
    pre.float().square().sum().backward()
    assert torch.isfinite(pre).all()
    assert all(torch.isfinite(weight.grad).all() for net in (encoder, decoder) for weight in net.parameters())


def test_the_paper_s_sizes(make):
    """Tables 5, 6: five blocks of 64 .. 1024 channels, 2 x 2 pixels behind them, 2048 x 2 x 2 at the decoder's start."""
    with torch.device("meta"):
        encoder = make("frame_encoder", "resblock", images(3, 64, 64))
        decoder = make("frame_decoder", "resblock", images(3, 64, 64))
    assert encoder.taps[-1].in_features == 1024 * 2 * 2
    assert {tap.out_features for tap in encoder.taps} == {25}
    assert decoder.fully_connected.out_features == 2048 * 2 * 2
    assert [block.one.out_channels for block in decoder.blocks] == [1024, 512, 256, 128, 64]
    sizes = [sum(math.prod(weight.shape) for weight in net.parameters()) for net in (encoder, decoder)]
    assert [round(size / 1e6, 1) for size in sizes] == [22.8, 41.1]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        ((40,), {}, r"frames are \(40,\), not images .* 'mlp'"),
        ((3, 16, 20), {}, r"frames are \(3, 16, 20\), .* multiples of 8 .* \[4, 6, 8\]"),
        ((3, 16, 16), {"features": 10}, r"'features' = 10 cannot be shared evenly by 4 taps \(3 blocks, the last layer\): take 8"),
        ((3, 16, 16), {"features": 1}, "take 4, or ladder = false"),
        ((3, 16, 16), {"channels": []}, "channels: must be one or more numbers above 0"),
        ((3, 16, 16), {"normalisation": "bach"}, "batch"),
    ],
)
def test_what_the_nets_cannot_be_is_an_error_that_says_what_would_be_right(make, part, frame, options, words):
    with pytest.raises(RecipeError, match=words):
        make(part, "resblock", images(*frame), **{**SMALL, **options})
