"""Calls for the names of ``torch`` itself: half of them odd (empty, 0-d, strided, mixed dtypes)."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, DType, call

F64, F32, F16, I64, I32 = "float64", "float32", "float16", "int64", "int32"


def array(*shape: int, dtype: str = F64, low: float = -2, high: float = 2, seed: int = 0) -> Any:
    """Numbers in [low, high), the same each time."""
    random = np.random.default_rng((seed, *shape))
    if dtype == "bool":
        return np.asarray(random.random(shape) < 0.5)
    if dtype.startswith(("int", "uint")):
        low = 0 if dtype[0] == "u" else int(low * 3)
        return np.asarray(random.integers(int(low), int(high * 3) + 1, shape)).astype(dtype)
    return np.asarray(random.uniform(low, high, shape)).astype(dtype)


def strided(*shape: int, dtype: str = F64, **options: Any) -> Any:
    """Of that shape, by strides that skip and are not in order."""
    wide = array(shape[-1] * 2, *shape[:-1], dtype=dtype, **options)
    return np.moveaxis(wide[::2], 0, -1)


def distinct(*shape: int, dtype: str = F64) -> Any:
    """A shuffle of numbers no two of which are equal."""
    n = int(np.prod(shape))
    return np.random.default_rng(n).permutation(n).reshape(shape).astype(dtype) - n // 3


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], F32)
DTYPES = (F32, F16, I64, I32, "uint8", "bool")


def unary(low: float = -2, high: float = 2, **options: Any) -> list[Call]:
    """One tensor in, one out, element by element."""
    within = {"low": low, "high": high}
    inputs = [
        array(3, 4, **within),
        array(**within),
        array(0, 3, **within),
        array(1, **within),
        strided(3, 4, **within),
        strided(2, 3, 2, **within),
        SPECIAL,
        *(array(5, dtype=d, **within) for d in DTYPES),
    ]
    return [call(x, **options) for x in inputs]


def binary(low: float = -2, high: float = 2, **options: Any) -> list[Call]:
    """Two tensors that broadcast, or a tensor and a number."""
    within = {"low": low, "high": high}
    x = array(3, 4, **within)
    pairs = [
        (x, array(3, 4, seed=1, **within)),
        (x, array(4, seed=1, **within)),
        (array(3, 1, **within), strided(2, 1, 4, **within)),
        (array(**within), x),
        (array(0, 4, **within), array(1, **within)),
        (x, 1.5),
        (x, 2),
        (x, array(3, 4, dtype=F32, seed=1, **within)),
        (array(3, dtype=F32, **within), array(dtype=F64, **within)),
        (array(3, dtype=I64, **within), array(3, dtype=F32, **within)),
        (array(4, dtype=I64, **within), array(4, dtype=I32, low=1, high=3, seed=1)),
        (array(4, dtype=I32, **within), 3),
        (array(4, dtype="uint8"), array(4, dtype="int8", low=1, high=2, seed=1)),
        (array(4, dtype="bool"), array(4, dtype="bool", seed=1)),
        (array(4, dtype=F16, **within), array(4, dtype=F16, seed=1, **within)),
        (SPECIAL, SPECIAL[::-1].copy()),
        (x, array(5)),
    ]
    return [call(*pair, **options) for pair in pairs]


def whole(low: int = 0, high: int = 3) -> list[Call]:
    """Two tensors of integers."""
    kinds = (I64, I32, "uint8", "bool")
    return [
        *(call(array(5, dtype=d), array(5, dtype=d, low=low, high=high, seed=1)) for d in kinds),
        call(array(3, 1, dtype=I64), array(4, dtype=I64, low=low, high=high)),
        call(strided(2, 3, dtype=I64), array(2, 3, dtype=I64, low=low, high=high)),
        call(array(0, dtype=I64), array(0, dtype=I64)),
        call(array(dtype=I64), array(3, dtype=I64, low=low, high=high)),
        call(array(3, dtype=I64), 2),
        call(array(3, dtype=I64), array(3, dtype=I32, low=low, high=high)),
        call(array(3), array(3)),
    ]


def reduced(several: bool = True, **options: Any) -> list[Call]:
    """Over all elements, over a dimension, over several."""
    x = distinct(3, 4, 2)
    calls = [
        call(x, **options),
        call(x, 0, **options),
        call(x, dim=-1, **options),
        call(x, 1, keepdim=True, **options),
        call(strided(3, 4), 1, **options),
        call(array(), **options),
        call(array(), 0, **options),
        call(array(0, 3), 1, **options),
        call(array(2, 0), 1, **options),
        call(array(0), **options),
        call(array(3, 4), 2, **options),
        call(SPECIAL, **options),
        *(call(distinct(3, 4, dtype=d), 1, **options) for d in (F32, F16, I64, "uint8")),
        call(array(3, 4, dtype="bool"), 0, **options),
    ]
    if several:
        calls += [
            call(x, (0, 2), **options),
            call(x, dim=(0, -1), keepdim=True, **options),
            call(x, (0, 0), **options),
        ]
    return calls


def shaped(*more: Any) -> list[Call]:
    """The given arguments after inputs of several dtypes and layouts."""
    inputs = [
        array(4, 6),
        strided(4, 6),
        *(array(4, 6, dtype=d) for d in (F32, F16, I64, "bool")),
        array(4, 6, 2),
        array(0, 6),
        array(6),
        array(),
    ]
    return [call(x, *m) for m in more for x in inputs]


def square(*more: Any, n: int = 4) -> list[Call]:
    """Well-conditioned matrices, alone and in batches."""
    eye = np.eye(n) * 3
    inputs = [
        array(n, n) + eye,
        strided(n, n) + eye,
        array(2, n, n) + eye,
        array(3, 1, n, n) + eye,
        (array(n, n) + eye).astype(F32),
        array(0, n, n),
        array(1, 1) + 3,
        array(n, n + 1),
        array(n),
        array(n, n, dtype=I64),
    ]
    return [call(x, *more) for x in inputs]


def symmetric() -> list[Call]:
    """Symmetric positive definite matrices."""
    return [
        call(x @ np.swapaxes(x, -1, -2) + np.eye(x.shape[-1]) if x.dtype.kind == "f" else x)
        for x in (c.args[0] for c in square())
        if x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    ]


def products(*pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Call]:
    """Matrix products of these shapes, and of odd dtypes and layouts of the first."""
    a, b = pairs[0]
    calls = [call(array(*x), array(*y, seed=1)) for x, y in pairs]
    calls += [call(array(*a, dtype=d), array(*b, dtype=d, seed=1)) for d in (F32, F16, I64)]
    calls += [
        call(strided(*a), array(*b)),
        call(array(*a), strided(*b)),
        call(array(*a), array(*b, dtype=F32)),
        call(array(*a), array(*b, dtype=I64)),
    ]
    return calls


X = array(4, 5)
INDEX = np.array([[0, 2, 1], [3, 0, 0]])
ROWS = np.array([2, 0, 2])


def indexed(*more: Any) -> list[Call]:
    """``(x, dim, index, ...)`` of whole slices."""
    return [
        *(call(array(4, 5, dtype=d), 0, ROWS, *more) for d in (F64, F32, F16, I64, "bool")),
        call(strided(4, 5), 1, ROWS, *more),
        call(X, -1, ROWS, *more),
        call(array(4), 0, ROWS, *more),
        call(X, 0, np.array([], I64), *more),
        call(X, 0, np.array([7]), *more),
        call(X, 2, ROWS, *more),
        call(X, 0, np.array([1.5]), *more),
    ]


def gathered(*more: Any) -> list[Call]:
    """``(x, dim, index, ...)`` element by element."""
    return [
        *(call(array(4, 5, dtype=d), 0, INDEX, *more) for d in (F64, F32, F16, I64, "bool")),
        call(strided(4, 5), 1, INDEX, *more),
        call(X, -1, INDEX, *more),
        call(array(4), 0, ROWS, *more),
        call(X, 0, np.zeros((0, 3), I64), *more),
        call(X, 0, np.array([[7]]), *more),
        call(X, 3, INDEX, *more),
        call(X, 0, ROWS, *more),
    ]


# Families of names ---------------------------------------------------------------------------

CALLS: dict[str, list[Call]] = {}


def _add(names: str, calls: list[Call]) -> None:
    for name in names.split():
        CALLS.setdefault(name, []).extend(calls)


_add("abs absolute neg negative positive sign square ceil floor trunc fix round", unary())
_add("sgn signbit frac relu sigmoid tanh sin cos tan sinh cosh exp exp2 expm1", unary())
_add("asinh atan arctan arcsinh sinc erf erfc deg2rad rad2deg", unary())
_add("isnan isinf isfinite isneginf isposinf isreal logical_not nan_to_num", unary())
_add("sqrt rsqrt log log2 log10 log1p lgamma digamma reciprocal", unary(0.1, 4))
_add("acos asin atanh arccos arcsin arctanh erfinv", unary(-0.9, 0.9))
_add("acosh arccosh", unary(1.1, 4))
_add("logit", unary(0.1, 0.9))
_add("logit", unary(-0.5, 1.5, eps=0.2))
_add("round", unary(decimals=1)[:7])
_add("bitwise_not", [call(array(5, dtype=d)) for d in (I64, I32, "uint8", "bool")])
_add("bitwise_not", [call(x) for x in (strided(2, 3, dtype=I64), array(0, dtype=I64), array(3))])
_add("add sub mul subtract multiply rsub", binary())
_add("add sub", binary(alpha=2)[:13])
_add("div true_divide divide remainder fmod floor_divide", binary(0.6, 2))
_add("div", binary(0.6, 2, rounding_mode="floor") + binary(0.6, 2, rounding_mode="trunc"))
_add("pow float_power", binary(0.5, 2))
_add("pow", [call(2, array(3)), call(2.5, array(3, dtype=I64)), call(array(3, dtype=I64), -1)])
_add("atan2 arctan2 hypot copysign maximum minimum fmax fmin logaddexp logaddexp2", binary())
_add("xlogy", binary(0.2, 2))
_add(
    "nextafter", [call(array(3), array(3, seed=1)), call(array(3, dtype=F32), array(3, dtype=F32))]
)
_add("heaviside", [c for c in binary() if all(isinstance(a, np.ndarray) for a in c.args)])
_add("ldexp", [call(array(3, 4), array(4, dtype=I64, low=0)), call(array(3), array(3, dtype=I32))])
_add("eq ne lt le gt ge not_equal less less_equal greater greater_equal", binary())
_add("logical_and logical_or logical_xor", binary())
_add("bitwise_and bitwise_or bitwise_xor", whole())
_add("bitwise_left_shift bitwise_right_shift", whole(0, 1))
_add("gcd lcm", whole(-2, 3))
_add("isclose allclose", binary()[:9])
_add("isclose allclose", [call(SPECIAL, SPECIAL), call(SPECIAL, SPECIAL, equal_nan=True)])
_add("equal", [call(X, X), call(X, X + 1), call(X, array(4)), call(SPECIAL, SPECIAL)])
_add("isin", [call(array(5, dtype=I64), array(3, dtype=I64)), call(array(2, 3), array(0))])
_add("clamp clip", unary(min=-0.5, max=0.5) + unary(min=0)[:8] + unary(max=1)[:8])
_add("clamp", [call(X, array(5), array(5, seed=1) + 2), call(X), call(X, min=array(4, 1))])
_add("clamp_min clamp_max", [Call((*c.args, 0.5), {}) for c in unary()])
_add(
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
_add("addcmul addcdiv", [call(array(3, 4), array(4), array(3, 1, low=1), value=2)])
_add(
    "addcmul addcdiv",
    [
        call(array(3, 4, dtype=d), array(4, dtype=d), array(3, 1, dtype=d, low=1), value=0.5)
        for d in (F64, F32, F16)
    ],
)
_add(
    "addcmul addcdiv",
    [
        call(array(), array(), array(low=1)),
        call(array(0, 3), array(3), array(3, low=1)),
        call(strided(3, 4), strided(3, 4), array(3, 4, low=1)),
        call(X, X, array(7)),
    ],
)
_add(
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

# Reductions and order
_add("sum mean nansum nanmean amax amin all any count_nonzero logsumexp", reduced())
_add("sum", [call(X, dtype=DType(F32)), call(array(3, dtype=I32), dtype=DType(F64))])
_add("prod argmax argmin", reduced(several=False))
_add("std var std_mean var_mean", reduced()[:19])
_add("std var", [*reduced(correction=0)[:10], call(X, 0, unbiased=False), call(array(1))])
_add("max min median nanmedian", [call(x) for x in (X, array(), array(3, 0), SPECIAL)])
_add(
    "max min median nanmedian mode",
    [c for c in reduced(several=False) if len(c.args) + len(c.kwargs) > 1],
)
_add("max min", [call(X, array(5)), call(array(4, dtype=I64), array(4))])
_add(
    "aminmax",
    [call(X), call(X, dim=0), call(X, dim=1, keepdim=True), call(array()), call(array(0))],
)
_add("aminmax", [call(distinct(3, 4, dtype=d)) for d in (F32, F16, I64, "uint8")] + [call(SPECIAL)])
_add("kthvalue", [Call((c.args[0], 1, *c.args[1:]), c.kwargs) for c in reduced(several=False)])
_add("kthvalue", [call(distinct(3, 4), 3), call(distinct(3, 4), 5), call(distinct(3, 4), 2, 0)])
_add(
    "cumsum cumprod cummax cummin logcumsumexp",
    [
        *(call(distinct(3, 4, dtype=d), 1) for d in (F64, F32, F16, I64, "uint8")),
        *(call(array(3, 4), d) for d in (0, -2, 2)),
        call(strided(3, 4), 0),
        call(array(), 0),
        call(array(0, 3), 0),
        call(array(3, 4, dtype="bool"), 0),
        call(SPECIAL, 0),
    ],
)
_add(
    "sort argsort msort",
    [
        *(call(distinct(3, 4, dtype=d)) for d in (F64, F32, F16, I64, "uint8")),
        call(strided(3, 4)),
        call(array()),
        call(array(0, 3)),
        call(SPECIAL),
    ],
)
_add("sort argsort", [call(distinct(3, 4), d) for d in (0, -1, 2)] + [call(X, 0, descending=True)])
_add("sort argsort", [call(array(9, dtype=I64), stable=True, descending=True)])
_add("topk", [call(distinct(3, 6, dtype=d), 2) for d in (F64, F32, F16, I64)])
_add("topk", [call(distinct(3, 6), 2, 0), call(X, 2, largest=False), call(X, 9), call(array(), 1)])
_add("topk", [call(strided(3, 6), 3, -1, sorted=True), call(array(0, 4), 2)])
_add("norm", reduced()[:5] + reduced(p=1)[:5] + reduced(p=float("inf"))[:3] + reduced(p=3)[:3])
_add("dist", [call(X, array(5)), call(X, X, 1), call(X, X + 1, 3), call(array(), array())])
_add(
    "quantile nanquantile",
    [
        call(distinct(3, 4), 0.4),
        call(distinct(3, 4), 0.4, 1),
        call(distinct(3, 4), np.array([0.1, 0.9]), 0),
        call(distinct(3, 4), 0.3, dim=-1, keepdim=True),
        *(
            call(distinct(3, 4), 0.3, 1, interpolation=i)
            for i in ("lower", "higher", "nearest", "midpoint")
        ),
        call(SPECIAL[:2], 0.5),
        call(array(3, dtype=I64), 0.5),
    ],
)
_add("diff", [*shaped((), (1, 0), (2,))[:24], call(X, prepend=array(4, 1)), call(X, 0)])
_add(
    "trapezoid trapz cumulative_trapezoid",
    [
        call(X),
        call(X, array(5)),
        call(X, dx=0.5),
        call(X, dim=0),
        call(array(1)),
        call(array(0)),
        call(array(4, dtype=F32)),
        call(strided(3, 4)),
        call(X, array(4, 5, seed=1)),
        call(array(4, dtype=I64)),
    ],
)
_add("histc", [call(X, 5), call(X, 5, -1, 1), call(array(0), 3), call(array(4, dtype=F32), 10)])
_add(
    "bincount",
    [
        call(np.array([0, 3, 3, 1])),
        call(np.array([0, 3]), minlength=6),
        call(np.array([], I64)),
        call(np.array([0, 3, 3]), array(3, dtype=F32)),
        call(np.array([-1])),
        call(np.array([[1]])),
        call(array(3)),
    ],
)
EDGES = np.array([-1.0, 0.0, 0.5, 2.0])
_add(
    "bucketize",
    [call(X, EDGES), call(X, EDGES, right=True), call(array(), EDGES), call(array(0), EDGES)],
)
_add("bucketize", [call(X, EDGES, out_int32=True), call(strided(2, 3), EDGES), call(0.3, EDGES)])
_add("searchsorted", [call(EDGES, X), call(EDGES, X, right=True), call(EDGES, X, side="right")])
_add(
    "searchsorted",
    [call(np.sort(array(2, 5)), array(2, 3)), call(EDGES, 0.3), call(EDGES, array(0))],
)
INTS = np.array([3, 1, 3, 2, 2, 2])
_add(
    "unique",
    [
        call(INTS),
        call(INTS, return_inverse=True, return_counts=True),
        call(array(0)),
        call(array()),
    ],
)
_add(
    "unique",
    [call(INTS.reshape(2, 3)), call(np.array([[1, 2], [1, 2], [0, 1]]), dim=0), call(SPECIAL[:4])],
)
_add(
    "unique_consecutive",
    [call(INTS), call(INTS, return_inverse=True, return_counts=True), call(array(0))],
)
_add("unique_consecutive", [call(INTS.reshape(2, 3)), call(np.array([[1, 2], [1, 2]]), dim=0)])
_add(
    "cov corrcoef",
    [call(array(3, 5)), call(array(5)), call(strided(3, 5)), call(array(2, 4, dtype=F32))],
)
_add(
    "cov", [call(array(3, 5), correction=0), call(array(3, 5), fweights=np.array([1, 2, 1, 1, 3]))]
)
_add(
    "renorm",
    [call(array(3, 4), 2, 0, 1.0), call(array(3, 4), 1, 1, 0.5), call(array(3, 4, 2), 2, -1, 1)],
)

# Shapes
_add("reshape", [*shaped(((-1,),), ((6, -1),)), call(X, (3, 7))])
_add("flatten ravel", shaped(()))
_add("flatten", [call(array(2, 3, 4), 1), call(array(2, 3, 4), 0, 1), call(X, 1, 0), call(X, 3)])
_add(
    "unflatten", [call(array(4, 6), 1, (2, 3)), call(array(4, 6), -1, (-1, 2)), call(X, 0, (3, 3))]
)
_add(
    "squeeze", [call(array(1, 3, 1)), call(array(1, 3, 1), 0), call(array(1, 3), 1), call(array())]
)
_add("squeeze", [call(array(1, 3, 1), (0, 2)), call(X, 2), call(strided(1, 3)), call(array(0, 1))])
_add("unsqueeze", [*shaped((0,), (-1,), (1,)), call(X, 5)])
_add("transpose swapaxes swapdims", shaped((0, -1), (1, 0)))
_add("t", shaped(()))
_add("permute", [call(array(2, 3, 4), p) for p in ((2, 0, 1), (-1, 0, 1), (0, 0, 1), (0, 1))])
_add("permute", [call(strided(2, 3), (1, 0)), call(array(), ()), call(array(0, 2), (1, 0))])
_add(
    "movedim moveaxis",
    [call(array(2, 3, 4), 0, -1), call(array(2, 3, 4), (0, 1), (2, 0)), call(X, 0, 4)],
)
_add(
    "flip",
    [call(array(2, 3, 4), d) for d in ((0,), (0, -1), (0, 0), (5,), ())] + shaped(((0,),))[:9],
)
_add("fliplr flipud", shaped(()))
_add("rot90", [call(X), call(X, 2), call(X, -1), call(array(2, 3, 4), 1, (0, 2)), call(array(3))])
_add("roll", [*shaped((2,), (1, 0)), call(X, (1, 2), (0, 1)), call(X, -7, 1)])
_add("tile", shaped(((2,),), ((2, 1, 3),)))
_add(
    "repeat_interleave",
    [*shaped((2,)), call(X, 3, 1), call(X, np.array([1, 0, 2, 1]), 0), call(X, -1)],
)
_add(
    "broadcast_to",
    [call(array(3, 1), (3, 4)), call(array(), (2,)), call(array(3), (2, -1)), call(X, (3, 3))],
)
_add(
    "narrow", [call(X, 0, 1, 2), call(X, 1, -2, 2), call(X, 0, 3, 4), call(strided(4, 5), 1, 0, 0)]
)
_add(
    "select",
    [call(X, 0, 1), call(X, 1, -1), call(X, 0, 7), call(array(), 0, 0), call(array(2, 3, 4), 1, 2)],
)
_add(
    "diagonal",
    [call(X), call(X, 1), call(X, -2), call(array(2, 3, 4), 0, 0, 2), call(array(3)), call(X, 9)],
)
_add(
    "diag",
    [
        call(X),
        call(array(3)),
        call(array(3), 1),
        call(array(3), -2),
        call(X, 1),
        call(array()),
        call(array(0)),
    ],
)
_add("diagflat", [call(array(3)), call(array(2, 2), 1), call(array()), call(array(0))])
_add(
    "diag_embed",
    [
        call(array(3)),
        call(array(2, 3), 1),
        call(array(2, 3), -1, 0, 2),
        call(array(0)),
        call(array(2, 3), dim1=0, dim2=0),
    ],
)
_add(
    "diagonal_scatter",
    [call(X, array(4)), call(X, array(4), 1), call(X, array(3), -1), call(X, array(7))],
)
_add("select_scatter", [call(X, array(5), 0, 1), call(X, array(4), 1, -1), call(X, array(4), 0, 0)])
_add("slice_scatter", [call(X, array(2, 5), 0, 1, 3), call(X, array(4, 2), 1, 0, 4, 2), call(X, X)])
_add("tril triu", shaped((), (1,), (-2,)))
_add(
    "tril_indices triu_indices",
    [call(3, 4), call(3, 4, 1), call(4, 3, -1), call(0, 3), call(2, 2, offset=5)],
)
_add(
    "split",
    [*shaped((2,), ((1, 3),)), call(X, 2, 1), call(X, (2, 2, 1), -1), call(X, 0), call(X, 9)],
)
_add("chunk tensor_split", [*shaped((2,), (3,)), call(X, 2, 1), call(X, 0), call(X, 7, -1)])
_add("tensor_split", [call(X, (1, 3)), call(X, (2,), 1), call(X, (3, 1))])
_add(
    "hsplit",
    [
        call(array(4, 6), 2),
        call(array(4, 6), (1, 3)),
        call(array(6), 3),
        call(array(), 1),
        call(X, 2),
    ],
)
_add("vsplit", [call(array(4, 6), 2), call(array(4, 6), (1, 3)), call(array(6), 3), call(X, 3)])
_add("dsplit", [call(array(2, 3, 4), 2), call(array(2, 3, 4), (1, 3)), call(X, 2)])
_add("unbind", [*shaped((), (-1,)), call(X, 2)])
_PARTS = [
    (X, X),
    (X, array(4, 5, dtype=F32)),
    (X, strided(4, 5), X),
    (array(2, dtype=I64), array(2, dtype=F16)),
    (array(2, dtype="bool"), array(2, dtype=I32)),
    (array(0, 5), array(4, 5)),
    (array(0), X),
    (array(), array()),
    (array(2, 3, 4), array(2, 3, 4)),
    (X, array(3, 4)),
    (X,),
    (),
]
_add(
    "cat concat concatenate stack",
    [call(p) for p in _PARTS] + [call((X, X), 1), call((X, X), dim=-1), call((X, X), 3)],
)
_add(
    "hstack vstack dstack column_stack row_stack",
    [call(p) for p in _PARTS] + [call((array(3), array(2)))],
)
_add("atleast_1d atleast_2d atleast_3d", [*shaped(()), call((array(), array(2)))])
_add("block_diag", [call(X, array(2, 2)), call(array(3)), call(), call(array(), X)])
_add(
    "broadcast_tensors", [call(array(3, 1), array(4)), call(array(), X), call(X, array(3)), call(X)]
)
_add(
    "meshgrid",
    [call(array(2), array(3), indexing=i) for i in ("ij", "xy")]
    + [call(array(2, 2), indexing="ij")],
)
_add("cartesian_prod", [call(array(2), array(3)), call(array(2)), call(array(0), array(2))])
_add(
    "combinations",
    [call(array(4)), call(array(4), 3), call(array(3), with_replacement=True), call(X)],
)
_add(
    "kron",
    [
        call(array(2, 2), array(3, 2)),
        call(array(2), X),
        call(array(), X),
        call(array(2, 2), array(2, 3, 2)),
    ],
)
_add("as_strided", [call(X, (2, 2), (5, 1)), call(X, (3,), (2,), 1), call(X, (9, 9), (5, 1))])
_add(
    "argwhere nonzero",
    [call(x) for x in (X > 0, X, array(), array(0, 2), array(2, 3, 2, dtype="bool"), np.zeros(3))],
)
_add("unravel_index", [call(np.array([0, 7, 11]), (3, 4)), call(np.array(5), (2, 3))])

# Indices
_add("index_select", indexed())
_add("index_fill", indexed(1.5) + indexed(2)[:3])
_add("gather", gathered())
_add("take_along_dim", [call(X, np.argsort(X, 1), 1), call(X, np.array([3, 1])), call(X, INDEX, 0)])
_add(
    "scatter",
    gathered(1.5)[:1]
    + gathered(2)
    + [call(X, 0, INDEX[:1], array(1, 3)), call(X, 1, INDEX, array(2, 3), reduce="add")],
)
_add(
    "scatter_add",
    [call(array(4, 5, dtype=d), 0, INDEX, array(2, 3, dtype=d)) for d in (F64, F32, F16, I64)],
)
_add(
    "scatter_add",
    [
        call(strided(4, 5), -1, INDEX, array(2, 3)),
        call(X, 0, np.array([[9]]), X),
    ],
)
_add(
    "scatter_reduce",
    [
        call(X, 0, INDEX[:1], array(1, 3), reduce=r, include_self=s)
        for r in ("sum", "prod", "mean", "amax", "amin")
        for s in (True, False)
    ],
)
_add(
    "index_add index_copy",
    [call(array(4, 5, dtype=d), 0, ROWS[:2], array(2, 5, dtype=d)) for d in (F64, F32, F16, I64)],
)
_add(
    "index_add index_copy",
    [
        call(X, 1, ROWS[:2], array(4, 2)),
        call(X, 0, np.array([9]), array(1, 5)),
        call(X, 0, ROWS, array(2, 5)),
    ],
)
_add("index_reduce", [call(X, 0, ROWS, array(3, 5), r) for r in ("prod", "mean", "amax", "amin")])
_add("masked_fill", [call(array(4, 5, dtype=d), X > 0, 1) for d in (F64, F32, F16, I64, "bool")])
_add(
    "masked_fill",
    [
        call(X, X[0] > 0, 2.5),
        call(X, X > 0, array()),
        call(array(3, dtype=I64), np.ones(3, bool), 1.5),
        call(X, X, 1),
    ],
)
_add(
    "masked_select",
    [
        call(X, X > 0),
        call(X, X[0] > 0),
        call(array(5), X > 0),
        call(array(0), np.ones(0, bool)),
        call(X, X),
    ],
)
_add(
    "masked_scatter",
    [
        call(X, X > 0, array(20)),
        call(X, X > 0, array(1)),
        call(array(3), np.ones(3, bool), array(3)),
    ],
)
_add(
    "take",
    [call(X, INDEX), call(X, np.array([-1])), call(X, np.array([], I64))],
)
_add(
    "put",
    [call(X, np.array([1, 3]), array(2)), call(X, np.array([1, 1]), array(2), accumulate=True)],
)

# Linear algebra
_add(
    "matmul",
    products(
        ((3, 4), (4, 2)),
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 2)),
        ((2, 3, 4), (4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 4), (4, 2)),
        ((3, 0), (0, 2)),
        ((3, 4), (3, 4)),
        ((), (3,)),
    ),
)
_add(
    "mm",
    products(
        ((3, 4), (4, 2)), ((0, 4), (4, 2)), ((3, 4), (3, 4)), ((4,), (4, 2)), ((2, 3, 4), (4, 2))
    ),
)
_add("mv", products(((3, 4), (4,)), ((0, 4), (4,)), ((3, 4), (3,)), ((3, 4), (4, 1))))
_add(
    "bmm",
    products(
        ((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 4), (3, 4, 5)), ((3, 4), (4, 5))
    ),
)
_add("dot vdot", products(((4,), (4,)), ((0,), (0,)), ((4,), (3,)), ((2, 2), (4,))))
_add("inner", products(((4,), (4,)), ((2, 4), (3, 4)), ((), (3,)), ((2, 3, 4), (4,)), ((3,), (4,))))
_add("outer ger", products(((3,), (4,)), ((0,), (4,)), ((2, 2), (4,))))
_add(
    "addmm",
    [
        call(array(2), array(3, 4), array(4, 2)),
        call(array(3, 2), array(3, 4), array(4, 2), beta=0.5, alpha=2),
        call(array(3, 2), array(3, 4), array(3, 2)),
        call(array(), array(0, 4), array(4, 2)),
        call(array(2, dtype=F32), array(3, 4, dtype=F32), array(4, 2, dtype=F32)),
        call(array(3, 2), strided(3, 4), array(4, 2), beta=0),
    ],
)
_add(
    "addmv",
    [
        call(array(3), array(3, 4), array(4)),
        call(array(), array(3, 4), array(4), beta=2, alpha=0.5),
        call(array(3), array(3, 4), array(3)),
    ],
)
_add(
    "addr",
    [call(array(3, 4), array(3), array(4)), call(array(4), array(3), array(4), beta=2, alpha=0.5)],
)
_add(
    "baddbmm",
    [
        call(array(2, 3, 5), array(2, 3, 4), array(2, 4, 5)),
        call(array(5), array(2, 3, 4), array(2, 4, 5), beta=2, alpha=0.5),
    ],
)
_add(
    "addbmm",
    [
        call(array(3, 5), array(2, 3, 4), array(2, 4, 5)),
        call(array(5), array(2, 3, 4), array(2, 4, 5), beta=2, alpha=0.5),
    ],
)
_add(
    "einsum",
    [
        call("ij,jk->ik", array(3, 4), array(4, 2)),
        call("ij,jk", array(3, 4), array(4, 2)),
        call("bij,bjk->bik", array(2, 3, 4), array(2, 4, 5)),
        call("ii->i", array(3, 3)),
        call("ii", array(3, 3)),
        call("i,j->ij", array(3), array(4)),
        call("...ij->...ji", array(2, 3, 4)),
        call("...i,...i->...", array(2, 3, 4), array(4)),
        call("ij->", array(3, 4)),
        call("bhqd,bhkd->bhqk", array(2, 2, 3, 4), array(2, 2, 5, 4)),
        call("i,i,i->i", array(3), array(3), array(3)),
        call("ij,jk->ik", array(3, 4), array(3, 2)),
        call("ij,jk->iz", array(3, 4), array(4, 2)),
        call("ij", array(3)),
    ],
)
_add(
    "tensordot",
    [
        call(array(2, 3, 4), array(4, 3, 5), dims=1),
        call(array(2, 3, 4), array(4, 3, 5), dims=([1, 2], [1, 0])),
        call(X, X, dims=2),
        call(array(3), array(4), dims=0),
        call(X, X, dims=1),
    ],
)
_add(
    "cross",
    [
        call(array(4, 3), array(4, 3), dim=1),
        call(array(3), array(3), dim=0),
        call(array(3, 2), array(3, 1), dim=0),
        call(array(4), array(4), dim=0),
    ],
)
_add(
    "cdist",
    [
        # Of float32: PyTorch's has no second derivative.
        call(array(3, 4, dtype=F32), array(5, 4, dtype=F32)),
        call(array(2, 3, 4, dtype=F32), array(5, 4, dtype=F32)),
        call(array(3, 4, dtype=F32), array(5, 4, dtype=F32), p=1.0),
        call(array(3, 4, dtype=F32), array(5, 4, dtype=F32), p=float("inf")),
        call(array(0, 4, dtype=F32), array(5, 4, dtype=F32)),
        call(array(3, 4), array(5, 3)),
    ],
)
_add(
    "trace",
    [
        call(X),
        call(strided(3, 3)),
        call(array(3, 3, dtype=I64)),
        call(array(0, 0)),
        call(array(3)),
        call(array(2, 2, dtype=F32)),
    ],
)
_add("logdet det slogdet inverse", square())


# Creation
_add(
    "full",
    [
        call((2, 3), 1.5),
        call((2,), 2),
        call((), True),
        call((0, 3), 1),
        call((2,), 1, dtype=DType(F16)),
        call((-1,), 0),
    ],
)
_add(
    "zeros ones",
    [call(2, 3), call((2, 3)), call(()), call(0, 2), call(3, dtype=DType(I64)), call(-1)],
)
_add("zeros_like ones_like", [*shaped(()), call(X, dtype=DType(I32))])
_add("full_like", [*shaped((2,), (1.5,)), call(X, 3, dtype=DType(I64))])
_add(
    "arange",
    [
        call(5),
        call(2, 7),
        call(2, 7, 2),
        call(0, 1, 0.25),
        call(5, 0, -2),
        call(5.0),
        call(3, 1),
        call(0, 3, 0),
        call(4, dtype=DType(F32)),
    ],
)
_add(
    "linspace",
    [
        call(0, 1, 5),
        call(0, 1, 1),
        call(0, 1, 0),
        call(3, -3, 7),
        call(0, 10, 5, dtype=DType(I64)),
        call(0, 1, -1),
    ],
)
_add(
    "logspace",
    [call(0, 2, 3), call(0, 3, 4, base=2), call(0, 1, 0), call(1, -1, 5, dtype=DType(F64))],
)
_add("eye", [call(3), call(2, 3), call(0), call(3, 2, dtype=DType(I64)), call(-1)])
_x = array(3, dtype=F32)  # PyTorch's gradient of it fails
_add("vander", [call(_x), call(_x, 2), call(_x, increasing=True), call(X)])
_add(
    "tensor",
    [
        call([1, 2]),
        call([1.5, 2]),
        call(True),
        call([[1], [2.5]]),
        call([]),
        call([1, 2], dtype=DType(F16)),
        call([[1], [2, 3]]),
    ],
)
_add("clone detach", shaped(()))
_add(
    "softmax log_softmax",
    [
        Call((c.args[0].astype(F64) if c.args[0].dtype.kind != "f" else c.args[0], *c.args[1:]), {})
        for c in shaped((0,), (-1,))
    ]
    + [call(X, 3), call(array(3, dtype=I64), 0), call(X, 1, dtype=DType(F32))],
)
