"""Calls for the normalizations of ``torch.nn.functional``; what they change in place is told."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()
MEAN, VAR, ONE = array(3, dtype=F32, seed=1), array(3, dtype=F32, low=0.5), np.ones(3, F32)
W, B = array(3), array(3, seed=1)
X = array(4, 3, 5)
NARROW = X.astype(F32)


def _affine(x: Any) -> list[Call]:
    """Of float64, whose gradients are followed: running statistics cannot have any."""
    return [
        call(x, None, None, W, B, True),
        call(x, None, None, None, B, True),
        call(x, None, None, W, None, True),
        call(x, None, None, None, None, True, 0.1, 0.5),
    ]


CALLS.add(
    "batch_norm",
    [
        *(c for x in (X, array(4, 3), array(2, 3, 4, 2), strided(4, 3, 5)) for c in _affine(x)),
        call(NARROW, MEAN, VAR),
        call(NARROW, MEAN, VAR, ONE, MEAN),
        call(NARROW, MEAN, VAR, training=True),
        call(NARROW, MEAN, VAR, ONE, MEAN, True, 0.3, 0.01),
        call(NARROW, MEAN, VAR, training=True, momentum=1.0),
        call(NARROW, MEAN, VAR, training=True, momentum=0.0),
        call(NARROW.astype(F16), MEAN, VAR, training=True),
        call(array(2, 3, 0, dtype=F32), MEAN, VAR),
        call(array(0, 3, dtype=F32), MEAN, VAR),
        call(array(0, 3, dtype=F32), MEAN, VAR, training=True),
        call(array(1, 3, dtype=F32), MEAN, VAR, training=True),
        call(array(1, 3, 1), None, None, training=True),
        call(X, None, None),
        call(NARROW, MEAN, None),
        call(NARROW, None, VAR),
        call(NARROW, MEAN, None, training=True),
        call(NARROW, MEAN[:2], VAR, training=True),
        call(NARROW, MEAN, VAR[:2]),
        call(X, None, None, array(4), None, True),
        call(X, None, None, None, array(4), True),
        call(X, None, None, training=True, eps=0),
        call(NARROW, MEAN, VAR, training=False, eps=-1.0),
        call(array(4, 3, dtype=I64), None, None, training=True),
        call(X[0, 0], None, None, training=True),
        call(NARROW[0, 0], MEAN, VAR),
        call(None, MEAN, VAR),
    ],
)
CALLS.add(
    "instance_norm",
    [
        call(X),
        call(X, None, None, W, B),
        call(X, None, None, W, None),
        call(X, None, None, None, B),
        call(array(2, 3, 4, 2), weight=W, bias=B, eps=0.5),
        call(array(2, 3, 2, 2, 2), weight=W, bias=B),
        call(strided(4, 3, 5)),
        call(NARROW, MEAN, VAR),
        call(NARROW, MEAN, VAR, ONE, MEAN, True, 0.4),
        call(NARROW, MEAN, VAR, use_input_stats=False),
        call(NARROW, MEAN, VAR, ONE, MEAN, False),
        call(array(2, 3, 1)),
        call(array(2, 3, 1, 1)),
        call(array(2, 3)),
        call(X, use_input_stats=False),
        call(NARROW, MEAN, use_input_stats=False),
        call(X, weight=array(4)),
        call(NARROW, MEAN[:2], VAR),
    ],
)
CALLS.add(
    "layer_norm",
    [
        call(X, (5,)),
        call(X, (3, 5)),
        call(X, [5], array(5)),
        call(X, (5,), None, array(5)),
        call(X, (5,), array(5), array(5, seed=1), 0.1),
        call(X, (4, 3, 5), array(4, 3, 5, seed=2), array(4, 3, 5, seed=1)),
        call(strided(4, 5), (5,), strided(5)),
        call(array(5), (5,)),
        call(NARROW, (5,), array(5, dtype=F32)),
        call(NARROW.astype(F16), (5,)),
        call(array(0, 5), (5,), array(5)),
        call(array(2, 1), (1,)),
        call(X, (4,)),
        call(X, (3,)),
        call(X, ()),
        call(X, (5,), array(4)),
        call(X, (5,), None, array(3, 5)),
        call(array(5), (5, 5)),
        call(array(2, 5, dtype=I64), (5,)),
        call(X, 5),
        call(None, (5,)),
    ],
)
Y = array(2, 6, 4)
CALLS.add(
    "group_norm",
    [
        call(Y, 2),
        call(Y, 6),
        call(Y, 1),
        call(Y, 3, array(6), array(6, seed=1)),
        call(Y, 3, array(6)),
        call(Y.astype(F32), 3, None, array(6, dtype=F32), 0.1),
        call(array(2, 6), 2, array(6)),
        call(array(2, 6, 3, 2), 2, array(6), array(6, seed=1)),
        call(strided(2, 6, 4), 2),
        call(Y.astype(F32), 2, array(6, dtype=F32)),
        call(Y.astype(F16), 2),
        call(array(0, 6, 4), 2, array(6)),
        call(array(2, 6, 1), 6),
        call(array(1, 6), 6),
        call(array(1, 3, 1), 2),
        call(array(3, 1), 2),
        call(Y, 4),
        call(Y, 0),
        call(Y, -1),
        call(Y, 2, array(4)),
        call(array(6), 2),
        call(array(2, 6, dtype=I64), 2),
    ],
)
