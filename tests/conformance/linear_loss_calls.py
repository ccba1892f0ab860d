"""Calls for the cross entropy of a linear map."""

from __future__ import annotations

import numpy as np
from conformance.calls import call
from conformance.inputs import F32, Table, array, strided

CALLS = Table()
X, W, B, T = array(4, 3), array(5, 3), array(5), np.array([0, 4, 2, 1])
PART = np.exp(array(4, 5, seed=3).astype(F32))  # probabilities that no gradient is asked of
MANY, BOTH = array(5, 2, 3), np.array([[0, 4], [1, 1], [2, 3], [4, 0]])
CALLS.add(
    "linear_cross_entropy",
    [
        call(X, W, T),
        call(X, W, T, linear_bias=B),
        *(call(X, W, T, reduction=r) for r in ("none", "sum", "odd")),
        call(X[0], W, np.array(4)),
        call(X, MANY, BOTH, linear_bias=array(5, 2), reduction="none"),
        call(X, MANY, BOTH),
        call(X, W, T, ignore_index=4),
        call(X, W, T, label_smoothing=0.1),
        call(X.astype(F32), W.astype(F32), T, weight=abs(B).astype(F32)),
        call(X.astype(F32), W.astype(F32), PART, label_smoothing=0.2),
        call(strided(4, 3), strided(5, 3), T),
        call(X[:0], W, T[:0], reduction="sum"),
        call(X.astype(F32), W.astype(F32), PART, ignore_index=3),
        call(X[0], MANY, BOTH[0]),
        call(X, W[0].copy(), T),
        call(X, W, T, linear_bias=B[:3].copy()),
        call(X, W, T, linear_bias=B[:, None]),
        call(X, W[:, :2].copy(), T),
        call(X[None], W, T),
        call(X, W, T[:2].copy()),
        call(X, W, T + 1),
        call(X.astype(F32), W, T),
    ],
)
