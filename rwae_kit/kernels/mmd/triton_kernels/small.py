"""All of many small problems in one launch: centring, scaling, rounding, value, both gradients. Draws are read by their strides."""

# Triton writes constants in capitals, and sees neither types nor what ruff would make of its branches
# ruff: noqa: N803, N806
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from rwae_kit.kernels.mmd.triton_kernels.common import (
    finish,
    halves,
    inner_of_few,
    inverse_totals,
    inverse_weighted_totals,
    mixture,
    nearest_half,
    product,
    rounded,
)


@triton.jit
def _total(
    base, stride, weight, weight_stride, other, other_stride, count, d, PRODUCTS: tl.constexpr, WEIGHTED: tl.constexpr,
    BN: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Of one side the sum of draws, and the sums of weights, their squares, their products with the other side's."""
    columns = tl.arange(0, D)
    summed = tl.zeros([BN, D], tl.float32)
    w, ww, wv = tl.zeros([BN], tl.float64), tl.zeros([BN], tl.float64), tl.zeros([BN], tl.float64)
    for start in range(0, count, BN):
        rows = start + tl.arange(0, BN)
        inside = rows < count
        tile = tl.load(base + rows[:, None] * stride + columns[None, :], mask=inside[:, None] & (columns[None, :] < d), other=0.0)
        tile = tile.to(tl.float32)
        if WEIGHTED:
            one = tl.load(weight + rows * weight_stride, mask=inside, other=0.0).to(tl.float32)
            tile = tile * one[:, None]
            wide = one.to(tl.float64)
            w += wide
            ww += wide * wide
            if PRODUCTS:
                wv += wide * tl.load(other + rows * other_stride, mask=inside, other=0.0).to(tl.float64)
        summed += tile
    return tl.sum(summed, 0), tl.sum(w, 0), tl.sum(ww, 0), tl.sum(wv, 0)


@triton.jit
def _points(base, stride, rows, count, d, middle, scale, THREE: tl.constexpr, EMULATE: tl.constexpr, D: tl.constexpr):
    """Centred, scaled and rounded draws, and a = -|z|^2 / 2 of what they were rounded to; -inf past the last."""
    columns = tl.arange(0, D)
    inside = rows < count
    tile = tl.load(base + rows[:, None] * stride + columns[None, :], mask=inside[:, None] & (columns[None, :] < d), other=0.0)
    z = (tile.to(tl.float32) - middle[None, :]) * scale
    high, low = halves(z, THREE, EMULATE)
    rest = high
    if THREE:
        rest = nearest_half(z - rounded(high, low, THREE), EMULATE)
    else:
        z = rounded(high, low, THREE)
    return high, low, rest, tl.where(inside, -0.5 * tl.sum(z * z, 1), -float("inf"))


@triton.jit
def _sweep(
    high, low, rest, a, rows, base, stride, weight, weight_stride, count, d, middle, scale, LEAVE_OUT: tl.constexpr,
    WEIGHTED: tl.constexpr, GRAD: tl.constexpr, LINKS: tl.constexpr, GAUSSIAN: tl.constexpr, THREE: tl.constexpr,
    EMULATE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """A block of rows against all draws of one side: sums of k `[BM]`, of h `[BM]`, and of h z `[BM, D]`."""
    values, slopes, pulls = tl.zeros([BM], tl.float64), tl.zeros([BM], tl.float32), tl.zeros([BM, D], tl.float32)
    for start in range(0, count, BN):
        columns = start + tl.arange(0, BN)
        other_high, other_low, other_rest, b = _points(base, stride, columns, count, d, middle, scale, THREE, EMULATE, D)
        s = tl.zeros([BM, BN], tl.float32)
        s = inner_of_few(high, low, rest, other_high, other_low, other_rest, s, THREE)
        s = s + a[:, None] + b[None, :]
        if LEAVE_OUT:
            s = tl.where(rows[:, None] == columns[None, :], -float("inf"), s)
        k, h = mixture(s, LINKS, GAUSSIAN)
        if WEIGHTED:
            w = tl.load(weight + columns * weight_stride, mask=columns < count, other=0.0).to(tl.float32)
            k = k * w[None, :]
            h = h * w[None, :]
        values += tl.sum(k, 1).to(tl.float64)
        if GRAD:
            slopes += tl.sum(h, 1)
            h_high, h_low = halves(h, THREE, EMULATE)
            pulls = product(h_high, h_low, other_high, other_low, pulls, THREE)
    return values, slopes, pulls


@triton.jit(do_not_specialize=["n", "m", "d", "blocks_x", "blocks_y"])
def small(
    x, y, weight_x, weight_y, unit, gradient_x, gradient_y, value, partials, counters, n, m, d, x_group, x_row, y_group, y_row,
    wx_group, wx_row, wy_group, wy_row, blocks_x, blocks_y, length, at_zero, LINKS: tl.constexpr,
    STRENGTH: tl.constexpr, GAUSSIAN: tl.constexpr,
    UNBIASED: tl.constexpr, PAIRED: tl.constexpr, WEIGHTED: tl.constexpr, HAS_UNIT: tl.constexpr, WANT_X: tl.constexpr,
    WANT_Y: tl.constexpr, THREE: tl.constexpr, EMULATE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One program for each block of rows of x or y of each problem, against all of its x and y. `at_zero` is k(0)."""
    blocks = blocks_x + blocks_y
    group = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    wide = group.to(tl.int64)
    x += wide * x_group
    y += wide * y_group
    weight_x += wide * wx_group
    weight_y += wide * wy_group
    sum_x, w, ww, wv = _total(x, x_row, weight_x, wx_row, weight_y, wy_row, n, d, WEIGHTED and PAIRED, WEIGHTED, BN, D)
    sum_y, v, vv, _ = _total(y, y_row, weight_y, wy_row, weight_x, wx_row, m, d, False, WEIGHTED, BN, D)
    if WEIGHTED:
        own_x, own_y, cross = inverse_weighted_totals(w, ww, v, vv, wv, STRENGTH, UNBIASED, PAIRED)
        count = w + v
        middle = (sum_x + sum_y) / tl.where(count > 0, count, 1.0).to(tl.float32)
    else:
        own_x, own_y, cross = inverse_totals(n, m, STRENGTH, UNBIASED, PAIRED)
        middle = (sum_x + sum_y) / (n + m).to(tl.float32)
    scale = length
    if HAS_UNIT:
        scale = length / tl.load(unit + group).to(tl.float32)
    if block < blocks_x:
        own_base, own_row, own_weight, own_weight_row, own_count, own_block = x, x_row, weight_x, wx_row, n, block
        base, row, weight, weight_row, count_other, own = y, y_row, weight_y, wy_row, m, own_x
        gradient = gradient_x + wide * n * d
    else:
        own_base, own_row, own_weight, own_weight_row, own_count, own_block = y, y_row, weight_y, wy_row, m, block - blocks_x
        base, row, weight, weight_row, count_other, own = x, x_row, weight_x, wx_row, n, own_y
        gradient = gradient_y + wide * m * d
    rows = own_block * BM + tl.arange(0, BM)
    high, low, rest, a = _points(own_base, own_row, rows, own_count, d, middle, scale, THREE, EMULATE, D)
    GRAD: tl.constexpr = WANT_X or WANT_Y
    values, slopes, pulls = _sweep(
        high, low, rest, a, rows, own_base, own_row, own_weight, own_weight_row, own_count, d, middle, scale, True, WEIGHTED, GRAD,
        LINKS, GAUSSIAN, THREE, EMULATE, BM, BN, D,
    )  # fmt: skip
    other_values, other_slopes, other_pulls = _sweep(
        high, low, rest, a, rows, base, row, weight, weight_row, count_other, d, middle, scale, PAIRED, WEIGHTED, GRAD,
        LINKS, GAUSSIAN, THREE, EMULATE, BM, BN, D,
    )  # fmt: skip
    if WEIGHTED:
        own_w = tl.load(own_weight + rows * own_weight_row, mask=rows < own_count, other=0.0).to(tl.float32)
    if not UNBIASED:
        values += at_zero * own_w.to(tl.float64) if WEIGHTED else at_zero
    mine = own * values - cross * other_values
    if WEIGHTED:
        mine *= own_w.to(tl.float64)
    if GRAD:
        each = 2 * scale
        if GAUSSIAN:
            each *= 0.6931471805599453
        near, far = (own * each).to(tl.float32), (cross * each).to(tl.float32)
        z = rounded(high, low, THREE)
        result = near * (pulls - z * slopes[:, None]) - far * (other_pulls - z * other_slopes[:, None])
        if WEIGHTED:
            result *= own_w[:, None]
        columns = tl.arange(0, D)
        held = own_count
        if not WANT_X:
            held = tl.where(block < blocks_x, 0, held)
        if not WANT_Y:
            held = tl.where(block < blocks_x, held, 0)
        wanted = (rows[:, None] < held) & (columns[None, :] < d)
        tl.store(gradient + rows[:, None] * d + columns[None, :], result, mask=wanted)
    mine = tl.where(rows < own_count, mine, 0.0)
    finish(tl.sum(mine, 0), partials, counters, value, group, block, blocks)
