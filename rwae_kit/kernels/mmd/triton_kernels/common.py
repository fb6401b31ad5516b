"""What all programs share: the mixture at a tile of pairs, products of points in halves, pair totals, the last program's sum."""

# Triton writes constants in capitals, and sees neither types nor what ruff would make of its branches
# ruff: noqa: N803, RET505, SIM108
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def mixture(s, LINKS: tl.constexpr, GAUSSIAN: tl.constexpr):
    """Value and slope dk/ds (Gaussian: / ln 2) of the mixture at s = -u^2 / 2, for a Gaussian in units that make k = 2^(rate s).

    It is a multiple, the estimate's STRENGTH, of what LINKS make, whose first value is 1. LINKS holds (rate or 0, squarings, value,
    slope) of each Gaussian kernel, (c^2, 0, value, slope) of each inverse multiquadric.
    """
    power = s
    for place in tl.static_range(len(LINKS)):
        if GAUSSIAN:
            if LINKS[place][0] == 1:
                power = tl.exp2(s)
            elif LINKS[place][0] != 0:
                power = tl.exp2(s * LINKS[place][0])
            for _ in tl.static_range(LINKS[place][1]):
                power = power * power
            slope_part = power
        else:
            # rounding may have left s a little above 0
            power = 1.0 / (LINKS[place][0] + tl.maximum(-2.0 * s, 0.0))
            slope_part = power * power
        if place == 0:
            value = power * LINKS[place][2]
            slope = slope_part * LINKS[place][3]
        else:
            value += power * LINKS[place][2]
            slope += slope_part * LINKS[place][3]
    return value, slope


@triton.jit
def nearest_half(t, EMULATE: tl.constexpr):
    """Round to bfloat16; for Triton's interpreter, which truncates and multiplies bit patterns, as a float32 of that value."""
    if EMULATE:
        bits = t.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return bits.to(tl.float32, bitcast=True)
    else:
        return t.to(tl.bfloat16)


@triton.jit
def halves(t, THREE: tl.constexpr, EMULATE: tl.constexpr):
    """A tile as the sum of two bfloat16 tiles; the second is the first again, and not used, where one is all that is wanted."""
    if THREE:
        high = nearest_half(t, EMULATE)
        if EMULATE:
            near = high
        else:
            # by its bits: `to(tl.float32)` would convert one at a time, which is slow
            near = (high.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
        return high, nearest_half(t - near, EMULATE)
    else:
        high = nearest_half(t, EMULATE)
        return high, high


@triton.jit
def rounded(high, low, THREE: tl.constexpr):
    """What two halves stand for, in float32."""
    if THREE:
        return high.to(tl.float32) + low.to(tl.float32)
    else:
        return high.to(tl.float32)


@triton.jit
def inner(a_high, a_low, b_high, b_low, onto, THREE: tl.constexpr):
    """onto + a b^T of points, exact but for the sum: the square of the second halves too, or a point would not be at itself."""
    if THREE:
        onto = tl.dot(a_low, tl.trans(b_low), onto, input_precision="ieee")
    return product(a_high, a_low, tl.trans(b_high), tl.trans(b_low), onto, THREE)


@triton.jit
def inner_of_few(a_high, a_low, a_rest, b_high, b_low, b_rest, onto, THREE: tl.constexpr):
    """onto + a b^T of points in three parts, as good as float32: among few draws the rounding to two does not average out."""
    if THREE:
        onto = tl.dot(a_rest, tl.trans(b_high), onto, input_precision="ieee")
        onto = tl.dot(a_high, tl.trans(b_rest), onto, input_precision="ieee")
    return inner(a_high, a_low, b_high, b_low, onto, THREE)


@triton.jit
def product(a_high, a_low, b_high, b_low, onto, THREE: tl.constexpr):
    """onto + a b, small products first."""
    if THREE:
        onto = tl.dot(a_low, b_high, onto, input_precision="ieee")
        onto = tl.dot(a_high, b_low, onto, input_precision="ieee")
    return tl.dot(a_high, b_high, onto, input_precision="ieee")


@triton.jit
def inverse_totals(n, m, STRENGTH: tl.constexpr, UNBIASED: tl.constexpr, PAIRED: tl.constexpr):
    """STRENGTH / the number of pairs (x, x'), (y, y'), (x, y), in float64."""
    n, m = n.to(tl.float64), m.to(tl.float64)
    own_x, own_y, cross = n, m, m
    if UNBIASED:
        own_x, own_y = n - 1, m - 1
    if PAIRED:
        cross = m - 1
    return STRENGTH / (n * own_x), STRENGTH / (m * own_y), STRENGTH / (n * cross)


@triton.jit
def inverse_weighted_totals(w, ww, v, vv, wv, STRENGTH: tl.constexpr, UNBIASED: tl.constexpr, PAIRED: tl.constexpr):
    """The same from the sums of weights, of their squares and products; all 0 where one of the totals is."""
    own_x, own_y, cross = w * w, v * v, w * v
    if UNBIASED:
        own_x, own_y = own_x - ww, own_y - vv
    if PAIRED:
        cross = cross - wv
    enough = (own_x > 0) & (own_y > 0) & (cross > 0)
    kept = tl.where(enough, 1.0, 0.0).to(tl.float64) * STRENGTH
    return kept / tl.where(enough, own_x, 1.0), kept / tl.where(enough, own_y, 1.0), kept / tl.where(enough, cross, 1.0)


@triton.jit
def finish(partial, partials, counters, value, group, block, blocks):
    """Leave a program's share of a group's value; who comes last adds all up, in their order, and sets the counter back to 0."""
    mine = partials + group.to(tl.int64) * blocks
    tl.store(mine + block, partial)
    tl.debug_barrier()
    before = tl.atomic_add(counters + group, 1, sem="acq_rel", scope="gpu")
    if before == blocks - 1:
        total = tl.zeros([64], tl.float64)
        for start in range(0, blocks, 64):
            place = start + tl.arange(0, 64)
            total += tl.load(mine + place, mask=place < blocks, other=0.0, volatile=True)
        tl.store(value + group, tl.sum(total, 0).to(tl.float32))
        tl.store(counters + group, 0)
