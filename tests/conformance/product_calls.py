"""Calls for the linear algebra of ``torch``, and for creation."""

from __future__ import annotations

from conformance.calls import Call, DType, call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I32,
    I64,
    Table,
    X,
    array,
    products,
    shaped,
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


# Creation
CALLS.add(
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
CALLS.add(
    "zeros ones",
    [call(2, 3), call((2, 3)), call(()), call(0, 2), call(3, dtype=DType(I64)), call(-1)],
)
CALLS.add("zeros_like ones_like", [*shaped(()), call(X, dtype=DType(I32))])
CALLS.add("full_like", [*shaped((2,), (1.5,)), call(X, 3, dtype=DType(I64))])
CALLS.add(
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
CALLS.add(
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
CALLS.add(
    "logspace",
    [call(0, 2, 3), call(0, 3, 4, base=2), call(0, 1, 0), call(1, -1, 5, dtype=DType(F64))],
)
CALLS.add("eye", [call(3), call(2, 3), call(0), call(3, 2, dtype=DType(I64)), call(-1)])
_x = array(3, dtype=F32)  # PyTorch's gradient of it fails
CALLS.add("vander", [call(_x), call(_x, 2), call(_x, increasing=True), call(X)])
CALLS.add(
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
CALLS.add("clone detach", shaped(()))
CALLS.add(
    "softmax log_softmax",
    [
        Call((c.args[0].astype(F64) if c.args[0].dtype.kind != "f" else c.args[0], *c.args[1:]), {})
        for c in shaped((0,), (-1,))
    ]
    + [call(X, 3), call(array(3, dtype=I64), 0), call(X, 1, dtype=DType(F32))],
)
