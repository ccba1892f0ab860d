"""Calls for the pointwise functions of ``torch``."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import (
    EDGES,
    F16,
    F32,
    F64,
    I32,
    I64,
    SPECIAL,
    Table,
    X,
    array,
    binary,
    strided,
    unary,
    whole,
)

CALLS = Table()
CALLS.add("abs absolute neg negative positive sign square ceil floor trunc fix round", unary())
CALLS.add("sgn signbit frac relu sigmoid tanh sin cos tan sinh cosh exp exp2 expm1", unary())
CALLS.add("asinh atan arctan arcsinh sinc erf erfc deg2rad rad2deg", unary())
CALLS.add("isnan isinf isfinite isneginf isposinf isreal logical_not nan_to_num", unary())
CALLS.add("sqrt rsqrt log log2 log10 log1p lgamma digamma reciprocal", unary(0.1, 4))
CALLS.add("acos asin atanh arccos arcsin arctanh erfinv", unary(-0.9, 0.9))
CALLS.add("acosh arccosh", unary(1.1, 4))
CALLS.add("logit", unary(0.1, 0.9))
CALLS.add("logit", unary(-0.5, 1.5, eps=0.2))
CALLS.add("round", unary(decimals=1)[:7])
CALLS.add("bitwise_not", [call(array(5, dtype=d)) for d in (I64, I32, "uint8", "bool")])
CALLS.add(
    "bitwise_not", [call(x) for x in (strided(2, 3, dtype=I64), array(0, dtype=I64), array(3))]
)
CALLS.add("add sub mul subtract multiply rsub", binary())
CALLS.add("add sub", binary(alpha=2)[:13])
CALLS.add("div true_divide divide remainder fmod floor_divide", binary(0.6, 2))
CALLS.add("div", binary(0.6, 2, rounding_mode="floor") + binary(0.6, 2, rounding_mode="trunc"))
CALLS.add("pow float_power", binary(0.5, 2))
CALLS.add("pow", [call(2, array(3)), call(2.5, array(3, dtype=I64)), call(array(3, dtype=I64), -1)])
CALLS.add("atan2 arctan2 hypot copysign maximum minimum fmax fmin logaddexp logaddexp2", binary())
CALLS.add("xlogy", binary(0.2, 2))
CALLS.add(
    "nextafter", [call(array(3), array(3, seed=1)), call(array(3, dtype=F32), array(3, dtype=F32))]
)
CALLS.add("heaviside", [c for c in binary() if all(isinstance(a, np.ndarray) for a in c.args)])
CALLS.add(
    "ldexp", [call(array(3, 4), array(4, dtype=I64, low=0)), call(array(3), array(3, dtype=I32))]
)
CALLS.add("eq ne lt le gt ge not_equal less less_equal greater greater_equal", binary())
CALLS.add("logical_and logical_or logical_xor", binary())
CALLS.add("bitwise_and bitwise_or bitwise_xor", whole())
CALLS.add("bitwise_left_shift bitwise_right_shift", whole(0, 1))
CALLS.add("gcd lcm", whole(-2, 3))
CALLS.add("isclose allclose", binary()[:9])
CALLS.add("isclose allclose", [call(SPECIAL, SPECIAL), call(SPECIAL, SPECIAL, equal_nan=True)])
CALLS.add("equal", [call(X, X), call(X, X + 1), call(X, array(4)), call(SPECIAL, SPECIAL)])
CALLS.add("isin", [call(array(5, dtype=I64), array(3, dtype=I64)), call(array(2, 3), array(0))])
CALLS.add("clamp clip", unary(min=-0.5, max=0.5) + unary(min=0)[:8] + unary(max=1)[:8])
CALLS.add("clamp", [call(X, array(5), array(5, seed=1) + 2), call(X), call(X, min=array(4, 1))])
_BYTES, _HALVES = array(3, dtype="uint8"), array(3, dtype=F16)
# Gradients at NaN, infinity and -0, too.
CALLS.add("clamp", [call(EDGES, -1, 1), call(EDGES, min=0), call(EDGES, array(7), array(7) + 1)])
CALLS.add("clamp_min clamp_max", [call(EDGES, 0), call(EDGES, EDGES[::-1].copy())])
CALLS.add("maximum minimum", [call(EDGES, EDGES[::-1].copy()), call(EDGES, array(7))])
CALLS.add("pow", [call(EDGES[[0, 2, 4, 5]], p) for p in (0.5, -0.5, 2, -1)])
CALLS.add("clamp", [call(_BYTES, min=v) for v in (300, -1, -300, 1e3)])
CALLS.add("clamp", [call(_HALVES, max=v) for v in (1e6, float("inf"), 7)])
CALLS.add("clamp_min clamp_max", [call(_BYTES, 300), call(_BYTES, -1), call(_HALVES, 1e6)])
CALLS.add("where", [call(_BYTES > 1, _BYTES, v) for v in (300, -1, 2.5)])
CALLS.add("add sub", [call(_BYTES, _BYTES, alpha=a) for a in (300, -1)])
CALLS.add("pow", [call(_BYTES, 300), call(_BYTES, 3), call(array(3, dtype="int8"), 130)])
CALLS.add("mul add sub", [call(_BYTES, 300), call(300, _BYTES), call(_HALVES, 1e10)])
CALLS.add("clamp_min clamp_max", [Call((*c.args, 0.5), {}) for c in unary()])
CALLS.add(
    "where",
    [
        call(X > 0, X, array(4, 5, seed=1)),
        call(X > 0, X, 0.0),
        call(X > 0, 1.0, array(5)),
        call(X > 0, 1, 2),
        call(array(3, 1, dtype="bool"), array(4), array(3, 4)),
        call(array(dtype="bool"), X, X),
        call(array(0, dtype="bool"), array(0), 1.0),
        call(X > 0, X, array(4, 5, dtype=F32)),
        call(X > 0, array(4, 5, dtype=I64), array(4, 5, dtype=F32)),
        call(X > 0),
        call(array(3), X, X),
        call(strided(4, 5, dtype="bool"), strided(4, 5), X),
    ],
)
CALLS.add("addcmul addcdiv", [call(array(3, 4), array(4), array(3, 1, low=1), value=2)])
CALLS.add(
    "addcmul addcdiv",
    [
        call(array(3, 4, dtype=d), array(4, dtype=d), array(3, 1, dtype=d, low=1), value=0.5)
        for d in (F64, F32, F16)
    ],
)
CALLS.add(
    "addcmul addcdiv",
    [
        call(array(), array(), array(low=1)),
        call(array(0, 3), array(3), array(3, low=1)),
        call(strided(3, 4), strided(3, 4), array(3, 4, low=1)),
        call(X, X, array(7)),
    ],
)
CALLS.add(
    "lerp",
    [
        call(X, array(4, 5, seed=1), 0.3),
        call(X, array(5), array(4, 1)),
        call(X, array(5), 0.8),
        call(array(), array(), 2.0),
        call(array(0, 2), array(2), 0.5),
        call(strided(4, 5), X, 0.1),
        call(array(3, dtype=F32), array(3, dtype=F32), 0.3),
        call(array(3, dtype=F16), array(3, dtype=F16), 0.3),
        call(X, array(5, dtype=F32), 0.3),
        call(array(3, dtype=I64), array(3, dtype=I64), 0.3),
    ],
)
CALLS.add("addcmul addcdiv", [call(X, X, array(5, dtype=F32, low=1)), call(X, X, X, value=0)])
CALLS.add(
    "addcmul addcdiv",
    [call(*(array(3, dtype=I64, low=1) for _ in range(3)), value=v) for v in (2, 0.5)],
)
CALLS.add("bitwise_not", [call(array(dtype=I64)), call(array(3, dtype="int8")), call(array(2, 0))])
CALLS.add(
    "ldexp",
    [
        call(array(3, 1), strided(2, 4, dtype=I64)[0]),
        call(array(), array(dtype=I64)),
        call(array(0), array(0, dtype=I64)),
        call(array(3), array(3)),
        call(array(3, dtype=I64), array(3, dtype=I64)),
        call(array(3, dtype=F16), array(3, dtype=I64)),
        call(array(3, dtype="bool"), array(3, dtype=I32)),
        call(X, array(4, dtype=I64)),
        call(array(3, dtype=F32), np.array([-200, 200, 0])),
        call(SPECIAL, array(7, dtype=I64)),
    ],
)
CALLS.add(
    "nextafter",
    [
        call(array(3, 1), array(4)),
        call(array(), array()),
        call(array(0), array(1)),
        call(strided(2, 3), array(2, 3)),
        call(SPECIAL, SPECIAL[::-1].copy()),
        call(np.zeros(2, F32), np.array([1, -1], F32)),
        call(array(3, dtype=I64), array(3, dtype=I64)),
        call(array(3), array(3, dtype=F32)),
        call(X, array(4)),
        call(array(3, dtype=F16), array(3, dtype=F16, seed=1)),
    ],
)
_FINITE = [c for c in unary(0.2, 4) if c.args[0] is not SPECIAL]
CALLS.add("polygamma", [Call((n, *c.args), {}) for n in (1, 2) for c in _FINITE])
CALLS.add("polygamma", [call(0, array(3, low=1)), call(-1, X), call(1, -X), call(4, X)])
CALLS.add(
    "equal",
    [
        call(array(0), array(0)),
        call(array(), array()),
        call(strided(3, 4), strided(3, 4)),
        call(array(0), array(0, 2)),
        call(array(3, dtype=I64), array(3, dtype=F32)),
        call(array(3, dtype=I64), array(3, dtype=I64)),
        call(np.array(0.0), np.array(-0.0)),
        call(X, 1),
    ],
)
