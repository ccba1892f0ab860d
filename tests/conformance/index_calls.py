"""Calls for the functions of ``torch`` that read and write at indices."""

from __future__ import annotations

import numpy as np
from conformance.calls import call
from conformance.inputs import (
    F16,
    F32,
    F64,
    I32,
    I64,
    INDEX,
    ROWS,
    SPECIAL,
    Table,
    X,
    array,
    gathered,
    indexed,
    strided,
)

CALLS = Table()
CALLS.add(
    "argwhere nonzero",
    [call(x) for x in (X > 0, X, array(), array(0, 2), array(2, 3, 2, dtype="bool"), np.zeros(3))],
)
CALLS.add("unravel_index", [call(np.array([0, 7, 11]), (3, 4)), call(np.array(5), (2, 3))])
# Indices
CALLS.add("index_select", indexed())
CALLS.add("index_select", [call(array(2, 0), 1, ROWS), call(array(2, 0), 1, np.array([], I64))])
CALLS.add("index_fill", [call(array(), 0, np.array([i]), 1) for i in (0, -1, 1)])
CALLS.add("index_fill", indexed(1.5) + indexed(2)[:3])
CALLS.add("gather", gathered())
CALLS.add(
    "take_along_dim", [call(X, np.argsort(X, 1), 1), call(X, np.array([3, 1])), call(X, INDEX, 0)]
)
CALLS.add(
    "scatter",
    gathered(1.5)[:1]
    + gathered(2)
    + [call(X, 0, INDEX[:1], array(1, 3)), call(X, 1, INDEX, array(2, 3), reduce="add")],
)
CALLS.add(
    "scatter_add",
    [call(array(4, 5, dtype=d), 0, INDEX, array(2, 3, dtype=d)) for d in (F64, F32, F16, I64)],
)
CALLS.add(
    "scatter_add",
    [
        call(strided(4, 5), -1, INDEX, array(2, 3)),
        call(X, 0, np.array([[9]]), X),
    ],
)
CALLS.add(
    "scatter_reduce",
    [
        call(X, 0, INDEX[:1], array(1, 3), reduce=r, include_self=s)
        for r in ("sum", "prod", "mean", "amax", "amin")
        for s in (True, False)
    ],
)
CALLS.add(
    "index_add index_copy",
    [call(array(4, 5, dtype=d), 0, ROWS[:2], array(2, 5, dtype=d)) for d in (F64, F32, F16, I64)],
)
CALLS.add(
    "index_add index_copy",
    [
        call(X, 1, ROWS[:2], array(4, 2)),
        call(X, 0, np.array([9]), array(1, 5)),
        call(X, 0, ROWS, array(2, 5)),
    ],
)
CALLS.add(
    "index_reduce", [call(X, 0, ROWS, array(3, 5), r) for r in ("prod", "mean", "amax", "amin")]
)
CALLS.add(
    "masked_fill", [call(array(4, 5, dtype=d), X > 0, 1) for d in (F64, F32, F16, I64, "bool")]
)
CALLS.add(
    "masked_fill",
    [
        call(X, X[0] > 0, 2.5),
        call(X, X > 0, array()),
        call(array(3, dtype=I64), np.ones(3, bool), 1.5),
        call(X, X, 1),
    ],
)
CALLS.add(
    "masked_select",
    [
        call(X, X > 0),
        call(X, X[0] > 0),
        call(array(5), X > 0),
        call(array(0), np.ones(0, bool)),
        call(X, X),
    ],
)
CALLS.add(
    "masked_scatter",
    [
        call(X, X > 0, array(20)),
        call(X, X > 0, array(1)),
        call(array(3), np.ones(3, bool), array(3)),
    ],
)
CALLS.add(
    "take",
    [call(X, INDEX), call(X, np.array([-1])), call(X, np.array([], I64))],
)
CALLS.add(
    "put",
    [call(X, np.array([1, 3]), array(2)), call(X, np.array([1, 1]), array(2), accumulate=True)],
)
CALLS.add(
    "argwhere nonzero",
    [
        call(strided(2, 3, dtype="bool")),
        call(array(4, dtype=I64)),
        call(np.array(0)),
        call(array(3, dtype=F16)),
        call(SPECIAL),
    ],
)
CALLS.add("nonzero", [call(x, as_tuple=True) for x in (X > 0, array(0, 2), array(), np.zeros(3))])
CALLS.add(
    "unravel_index",
    [
        call(np.array([[0, 7], [11, 1]]), (3, 4)),
        call(np.array([], I64), (3, 4)),
        call(np.array([-1]), (3, 4)),
        call(np.array([12]), (3, 4)),
        call(np.array([2]), 4),
        call(np.array([0]), ()),
        call(array(3), (3, 4)),
        call(np.array([3], I32), (2, 2, 2)),
        call(np.array([0]), (-1, 2)),
    ],
)
CALLS.add(
    "take_along_dim",
    [
        call(strided(4, 5), np.argsort(X, 0), 0),
        call(X, np.array([[1], [0], [3], [2]]), 1),
        call(X, np.array([[-1]]), 1),
        call(X, np.array([[9]]), 1),
        call(X, np.array([[0.5]]), 1),
        call(X, np.array([0]), 1),
        call(X, INDEX, -3),
        call(array(4, 5, dtype=F32), np.zeros((0, 5), I64), 0),
        call(array(), np.array(0)),
        call(array(4, 5, dtype=I64), np.array([[0, 1]]), -1),
    ],
)
CALLS.add(
    "scatter_add",
    [
        call(X, 1, INDEX, array(4, 3, dtype=F32)),
        call(X, 2, INDEX, array(2, 3)),
        call(X, 0, INDEX, array(1, 3)),
        call(array(2, 2, dtype=F32), 0, np.zeros((0, 3), I64), array(2, 3, dtype=F32)),
        call(array(), 0, np.array(0), array()),
        call(array(4), 0, ROWS, strided(1, 3)[0]),
        call(X, 0, np.array([[1.0]]), array(1, 1)),
        call(X, 0, np.array([[-1]]), array(1, 1)),
        call(X, 0, ROWS, array(3)),
    ],
)
_ODD_REDUCE = [
    (strided(4, 5), -1, INDEX, array(2, 3)),
    (array(4, dtype=I64), 0, ROWS, array(3, dtype=I64)),
    (array(4, dtype=F16), 0, ROWS, array(3, dtype=F16)),
    (X, 0, np.array([[9]]), array(1, 1)),
    (X, 0, INDEX, array(2, 3, dtype=F32)),
    (array(2, 2, dtype=F32), 0, np.zeros((0, 3), I64), array(2, 3, dtype=F32)),
    (array(), 0, np.array(0), array()),
    (X, 2, INDEX, array(2, 3)),
]
CALLS.add("scatter_reduce", [call(*c, reduce=r) for r in ("sum", "mean") for c in _ODD_REDUCE])
CALLS.add("scatter_reduce", [call(*_ODD_REDUCE[0], reduce=r) for r in ("prod", "amax", "add")])
CALLS.add(
    "scatter_reduce", [call(array(4, dtype=F32), 0, ROWS, array(3, dtype=F32), reduce="amin")]
)
_ODD_ROWS = [
    (strided(4, 5), -1, ROWS[:2], strided(4, 2)),
    (X, 0, np.array([], I64), array(0, 5)),
    (X, 0, np.array([-1]), array(1, 5)),
    (X, 0, np.array([[1]]), array(1, 5)),
    (X, 0, np.array([1.0]), array(1, 5)),
    (X, 2, ROWS, array(3, 5)),
    (X, 0, ROWS, array(3, 5, dtype=F32)),
    (X, 0, ROWS, array(3, 4)),
    (array(), 0, np.array([0]), array(1)),
    (array(4, dtype="bool"), 0, np.array([1], I32), array(1, dtype="bool")),
]
CALLS.add("index_add index_copy", [call(*c) for c in _ODD_ROWS])
CALLS.add("index_add", [call(X, 0, ROWS, array(3, 5), alpha=a) for a in (2, 0.5)])
CALLS.add("index_add", [call(array(4, dtype=I64), 0, ROWS, array(3, dtype=I64), alpha=0.5)])
CALLS.add("index_reduce", [call(*c, "mean") for c in _ODD_ROWS])
CALLS.add(
    "index_reduce",
    [
        call(X, 0, ROWS, array(3, 5), r, include_self=False)
        for r in ("prod", "mean", "amax", "amin", "sum")
    ],
)
CALLS.add(
    "masked_fill",
    [
        call(strided(4, 5), X > 0, -np.inf),
        call(array(), np.array(True), 1),
        call(array(0, 3), np.ones(3, bool), 1),
        call(X, np.ones(4, bool), 1),
        call(X, X > 0, array(2)),
        call(X, X > 0, array(dtype=F32)),
        call(array(3, dtype=F32), np.ones((2, 3), bool), array()),
        call(X, np.ones(5, "uint8"), 1),
    ],
)
CALLS.add(
    "masked_select",
    [
        call(strided(4, 5), strided(4, 5, dtype="bool")),
        call(array(), np.array(True)),
        call(array(), np.array(False)),
        call(X, np.ones(4, bool)),
        call(array(4, dtype=I64), np.array([True])),
        call(X, np.zeros(5, bool)),
    ],
)
CALLS.add(
    "masked_scatter",
    [
        call(strided(4, 5), X > 0, strided(4, 5)),
        call(X, X[0] > 0, array(4, 5, seed=1)),
        call(array(5), X > 0, array(20)),
        call(array(), np.array(True), array(1)),
        call(array(0, 3), np.ones(3, bool), array(0)),
        call(X, X > 0, array(20, dtype=F32)),
        call(X, X, array(20)),
        call(array(3, dtype=I64), np.array([True, False, True]), array(2, dtype=I64)),
    ],
)
CALLS.add(
    "take",
    [
        call(strided(4, 5), INDEX),
        call(array(), np.array([0, 0])),
        call(X, np.array(19)),
        call(X, np.array([20])),
        call(X, np.array([-21])),
        call(X, np.array([0.5])),
        call(array(0), np.array([], I64)),
        call(array(0), np.array([0])),
        call(array(3, dtype=I64), np.array([0], I32)),
        call(array(3, dtype=F16), ROWS),
    ],
)
CALLS.add(
    "put",
    [
        call(strided(4, 5), np.array([-1, 3]), array(2)),
        call(X, INDEX, array(2, 3), accumulate=True),
        call(X, INDEX, array(6), accumulate=True),
        call(X, np.array([1, 3]), array(3)),
        call(X, np.array([20]), array(1)),
        call(X, np.array([1]), array(1, dtype=F32)),
        call(X, np.array([0.5]), array(1)),
        call(X, np.array([], I64), array(0)),
        call(array(), np.array(0), array()),
        call(array(3, dtype=I64), np.array([1, 1]), array(2, dtype=I64), accumulate=True),
    ],
)
CALLS.add(
    "index_put",
    [
        call(X, (ROWS, np.array([0, 1, 2])), array(3)),
        call(X, (ROWS,), array(5)),
        call(X, (ROWS,), array(), accumulate=True),
        call(X, (ROWS, np.array([0])), array(3), True),
        call(X, (X > 0,), array()),
        call(strided(4, 5), (np.array([-1, 0]),), strided(2, 5)),
        call(X, (np.array([], I64),), array(0, 5)),
        call(X, (np.array([9]),), array()),
        call(X, (np.array([0.5]),), array()),
        call(X, (ROWS, ROWS, ROWS), array()),
        call(X, (ROWS,), array(2, 5)),
        call(X, (ROWS,), array(5, dtype=F32)),
        call(array(4, dtype=I64), (ROWS,), array(3, dtype=I64)),
    ],
)
