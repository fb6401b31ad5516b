from __future__ import annotations

import pytest
import torch
from attrs import evolve

from rwae_kit import RecipeError, Spec
from rwae_nets.encoders import FeedbackLstm

BOTH = ["autoregressive", "bidirectional"]
STATIC = ["mean", "lstm", "bilstm"]


def posterior(encoder, batch):
    return encoder.posterior(encoder.features(batch), batch)


def sensitivity(encoder, batch, output):
    """Which frames of x move which step of `output(posterior)`: booleans `[steps, t]`."""
    x = batch.x.clone().requires_grad_()
    state = encoder.noise.state()

    def moved(step: int) -> torch.Tensor:
        encoder.noise.restore(state)
        steps = output(posterior(encoder, evolve(batch, x=x)))
        (gradient,) = torch.autograd.grad(steps[step].square().sum(), x)
        return gradient.abs().sum((0, 2)) > 0

    encoder.noise.restore(state)
    return torch.stack([moved(i) for i in range(len(output(posterior(encoder, batch))))])


def dynamic_steps(found):
    return found.dynamic.sample.unbind(1)


def static_step(found):
    return [found.static.sample]


@pytest.mark.parametrize("static", STATIC)
@pytest.mark.parametrize("name", BOTH)
def test_shapes_and_gradients_of_every_parameter(encoder, batch, name, static):
    net, clips = encoder(name, static=static), batch()
    found = posterior(net, clips)
    assert net.features(clips).shape == (3, 4, 7)
    for latent, shape in ((found.static, (3, 3)), (found.dynamic, (3, 4, 2))):
        assert latent.sample.shape == latent.mean.shape == latent.log_var.shape == shape
    sum(v.square().sum() for latent in (found.static, found.dynamic) for v in (latent.sample, latent.log_var)).backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("feedback", [True, False])
def test_autoregressive_z_sees_the_past_and_its_own_frame_only(encoder, batch, feedback):
    found = sensitivity(encoder("autoregressive", feedback=feedback), batch(), dynamic_steps)
    assert torch.equal(found, torch.ones(4, 4).tril().bool())


def test_bidirectional_z_sees_every_frame(encoder, batch):
    assert sensitivity(encoder("bidirectional"), batch(), dynamic_steps).all()


@pytest.mark.parametrize("static", STATIC)
@pytest.mark.parametrize("name", BOTH)
def test_s_sees_every_frame(encoder, batch, name, static):
    assert sensitivity(encoder(name, static=static), batch(), static_step).all()


@pytest.mark.parametrize("feedback", [True, False])
def test_the_noise_of_earlier_steps_moves_z_only_with_feedback(encoder, batch, feedback):
    net, clips = encoder("autoregressive", feedback=feedback), batch()
    first, second = posterior(net, clips).dynamic, posterior(net, clips).dynamic
    assert torch.equal(first.mean[:, 0], second.mean[:, 0])
    assert not torch.equal(first.sample[:, 0], second.sample[:, 0])
    assert torch.equal(first.mean[:, 1:], second.mean[:, 1:]) == (not feedback)


def test_the_loop_is_an_lstm_cell_over_features_and_the_draw_before(encoder):
    torch.manual_seed(0)
    head = encoder("autoregressive").head
    net = FeedbackLstm(5, 8, 2).double()
    cell = torch.nn.LSTMCell(5 + 2, 8).double()
    with torch.no_grad():
        cell.weight_ih.copy_(torch.cat((net.inputs.weight, net.state.weight[:, 8:]), 1))
        cell.weight_hh.copy_(net.state.weight[:, :8])
        cell.bias_ih.copy_(net.inputs.bias)
        cell.bias_hh.zero_()
    features = torch.randn(3, 6, 5, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(3, 6, 2, dtype=torch.float64)
    z, state, steps = torch.zeros(3, 2, dtype=torch.float64), None, []
    for t in range(6):
        state = cell(torch.cat((features[:, t], z), 1), state)
        mean, log_var = head(state[0])
        z = mean + torch.exp(0.5 * log_var) * noise[:, t]
        steps.append((z, mean, log_var))
    expected = [torch.stack(part, 1) for part in zip(*steps, strict=True)]
    found = net(features, head, noise)
    pairs = list(zip((found.sample, found.mean, found.log_var), expected, strict=True))
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    ours = [features, net.inputs.weight, net.inputs.bias, net.state.weight, *head.parameters()]
    theirs = [features, cell.weight_ih, cell.bias_ih, cell.weight_hh, *head.parameters()]
    a = torch.autograd.grad(sum(x.square().sum() for x, _ in pairs), ours)
    b = torch.autograd.grad(sum(y.square().sum() for _, y in pairs), theirs)
    expected_gradients = [b[0], b[1][:, :5], b[2], torch.cat((b[3], b[1][:, 5:]), 1), *b[4:]]
    for x, y in zip(a, expected_gradients, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", BOTH)
def test_eval_mode_returns_means_along_the_chain_and_draws_inside_a_fork(encoder, batch, name):
    net, clips = encoder(name).eval(), batch()
    state = net.noise.state()
    found, again = posterior(net, clips), posterior(net, clips)
    assert torch.equal(net.noise.state(), state)
    assert torch.equal(found.static.sample, found.static.mean)
    assert torch.equal(found.dynamic.sample, found.dynamic.mean)
    assert torch.equal(found.dynamic.sample, again.dynamic.sample)
    with net.noise.fork(seed=3):
        drawn = posterior(net, clips)
    assert not torch.equal(drawn.dynamic.sample, drawn.dynamic.mean)
    assert not torch.equal(drawn.static.sample, drawn.static.mean)


@pytest.mark.parametrize("name", BOTH)
def test_the_same_noise_state_gives_the_same_bits_and_another_gives_others(encoder, batch, name):
    net, clips = encoder(name), batch()
    state = net.noise.state()
    first, other = posterior(net, clips), posterior(net, clips)
    net.noise.restore(state)
    again = posterior(net, clips)
    for key in ("static", "dynamic"):
        assert torch.equal(getattr(first, key).sample, getattr(again, key).sample)
        assert not torch.equal(getattr(first, key).sample, getattr(other, key).sample)


@pytest.mark.parametrize("name", BOTH)
def test_draws_have_the_mean_and_variance_that_the_posterior_names(encoder, batch, name):
    net = encoder(name)
    clips = batch(1, 2)
    many = evolve(clips, x=clips.x.expand(20000, -1, -1), index=torch.zeros(20000, dtype=torch.long))
    found = posterior(net, many)
    for latent in (found.static, evolve(found.dynamic, sample=found.dynamic.sample[:, 0], log_var=found.dynamic.log_var[:, 0])):
        torch.testing.assert_close(latent.sample.var(0), latent.log_var[0].exp(), rtol=0.06, atol=0)


@pytest.mark.parametrize("static", STATIC)
@pytest.mark.parametrize("name", BOTH)
def test_garbage_in_the_padding_changes_neither_s_nor_the_z_of_real_frames(encoder, batch, name, static):
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.float64)
    net, clips = encoder(name, static=static).eval(), batch(mask=mask)
    clean = posterior(net, clips)
    dirty = posterior(net, evolve(clips, x=torch.where(mask[..., None] > 0, clips.x, 1e3)))
    torch.testing.assert_close(clean.static.mean, dirty.static.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(clean.dynamic.mean[mask > 0], dirty.dynamic.mean[mask > 0], rtol=1e-12, atol=1e-12)
    assert clean.dynamic.weight is mask
    short = posterior(net, evolve(clips, x=clips.x[1:2, :2], mask=None))
    torch.testing.assert_close(clean.static.mean[1:2], short.static.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(clean.dynamic.mean[1:2, :2], short.dynamic.mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", BOTH)
def test_a_mask_of_ones_is_no_mask(encoder, batch, name):
    net = encoder(name, static="bilstm").eval()
    bare, masked = posterior(net, batch()), posterior(net, batch(mask=torch.ones(3, 4, dtype=torch.float64)))
    torch.testing.assert_close(bare.static.mean, masked.static.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bare.dynamic.mean, masked.dynamic.mean, rtol=1e-12, atol=1e-12)


def test_log_variance_starts_where_the_option_says_and_stays_in_its_bounds_with_gradient(encoder):
    head = encoder("autoregressive", log_var=-2.0, log_var_range=[-8.0, 3.0]).head
    _, log_var = head(torch.zeros(1, 8, dtype=torch.float64))
    torch.testing.assert_close(log_var, torch.full_like(log_var, -2.0), rtol=0, atol=1e-6)
    for far, bound in ((-30.0, -8.0), (30.0, 3.0)):
        u = torch.full((1,), far, dtype=torch.float64, requires_grad=True)
        bounded = head._bounded(u)
        assert -8.0 <= bounded.item() <= 3.001
        assert bounded.item() == pytest.approx(bound, abs=1e-3)
        bounded.sum().backward()
        assert u.grad.item() > 0
    with pytest.raises(RecipeError, match=r"'log_var' = 5.0 must lie inside 'log_var_range'"):
        encoder("autoregressive", log_var=5.0)
    with pytest.raises(RecipeError, match=r"low < high"):
        encoder("bidirectional", log_var_range=[3.0, -8.0])


@pytest.mark.parametrize("static", STATIC)
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("padded", [False, True])
def test_under_bf16_autocast_the_latents_keep_the_precision_of_the_weights(make, name, static, padded):
    spec = Spec(frame=(3, 16, 16), value_range=(0.0, 1.0), static=3, dynamic=2)
    net = make("encoder", name, spec, make("frame_encoder", "conv", spec, channels=[4, 8]), static=static)
    clips = batch_of_images(padded)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = net.features(clips)
        found = net.posterior(features, clips)
    assert features.dtype == torch.bfloat16
    assert {v.dtype for p in (found.static, found.dynamic) for v in (p.sample, p.mean, p.log_var)} == {torch.float32}
    (found.dynamic.sample.sum() + found.static.sample.sum()).backward()
    assert all(torch.isfinite(w.grad).all() for w in net.parameters())


def batch_of_images(padded):
    from rwae_kit import Batch

    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]) if padded else None
    return Batch(x=torch.rand(2, 3, 3, 16, 16), index=torch.arange(2), mask=mask, dataset_size=2)
