"""What each lane-wise PTX instruction computes: one table, from opcode to signature and function.

A signature names the types of results and operands: ``t`` the instruction's type, ``f`` the type
before it (``slct.u32.f32``), ``w`` twice as wide, ``u`` 32-bit unsigned, ``p`` predicate, ``c``
the carry flag. The functions get and return arrays of values; an instruction that mixes lanes,
touches memory or moves the program counter is in ``gpunn.sim.instructions``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpunn.sim.values import Array


class Op(NamedTuple):
    """Signature and function."""

    signature: str
    function: Callable[..., Any]


def _one(a: Array) -> Any:
    return a.dtype.type(1)


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    safe = np.where(b == 0, _one(b), b)
    if a.dtype.kind == "u":
        return np.where(b == 0, ~a.dtype.type(0), a // safe)
    quotient = a // safe  # rounds down; C rounds towards zero
    quotient = quotient + ((a % safe != 0) & ((a < 0) != (safe < 0)))
    return np.where(b == 0, a.dtype.type(-1), quotient)


def _remainder(a: Array, b: Array) -> Array:
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, _one(b), b)))


def _smaller(a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        return np.minimum(a, b)
    zero = (a == 0) & (b == 0)
    return np.where(zero, np.where(np.signbit(a), a, b), np.fmin(a, b))


def _larger(a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        return np.maximum(a, b)
    zero = (a == 0) & (b == 0)
    return np.where(zero, np.where(np.signbit(a), b, a), np.fmax(a, b))


def _negate(a: Array) -> Array:
    return -a if a.dtype.kind == "f" else ~a + _one(a)


def _widen(a: Array) -> Array:
    return a.astype(f"{a.dtype.kind}{2 * a.dtype.itemsize}")


def _multiply_wide(a: Array, b: Array) -> Array:
    return _widen(a) * _widen(b)


def _multiply_high(a: Array, b: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    if bits < 64:
        return (_multiply_wide(a, b) >> bits).astype(a.dtype)
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    x, y = a.view("u8"), b.view("u8")
    x0, x1, y0, y1 = x & mask, x >> half, y & mask, y >> half
    middle = (x0 * y0 >> half) + (x1 * y0 & mask) + (x0 * y1 & mask)
    high = x1 * y1 + (x1 * y0 >> half) + (x0 * y1 >> half) + (middle >> half)
    if a.dtype.kind == "i":  # two's complement from the unsigned product
        high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.view(a.dtype)


def _saturated(f: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    def exact(a: Array, b: Array) -> Array:
        info = np.iinfo(a.dtype)
        return np.clip(f(a.astype("i8"), b.astype("i8")), info.min, info.max).astype(a.dtype)

    return exact


def _mul24(a: Array, b: Array) -> Array:
    drop = a.dtype.type(8)
    return (a << drop >> drop) * (b << drop >> drop)


def _left(a: Array, n: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    return np.where(n >= bits, a.dtype.type(0), a << np.minimum(n, bits - 1).astype(a.dtype))


def _right(a: Array, n: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(n, bits - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(n >= bits, a.dtype.type(0), shifted)


def _funnel(left: bool, wrap: bool) -> Callable[[Array, Array, Array], Array]:
    def shift(low: Array, high: Array, n: Array) -> Array:
        n = (n & np.uint32(31) if wrap else np.minimum(n, np.uint32(32))).astype("u8")
        both = high.astype("u8") << np.uint64(32) | low
        if not left:
            return (both >> n).astype("u4")
        return (both >> (np.uint64(32) - n)).astype("u4")

    return shift


def _bit_planes(a: Array) -> Array:
    return np.unpackbits(a[:, None].view("u1"), axis=1, bitorder="little")


def _count_zeros(a: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    first = _bit_planes(a)[:, ::-1].argmax(1)
    return np.where(a == 0, bits, first).astype("u4")


def _find_bit(a: Array) -> Array:
    seen = np.where(a < 0, ~a, a).view(f"u{a.dtype.itemsize}") if a.dtype.kind == "i" else a
    top = np.uint32(8 * a.dtype.itemsize - 1)
    return np.where(seen == 0, np.uint32(0xFFFFFFFF), top - _count_zeros(seen))


def _shift_to_top(a: Array) -> Array:
    found = _find_bit(a)
    none = np.uint32(0xFFFFFFFF)
    return np.where(found == none, none, np.uint32(8 * a.dtype.itemsize - 1) - found)


def _reverse_bits(a: Array) -> Array:
    planes = np.ascontiguousarray(_bit_planes(a)[:, ::-1])
    return np.packbits(planes, axis=1, bitorder="little").view(a.dtype).ravel()


def _bit_mask(n: Array) -> Array:
    ones = ~np.uint64(0)
    return np.where(n >= 64, ones, (np.uint64(1) << np.minimum(n, 63).astype("u8")) - np.uint64(1))


def _extract_bits(a: Array, position: Array, length: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    position, length = position & np.uint32(255), length & np.uint32(255)
    wide = a.astype("i8") if a.dtype.kind == "i" else a.astype("u8")
    field = _right(wide, position).view("u8") & _bit_mask(length)
    if a.dtype.kind == "i":
        last = np.minimum(position + length - np.uint32(1), np.uint32(bits - 1))
        negative = (_right(wide, last) & 1).astype(bool) & (length > 0)
        field = np.where(negative, field | ~_bit_mask(length), field)
    return field.astype(f"u{a.dtype.itemsize}").view(a.dtype)


def _insert_bits(a: Array, b: Array, position: Array, length: Array) -> Array:
    position, length = position & np.uint32(255), length & np.uint32(255)
    mask = _left(_bit_mask(length), position)
    merged = (b.astype("u8") & ~mask) | (_left(a.astype("u8"), position) & mask)
    return merged.astype(a.dtype)


def _permute(a: Array, b: Array, selector: Array) -> Array:
    both = a.astype("u8") | b.astype("u8") << np.uint64(32)
    result = np.zeros(1, "u4")
    for i in range(4):
        choice = selector >> np.uint32(4 * i) & np.uint32(15)
        byte = (both >> ((choice & np.uint32(7)) * np.uint32(8)).astype("u8")).astype("u4")
        byte = byte & np.uint32(255)
        sign = np.where(byte & np.uint32(128), np.uint32(255), np.uint32(0))
        byte = np.where(choice & np.uint32(8), sign, byte)
        result = result | byte << np.uint32(8 * i)
    return result


def _logic3(a: Array, b: Array, c: Array, table: Array) -> Array:
    result = np.zeros(1, a.dtype)
    for k in range(8):
        if int(table[0]) >> k & 1:
            x, y, z = a if k & 4 else ~a, b if k & 2 else ~b, c if k & 1 else ~c
            result = result | (x & y & z)
    return result


def _sad(a: Array, b: Array, c: Array) -> Array:
    return np.where(a > b, a - b, b - a) + c


def _dot4(a: Array, b: Array, c: Array) -> Array:
    """Four products of bytes, each operand's as its type says."""
    bytes_of_a, bytes_of_b = (
        np.ascontiguousarray(x).view(f"{x.dtype.kind}1").reshape(-1, 4).astype("i4") for x in (a, b)
    )
    return (bytes_of_a * bytes_of_b).sum(1, dtype="i4").view(c.dtype) + c


def _in_double(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda a: f(a.astype("f8")).astype(a.dtype)


def _with_carry(f: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    """An exact integer function as (low word, carry or borrow)."""

    def split(*values: Array) -> tuple[Array, Array]:
        bits = 8 * values[0].dtype.itemsize
        if bits == 64:
            exact = f(*(v.astype(object) for v in values))
            low = np.array([int(v) & (2**64 - 1) for v in exact], "u8")
            return low, np.array([int(v) >> 64 & 1 for v in exact], bool)
        exact = f(*(v.astype("i8") for v in values))
        return exact.astype("u4"), (exact >> bits & 1).astype(bool)

    return split


def _low(f: Callable[..., tuple[Array, Array]]) -> Callable[..., Array]:
    return lambda *values: f(*values)[0]


def _product_low(a: Array, b: Array) -> Array:
    """The low word of a product of 32-bit numbers held exactly (as Python's or 64-bit integers)."""
    if a.dtype == object:
        return a * b & (2**64 - 1)
    return (a * b) & 0xFFFFFFFF


def _product_high(a: Array, b: Array) -> Array:
    if a.dtype == object:
        return a * b >> 64
    return (a.astype("u8") * b.astype("u8") >> np.uint64(32)).astype("i8")


_ADD = _with_carry(lambda a, b, c=0: a + b + c)
_SUB = _with_carry(lambda a, b, c=0: a - b - c)
_MAD_LOW = _with_carry(lambda a, b, c, d=0: _product_low(a, b) + c + d)
_MAD_HIGH = _with_carry(lambda a, b, c, d=0: _product_high(a, b) + c + d)


def _test(kind: str) -> Callable[[Array], Array]:
    return {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).tiny),
        "subnormal": lambda a: (np.abs(a) < np.finfo(a.dtype).tiny) & (a != 0),
    }[kind]


def _unordered(f: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda a, b: f(a, b) | (a != a) | (b != b)


COMPARE: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": lambda a, b: (a < b) | (a > b) if a.dtype.kind == "f" else a != b,
    **dict.fromkeys(("lt", "lo"), np.less),
    **dict.fromkeys(("le", "ls"), np.less_equal),
    **dict.fromkeys(("gt", "hi"), np.greater),
    **dict.fromkeys(("ge", "hs"), np.greater_equal),
    "equ": _unordered(np.equal),
    "neu": np.not_equal,
    "ltu": _unordered(np.less),
    "leu": _unordered(np.less_equal),
    "gtu": _unordered(np.greater),
    "geu": _unordered(np.greater_equal),
    "num": lambda a, b: (a == a) & (b == b),
    "nan": lambda a, b: (a != a) | (b != b),
}
COMBINE: dict[str, Callable[[Array, Array], Array]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}

TABLE: dict[str, Op] = {
    # arithmetic
    "add": Op("t=tt", lambda a, b: a + b),
    "sub": Op("t=tt", lambda a, b: a - b),
    "mul": Op("t=tt", lambda a, b: a * b),
    "mul.lo": Op("t=tt", lambda a, b: a * b),
    "mul.hi": Op("t=tt", _multiply_high),
    "mul.wide": Op("w=tt", _multiply_wide),
    "mul24.lo": Op("t=tt", _mul24),
    "mad": Op("t=ttt", lambda a, b, c: a * b + c),
    "mad.lo": Op("t=ttt", lambda a, b, c: a * b + c),
    "mad.hi": Op("t=ttt", lambda a, b, c: _multiply_high(a, b) + c),
    "mad.wide": Op("w=ttw", lambda a, b, c: _multiply_wide(a, b) + c),
    "fma": Op("t=ttt", lambda a, b, c: a.astype("f8") * b + c),
    "div": Op("t=tt", _divide),
    "rem": Op("t=tt", _remainder),
    "sad": Op("t=ttt", _sad),
    "dp4a": Op("t=ftt", _dot4),
    "abs": Op("t=t", np.abs),
    "neg": Op("t=t", _negate),
    "min": Op("t=tt", _smaller),
    "max": Op("t=tt", _larger),
    "min.NaN": Op("t=tt", lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.nan, _smaller(a, b))),
    "max.NaN": Op("t=tt", lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.nan, _larger(a, b))),
    "copysign": Op("t=tt", lambda a, b: np.copysign(b, a)),
    "add.sat": Op("t=tt", _saturated(lambda a, b: a + b)),
    "sub.sat": Op("t=tt", _saturated(lambda a, b: a - b)),
    # with carry
    "add.cc": Op("tc=tt", _ADD),
    "addc": Op("t=ttc", _low(_ADD)),
    "addc.cc": Op("tc=ttc", _ADD),
    "sub.cc": Op("tc=tt", _SUB),
    "subc": Op("t=ttc", _low(_SUB)),
    "subc.cc": Op("tc=ttc", _SUB),
    "mad.lo.cc": Op("tc=ttt", _MAD_LOW),
    "mad.hi.cc": Op("tc=ttt", _MAD_HIGH),
    "madc.lo": Op("t=tttc", _low(_MAD_LOW)),
    "madc.hi": Op("t=tttc", _low(_MAD_HIGH)),
    "madc.lo.cc": Op("tc=tttc", _MAD_LOW),
    "madc.hi.cc": Op("tc=tttc", _MAD_HIGH),
    # transcendental: the nearest float, where a GPU may be some ulps away
    "sqrt": Op("t=t", np.sqrt),
    "rcp": Op("t=t", lambda a: _one(a) / a),
    "rsqrt": Op("t=t", _in_double(lambda a: 1 / np.sqrt(a))),
    "sin": Op("t=t", _in_double(np.sin)),
    "cos": Op("t=t", _in_double(np.cos)),
    "ex2": Op("t=t", _in_double(np.exp2)),
    "lg2": Op("t=t", _in_double(np.log2)),
    "tanh": Op("t=t", _in_double(np.tanh)),
    # bits
    "and": Op("t=tt", np.bitwise_and),
    "or": Op("t=tt", np.bitwise_or),
    "xor": Op("t=tt", np.bitwise_xor),
    "not": Op("t=t", np.invert),
    "cnot": Op("t=t", lambda a: (a == 0).astype(a.dtype)),
    "shl": Op("t=tu", _left),
    "shr": Op("t=tu", _right),
    "shf.l.wrap": Op("t=ttu", _funnel(left=True, wrap=True)),
    "shf.l.clamp": Op("t=ttu", _funnel(left=True, wrap=False)),
    "shf.r.wrap": Op("t=ttu", _funnel(left=False, wrap=True)),
    "shf.r.clamp": Op("t=ttu", _funnel(left=False, wrap=False)),
    "prmt": Op("t=ttu", _permute),
    "lop3": Op("t=tttu", _logic3),
    "popc": Op("u=t", lambda a: np.bitwise_count(a).astype("u4")),
    "clz": Op("u=t", _count_zeros),
    "bfind": Op("u=t", _find_bit),
    "bfind.shiftamt": Op("u=t", _shift_to_top),
    "brev": Op("t=t", _reverse_bits),
    "bfe": Op("t=tuu", _extract_bits),
    "bfi": Op("t=ttuu", _insert_bits),
    # moves and choices
    "mov": Op("t=t", lambda a: a),
    "selp": Op("t=ttp", lambda a, b, p: np.where(p, a, b)),
    "slct": Op("f=fft", lambda a, b, c: np.where(c >= 0, a, b)),
    **{f"testp.{k}": Op("p=t", _test(k)) for k in ("finite", "infinite", "number", "notanumber")},
    **{f"testp.{k}": Op("p=t", _test(k)) for k in ("normal", "subnormal")},
}
