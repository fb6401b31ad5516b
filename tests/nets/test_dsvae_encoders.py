"""`factorised`, `full` and `cdsvae`: what depends on what, and what the papers' formulas say."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from torch.nn import functional

from rwae_kit import RecipeError, Spec
from rwae_nets.encoders import StaticNet

NETS = {
    "factorised": ("factorised", {}),
    "full": ("full", {}),
    "cdsvae paper": ("cdsvae", {"form": "paper"}),
    "cdsvae code": ("cdsvae", {"form": "code"}),
}


@pytest.fixture(params=NETS.values(), ids=NETS)
def net(request, make, vectors):
    return build(make, vectors, *request.param)


def build(make, vectors, name, options):
    sizes = {"hidden": 8} if name == "cdsvae" else {"hidden": 8, "static_hidden": 6}
    frames = make("frame_encoder", "mlp", vectors, hidden=[6], features=7)
    return make("encoder", name, vectors, frames, **{**sizes, **options}).double()


def posterior(encoder, batch):
    return encoder.posterior(encoder.features(batch), batch)


def frames_that_move_z(encoder, clips, *, fixed_s=False):
    """Which frame (column) moves which z_t (row), in one draw; with s taken out of the way where it is drawn first."""
    x = clips.x.clone().requires_grad_()
    kept = [block.register_forward_hook(lambda m, i, o: tuple(v.detach() for v in o)) for block in static_nets(encoder, fixed_s)]
    found = posterior(encoder, evolve(clips, x=x)).dynamic.sample
    for hook in kept:
        hook.remove()
    rows = [torch.autograd.grad(z.square().sum(), x, retain_graph=True)[0].abs().sum((0, 2)) > 0 for z in found.unbind(1)]
    return torch.stack(rows)


def static_nets(encoder, wanted):
    return [module for module in encoder.modules() if wanted and isinstance(module, StaticNet)]


def test_shapes_and_gradients_of_every_parameter(net, batch):
    clips = batch()
    found = posterior(net, clips)
    for latent, shape in ((found.static, (3, 3)), (found.dynamic, (3, 4, 2))):
        assert latent.sample.shape == latent.mean.shape == latent.log_var.shape == shape
    sum(v.square().sum() for latent in (found.static, found.dynamic) for v in (latent.sample, latent.log_var)).backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


def test_z_of_the_factorised_posterior_sees_its_own_frame_alone(make, vectors, batch):
    found = frames_that_move_z(build(make, vectors, *NETS["factorised"]), batch())
    assert torch.equal(found, torch.eye(4).bool())


def test_z_of_the_full_posterior_sees_every_frame_beside_s_and_through_s(make, vectors, batch):
    net = build(make, vectors, *NETS["full"])
    assert frames_that_move_z(net, batch()).all()
    assert frames_that_move_z(net, batch(), fixed_s=True).all()


def test_z_of_cdsvae_sees_the_past_in_the_paper_and_every_frame_in_the_code(make, vectors, batch):
    found = frames_that_move_z(build(make, vectors, *NETS["cdsvae paper"]), batch())
    assert torch.equal(found, torch.ones(4, 4).tril().bool())
    assert frames_that_move_z(build(make, vectors, *NETS["cdsvae code"]), batch()).all()


def test_s_sees_every_frame(net, batch):
    clips = batch()
    x = clips.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(posterior(net, evolve(clips, x=x)).static.sample.square().sum(), x)
    assert (gradient.abs().sum((0, 2)) > 0).all()


@pytest.mark.parametrize("name", NETS)
def test_only_the_full_posterior_of_z_depends_on_the_draw_of_s(make, vectors, batch, name):
    net, clips = build(make, vectors, *NETS[name]), batch()
    draw, state = type(net).draw, net.noise.state()

    def means(shift: float) -> torch.Tensor:
        def shifted(self, mean, log_var):
            latent = draw(self, mean, log_var)
            return evolve(latent, sample=latent.sample + shift) if mean.ndim == 2 else latent

        net.noise.restore(state)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(net), "draw", shifted)
            return posterior(net, clips).dynamic.mean

    assert torch.equal(means(0.0), means(1.0)) == (name != "full")


def test_z_of_the_full_posterior_has_a_gradient_to_every_feature_of_the_draw_of_s(make, vectors, batch):
    net, clips = build(make, vectors, *NETS["full"]), batch()
    kept = []
    draw = type(net).draw

    def keep(self, mean, log_var):
        latent = draw(self, mean, log_var)
        kept.append(latent.sample)
        return latent

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(net), "draw", keep)
        z = posterior(net, clips).dynamic.mean
    for t in range(4):
        (gradient,) = torch.autograd.grad(z[:, t].square().sum(), kept[0], retain_graph=True)
        assert (gradient != 0).all()


def test_the_full_posterior_is_a_bilstm_over_frame_and_s_and_an_rnn_behind(make, vectors, batch):
    net, clips = build(make, vectors, *NETS["full"]).eval(), batch()
    features, found = net.features(clips), posterior(net, clips)
    s = found.static.mean
    both = net.both_ways(torch.stack([torch.cat((features[:, t], s), 1) for t in range(4)], 1))[0]
    cell, state, steps = net.recurrence, torch.zeros(3, 8, dtype=torch.float64), []
    for t in range(4):
        state = torch.tanh(both[:, t] @ cell.weight_ih_l0.t() + cell.bias_ih_l0 + state @ cell.weight_hh_l0.t() + cell.bias_hh_l0)
        steps.append(net.head(state)[0])
    torch.testing.assert_close(found.dynamic.mean, torch.stack(steps, 1), rtol=1e-12, atol=1e-12)


def test_the_code_s_form_takes_s_from_the_ends_of_the_lstm_that_z_shares(make, vectors, batch):
    net, clips = build(make, vectors, *NETS["cdsvae code"]).eval(), batch()
    shared = net.net
    with torch.no_grad():
        for layer in (shared.static_mean, shared.static_log_var):
            layer.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    found = posterior(net, clips)
    both = shared.both_ways(net.features(clips))[0]
    ends = torch.cat((both[:, -1, :8], both[:, 0, 8:]), 1)
    torch.testing.assert_close(found.static.mean, functional.leaky_relu(shared.static_mean(ends), 0.2), rtol=1e-12, atol=1e-12)
    expected = functional.leaky_relu(shared.static_log_var(ends), 0.2)
    torch.testing.assert_close(found.static.log_var, expected, rtol=1e-12, atol=1e-12)
    hidden = shared.recurrence(both)[0]
    torch.testing.assert_close(found.dynamic.mean, shared.dynamic_mean(hidden), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.dynamic.log_var, shared.dynamic_log_var(hidden), rtol=1e-12, atol=1e-12)


def test_the_paper_s_form_is_the_autoregressive_encoder_with_a_bilstm_for_s(make, vectors, batch):
    net, clips = build(make, vectors, *NETS["cdsvae paper"]), batch()
    frames = make("frame_encoder", "mlp", vectors, hidden=[6], features=7)
    other = make("encoder", "autoregressive", vectors, frames, static="bilstm", hidden=8, static_hidden=8).double()
    other.frames, other.static, other.recurrence, other.head = net.frames, net.net.static, net.net.dynamic, net.net.head
    other.noise.restore(net.noise.state())
    one, two = posterior(net, clips), posterior(other, clips)
    assert torch.equal(one.static.sample, two.static.sample)
    assert torch.equal(one.dynamic.sample, two.dynamic.sample)
    assert torch.equal(one.dynamic.log_var, two.dynamic.log_var)


def test_eval_mode_returns_means_along_the_chain_and_draws_inside_a_fork(net, batch):
    net, clips = net.eval(), batch()
    state = net.noise.state()
    found = posterior(net, clips)
    assert torch.equal(net.noise.state(), state)
    for latent in (found.static, found.dynamic):
        assert torch.equal(latent.sample, latent.mean)
    with net.noise.fork(seed=3):
        drawn = posterior(net, clips)
    for latent in (drawn.static, drawn.dynamic):
        assert not torch.equal(latent.sample, latent.mean)


def test_the_same_noise_state_gives_the_same_bits_and_another_gives_others(net, batch):
    clips, state = batch(), net.noise.state()
    first, other = posterior(net, clips), posterior(net, clips)
    net.noise.restore(state)
    again = posterior(net, clips)
    for one, same, different in zip(*((p.static.sample, p.dynamic.sample) for p in (first, again, other)), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)


def test_garbage_in_the_padding_changes_neither_s_nor_the_z_of_real_frames(net, batch):
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.float64)
    net, clips = net.eval(), batch(mask=mask)
    clean = posterior(net, clips)
    dirty = posterior(net, evolve(clips, x=torch.where(mask[..., None] > 0, clips.x, 1e3)))
    torch.testing.assert_close(clean.static.mean, dirty.static.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(clean.dynamic.mean[mask > 0], dirty.dynamic.mean[mask > 0], rtol=1e-12, atol=1e-12)
    assert clean.dynamic.weight is mask
    short = posterior(net, evolve(clips, x=clips.x[1:2, :2], mask=None))
    torch.testing.assert_close(clean.static.mean[1:2], short.static.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(clean.dynamic.mean[1:2, :2], short.dynamic.mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_under_bf16_autocast_the_latents_keep_the_precision_of_the_weights(make, batch, name):
    spec = Spec(frame=(3, 16, 16), value_range=(0.0, 1.0), static=3, dynamic=2)
    kind, options = NETS[name]
    net = make("encoder", kind, spec, make("frame_encoder", "conv", spec, channels=[4, 8]), **options)
    clips = batch(2, 3, (3, 16, 16), torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = net.features(evolve(clips, x=clips.x.float()))
        found = net.posterior(features, clips)
    assert features.dtype == torch.bfloat16
    assert {v.dtype for p in (found.static, found.dynamic) for v in (p.sample, p.mean, p.log_var)} == {torch.float32}
    (found.dynamic.sample.sum() + found.static.sample.sum()).backward()
    assert all(torch.isfinite(w.grad).all() for w in net.parameters())


@pytest.mark.parametrize("name", ["factorised", "full"])
def test_s_comes_from_a_bilstm_if_nothing_else_is_said(make, vectors, name):
    net = build(make, vectors, name, {})
    assert net.static.net.bidirectional
    assert not build(make, vectors, name, {"static": "lstm"}).static.net.bidirectional


def test_what_cdsvae_cannot_be_is_an_error(make, vectors):
    with pytest.raises(RecipeError, match="form"):
        build(make, vectors, "cdsvae", {"form": "codes"})
    with pytest.raises(RecipeError, match="log_var"):
        build(make, vectors, "cdsvae", {"log_var": 5.0})
