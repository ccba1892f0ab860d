"""Inputs of the calls: half of them odd (empty, 0-d, strided, of mixed dtypes)."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call

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
EDGES = SPECIAL.astype(F64)  # as inputs of gradients
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


class Table(dict[str, list[Call]]):
    """Calls by name."""

    def add(self, names: str, calls: list[Call]) -> None:
        """The same calls for several names."""
        for name in names.split():
            self.setdefault(name, []).extend(calls)
