"""Calls for the linear algebra of ``torch``."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I64,
    Table,
    X,
    array,
    products,
    square,
    strided,
)

CALLS = Table()
# Linear algebra
CALLS.add(
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
CALLS.add(
    "mm",
    products(
        ((3, 4), (4, 2)), ((0, 4), (4, 2)), ((3, 4), (3, 4)), ((4,), (4, 2)), ((2, 3, 4), (4, 2))
    ),
)
CALLS.add("mv", products(((3, 4), (4,)), ((0, 4), (4,)), ((3, 4), (3,)), ((3, 4), (4, 1))))
CALLS.add(
    "bmm",
    products(
        ((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 4), (3, 4, 5)), ((3, 4), (4, 5))
    ),
)
CALLS.add("dot vdot", products(((4,), (4,)), ((0,), (0,)), ((4,), (3,)), ((2, 2), (4,))))
CALLS.add(
    "inner", products(((4,), (4,)), ((2, 4), (3, 4)), ((), (3,)), ((2, 3, 4), (4,)), ((3,), (4,)))
)
CALLS.add("outer ger", products(((3,), (4,)), ((0,), (4,)), ((2, 2), (4,))))
CALLS.add(
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
CALLS.add(
    "addmv",
    [
        call(array(3), array(3, 4), array(4)),
        call(array(), array(3, 4), array(4), beta=2, alpha=0.5),
        call(array(3), array(3, 4), array(3)),
    ],
)
CALLS.add(
    "addr",
    [call(array(3, 4), array(3), array(4)), call(array(4), array(3), array(4), beta=2, alpha=0.5)],
)
CALLS.add(
    "baddbmm",
    [
        call(array(2, 3, 5), array(2, 3, 4), array(2, 4, 5)),
        call(array(5), array(2, 3, 4), array(2, 4, 5), beta=2, alpha=0.5),
    ],
)
CALLS.add(
    "addbmm",
    [
        call(array(3, 5), array(2, 3, 4), array(2, 4, 5)),
        call(array(5), array(2, 3, 4), array(2, 4, 5), beta=2, alpha=0.5),
    ],
)
CALLS.add(
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
CALLS.add(
    "tensordot",
    [
        call(array(2, 3, 4), array(4, 3, 5), dims=1),
        call(array(2, 3, 4), array(4, 3, 5), dims=([1, 2], [1, 0])),
        call(X, X, dims=2),
        call(array(3), array(4), dims=0),
        call(X, X, dims=1),
    ],
)
CALLS.add(
    "cross",
    [
        call(array(4, 3), array(4, 3), dim=1),
        call(array(3), array(3), dim=0),
        call(array(3, 2), array(3, 1), dim=0),
        call(array(4), array(4), dim=0),
    ],
)
CALLS.add(
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
CALLS.add(
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
CALLS.add("logdet det slogdet inverse", square())
_ADDED = [  # odd for each: input, then its operands
    {"beta": 0},
    {"alpha": 0},
    {"beta": 0.5, "alpha": -2},
]


def _added(shape: tuple[int, ...], *factors: tuple[int, ...]) -> list[Call]:
    """``(input, a, b)`` of a product added to something, of dtypes, layouts and sizes."""

    def of(dtype: str, first: tuple[int, ...] = shape) -> list[Any]:
        return [array(*s, dtype=dtype, seed=i) for i, s in enumerate((first, *factors))]

    doubles = of(F64)
    a, b = factors
    return [
        *(call(*doubles, **options) for options in _ADDED),
        *(call(*of(dtype)) for dtype in (F32, F16, I64)),
        call(*of(F64, ())),
        call(*of(F64, (1,) * len(shape))),
        call(np.full(shape, np.nan), *doubles[1:], beta=0),
        call(doubles[0], strided(*a), strided(*b)),
        call(*of(F64, (7, *shape))),
        call(*of(F32)[:2], array(*b, dtype=I64)),
        call(doubles[0], array(*a), array(*(n + 1 for n in b))),
        call(array(*shape, dtype=F32), *doubles[1:]),
        call(*of(I64), beta=0.5),
    ]


CALLS.add("addmm", _added((3, 2), (3, 4), (4, 2)))
CALLS.add("addmv", _added((3,), (3, 4), (4,)))
CALLS.add("addr", _added((3, 4), (3,), (4,)))
CALLS.add("baddbmm", _added((2, 3, 5), (2, 3, 4), (2, 4, 5)))
CALLS.add("addbmm", _added((3, 5), (2, 3, 4), (2, 4, 5)))
CALLS.add("addmm", [call(array(0, 2), array(0, 4), array(4, 2)), call(X, array(4, 0), array(0, 5))])
CALLS.add("addbmm baddbmm", [call(array(1, 3, 5), array(0, 3, 4), array(0, 4, 5))])
CALLS.add(
    "tensordot",
    [
        call(strided(2, 3), strided(2, 3), dims=([0], [0])),
        call(array(2, 3), array(2, 3), dims=([-1], [-1])),
        call(array(), array(), dims=0),
        call(array(2, 0), array(0, 3), dims=1),
        call(array(2, 3), array(3, 2, dtype=F32), dims=1),
        call(array(2, 3), array(3, 2), dims=-1),
        call(array(2, 3), array(3, 2), dims=3),
        call(array(2, 3), array(3, 2), dims=([0], [0, 1])),
        call(array(2, 3), array(3, 2), dims=([0, 0], [1, 1])),
        call(array(2, 3), array(3, 2), dims=([5], [0])),
        call(array(2, 3, dtype=I64), array(3, 2, dtype=I64), dims=1),
        call(array(1, 3), array(2, 3), dims=([0], [0])),
    ],
)
CALLS.add(
    "cross",
    [
        call(strided(2, 3), array(2, 3), dim=-1),
        call(array(2, 3), array(2, 3)),
        call(array(3, 3), array(3, 3)),
        call(array(0, 3), array(0, 3), dim=1),
        call(array(2, 3), array(1, 3), dim=1),
        call(array(2, 3), array(3), dim=-1),
        call(array(3, dtype=I64), array(3, dtype=I64), dim=0),
        call(array(3), array(3, dtype=F32), dim=0),
        call(array(2, 3), array(2, 3), dim=2),
        call(array(2, 2), array(2, 2)),
        call(array(3, dtype=F16), array(3, dtype=F16), dim=0),
    ],
)
_a, _b = array(3, 4, dtype=F32), array(5, 4, dtype=F32, seed=1)
CALLS.add(
    "cdist",
    [
        call(_a, _b, p=0.0),
        call(_a, _b, p=3.0),
        call(_a, _b, p=-1.0),
        call(_a, _a),
        call(array(3, 0, dtype=F32), array(5, 0, dtype=F32)),
        call(array(2, 1, 3, 4, dtype=F32), array(5, 2, 4, dtype=F32)),
        call(strided(3, 4, dtype=F32), strided(5, 4, dtype=F32), p=0.5),
        call(array(4, dtype=F32), _b),
        call(_a, _b.astype(F64)),
        call(array(3, 4, dtype=I64), array(5, 4, dtype=I64)),
        call(_a, _b, compute_mode="donot_use_mm_for_euclid_dist"),
        call(_a, _b, compute_mode="never"),
        call(array(2, 3, 4, dtype=F32), array(3, 3, 4, dtype=F32)),
    ],
)
CALLS.add(
    "trace",
    [
        call(array(0, 3)),
        call(array(3, 0)),
        call(array(2, 3, 3)),
        call(array(3, 3, dtype=F16)),
        call(array(3, 3, dtype="bool")),
        call(array(3, 3, dtype="uint8")),
        call(array()),
    ],
)
