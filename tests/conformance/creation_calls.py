"""Calls for the functions of ``torch`` that make tensors."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, DType, call
from conformance.inputs import F16, F32, F64, I32, I64, Table, X, array, shaped, strided

CALLS = Table()
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
CALLS.add(
    "full",
    [
        call((2, 3), 1.5, dtype=DType(I64)),
        call((2,), False),
        call((0,), float("nan")),
        call((2,), 300, dtype=DType("uint8")),
        call((2, 2), -1, dtype=DType("bool")),
        call(3, 1),
        call(("a",), 1),
    ],
)
CALLS.add(
    "zeros ones",
    [
        call(2, 0, dtype=DType("bool")),
        call((2, 3), dtype=DType(F16)),
        call((2, -3)),
        call(2.5),
        call((2, "a")),
        call(size=(2, 3)),
    ],
)
CALLS.add(
    "arange",
    [
        call(1, 2.5, 0.5),
        call(0.5, 3),
        call(-3, 3, 2, dtype=DType(I32)),
        call(0),
        call(5, 1, 1),
        call(0, 1, float("nan")),
        call(0, float("inf")),
        call(1, 0, -0.3, dtype=DType(F64)),
        call(3, dtype=DType("bool")),
        call(True),
        call(2, dtype=DType(F16)),
        call(0, 2, step=0.1, dtype=DType(I64)),
    ],
)
CALLS.add(
    "linspace logspace",
    [
        call(-1.5, 2, 4, dtype=DType(F64)),
        call(0, 1, 11, dtype=DType(F16)),
        call(2, 2, 3),
        call(0, 5, 4, dtype=DType(I32)),
        call(True, 2, 3),
        call(0, 1),
        call(0, 1, 2.5),
        call(np.array(0.0, F32), np.array(1.0, F32), 3),
        call(0, np.array(1.0, F32), 4),
        call(np.array([0.0], F32), 1, 3),
    ],
)
CALLS.add("logspace", [call(0, 1, -1), call(0, 2, 3, base=0.5), call(0, 2, 3, base=-2)])
CALLS.add(
    "eye",
    [
        call(2, 0),
        call(0, 3),
        call(2, 3, dtype=DType("bool")),
        call(3, -1),
        call(2.5),
        call(1, dtype=DType(F16)),
        call(n=2, m=2),
    ],
)
CALLS.add(
    "vander",
    [
        call(_x, 0),
        call(_x, 1),
        call(_x, -1),
        call(array(3, dtype=I64), 3),
        call(array(0, dtype=F32)),
        call(array(dtype=F32)),
        call(_x, N=4, increasing=True),
        call(array(3, dtype=F16), 2),
        call(array(3, dtype="bool"), 3),
    ],
)
CALLS.add(
    "tensor",
    [
        call(2.5),
        call([True, 2]),
        call([1, True, 2.5]),
        call((1, (2,))),
        call([[], []]),
        call("a"),
        call([None]),
        call([2**40]),
        call(2**70),
        call([1.5], dtype=DType(I64)),
        call([-1], dtype=DType("uint8")),
        call([[[1]], [[2]]], dtype=DType("bool")),
    ],
)
# Of any values: their form is compared.
_SIZES = [
    call(2, 3),
    call((2, 3)),
    call(()),
    call(0, 2),
    call(3, dtype=DType(F64)),
    call(2, dtype=DType(F16)),
    call(-1),
    call(2, -1),
    call(2.5),
    call(size=(2, 1)),
    call(2, requires_grad=True),
]
CALLS.add("empty rand randn", _SIZES)
CALLS.add("rand randn", [call(2, dtype=DType(I64)), call(2, dtype=DType("bool"))])
CALLS.add("empty", [call(2, dtype=DType(I64)), call(2, dtype=DType("bool"))])
CALLS.add("empty_like rand_like randn_like", shaped(()))
CALLS.add("empty_like rand_like randn_like", [call(X, dtype=DType(d)) for d in (F32, F16, I64)])
CALLS.add(
    "randint",
    [
        call(5, (2, 3)),
        call(2, 5, (3,)),
        call(-2, 5, ()),
        call(0, 1, (0, 2)),
        call(5, (2,), dtype=DType(F32)),
        call(5, (2,), dtype=DType("uint8")),
        call(5, 5, (2,)),
        call(5, 2, (2,)),
        call(0, (2,)),
        call(5, (-1,)),
        call(high=5, size=(2,)),
        call(2, (2,), dtype=DType("bool")),
        call(0, 300, (2,), dtype=DType("uint8")),
        call(2.5, (2,)),
    ],
)
CALLS.add("randint_like", [*shaped((5,), (2, 5)), call(X, 5, 5), call(X, 5, dtype=DType(I64))])
CALLS.add(
    "randperm",
    [
        *(call(n) for n in (5, 0, 1, -1, 2.5, True)),
        *(call(5, dtype=DType(d)) for d in (I32, F32, F64, "uint8", "bool")),
        call(300, dtype=DType("uint8")),
    ],
)
CALLS.add(
    "normal",
    [
        call(0.0, 1.0, (2, 3)),
        call(0, 1, (2,)),
        call(array(3, dtype=F32), array(3, dtype=F32, low=0)),
        call(array(3, dtype=F32), array(2, 1, dtype=F32, low=0)),
        call(array(3, dtype=F32)),
        call(array(3, dtype=F32), 2.0),
        call(1.0, array(3, low=0).astype(F32)),
        call(0.0, -1.0, (2,)),
        call(0.0, -array(3, dtype=F32, low=1)),
        call(0.0, 1.0, (-1,)),
        call(array(0, dtype=F32), 1.0),
        call(array(3, dtype=I64), 1.0),
        call(array(3, dtype=F32), array(2, dtype=F32, low=0)),
    ],
)
_WEIGHTS = array(2, 4, dtype=F32, low=0.1, high=1)
CALLS.add(
    "multinomial",
    [
        call(_WEIGHTS, 2),
        call(_WEIGHTS[0], 4),
        call(_WEIGHTS, 9, True),
        call(_WEIGHTS, 9),
        call(_WEIGHTS, 0),
        call(_WEIGHTS, -1),
        call(-_WEIGHTS, 1),
        call(_WEIGHTS * 0, 1),
        call(_WEIGHTS.astype(F64), 2, replacement=True),
        call(_WEIGHTS.astype(F16), 1),
        call(array(3, dtype=I64, low=1), 1),
        call(array(2, 2, 2, dtype=F32, low=0), 1),
        call(array(dtype=F32, low=0), 1),
        call(_WEIGHTS * np.nan, 1),
        call(np.zeros((0, 3), F32), 1),
    ],
)
_CHANCES = array(3, 4, dtype=F32, low=0, high=1)
CALLS.add(
    "bernoulli",
    [
        call(_CHANCES),
        call(_CHANCES.astype(F64)),
        call(_CHANCES.astype(F16)),
        call(_CHANCES, 0.3),
        call(_CHANCES[:0]),
        call(array(low=0, high=1)),
        call(strided(2, 3, low=0, high=1)),
        call(_CHANCES + 1),
        call(_CHANCES, 2.0),
        call(array(3, dtype=I64)),
        call(array(3, dtype=I64), 0.5),
        call(_CHANCES * np.nan),
    ],
)
