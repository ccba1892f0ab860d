"""Calls for histograms and numerical derivatives."""

from __future__ import annotations

import numpy as np
from conformance.calls import call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()
X = array(4, 5, seed=3) ** 2
AT, BESIDE = np.array([0.0, 1.0, 3.0, 3.5]), np.array([0.0, 2.0, 3.0, 4.0, 9.0])
CALLS.add(
    "gradient",
    [
        call(X),
        call(X, dim=0),
        call(X, dim=(-1, 0), edge_order=2),
        call(X, dim=()),
        call(X, spacing=2.5),
        call(X, spacing=[1.0, 2.0]),
        call(X, spacing=(AT, BESIDE)),
        call(X, spacing=(BESIDE,), dim=1, edge_order=2),
        call(X, spacing=[0.5], dim=(1,)),
        *(call(X.astype(d), dim=1, spacing=2) for d in (F32, F16, I64)),
        call(strided(4, 5, 3), dim=1),
        call(array()),
        call(array(0, 4), dim=1),
        call(array(2, 3, dtype="bool")),
        call(array(4, dtype="uint8")),
        call(array(1)),
        call(array(2, 4), edge_order=2),
        call(X, edge_order=3),
        call(X, dim=(0, 0)),
        call(X, dim=2),
        call(X, spacing=[1.0]),
        call(X, spacing=[1.0, 2.0], dim=0),
        call(X, spacing=AT),
        call(X, spacing=(X, X)),
        call(2.0),
    ],
)
S, W = np.array([1, 2, 1, 4, 3, 0, 2.5], F32), array(7, dtype=F32, low=0, high=2)
EDGES = np.array([0, 1, 3, 9], F32)
CALLS.add(
    "histogram",
    [
        call(S),
        call(S, bins=4),
        call(S, 4, range=(0.0, 3.0), weight=W, density=True),
        call(S, EDGES),
        call(S, EDGES, weight=W, density=True),
        call(S, EDGES[::-1].copy()),
        call(S, EDGES[2:] * 0 + 3),
        call(array(0, dtype=F32), 3),
        call(array(dtype=F32), 3),
        call(np.ones(3, F32), 3),
        call(array(3, 4, dtype=F32), 5),
        call(strided(3, 4, dtype=F32), 5, range=(-1.0, 1.0)),
        call(np.array([np.nan, 1, np.inf], F32), 3, range=(0.0, 2.0)),
        call(np.array([np.nan, 1], F32), 3),
        call(array(3), 3),  # no derivative
        call(array(3, dtype=I64), 3),
        call(array(3, dtype=F16), 3),
        call(S, 0),
        call(S, EDGES[:1]),
        call(S, EDGES[:0]),
        call(S, EDGES[:, None]),
        call(S, EDGES.astype(float)),
        call(S, 3, range=(2.0, 1.0)),
        call(S, 3, range=(1.0, 1.0)),
        call(S, 3, range=(1.0,)),
        call(S, 3, range=(0.0, np.inf)),
        call(S, 3, weight=W[:2]),
        call(S, 3, weight=W.astype(float)),
    ],
)
POINTS = array(9, 2, dtype=F32)
CALLS.add(
    "histogramdd",
    [
        call(POINTS, bins=3),
        call(POINTS, [2, 3]),
        call(POINTS, [np.array([-2, 0, 2], F32), np.array([-1, 0, 0.5, 1], F32)]),
        call(POINTS, 3, range=[-1.0, 1.0, 0.0, 2.0], weight=array(9, dtype=F32), density=True),
        call(POINTS, 2, weight=array(9, dtype=F32)),
        call(array(2, 3, 2, dtype=F32), 2),
        call(array(0, 2, dtype=F32), 2),
        call(array(5, 1, dtype=F32), 4),
        call(strided(5, 3, dtype=F32), (2, 3, 1)),
        call(POINTS, [2]),
        call(POINTS[0], [2, 2]),
        call(POINTS, [2, 0]),
        call(POINTS, 2, range=[0.0, 1.0]),
        call(POINTS, 2, weight=array(3, dtype=F32)),
        call(POINTS.astype(I64), 2),
    ],
)
