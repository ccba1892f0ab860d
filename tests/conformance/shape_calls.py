"""Calls for the functions of ``torch`` that change shapes, and take and put parts."""

from __future__ import annotations

import numpy as np
from conformance.calls import DType, call
from conformance.inputs import (
    F16,
    F32,
    I32,
    I64,
    Table,
    X,
    array,
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
CALLS.add("roll", [call(X, ()), call(X, (), ()), call(X, 1, ()), call(X, (1, 2))])
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
CALLS.add("as_strided", [call(X, (2, 2), (5, 1)), call(X, (3,), (2,), 1), call(X, (9, 9), (5, 1))])
CALLS.add(
    "unflatten",
    [
        call(array(6, dtype=F32), 0, (2, -1, 1)),
        call(strided(4, 6), 0, (2, 2)),
        call(array(0, 6), 0, (0, 3)),
        call(array(0, 6), 0, (-1, 3)),
        call(array(4, 6), 1, (-1, -1)),
        call(array(4, 6), 2, (2, 3)),
        call(array(4, 6), 1, ()),
        call(array(), 0, (1,)),
    ],
)
CALLS.add("squeeze", [call(array(1, 2, 1, dtype=d), -1) for d in (F32, I64)] + [call(array(), 0)])
CALLS.add(
    "permute",
    [call(array(2, 3, 4, dtype=F16), (2, 1, 0)), call(array(3), (-1,)), call(X, (0, 2))],
)
CALLS.add(
    "movedim moveaxis",
    [
        call(strided(2, 3, 4), -1, 0),
        call(array(2, 3, dtype=I64), 0, 1),
        call(array(0, 3), (0,), (1,)),
        call(array(), 0, 0),
        call(array(2, 3, 4), (0, 0), (1, 2)),
        call(array(2, 3, 4), (0, 1), (2,)),
        call(array(2, 3, 4), (), ()),
        call(array(2, 3, 4), (-1, -2), (-3, -1)),
    ],
)
CALLS.add(
    "rot90",
    [
        call(strided(3, 4), 3, (1, 0)),
        call(array(0, 2)),
        call(X, 5, (-1, -2)),
        call(X, 1, (0, 0)),
        call(X, 1, (0, 2)),
        call(X, 1, (0,)),
        call(array(2, 3, dtype=I64), 0),
    ],
)
CALLS.add(
    "broadcast_to",
    [
        call(strided(2, 1), (2, 3)),
        call(array(0, 1), (0, 4)),
        call(array(1, dtype=I64), (2, 3)),
        call(array(3), ()),
        call(array(3), (-1, 3)),
        call(array(2, 1, 4, dtype=F32), (2, -1, 4)),
        call(array(), ()),
    ],
)
CALLS.add(
    "narrow",
    [
        call(array(6), -1, 2, 3),
        call(X, 1, np.array(2), 2),
        call(X, 0, -9, 1),
        call(X, 0, 1, -1),
        call(array(), 0, 0, 1),
        call(X, 2, 0, 1),
        call(array(0, 3, dtype=F32), 0, 0, 0),
        call(array(4, dtype="bool"), 0, 4, 0),
    ],
)
CALLS.add(
    "select",
    [
        call(strided(4, 5), -1, 0),
        call(array(4, dtype=I64), 0, -4),
        call(X, 2, 0),
        call(X, 0, -5),
        call(array(0, 3), 1, 1),
        call(array(0, 3), 0, 0),
    ],
)
CALLS.add(
    "diagonal",
    [
        call(strided(3, 3)),
        call(X, -9),
        call(array(2, 3, 4), dim1=-1, dim2=0),
        call(array(0, 3)),
        call(X, 0, 0, 0),
        call(X, 0, 0, 2),
        call(array(3, 3, dtype="bool"), 1),
    ],
)
CALLS.add(
    "diag", [call(strided(3, 4), -1), call(array(2, 2, 2)), call(array(3, dtype=I64)), call(X, 9)]
)
CALLS.add(
    "diagflat",
    [
        call(strided(2, 2)),
        call(array(3), -2),
        call(array(2, dtype="bool")),
        call(array(2, 0, 2), 1),
        call(array(2, dtype=F16), 3),
        call(array(1, 1)),
    ],
)
CALLS.add(
    "diag_embed",
    [
        call(strided(2, 3)),
        call(array(2, 3), 0, 2, 1),
        call(array(3, dtype=I64), -3),
        call(array(2, 3), dim1=0, dim2=5),
        call(array(), 0),
        call(array(2, 0), 2),
    ],
)
CALLS.add(
    "diagonal_scatter",
    [
        call(array(2, 3, 4), array(4, 2), 0, 0, 1),
        call(array(2, 3, 4), array(3, 2), -1, -1, 0),
        call(strided(4, 5), array(4)),
        call(array(0, 3), array(0)),
        call(array(3, 3, dtype=F32), array(3)),
        call(X, array(4), 0, 1, 1),
        call(array(3, 3, dtype=I64), array(3, dtype=I64)),
    ],
)
CALLS.add(
    "select_scatter",
    [
        call(strided(4, 5), strided(1, 4)[0], -1, 2),
        call(X, array(5), 0, -4),
        call(X, array(5), 0, 9),
        call(X, array(5), 2, 0),
        call(array(4, 5, dtype=F32), array(5), 0, 0),
        call(array(4, dtype=I64), array(dtype=I64), 0, 1),
        call(array(2, 3, 4), array(2, 4), 1, 0),
        call(array(), array(), 0, 0),
    ],
)
CALLS.add(
    "slice_scatter",
    [
        call(X, array(4, 5, seed=1)),
        call(X, array(2, 5), 0, -2),
        call(X, array(2, 5), 0, 1, 99),
        call(X, array(0, 5), 0, 3, 1),
        call(strided(4, 5), strided(4, 2), -1, 1, 3),
        call(X, array(2, 5), 0, 0, 4, 0),
        call(X, array(3, 5), 0, 0, 2),
        call(X, array(3, 5), 2, 0, 2),
        call(array(4, dtype=I64), array(2, dtype=I64), 0, 0, None, 2),
        call(array(4, dtype=F32), array(2), 0, 2),
    ],
)
CALLS.add(
    "tril_indices triu_indices",
    [
        call(3, 0),
        call(3, 3, -3),
        call(2, 5, 2, dtype=DType(I32)),
        call(-1, 3),
        call(3, 3, dtype=DType(F32)),
        call(1, 1, -1),
    ],
)
CALLS.add(
    "as_strided",
    [
        call(X, (2, 3), (1, 1)),
        call(X, (3, 3), (5, 0)),
        call(X, (), ()),
        call(X, (0,), (1,)),
        call(X, (2,), (-1,)),
        call(X, (2, 2), (1,)),
        call(X, (2,), (1,), 19),
        call(X, (-1,), (1,)),
        call(array(6, dtype=I64), (2, 2), (2, 1), 1),
        call(array(6, dtype=F32), (5, 2), (1, 1)),
    ],
)
