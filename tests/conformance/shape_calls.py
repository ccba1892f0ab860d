"""Calls for the functions of ``torch`` that change shapes, join, and index."""

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
    Table,
    X,
    array,
    gathered,
    indexed,
    shaped,
    strided,
)

CALLS = Table()
# Shapes
CALLS.add("reshape", [*shaped(((-1,),), ((6, -1),)), call(X, (3, 7))])
CALLS.add("flatten ravel", shaped(()))
CALLS.add(
    "flatten", [call(array(2, 3, 4), 1), call(array(2, 3, 4), 0, 1), call(X, 1, 0), call(X, 3)]
)
CALLS.add(
    "unflatten", [call(array(4, 6), 1, (2, 3)), call(array(4, 6), -1, (-1, 2)), call(X, 0, (3, 3))]
)
CALLS.add(
    "squeeze", [call(array(1, 3, 1)), call(array(1, 3, 1), 0), call(array(1, 3), 1), call(array())]
)
CALLS.add(
    "squeeze", [call(array(1, 3, 1), (0, 2)), call(X, 2), call(strided(1, 3)), call(array(0, 1))]
)
CALLS.add("unsqueeze", [*shaped((0,), (-1,), (1,)), call(X, 5)])
CALLS.add("transpose swapaxes swapdims", shaped((0, -1), (1, 0)))
CALLS.add("t", shaped(()))
CALLS.add("permute", [call(array(2, 3, 4), p) for p in ((2, 0, 1), (-1, 0, 1), (0, 0, 1), (0, 1))])
CALLS.add("permute", [call(strided(2, 3), (1, 0)), call(array(), ()), call(array(0, 2), (1, 0))])
CALLS.add(
    "movedim moveaxis",
    [call(array(2, 3, 4), 0, -1), call(array(2, 3, 4), (0, 1), (2, 0)), call(X, 0, 4)],
)
CALLS.add(
    "flip",
    [call(array(2, 3, 4), d) for d in ((0,), (0, -1), (0, 0), (5,), ())] + shaped(((0,),))[:9],
)
CALLS.add("fliplr flipud", shaped(()))
CALLS.add(
    "rot90", [call(X), call(X, 2), call(X, -1), call(array(2, 3, 4), 1, (0, 2)), call(array(3))]
)
CALLS.add("roll", [*shaped((2,), (1, 0)), call(X, (1, 2), (0, 1)), call(X, -7, 1)])
CALLS.add("tile", shaped(((2,),), ((2, 1, 3),)))
CALLS.add(
    "repeat_interleave",
    [*shaped((2,)), call(X, 3, 1), call(X, np.array([1, 0, 2, 1]), 0), call(X, -1)],
)
CALLS.add(
    "broadcast_to",
    [call(array(3, 1), (3, 4)), call(array(), (2,)), call(array(3), (2, -1)), call(X, (3, 3))],
)
CALLS.add(
    "narrow", [call(X, 0, 1, 2), call(X, 1, -2, 2), call(X, 0, 3, 4), call(strided(4, 5), 1, 0, 0)]
)
CALLS.add(
    "select",
    [call(X, 0, 1), call(X, 1, -1), call(X, 0, 7), call(array(), 0, 0), call(array(2, 3, 4), 1, 2)],
)
CALLS.add(
    "diagonal",
    [call(X), call(X, 1), call(X, -2), call(array(2, 3, 4), 0, 0, 2), call(array(3)), call(X, 9)],
)
CALLS.add(
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
CALLS.add("diagflat", [call(array(3)), call(array(2, 2), 1), call(array()), call(array(0))])
CALLS.add(
    "diag_embed",
    [
        call(array(3)),
        call(array(2, 3), 1),
        call(array(2, 3), -1, 0, 2),
        call(array(0)),
        call(array(2, 3), dim1=0, dim2=0),
    ],
)
CALLS.add(
    "diagonal_scatter",
    [call(X, array(4)), call(X, array(4), 1), call(X, array(3), -1), call(X, array(7))],
)
CALLS.add(
    "select_scatter", [call(X, array(5), 0, 1), call(X, array(4), 1, -1), call(X, array(4), 0, 0)]
)
CALLS.add(
    "slice_scatter", [call(X, array(2, 5), 0, 1, 3), call(X, array(4, 2), 1, 0, 4, 2), call(X, X)]
)
CALLS.add("tril triu", shaped((), (1,), (-2,)))
CALLS.add(
    "tril_indices triu_indices",
    [call(3, 4), call(3, 4, 1), call(4, 3, -1), call(0, 3), call(2, 2, offset=5)],
)
CALLS.add(
    "split",
    [*shaped((2,), ((1, 3),)), call(X, 2, 1), call(X, (2, 2, 1), -1), call(X, 0), call(X, 9)],
)
CALLS.add("chunk tensor_split", [*shaped((2,), (3,)), call(X, 2, 1), call(X, 0), call(X, 7, -1)])
CALLS.add("tensor_split", [call(X, (1, 3)), call(X, (2,), 1), call(X, (3, 1))])
CALLS.add(
    "hsplit",
    [
        call(array(4, 6), 2),
        call(array(4, 6), (1, 3)),
        call(array(6), 3),
        call(array(), 1),
        call(X, 2),
    ],
)
CALLS.add(
    "vsplit", [call(array(4, 6), 2), call(array(4, 6), (1, 3)), call(array(6), 3), call(X, 3)]
)
CALLS.add("dsplit", [call(array(2, 3, 4), 2), call(array(2, 3, 4), (1, 3)), call(X, 2)])
CALLS.add("unbind", [*shaped((), (-1,)), call(X, 2)])
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
CALLS.add(
    "cat concat concatenate stack",
    [call(p) for p in _PARTS] + [call((X, X), 1), call((X, X), dim=-1), call((X, X), 3)],
)
CALLS.add(
    "hstack vstack dstack column_stack row_stack",
    [call(p) for p in _PARTS] + [call((array(3), array(2)))],
)
CALLS.add("atleast_1d atleast_2d atleast_3d", [*shaped(()), call((array(), array(2)))])
CALLS.add("block_diag", [call(X, array(2, 2)), call(array(3)), call(), call(array(), X)])
CALLS.add(
    "broadcast_tensors", [call(array(3, 1), array(4)), call(array(), X), call(X, array(3)), call(X)]
)
CALLS.add(
    "meshgrid",
    [call(array(2), array(3), indexing=i) for i in ("ij", "xy")]
    + [call(array(2, 2), indexing="ij")],
)
CALLS.add("cartesian_prod", [call(array(2), array(3)), call(array(2)), call(array(0), array(2))])
CALLS.add(
    "combinations",
    [call(array(4)), call(array(4), 3), call(array(3), with_replacement=True), call(X)],
)
CALLS.add(
    "kron",
    [
        call(array(2, 2), array(3, 2)),
        call(array(2), X),
        call(array(), X),
        call(array(2, 2), array(2, 3, 2)),
    ],
)
CALLS.add("as_strided", [call(X, (2, 2), (5, 1)), call(X, (3,), (2,), 1), call(X, (9, 9), (5, 1))])
CALLS.add(
    "argwhere nonzero",
    [call(x) for x in (X > 0, X, array(), array(0, 2), array(2, 3, 2, dtype="bool"), np.zeros(3))],
)
CALLS.add("unravel_index", [call(np.array([0, 7, 11]), (3, 4)), call(np.array(5), (2, 3))])

# Indices
CALLS.add("index_select", indexed())
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
