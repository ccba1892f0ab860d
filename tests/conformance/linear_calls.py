"""Calls for ``linear``, look-ups and padding of ``torch.nn.functional``."""

from __future__ import annotations

import numpy as np
from conformance.calls import call
from conformance.inputs import F16, F32, I32, I64, Table, array, strided

CALLS = Table()
X, W, B = array(3, 4), array(5, 4), array(5)
CALLS.add(
    "linear",
    [
        call(X, W),
        call(X, W, B),
        call(array(2, 3, 4), W, B),
        call(array(4), W, B),
        call(X, array(4)),
        call(array(4), array(4)),
        call(X, W, array(1)),
        call(X, W, array(3, 5)),
        call(strided(3, 4), strided(5, 4), strided(5)),
        call(array(0, 4), W, B),
        call(array(3, 0), array(5, 0), B),
        call(X, array(0, 4)),
        call(X.astype(F32), W.astype(F32), B.astype(F32)),
        call(X.astype(F16), W.astype(F16)),
        call(array(3, 4, dtype=I64), array(5, 4, dtype=I64)),
        call(X, array(5, 3)),
        call(array(2, 3, 4), array(5, 3)),
        call(X, W.astype(F32)),
        call(X, W, B.astype(F32)),
        call(X.astype(F32), array(5, 3), B),
        call(X, W, array(4)),
        call(X, W, array(2, 3, 5)),
        call(array(), W),
        call(X, array()),
        call(X, array(2, 5, 4)),
        call(None, W),
        call(X, None),
    ],
)
TABLE = array(6, 3)
INDEX = np.array([[0, 2, 5], [2, 2, 1]])
CALLS.add(
    "embedding",
    [
        call(INDEX, TABLE),
        call(np.array(4), TABLE),
        call(np.zeros((0, 2), I64), TABLE),
        call(INDEX.astype(I32), TABLE),
        call(INDEX.T, strided(6, 3)),
        call(INDEX, TABLE, 2),
        call(INDEX, TABLE, -1),
        call(INDEX, TABLE, padding_idx=0, scale_grad_by_freq=True),
        call(INDEX, TABLE, scale_grad_by_freq=True),
        call(INDEX, TABLE.astype(F32), max_norm=1.0),
        call(INDEX, TABLE.astype(F32), None, 2.0, 1.0),
        call(INDEX, TABLE.astype(F16)),
        call(INDEX, array(6, 3, dtype=I64)),
        call(INDEX, array(6, 0)),
        call(INDEX, array(5, 3)),
        call(-INDEX, TABLE),
        call(INDEX, TABLE, 6),
        call(INDEX, TABLE, -7),
        call(INDEX * 1.0, TABLE),
        call(INDEX.astype("uint8"), TABLE),
        call(INDEX, array(6)),
        call(INDEX, array(6, 3, 2)),
        call(np.zeros(0, I64), array(0, 3)),
    ],
)
CALLS.add(
    "one_hot",
    [
        call(INDEX),
        call(INDEX, 6),
        call(INDEX, 9),
        call(np.array(2)),
        call(np.array([], I64), 3),
        call(np.zeros((2, 0), I64), num_classes=4),
        call(INDEX.T),
        call(INDEX, 3),
        call(-INDEX),
        call(INDEX, 0),
        call(np.array([], I64)),
        call(np.array([], I64), 0),
        call(INDEX.astype(I32)),
        call(INDEX * 1.0),
    ],
)
P = array(2, 3, 4, 5)
CALLS.add(
    "pad",
    [
        call(P, (1, 2)),
        call(P, [1, 2, 0, 3], value=2.5),
        call(P, (1, 1, 1, 1, 1, 1, 1, 1), "constant", -1.0),
        call(P, (-1, 2, 0, -2)),
        call(P, (0, 0)),
        call(P, ()),
        call(strided(3, 4), (2, 1)),
        call(array(), ()),
        call(array(0, 3), (1, 0)),
        call(array(0, 3), (1, 0, 2, 0)),
        call(array(3, dtype=I64), (1, 1), value=7),
        call(array(3, dtype=I64), (1, 1), value=2.7),
        call(array(3, dtype="bool"), (1, 1), value=1),
        call(array(3, dtype=F16), (1, 1), value=1e3),
        call(P, (1,)),
        call(P, (1,) * 10),
        call(array(), (1, 1)),
        call(P, (-3, -3)),
        call(P, 1),
        call(P, (1.5, 1)),
        call(P, (1, 1), "odd"),
        call(P, (1, 1), "Constant"),
    ],
)
CALLS.add("pad", [call(array(1, 2, 3, 3), (3, 4, -1, 3), "reflect")])
for n in (1, 2, 3):
    size, widths = (5, 4, 3)[:n], (1, 2, 0, 1, 2, 2)[: 2 * n]
    x = array(2, 3, *size)
    for mode in ("reflect", "replicate", "circular"):
        CALLS.add(
            "pad",
            [
                call(x, widths, mode),
                call(x[0], widths, mode),
                call(strided(2, 3, *size), widths, mode),
                call(x.astype(F32), widths, mode),
                call(array(2, 3, *size, dtype=I64), widths, mode),
                call(x, (-1, 1) + (1, 0) * (n - 1), mode),
                call(x, (-1, -1) + (0, 0) * (n - 1), mode),
                call(array(0, 3, *size), widths, mode),
                call(array(2, 3, *(0 for _ in size)), widths, mode),
                call(x, (0, size[-1] - 1) + (0, 0) * (n - 1), mode),
                call(x, (0, size[-1]) + (0, 0) * (n - 1), mode),
                call(x, (0, size[-1] + 1) + (0, 0) * (n - 1), mode),
                call(x.astype(F32), (1 - size[-1], -1) + (0, 0) * (n - 1), mode),
                *(
                    [call(x, (-9, 0) + (0, 0) * (n - 1), mode)]
                    if (n, mode) != (2, "reflect")
                    else []
                ),
                call(x, widths, mode, 1.0),
                call(x[0, 0], widths, mode),
                call(x[None], widths, mode),
            ],
        )
