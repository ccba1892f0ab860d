"""Calls for what PyTorch has only as methods of a tensor: ``Tensor.expand(x, 2, 3)``."""

from __future__ import annotations

import numpy as np
from conformance.calls import DType, call
from conformance.inputs import F16, F32, F64, I32, I64, Table, X, array, shaped, strided

CALLS = Table()
CALLS.add("Tensor.contiguous", [*shaped(()), call(strided(2, 3, 2)), call(array(2, 0))])
CALLS.add(
    "Tensor.expand",
    [
        call(array(3, 1), 3, 4),
        call(array(3, 1), (2, 3, 4)),
        call(array(3, 1), -1, 4),
        call(array(), 2, 3),
        call(array(), ()),
        call(array(0, 1), 0, 5),
        call(array(1), 0),
        call(strided(2, 1), 2, 2),
        call(array(1, 3, dtype=I64), 4, -1),
        call(array(3), 4),
        call(array(3, 2), 3),
        call(array(3), -1, 3),
        call(array(3), size=(2, 3)),
    ],
)
CALLS.add(
    "Tensor.expand_as",
    [
        call(array(3, 1), X[:3]),
        call(array(5), X),
        call(array(), X),
        call(array(1, dtype=I64), X),
        call(strided(4, 1), X),
        call(array(0), array(2, 0)),
        call(array(1), array(0)),
        call(array(4), X),
        call(X, array(5)),
        call(array(), array()),
    ],
)
CALLS.add(
    "Tensor.repeat",
    [
        *(call(X, n, 2) for n in (1, 0, -1)),
        call(X, (2, 1, 3)),
        call(X, 2),
        call(array(), 3),
        call(array(), ()),
        call(array(3), ()),
        call(strided(2, 3), 1, 2),
        call(array(2, dtype="bool"), 2, 1),
        call(array(0, 2), 2, 2),
        call(array(3, dtype=F16), 2),
    ],
)
_VIEWED = [
    (X, array(2, 10)),
    (X, array(20)),
    (array(0, 3), array(3, 0)),
    (array(1), array()),
    (array(), array(1, 1)),
    (array(6, dtype=I64), array(2, 3)),
    (X, array(3, 7)),
    (strided(2, 6), array(12)),
    (strided(2, 6), array(2, 3, 2)),
    (array(4, dtype=F16), array(2, 2, dtype=F32)),
]
CALLS.add("Tensor.view_as Tensor.reshape_as", [call(*pair) for pair in _VIEWED])
CALLS.add(
    "Tensor.view",
    [
        call(X, 20),
        call(X, (2, -1)),
        call(X, -1, 2),
        call(X, -1, -1),
        call(X, 3, -1),
        call(X, 21),
        call(array(), -1),
        call(array(1), ()),
        call(array(0, 3), 3, 0),
        call(array(0, 3), -1),
        call(array(0, 3), 0, -1),
        call(strided(2, 6), 12),
        call(strided(2, 6), 2, 3, 2),
        call(array(4, dtype=F32), DType(I32)),
        call(array(4, dtype=F32), DType(F64)),
        call(array(2, 2, dtype=F16), DType(F32)),
        call(array(2, 3, dtype=F16), DType(F32)),
        call(array(4, dtype=I64), DType(I64)),
        call(X, size=(5, 4)),
        call(X, -2, 3),
    ],
)
CALLS.add(
    "Tensor.sum_to_size",
    [
        call(X, 4, 1),
        call(X, (1, 5)),
        call(X, 5),
        call(X, ()),
        call(X, 1, 1),
        call(array(2, 3, 4), 3, 1),
        call(array(), ()),
        call(strided(3, 4), 3, 1),
        call(array(0, 3), 1, 3),
        call(array(4, 3, dtype=I64), 3),
        call(X, 2, 5),
        call(X, 1, 4, 5),
        call(array(4, 3, dtype=F16), 1, 3),
    ],
)
CALLS.add(
    "Tensor.unfold",
    [
        call(array(7), 0, 3, 2),
        call(array(2, 6), 1, 2, 2),
        call(array(2, 6), -1, 2, 1),
        call(array(2, 6), 0, 2, 1),
        call(strided(2, 6), 1, 3, 3),
        call(array(6, dtype=I64), 0, 4, 1),
        call(array(), 0, 1, 1),
        call(array(6), 0, 0, 1),
        call(array(6), 0, 7, 1),
        call(array(6), 0, 2, 0),
        call(array(6), 0, -1, 1),
        call(array(6), 1, 2, 1),
        call(array(0, 3), 1, 2, 1),
        call(array(0), 0, 0, 1),
    ],
)
_NEW = [
    *(call(array(3, dtype=d), 2, 3) for d in (F64, F32, F16, I64, "bool")),
    call(X, (2, 3)),
    call(X, ()),
    call(X, 0, 2),
    call(X, 3, dtype=DType(I32)),
    call(X, -1),
    call(X, (2,), requires_grad=True),
    call(X, size=(2, 2)),
]
CALLS.add("Tensor.new_zeros Tensor.new_ones Tensor.new_empty", _NEW)
CALLS.add(
    "Tensor.new_full",
    [
        *(call(array(3, dtype=d), (2, 3), 1) for d in (F64, F32, F16, I64, "bool")),
        call(X, (), 2.5),
        call(array(3, dtype=I64), (2,), 2.5),
        call(X, (0, 2), True),
        call(X, (2,), 3, dtype=DType(I32)),
        call(X, (-1,), 1),
        call(X, (2,), 1.0, requires_grad=True),
        call(array(3, dtype="uint8"), (2,), 300),
    ],
)
CALLS.add(
    "Tensor.new_tensor",
    [
        *(call(array(3, dtype=d), [1, 2]) for d in (F64, F32, F16, I64, "bool")),
        call(X, 2.5),
        call(array(3, dtype=I64), [1.5]),
        call(X, []),
        call(X, [[1], [2.5]], dtype=DType(I32)),
        call(X, [[1], [2, 3]]),
        call(X, [1.0], requires_grad=True),
        call(X, np.array([1.5], F32)),
    ],
)
_CHANCES = array(3, 4, dtype=F32, low=0, high=1)
CALLS.add("Tensor.bernoulli", [call(_CHANCES), call(_CHANCES, 0.5), call(_CHANCES + 1)])
CALLS.add("Tensor.multinomial", [call(_CHANCES, 2), call(_CHANCES, 9), call(_CHANCES, 9, True)])
CALLS.add(
    "Tensor.fill_",
    [
        *(call(array(2, 3, dtype=d), v) for d in (F32, F16, I64, "uint8", "bool") for v in (2, -1)),
        *(call(array(3, dtype="uint8"), v) for v in (300, -300, 2.5)),
        call(array(3, dtype=F16), 1e6),
        call(array(3, dtype=F32), array(dtype=I64)),
        call(array(3, dtype=F32), array(1, dtype=F32)),
        call(strided(2, 3, dtype=F32), 1),
        call(array(0, dtype=F32), 1),
        call(X, 1),
    ],
)
