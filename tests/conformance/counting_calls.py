"""Calls for what counts, searches sorted sequences, and measures samples."""

from __future__ import annotations

import numpy as np
from conformance.calls import call
from conformance.inputs import F16, F32, F64, I32, I64, SPECIAL, Table, X, array, strided

CALLS = Table()
CALLS.add(
    "histc", [call(X, 5), call(X, 5, -1, 1), call(array(0), 3), call(array(4, dtype=F32), 10)]
)
CALLS.add(
    "bincount",
    [
        call(np.array([0, 3, 3, 1])),
        call(np.array([0, 3]), minlength=6),
        call(np.array([], I64)),
        call(np.array([0, 3, 3]), array(3, dtype=F32)),
        call(np.array([-1])),
        call(np.array([[1]])),
        call(array(3)),
    ],
)
EDGES = np.array([-1.0, 0.0, 0.5, 2.0])
CALLS.add(
    "bucketize",
    [call(X, EDGES), call(X, EDGES, right=True), call(array(), EDGES), call(array(0), EDGES)],
)
CALLS.add(
    "bucketize", [call(X, EDGES, out_int32=True), call(strided(2, 3), EDGES), call(0.3, EDGES)]
)
CALLS.add(
    "searchsorted", [call(EDGES, X), call(EDGES, X, right=True), call(EDGES, X, side="right")]
)
CALLS.add(
    "searchsorted",
    [call(np.sort(array(2, 5)), array(2, 3)), call(EDGES, 0.3), call(EDGES, array(0))],
)
INTS = np.array([3, 1, 3, 2, 2, 2])
CALLS.add(
    "unique",
    [
        call(INTS),
        call(INTS, return_inverse=True, return_counts=True),
        call(array(0)),
        call(array()),
    ],
)
CALLS.add(
    "unique",
    [call(INTS.reshape(2, 3)), call(np.array([[1, 2], [1, 2], [0, 1]]), dim=0), call(SPECIAL[:4])],
)
CALLS.add(
    "unique_consecutive",
    [call(INTS), call(INTS, return_inverse=True, return_counts=True), call(array(0))],
)
CALLS.add("unique_consecutive", [call(INTS.reshape(2, 3)), call(np.array([[1, 2], [1, 2]]), dim=0)])
CALLS.add(
    "cov corrcoef",
    [call(array(3, 5)), call(array(5)), call(strided(3, 5)), call(array(2, 4, dtype=F32))],
)
CALLS.add(
    "cov", [call(array(3, 5), correction=0), call(array(3, 5), fweights=np.array([1, 2, 1, 1, 3]))]
)
CALLS.add(
    "renorm",
    [call(array(3, 4), 2, 0, 1.0), call(array(3, 4), 1, 1, 0.5), call(array(3, 4, 2), 2, -1, 1)],
)
CALLS.add(
    "histc",
    [
        call(array(3, 4, dtype=F32), 4, 0, 0),
        call(strided(3, 4), 4, -1, 1),
        call(array(5, dtype=F32), 3, 5, 9),
        call(array(5, dtype=F32), 0),
        call(array(5, dtype=F32), 3, 2, 1),
        call(array(5, dtype=I64), 3),
        call(array(5, dtype=F16), 3),
        call(array(), 3, -2, 2),
        call(np.array([1.0, 1, 1], F32), 3),
        call(SPECIAL[:4], 3),
        call(SPECIAL, 3, -1, 1),
        call(np.array([0, 0.5, 1], F32), bins=2, min=0, max=1),
    ],
)
CALLS.add(
    "bincount",
    [
        call(np.array([0, 3], "uint8"), minlength=1),
        call(np.array([0, 3, 3], I32)[::-1].copy()),
        call(np.array([0, 3, 3]), array(3, dtype=I64)),
        call(np.array([0, 3, 3]), array(2, dtype=F32)),
        call(np.array([0, 3, 3]), np.array([0.5, 1, 2], F32), 6),
        call(np.array([1]), minlength=-1),
        call(np.array(1)),
        call(np.array([True])),
        call(np.array([], I64), minlength=3),
        call(np.array([], I64), np.array([], F32)),
    ],
)
CALLS.add(
    "bucketize",
    [
        call(array(4, dtype=F32), EDGES),
        call(X, np.array([[1.0]])),
        call(X, np.array([], F64)),
        call(array(4, dtype=I64), np.array([-2, 0, 2])),
        call(SPECIAL, EDGES.astype(F32)),
        call(2, EDGES),
    ],
)
_ROWS = np.sort(array(2, 5))
CALLS.add(
    "searchsorted",
    [
        call(EDGES, X, side="left"),
        call(EDGES, X, side="middle"),
        call(EDGES, X, side="left", right=True),
        call(EDGES, X, out_int32=True),
        call(EDGES[::-1].copy(), X, sorter=np.array([3, 2, 1, 0])),
        call(_ROWS, array(2, 0)),
        call(_ROWS, array(3, 2)),
        call(_ROWS, array(2)),
        call(_ROWS, 0.5),
        call(EDGES, array(2, dtype=F32)),
        call(EDGES, 1),
        call(np.array([1, 2, 2, 5]), array(2, 3, dtype=I64), right=True),
        call(EDGES, X, sorter=np.array([0, 1])),
        call(EDGES, X, sorter=np.array([0, 1, 2, 9])),
        call(EDGES, X, sorter=np.array([0.0, 1, 2, 3])),
        call(np.array([], F64), X),
        call(strided(1, 3)[0], strided(2, 3)),
    ],
)
_SAME = np.array([[1, 2], [0, 1], [1, 2]])
CALLS.add(
    "unique unique_consecutive",
    [
        call(_SAME, dim=0),
        call(_SAME, dim=-1),
        call(_SAME, dim=0, return_inverse=True, return_counts=True),
        call(_SAME, dim=2),
        call(_SAME, return_inverse=True),
        call(np.asfortranarray(_SAME), return_counts=True),
        call(array(5, dtype="bool"), return_counts=True),
        call(array(5, dtype="uint8") % 3),
        call(np.array([0.5, 0.5, 0.25], F16), return_counts=True),
        call(np.array(2), return_inverse=True, return_counts=True),
        call(np.zeros((0, 2), I64), dim=0),
        call(np.zeros((0, 2), I64), return_inverse=True, return_counts=True),
        call(np.zeros((2, 0), I64), dim=0, return_counts=True),
        call(SPECIAL, return_inverse=True, return_counts=True),
    ],
)
CALLS.add("unique", [call(INTS, sorted=True), call(INTS, True, True, True), call(_SAME, dim=1)])
_FIVE = np.array([0.5, 1, 2, 1, 0.25])
CALLS.add(
    "cov",
    [
        call(array(3, 5), aweights=_FIVE),
        call(array(3, 5), fweights=np.array([1, 2, 1, 1, 3]), aweights=_FIVE, correction=0),
        call(array(3, 5), fweights=np.array([1, -2, 1, 1, 3])),
        call(array(3, 5), fweights=_FIVE),
        call(array(3, 5), fweights=np.array([1, 2])),
        call(array(3, 5), aweights=np.array([1, 2, 1, 1, 3])),
        call(array(3, 5), aweights=-_FIVE),
        call(array(3, 5), fweights=np.ones((5, 1), I64)),
        call(array(3, 5), correction=5),
    ],
)
CALLS.add(
    "cov corrcoef",
    [
        call(array()),
        call(array(0)),
        call(array(2, 0)),
        call(array(1, 4)),
        call(array(2, 3, 4)),
        call(array(3, 5, dtype=I64)),
        call(array(3, 5, dtype="bool")),
        call(array(3, 5, dtype=F16)),
        call(np.ones((2, 3))),
    ],
)
CALLS.add("isin", [call(array(5, dtype=I64), array(3, dtype=I64), invert=True)])
CALLS.add(
    "isin",
    [
        call(array(5, dtype=I64), array(3, dtype=I64), assume_unique=True),
        call(array(5, dtype=I64), 2),
        call(2, array(5, dtype=I64)),
        call(array(), array()),
        call(strided(2, 3, dtype=I64), array(2, 2, dtype=I64)),
        call(array(0), array(3)),
        call(array(4, dtype=I64), array(4, dtype=F32)),
        call(array(4, dtype="bool"), array(4, dtype="bool")),
        call(SPECIAL, SPECIAL),
        call(array(4, dtype=F16), array(4, dtype=F16)),
        call(array(4, dtype=I64), 1.5),
    ],
)
