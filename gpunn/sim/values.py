"""PTX's value types on NumPy: bits to values and back, flushing, exact sums, conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.sim.syntax import SIZES

Array = Any  # numpy.ndarray of one value a lane; one element where all lanes agree

BITS = {1: np.dtype("u1"), 2: np.dtype("u2"), 4: np.dtype("u4"), 8: np.dtype("u8")}
_KIND = {"b": "u", "u": "u", "s": "i", "f": "f"}
PLAIN = {
    name: np.dtype(f"{_KIND[name[0]]}{size}")
    for name, size in SIZES.items()
    if name[0] in _KIND and "x" not in name and name[:2] != "bf" and size <= 8
}
PACKED = ("f16x2", "bf16x2")


def from_bfloat(bits: Array) -> Array:
    """Bfloat16 bits as float32."""
    return (bits.astype("u4") << np.uint32(16)).view("f4")


def to_bfloat(value: Array) -> Array:
    """Float32 to bfloat16 bits, to nearest even."""
    u = value.astype("f4").view("u4")
    rounded = (u + np.uint32(0x7FFF) + (u >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(value), np.uint32(0x7FFF), rounded).astype("u2")


def to_tf32(value: Array) -> Array:
    """Float32 with ten bits of fraction, to nearest, ties away from zero."""
    u = value.astype("f4").view("u4")
    rounded = (u + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where((u & np.uint32(0x7F800000)) == 0x7F800000, u, rounded).view("f4")


def lift(type: str) -> Callable[[Array], Array]:
    """The function from bits of the type's size to values that NumPy computes on."""
    if type == "pred":
        return lambda bits: bits
    if type == "bf16":
        return from_bfloat
    if type == "f16x2":
        return lambda bits: bits.view("f2")
    if type == "bf16x2":
        return lambda bits: from_bfloat(bits.view("u2"))
    dtype = PLAIN["f32" if type == "tf32" else type]
    return lambda bits: bits.view(dtype)


def lower(type: str) -> Callable[[Array], Array]:
    """The inverse of `lift`; rounds where the computation was wider than the type."""
    if type == "pred":
        return lambda value: value
    if type == "bf16":
        return to_bfloat
    if type == "f16x2":
        return lambda value: value.astype("f2", copy=False).view("u4")
    if type == "bf16x2":
        return lambda value: to_bfloat(value).view("u4")
    dtype = PLAIN["f32" if type == "tf32" else type]
    bits = BITS[dtype.itemsize]
    return lambda value: value.astype(dtype, copy=False).view(bits)


TINY = np.float32(2.0**-126)  # the smallest normal float32


def flush(value: Array) -> Array:
    """Denormal float32 numbers to zero of the same sign, as ``.ftz`` does."""
    if value.dtype != np.float32:
        return value
    small = np.abs(value) < TINY
    return value * ~small if np.count_nonzero(small) else value


# Exact arithmetic: a pair (nearest double, rest) whose sum is the exact result.


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Knuth's a + b = s + e."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _halves(a: Array) -> tuple[Array, Array]:
    big = 134217729.0 * a  # 2**27 + 1: Veltkamp's splitting into halves of 26 bits
    high = big - (big - a)
    return high, a - high


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Dekker's a * b = p + e, where neither over- nor underflows."""
    p = a * b
    a1, a2 = _halves(a)
    b1, b2 = _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def exact_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b for float32 values held in doubles: the product fits."""
    p = a * b
    return p, np.zeros_like(p)


def exact_fma(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """a * b + c for float32 values held in doubles."""
    return two_sum(a * b, c)


def fma32(a: Array, b: Array, c: Array) -> Array:
    """a * b + c for float32 values, rounded to nearest once."""
    product = a.astype("f8") * b  # exact
    total = product + c
    if np.count_nonzero(_half_way(total)):
        return narrow(two_sum(product, c.astype("f8")), "rn", np.dtype("f4"))
    return total.astype("f4")


def _half_way(value: Array) -> Array:
    """Which doubles lie between two floats: perhaps only by their own rounding."""
    return (value.view("u8") & np.uint64(0x1FFFFFFF)) == np.uint64(0x10000000)


def fma64(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """a * b + c in double precision: Boldo and Melquiond's algorithm, with the sign of its rest."""
    a, b, c = np.broadcast_arrays(*(np.ascontiguousarray(x) for x in (a, b, c)))
    a, b, c = (np.ascontiguousarray(x) for x in (a, b, c))
    plain = a * b + c
    high, low = two_product(a, b)
    t, low = two_sum(c, low)
    v, rest = two_sum(high, t)
    odd, error = two_sum(low, rest)
    bits = odd.view("u8")
    step = np.where((error > 0) == (odd > 0), np.uint64(1), ~np.uint64(0))
    odd = np.where((error != 0) & (bits & np.uint64(1) == 0), bits + step, bits).view("f8")
    result, left = two_sum(v, odd)
    size = np.abs(a * b)
    usable = np.isfinite(plain) & (size < 2.0**990) & ((size > 2.0**-900) | (size == 0))
    usable &= result != 0  # a plain zero has the right sign
    return np.where(usable, result, plain), np.where(usable, left, 0)


def narrow(pair: tuple[Array, Array], mode: str, dtype: Any) -> Array:
    """The exact sum of a pair, rounded once: rn, rz, rm (down) or rp (up)."""
    high, rest = pair
    result = high.astype(dtype)
    if mode == "rn":
        if dtype != np.float32:
            return result
        half = _half_way(high) & (rest != 0)
        if half.any():
            nudged = np.nextafter(high, np.where(rest > 0, np.inf, -np.inf))
            result = np.where(half, nudged.astype(dtype), result)
        return result
    error = high - result.astype("f8")
    error = np.where(error == 0, rest, error)
    inf = dtype.type(np.inf)
    if mode == "rz":
        past = (error != 0) & ((error < 0) == (result > 0))
        toward = np.zeros_like(result)
    else:
        past = error < 0 if mode == "rm" else error > 0
        toward = np.full_like(result, -inf if mode == "rm" else inf)
    return np.where(past & ~np.isnan(error), np.nextafter(result, toward), result).astype(dtype)


_ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def convert(to: str, modifiers: tuple[str, ...]) -> Callable[[Array], Array]:
    """``cvt`` to a type: rounding, saturation and flushing as the instruction says."""
    integral = next((f for m, f in _ROUND.items() if m in modifiers), None)
    mode = next((m for m in modifiers if m in ("rz", "rm", "rp")), "rn")
    saturate, ftz = "sat" in modifiers, "ftz" in modifiers
    if to in PLAIN and PLAIN[to].kind in "iu":
        return _to_integer(PLAIN[to], integral or np.trunc, saturate, ftz)

    def to_float(value: Array) -> Array:
        if ftz:
            value = flush(value)
        if integral and value.dtype.kind == "f":
            value = integral(value)
        if saturate:
            value = np.where(np.isnan(value), 0, np.clip(value, 0, 1) + 0).astype(value.dtype)
        if "relu" in modifiers:
            value = np.where(value < 0, 0, value).astype(value.dtype)
        if to in ("bf16", "bf16x2"):
            if mode == "rz":
                return from_bfloat((value.astype("f4").view("u4") >> np.uint32(16)).astype("u2"))
            return from_bfloat(to_bfloat(value))
        if to == "tf32":
            return to_tf32(value)
        dtype = PLAIN[to]
        if mode != "rn" and (value.dtype.kind != "f" or value.dtype.itemsize > dtype.itemsize):
            wide = value.astype("f8")
            rest = value.astype("g") - wide.astype("g")
            value = narrow((wide, rest.astype("f8")), mode, dtype)
        result = value.astype(dtype)
        return flush(result) if ftz else result

    return to_float


def _to_integer(
    dtype: np.dtype[Any], integral: Callable[[Array], Array], saturate: bool, ftz: bool
) -> Callable[[Array], Array]:
    info = np.iinfo(dtype)

    def from_any(value: Array) -> Array:
        if value.dtype.kind == "f":
            value = integral((flush(value) if ftz else value).astype("f8"))
            # The largest double that the type holds: 2^63 itself does not fit in 63 bits.
            last = np.nextafter(float(info.max) + 1, 0) if info.bits == 64 else float(info.max)
            inside = np.clip(np.where(np.isnan(value), 0, value), float(info.min), last)
            result = inside.astype(dtype)
            return np.where(value > last, info.max, result).astype(dtype)
        if saturate:
            low = max(info.min, int(np.iinfo(value.dtype).min))
            high = min(info.max, int(np.iinfo(value.dtype).max))
            value = np.clip(value, value.dtype.type(low), value.dtype.type(high))
        return value.astype(dtype)

    return from_any
