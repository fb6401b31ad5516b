"""Many draws: a prologue packs them, then each block of rows has one program, without masks, or for values half of all pairs.

Packed, a problem is x then y, each padded to a whole number of tiles: halves `[g, N, D]`, a = -|z|^2 / 2 `[g, N]` with -inf for
padding, and where there are weights w `[g, N]` with 0 for it.
"""

# Triton writes constants in capitals, and sees neither types nor what ruff would make of its branches
# ruff: noqa: N803, SIM102
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from rwae_kit.kernels.mmd.triton_kernels.common import halves, inner, inverse_totals, mixture, product, rounded


@triton.jit(do_not_specialize=["n", "m", "d", "padded_x", "padded_y"])
def pack(
    x, y, weight_x, weight_y, middle, unit, high, low, norm, weight, n, m, d, padded_x, padded_y, x_group, x_row, y_group, y_row,
    wx_group, wx_row, wy_group, wy_row, length, WEIGHTED: tl.constexpr, HAS_UNIT: tl.constexpr, THREE: tl.constexpr,
    EMULATE: tl.constexpr, BM: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Centre, scale and round; one program for each block of packed rows. D is a multiple of C."""
    blocks = (padded_x + padded_y) // BM
    group = (tl.program_id(0) // blocks).to(tl.int64)
    first = (tl.program_id(0) % blocks) * BM
    scale = length
    if HAS_UNIT:
        scale = length / tl.load(unit + group).to(tl.float32)
    if first < padded_x:
        base, row, one, one_row, count, start = x + group * x_group, x_row, weight_x + group * wx_group, wx_row, n, first
    else:
        base, row, one, one_row, count = y + group * y_group, y_row, weight_y + group * wy_group, wy_row, m
        start = first - padded_x
    rows = start + tl.arange(0, BM)
    inside = rows < count
    packed = group * (padded_x + padded_y) + first + tl.arange(0, BM)
    total = tl.zeros([BM], tl.float32)
    for chunk in range(0, D, C):
        columns = chunk + tl.arange(0, C)
        real = columns < d
        tile = tl.load(base + rows.to(tl.int64)[:, None] * row + columns[None, :], mask=inside[:, None] & real[None, :], other=0.0)
        centre = tl.load(middle + group * d + columns, mask=real, other=0.0)
        z = tl.where(inside[:, None], (tile.to(tl.float32) - centre[None, :]) * scale, 0.0)
        z_high, z_low = halves(z, THREE, EMULATE)
        place = packed[:, None] * D + columns[None, :]
        tl.store(high + place, z_high)
        if THREE:
            tl.store(low + place, z_low)
        z = rounded(z_high, z_low, THREE)
        total += tl.sum(z * z, 1)
    tl.store(norm + packed, tl.where(inside, -0.5 * total, -float("inf")))
    if WEIGHTED:
        tl.store(weight + packed, tl.load(one + rows * one_row, mask=inside, other=0.0).to(tl.float32))


@triton.jit
def _tile(high, low, first, at, SIZE: tl.constexpr, D: tl.constexpr, THREE: tl.constexpr, EMULATE: tl.constexpr):
    """Both halves of the packed draws from `first` on, their columns `at`."""
    place = tl.arange(0, SIZE)[:, None] * D + at[None, :]
    start = tl.cast(first, tl.int64) * D
    one = tl.load(high + start + place)
    if EMULATE:
        one = one.to(tl.float32)
    two = one
    if THREE:
        two = tl.load(low + start + place)
        if EMULATE:
            two = two.to(tl.float32)
    return one, two


@triton.jit
def _pairs(
    high, low, norm, weight, z_high, z_low, a, first, start, equal, other_high, other_low, WEIGHTED: tl.constexpr,
    LINKS: tl.constexpr, GAUSSIAN: tl.constexpr, THREE: tl.constexpr, EMULATE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Values and slopes, times the columns' weights, of rows `first` .. with columns `start` ..

    The column `equal` and the first row make a pair that is left out, and so do those that follow them.
    """
    s = tl.zeros([BM, BN], tl.float32)
    columns = start + tl.arange(0, BN)
    if C == D:
        s = inner(z_high, z_low, other_high, other_low, s, THREE)
    else:
        for chunk in range(0, D, C):
            at = chunk + tl.arange(0, C)
            here_high, here_low = _tile(high, low, first, at, BM, D, THREE, EMULATE)
            there_high, there_low = _tile(high, low, start, at, BN, D, THREE, EMULATE)
            s = inner(here_high, here_low, there_high, there_low, s, THREE)
    s = s + a[:, None] + tl.load(norm + columns)[None, :]
    if (start < equal + BM) & (start + BN > equal):
        s = tl.where(tl.arange(0, BM)[:, None] + equal == columns[None, :], -float("inf"), s)
    k, h = mixture(s, LINKS, GAUSSIAN)
    if WEIGHTED:
        w = tl.load(weight + columns)
        k = k * w[None, :]
        h = h * w[None, :]
    return k, h


@triton.jit(do_not_specialize=["n", "m", "d", "padded_x", "padded_y", "first_block", "blocks"])
def rows(
    high, low, norm, weight, totals, unit, gradient_x, gradient_y, partials, n, m, d, padded_x, padded_y, first_block, blocks,
    cross_counts, length, at_zero, LINKS: tl.constexpr,
    STRENGTH: tl.constexpr, GAUSSIAN: tl.constexpr, UNBIASED: tl.constexpr, PAIRED: tl.constexpr,
    WEIGHTED: tl.constexpr, HAS_UNIT: tl.constexpr, THREE: tl.constexpr, EMULATE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr, FLUSH: tl.constexpr,
):  # fmt: skip
    """Value and gradient: one program for each block of rows, `first_block` .., and each C columns of their gradient.

    The cross term counts `cross_counts` times in the value.
    """
    chunks: tl.constexpr = D // C
    group = (tl.program_id(0) // (blocks * chunks)).to(tl.int64)
    block = tl.program_id(0) % (blocks * chunks) // chunks
    at = (tl.program_id(0) % chunks) * C + tl.arange(0, C)
    first = (first_block + block) * BM
    padded = padded_x + padded_y
    high += group * padded * D
    low += group * padded * D
    norm += group * padded
    weight += group * padded
    own_x, own_y, cross = _totals(totals, group, n, m, STRENGTH, UNBIASED, PAIRED, WEIGHTED)
    if first < padded_x:
        gradient, near, count, partner = gradient_x + (group * n + first) * d, own_x, n - first, first + padded_x
    else:
        partner = first - padded_x
        gradient, near, count = gradient_y + (group * m + partner) * d, own_y, m - partner
    own_is_x = first < padded_x
    a = tl.load(norm + first + tl.arange(0, BM))
    z_high, z_low = _tile(high, low, first, tl.arange(0, C), BM, D, THREE, EMULATE)
    scale = length
    if HAS_UNIT:
        scale = length / tl.load(unit + group).to(tl.float32)
    if GAUSSIAN:
        scale *= 0.6931471805599453
    total = tl.zeros([BM], tl.float64)
    for far in range(2):  # first the rows' own side, then the other
        of_x = own_is_x == (far == 0)
        begin, end = tl.where(of_x, 0, padded_x), tl.where(of_x, padded_x, padded)
        equal, share = first, near
        if far == 1:
            equal, share = partner, -cross
            if not PAIRED:
                equal = partner - partner - 2 * BM
        values = tl.zeros([BM], tl.float64)
        for strip in range(begin, end, BN * FLUSH):
            slopes, pulls = tl.zeros([BM], tl.float32), tl.zeros([BM, C], tl.float32)
            for start in range(strip, min(strip + BN * FLUSH, end), BN):
                other_high, other_low = _tile(high, low, start, at, BN, D, THREE, EMULATE)
                k, h = _pairs(
                    high, low, norm, weight, z_high, z_low, a, first, start, equal, other_high, other_low, WEIGHTED, LINKS,
                    GAUSSIAN, THREE, EMULATE, BM, BN, C, D,
                )  # fmt: skip
                values += tl.sum(k, 1).to(tl.float64)
                slopes += tl.sum(h, 1)
                h_high, h_low = halves(h, THREE, EMULATE)
                pulls = product(h_high, h_low, other_high, other_low, pulls, THREE)
            # + 0, in a way that depends on the strip: else addresses are computed before the loops and fill registers in them
            nothing = tl.minimum(strip, 0)
            here_high, here_low = _tile(high, low, first + nothing, at, BM, D, THREE, EMULATE)
            factor = 2 * share.to(tl.float32) * scale
            local = nothing + tl.arange(0, BM)
            pull = (pulls - rounded(here_high, here_low, THREE) * slopes[:, None]) * factor
            if WEIGHTED:
                pull *= tl.load(weight + first + local)[:, None]
            wanted = (local[:, None] < count) & (at[None, :] < d)
            place = gradient + local[:, None] * d + at[None, :]
            tl.debug_barrier()
            before = tl.load(place, mask=wanted & ((far == 1) | (strip > begin)), other=0.0)
            tl.store(place, before + pull, mask=wanted)
        if far == 0:
            if not UNBIASED:
                if WEIGHTED:
                    values += at_zero * tl.load(weight + first + tl.arange(0, BM)).to(tl.float64)
                else:
                    values += at_zero
            total += values * share
        else:
            total += values * share * cross_counts
    if WEIGHTED:
        total *= tl.load(weight + first + tl.arange(0, BM)).to(tl.float64)
    if tl.program_id(0) % chunks == 0:
        tl.store(partials + group * blocks + block, tl.sum(tl.where(tl.arange(0, BM) < count, total, 0.0), 0))


@triton.jit
def _totals(totals, group, n, m, STRENGTH: tl.constexpr, UNBIASED: tl.constexpr, PAIRED: tl.constexpr, WEIGHTED: tl.constexpr):
    """1 / the total weight of the pairs; with weights read from `[g, 3]`."""
    if WEIGHTED:
        own_x, own_y = tl.load(totals + group * 3) * STRENGTH, tl.load(totals + group * 3 + 1) * STRENGTH
        cross = tl.load(totals + group * 3 + 2) * STRENGTH
    else:
        own_x, own_y, cross = inverse_totals(n, m, STRENGTH, UNBIASED, PAIRED)
    return own_x, own_y, cross


@triton.jit(do_not_specialize=["n", "m", "padded_x", "padded_y", "first_block", "blocks", "strips", "strip_size"])
def values(
    high, low, norm, weight, totals, partials, n, m, padded_x, padded_y, first_block, blocks, strips, strip_size, at_zero,
    LINKS: tl.constexpr, STRENGTH: tl.constexpr, GAUSSIAN: tl.constexpr, UNBIASED: tl.constexpr, PAIRED: tl.constexpr,
    WEIGHTED: tl.constexpr, CROSS: tl.constexpr, THREE: tl.constexpr, EMULATE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """The value alone: a block of rows against one strip of the columns of its own side from its own block on, and of y for x."""
    group = (tl.program_id(0) // (blocks * strips)).to(tl.int64)
    place = tl.program_id(0) % (blocks * strips)
    first = (first_block + place // strips) * BM
    strip = (place % strips) * strip_size
    padded = padded_x + padded_y
    high += group * padded * D
    low += group * padded * D
    norm += group * padded
    weight += group * padded
    own_x, own_y, cross = _totals(totals, group, n, m, STRENGTH, UNBIASED, PAIRED, WEIGHTED)
    if first < padded_x:
        end, near, count, other_begin, other_end = padded_x, own_x, n, padded_x, padded
    else:
        end, near, count, other_begin, other_end = padded, own_y, padded_x + m, padded, padded
    packed = first + tl.arange(0, BM)
    a = tl.load(norm + packed)
    at = tl.arange(0, C)
    z_high, z_low = _tile(high, low, first, at, BM, D, THREE, EMULATE)
    sums = tl.zeros([BM], tl.float64)
    for start in range(max(strip, first), min(strip + strip_size, end), BN):
        other_high, other_low = _tile(high, low, start, at, BN, D, THREE, EMULATE)
        k, _ = _pairs(
            high, low, norm, weight, z_high, z_low, a, first, start, first, other_high, other_low, WEIGHTED, LINKS, GAUSSIAN, THREE,
            EMULATE, BM, BN, C, D,
        )  # fmt: skip
        sums += tl.sum(k, 1).to(tl.float64) * tl.where(start < first + BM, 1.0, 2.0)
    if WEIGHTED:
        own_w = tl.load(weight + packed).to(tl.float64)
    if not UNBIASED:
        if strip <= first and first < strip + strip_size:
            sums += at_zero * own_w if WEIGHTED else at_zero
    sums *= near
    if CROSS:
        far = tl.zeros([BM], tl.float64)
        for start in range(max(strip, other_begin), min(strip + strip_size, other_end), BN):
            other_high, other_low = _tile(high, low, start, at, BN, D, THREE, EMULATE)
            k, _ = _pairs(
                high, low, norm, weight, z_high, z_low, a, first, start, first + padded_x if PAIRED else -2 * BM, other_high,
                other_low, WEIGHTED, LINKS, GAUSSIAN, THREE, EMULATE, BM, BN, C, D,
            )  # fmt: skip
            far += tl.sum(k, 1).to(tl.float64)
        sums -= 2 * cross * far
    if WEIGHTED:
        sums *= own_w
    tl.store(partials + group * blocks * strips + place, tl.sum(tl.where(packed < count, sums, 0.0), 0))
