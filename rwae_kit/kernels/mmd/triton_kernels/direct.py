"""Draws of one to three coordinates, any number of them, in one launch: differences are taken coordinate by coordinate, in float32.

Columns run down a tile and rows across it, so that a thread sums over columns in its own registers. Both sums go on in float64.
"""

# Triton writes constants in capitals, and sees neither types nor what ruff would make of its branches
# ruff: noqa: N803, N806, SIM102
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from rwae_kit.kernels.mmd.triton_kernels.common import finish, inverse_totals, inverse_weighted_totals, mixture


@triton.jit
def _coordinates(base, stride_row, stride, rows, inside, outside, middle_0, middle_1, middle_2, scale, D: tl.constexpr):
    """The coordinates of draws, centred and scaled; `outside` past the last. Those beyond D are the first again."""
    z_0 = tl.load(base + rows.to(tl.int64) * stride_row, mask=inside, other=0.0).to(tl.float32)
    z_0 = tl.where(inside, (z_0 - middle_0) * scale, outside)
    z_1, z_2 = z_0, z_0
    if D > 1:
        z_1 = tl.load(base + rows.to(tl.int64) * stride_row + stride, mask=inside, other=0.0).to(tl.float32)
        z_1 = tl.where(inside, (z_1 - middle_1) * scale, outside)
    if D > 2:
        z_2 = tl.load(base + rows.to(tl.int64) * stride_row + 2 * stride, mask=inside, other=0.0).to(tl.float32)
        z_2 = tl.where(inside, (z_2 - middle_2) * scale, outside)
    return z_0, z_1, z_2


@triton.jit
def _total(
    base, stride_row, stride, weight, weight_row, other, other_row, count, PRODUCTS: tl.constexpr, WEIGHTED: tl.constexpr,
    D: tl.constexpr,
):  # fmt: skip
    """Of one side the sum of every coordinate, and the sums of weights, their squares, their products with the other side's."""
    t_0, t_1, t_2 = tl.zeros([512], tl.float32), tl.zeros([512], tl.float32), tl.zeros([512], tl.float32)
    w, ww, wv = tl.zeros([512], tl.float64), tl.zeros([512], tl.float64), tl.zeros([512], tl.float64)
    for start in range(0, count, 512):
        rows = start + tl.arange(0, 512)
        inside = rows < count
        z_0, z_1, z_2 = _coordinates(base, stride_row, stride, rows, inside, 0.0, 0.0, 0.0, 0.0, 1.0, D)
        if WEIGHTED:
            one = tl.load(weight + rows * weight_row, mask=inside, other=0.0).to(tl.float32)
            z_0, z_1, z_2 = z_0 * one, z_1 * one, z_2 * one
            wide = one.to(tl.float64)
            w += wide
            ww += wide * wide
            if PRODUCTS:
                wv += wide * tl.load(other + rows * other_row, mask=inside, other=0.0).to(tl.float64)
        t_0, t_1, t_2 = t_0 + z_0, t_1 + z_1, t_2 + z_2
    return tl.sum(t_0, 0), tl.sum(t_1, 0), tl.sum(t_2, 0), tl.sum(w, 0), tl.sum(ww, 0), tl.sum(wv, 0)


@triton.jit
def _sweep(
    z_0, z_1, z_2, first, begin, base, stride_row, stride, weight, weight_row, count, middle_0, middle_1, middle_2, scale,
    LEAVE_OUT: tl.constexpr, MIRROR: tl.constexpr, GRAD: tl.constexpr, WEIGHTED: tl.constexpr, LINKS: tl.constexpr,
    GAUSSIAN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Rows `first` .. against the draws `begin` .. `count` of one side: sums of k and of h (z_j - z_i), `[BM]`, in float64.

    With MIRROR draws past the rows' own block count twice: for themselves, and for their mirror images, which nobody computes.
    """
    values = tl.zeros([BM], tl.float64)
    pull_0, pull_1, pull_2 = values, values, values
    rows = first + tl.arange(0, BM)
    for start in range(begin, count, BN):
        columns = start + tl.arange(0, BN)
        inside = columns < count
        # so far away that every kernel and its slope are 0
        o_0, o_1, o_2 = _coordinates(base, stride_row, stride, columns, inside, 1e30, middle_0, middle_1, middle_2, scale, D)
        u_0 = o_0[:, None] - z_0[None, :]
        u_1, u_2 = u_0, u_0
        s = -u_0 * u_0
        if D > 1:
            u_1 = o_1[:, None] - z_1[None, :]
            s -= u_1 * u_1
        if D > 2:
            u_2 = o_2[:, None] - z_2[None, :]
            s -= u_2 * u_2
        if LEAVE_OUT:
            if (start < first + BM) & (start + BN > first):
                s = tl.where(rows[None, :] == columns[:, None], -float("inf"), s)
        k, h = mixture(s, LINKS, GAUSSIAN)
        if WEIGHTED:
            w = tl.load(weight + columns * weight_row, mask=inside, other=0.0).to(tl.float32)
            k = k * w[:, None]
            h = h * w[:, None]
        share = tl.sum(k, 0).to(tl.float64)
        if MIRROR:
            share *= tl.where(start < first + BM, 1.0, 2.0).to(tl.float64)
        values += share
        if GRAD:
            pull_0 += tl.sum(h * u_0, 0).to(tl.float64)
            if D > 1:
                pull_1 += tl.sum(h * u_1, 0).to(tl.float64)
            if D > 2:
                pull_2 += tl.sum(h * u_2, 0).to(tl.float64)
    return values, pull_0, pull_1, pull_2


@triton.jit(do_not_specialize=["n", "m", "x_row", "x_step", "y_row", "y_step", "wx_row", "wy_row", "blocks_x", "blocks_y"])
def direct(
    x, y, weight_x, weight_y, unit, gradient_x, gradient_y, value, partials, counters, n, m, x_group, x_row, x_step, y_group, y_row,
    y_step, wx_group, wx_row, wy_group, wy_row, blocks_x, blocks_y, length, LINKS: tl.constexpr,
    STRENGTH: tl.constexpr, GAUSSIAN: tl.constexpr,
    UNBIASED: tl.constexpr, PAIRED: tl.constexpr, WEIGHTED: tl.constexpr, HAS_UNIT: tl.constexpr, WANT_X: tl.constexpr,
    WANT_Y: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One program for each block of rows of x or y of each problem.

    Rows whose gradient is wanted meet all draws; others only those of their own side from their own block on. If not both gradients
    are wanted, rows of one side meet the other side for both.
    """
    blocks = blocks_x + blocks_y
    group = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    wide = group.to(tl.int64)
    x += wide * x_group
    y += wide * y_group
    weight_x += wide * wx_group
    weight_y += wide * wy_group
    x_0, x_1, x_2, w, ww, wv = _total(x, x_row, x_step, weight_x, wx_row, weight_y, wy_row, n, WEIGHTED and PAIRED, WEIGHTED, D)
    y_0, y_1, y_2, v, vv, _ = _total(y, y_row, y_step, weight_y, wy_row, weight_x, wx_row, m, False, WEIGHTED, D)
    if WEIGHTED:
        own_x, own_y, cross = inverse_weighted_totals(w, ww, v, vv, wv, STRENGTH, UNBIASED, PAIRED)
        count = tl.where(w + v > 0, w + v, 1.0).to(tl.float32)
    else:
        own_x, own_y, cross = inverse_totals(n, m, STRENGTH, UNBIASED, PAIRED)
        count = (n + m).to(tl.float32)
    middle_0, middle_1, middle_2 = (x_0 + y_0) / count, (x_1 + y_1) / count, (x_2 + y_2) / count
    scale = length
    if HAS_UNIT:
        scale = length / tl.load(unit + group).to(tl.float32)
    if block < blocks_x:
        own_base, own_row, own_step, own_weight, own_weight_row, own_count = x, x_row, x_step, weight_x, wx_row, n
        base, row, step, weight, weight_row, other_count, own = y, y_row, y_step, weight_y, wy_row, m, own_x
        gradient = gradient_x + wide * n * D
        own_block = block
    else:
        own_base, own_row, own_step, own_weight, own_weight_row, own_count = y, y_row, y_step, weight_y, wy_row, m
        base, row, step, weight, weight_row, other_count, own = x, x_row, x_step, weight_x, wx_row, n, own_y
        gradient = gradient_y + wide * m * D
        own_block = block - blocks_x
    first = own_block * BM
    rows = first + tl.arange(0, BM)
    inside = rows < own_count
    z_0, z_1, z_2 = _coordinates(own_base, own_row, own_step, rows, inside, 0.0, middle_0, middle_1, middle_2, scale, D)
    if WANT_X and WANT_Y:
        values, pull_0, pull_1, pull_2 = _sweep(
            z_0, z_1, z_2, first, 0, own_base, own_row, own_step, own_weight, own_weight_row, own_count, middle_0, middle_1,
            middle_2, scale, UNBIASED, False, True, WEIGHTED, LINKS, GAUSSIAN, BM, BN, D,
        )  # fmt: skip
        far, far_0, far_1, far_2 = _sweep(
            z_0, z_1, z_2, first, 0, base, row, step, weight, weight_row, other_count, middle_0, middle_1, middle_2,
            scale, PAIRED, False, True, WEIGHTED, LINKS, GAUSSIAN, BM, BN, D,
        )  # fmt: skip
        mine = own * values - cross * far
    else:
        GRAD: tl.constexpr = WANT_X or WANT_Y
        if (block < blocks_x) != WANT_Y:
            values, pull_0, pull_1, pull_2 = _sweep(
                z_0, z_1, z_2, first, 0 if GRAD else first, own_base, own_row, own_step, own_weight, own_weight_row, own_count,
                middle_0, middle_1, middle_2, scale, UNBIASED, not GRAD, GRAD, WEIGHTED, LINKS, GAUSSIAN, BM, BN, D,
            )  # fmt: skip
            far, far_0, far_1, far_2 = _sweep(
                z_0, z_1, z_2, first, 0, base, row, step, weight, weight_row, other_count, middle_0, middle_1, middle_2,
                scale, PAIRED, False, GRAD, WEIGHTED, LINKS, GAUSSIAN, BM, BN, D,
            )  # fmt: skip
            mine = own * values - 2 * cross * far
        else:
            values, pull_0, pull_1, pull_2 = _sweep(
                z_0, z_1, z_2, first, first, own_base, own_row, own_step, own_weight, own_weight_row, own_count,
                middle_0, middle_1, middle_2, scale, UNBIASED, True, False, WEIGHTED, LINKS, GAUSSIAN, BM, BN, D,
            )  # fmt: skip
            far_0, far_1, far_2 = pull_0, pull_1, pull_2
            mine = own * values
    own_w = (rows < own_count).to(tl.float64)
    if WEIGHTED:
        own_w = tl.load(own_weight + rows * own_weight_row, mask=inside, other=0.0).to(tl.float64)
    if WANT_X or WANT_Y:
        each = 4 * scale
        if GAUSSIAN:
            each *= 0.6931471805599453
        each = own_w * each
        held = own_count
        if not WANT_X:
            held = tl.where(block < blocks_x, 0, held)
        if not WANT_Y:
            held = tl.where(block < blocks_x, held, 0)
        wanted = rows < held
        tl.store(gradient + rows * D, (each * (own * pull_0 - cross * far_0)).to(tl.float32), mask=wanted)
        if D > 1:
            tl.store(gradient + rows * D + 1, (each * (own * pull_1 - cross * far_1)).to(tl.float32), mask=wanted)
        if D > 2:
            tl.store(gradient + rows * D + 2, (each * (own * pull_2 - cross * far_2)).to(tl.float32), mask=wanted)
    finish(tl.sum(mine * own_w, 0), partials, counters, value, group, block, blocks)
