from __future__ import annotations

import pytest
import torch
from attrs import evolve

from rwae_kit import Spec

BOTH = ["lstm", "framewise"]


def build(make, name, spec, **options):
    return make("decoder", name, spec, make("frame_decoder", "mlp", spec, hidden=[6], features=7), **options).double()


def latents(b=2, t=4, action=None):
    generator = torch.Generator().manual_seed(3)
    sizes = [(b, 3), (b, t, 2)] + ([(b, action)] if action else [])
    return [torch.randn(*size, dtype=torch.float64, generator=generator).requires_grad_() for size in sizes]


@pytest.mark.parametrize("action", [0, 5])
@pytest.mark.parametrize("name", BOTH)
def test_shapes_and_gradients_of_every_parameter_and_latent(make, vectors, name, action):
    net = build(make, name, evolve(vectors, action=action))
    inputs = latents(action=action)
    pre = net(*inputs)
    assert pre.shape == (2, 4, 5)
    pre.square().sum().backward()
    for key, weight in [*net.named_parameters(), *((str(i), x) for i, x in enumerate(inputs))]:
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", BOTH)
def test_which_frames_a_dynamic_latent_moves(make, vectors, name):
    static, dynamic = latents()
    pre = build(make, name, vectors)(static, dynamic)
    moved = [torch.autograd.grad(pre[:, t].sum(), dynamic, retain_graph=True)[0].abs().sum((0, 2)) > 0 for t in range(4)]
    expected = torch.eye(4) if name == "framewise" else torch.ones(4, 4).tril()
    assert torch.equal(torch.stack(moved), expected.bool())


@pytest.mark.parametrize("name", BOTH)
def test_the_static_latent_and_the_action_move_every_frame(make, vectors, name):
    static, dynamic, action = latents(action=5)
    pre = build(make, name, evolve(vectors, action=5))(static, dynamic, action)
    for t in range(4):
        for gradient in torch.autograd.grad(pre[:, t].sum(), [static, action], retain_graph=True):
            assert (gradient.abs().sum(1) > 0).all()


@pytest.mark.parametrize("name", BOTH)
def test_clips_do_not_see_each_other_and_any_length_is_decoded(make, vectors, name):
    net = build(make, name, vectors)
    static, dynamic = latents(b=3, t=20)
    torch.testing.assert_close(net(static, dynamic)[1:2], net(static[1:2], dynamic[1:2]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net(static, dynamic)[:, :5], net(static, dynamic[:, :5]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", BOTH)
def test_bf16_autocast_runs_forwards_and_backwards_with_images(make, name):
    spec = Spec(frame=(3, 16, 16), value_range=(0.0, 1.0), static=3, dynamic=2)
    net = make("decoder", name, spec, make("frame_decoder", "conv", spec, channels=[4, 8]))
    static, dynamic = (x.detach().float() for x in latents())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pre = net(static, dynamic)
    assert pre.dtype == torch.bfloat16
    assert pre.shape == (2, 4, 3, 16, 16)
    pre.float().square().sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in net.parameters())
