"""Calls for the functions of ``torch`` that split tensors, and join several."""

from __future__ import annotations

from conformance.calls import call
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
CALLS.add("unbind", [*shaped((), (-1,)), call(X, 2), call(array(), 1)])
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
_SPLIT = [
    call(strided(4, 6, 2), 2),
    call(array(2, 6, 4), (2, 2)),
    call(array(2, 6, 4), -1),
    call(array(2, 6, 4), 0),
    call(array(2, 0, 0), 2),
    call(array(2, 6, 4, dtype=I64), (-1,)),
    call(array(2, 6, 4), ()),
]
CALLS.add("hsplit vsplit dsplit", _SPLIT)
CALLS.add("dsplit", [call(strided(2, 3, 4), 4)])
CALLS.add(
    "block_diag",
    [
        call(strided(2, 3), array(1, 2)),
        call(array(0, 2), array(2, 0)),
        call(array(2, 2), array(2, dtype=I64)),
        call(array(2, 2, dtype=F32), array(1, 1, dtype=F16)),
        call(array(2, 2, 2)),
        call(array(2, dtype="bool"), array(2, dtype="bool")),
        call(array(0)),
    ],
)
CALLS.add(
    "broadcast_tensors",
    [
        call(strided(3, 1), array(1, 4)),
        call(array(0, 1), array(3)),
        call(array(2, dtype=I64), array(1, dtype=F16), array(3, 1)),
        call(),
        call(array(2, 1, 3), array(4, 1)),
        call(array(2), array(0)),
        call(array(), array()),
    ],
)
CALLS.add(
    "meshgrid",
    [
        call(array(2), array(), indexing="ij"),
        call(array(2), array(0), indexing="xy"),
        call(array(2), array(3), array(4), indexing="xy"),
        call(array(2), indexing="xy"),
        call(array(2), array(3, dtype=F32), indexing="ij"),
        call(array(2), array(3), indexing="yx"),
        call((array(2), array(3)), indexing="ij"),
        call(strided(1, 3)[0], array(2), indexing="xy"),
        call(),
    ],
)
CALLS.add(
    "cartesian_prod",
    [
        call(array(2), array(3), array(2)),
        call(array(2, dtype=I64), array(2, dtype=I64)),
        call(array(2, 2)),
        call(array()),
        call(array(2), array(2, dtype=F32)),
        call(strided(1, 3)[0], array(2)),
        call(array(0)),
        call(),
    ],
)
CALLS.add(
    "combinations",
    [
        call(array(4), 1),
        call(array(4), 0),
        call(array(3), 5),
        call(array(3), -1),
        call(array(0)),
        call(array(3, dtype=I64), 3, with_replacement=True),
        call(strided(1, 4)[0], 2),
        call(array()),
    ],
)
CALLS.add(
    "kron",
    [
        call(array(2, 2), array(2, 2, dtype=F32)),
        call(array(2, dtype=I64), array(2, dtype="bool")),
        call(array(0, 2), array(2, 2)),
        call(array(), array()),
        call(array(2, 1, 2, dtype=F16), array(3, dtype=F16)),
        call(array(1), array(0)),
        call(array(2, 2, dtype=F32), array(1, 2, dtype=F32)),
    ],
)
