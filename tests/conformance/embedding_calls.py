"""Calls for bags of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, I32, I64, Table, array, strided

CALLS = Table()

W, INDEX, STARTS = array(6, 3), np.array([4, 1, 2, 5, 1, 0, 1]), np.array([0, 2, 2, 5])
ENDS, TABLE = np.array([0, 2, 2, 5, 7]), np.array([[4, 1, 2], [0, 5, 5]])


def _bags(**options: Any) -> list[Call]:
    """Of every layout: bags in a row, of one length, empty, ended; and padding among them."""
    return [
        call(INDEX, W, STARTS, **options),
        call(TABLE, W, **options),
        call(INDEX, W, ENDS, include_last_offset=True, **options),
        call(INDEX, W, STARTS, padding_idx=1, **options),
        call(TABLE, W, padding_idx=-1, **options),
        call(INDEX, strided(6, 3), STARTS, **options),
        call(strided(7, dtype=I64) % 6, W, STARTS, **options),
        call(INDEX, W.astype(F32), STARTS, **options),
        call(INDEX, W.astype(F16), STARTS, **options),
        call(INDEX.astype(I32), W, STARTS.astype(I32), **options),
        call(INDEX.astype(I32), W, STARTS, **options),
        call(INDEX, W.astype(F32), STARTS, max_norm=1.0, **options),
        call(np.zeros(0, I64), W, np.array([0, 0]), **options),
        call(np.zeros((0, 2), I64), W, **options),
        call(np.zeros((2, 0), I64), W, **options),
        call(INDEX + 6, W, STARTS, **options),
        call(INDEX, W, STARTS + 1, **options),
        call(INDEX, W, np.array([0, 9]), **options),
        call(INDEX, W, padding_idx=6, offsets=STARTS, **options),
    ]


for mode in ("sum", "mean", "max"):
    CALLS.add("embedding_bag", _bags(mode=mode))
FACTORS, EVEN = array(7, seed=1), np.array([1, 1, 0, 2, 2])
CALLS.add(
    "embedding_bag",
    [
        # Where each row's count is that of the row that PyTorch's kernel takes by mistake.
        call(EVEN, W, STARTS, mode="sum", scale_grad_by_freq=True),
        call(EVEN, W, STARTS, mode="mean", scale_grad_by_freq=True),
        call(EVEN, W, STARTS, mode="max", scale_grad_by_freq=True),
        call(INDEX, W, STARTS, mode="sum", per_sample_weights=FACTORS),
        call(INDEX, W, STARTS, mode="sum", per_sample_weights=FACTORS, padding_idx=1),
        call(TABLE, W, mode="sum", per_sample_weights=array(2, 3, seed=1)),
        call(INDEX, W, STARTS, per_sample_weights=FACTORS),
        call(INDEX, W, STARTS, mode="sum", per_sample_weights=FACTORS[1:].copy()),
        call(INDEX, W, STARTS, mode="sum", per_sample_weights=FACTORS.astype(F32)),
        call(INDEX, W, STARTS, mode="odd"),
        call(INDEX, W, STARTS, mode="max", sparse=True),
        call(INDEX, W),
        call(TABLE, W, STARTS),
        call(INDEX, W, STARTS[None]),
        call(INDEX[None, None], W),
        call(np.array(1), W),
        call(INDEX, W[0].copy(), STARTS),
        call(INDEX, array(6, 3, dtype=I64), STARTS),
        call(INDEX.astype(F32), W, STARTS),
        call(INDEX, W, STARTS.astype(F32)),
        call(INDEX, W, np.zeros(0, I64), include_last_offset=True),
    ],
)
