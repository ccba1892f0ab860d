"""Max pooling on the CPU, dimension by dimension, against the reference, tap by tap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import compare

from gpunn.backends import type2backend
from gpunn.backends.base import Backend

HOST, REFERENCE = type2backend[np.ndarray], Backend(np)
RNG = np.random.default_rng(0)

# shape, out, kernel, stride, padding, dilation
CASES: list[Any] = [
    ((2, 3, 8, 6), (4, 3), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((2, 3, 8, 7), (4, 4), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((2, 3, 9, 8), (4, 5), (2, 3), (2, 1), (0, 0), (3, 2)),
    ((2, 3, 5, 5), (2, 5), (5, 1), (4, 1), (2, 0), (1, 1)),
    ((2, 3, 5, 6), (3, 3), (2, 3), (2, 2), (1, 1), (2, 2)),  # a window that skips the input's edge
    ((2, 9), (4,), (3,), (2,), (0,), (1,)),
    ((2, 4, 5, 6), (2, 2, 3), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)),
    ((1, 20, 18), (1, 1), (20, 18), (1, 1), (0, 0), (1, 1)),  # more taps than a byte counts
]


@pytest.mark.parametrize("kind", ["float32", "float16", "nan", "-inf", "int64", "uint8"])
@pytest.mark.parametrize(("shape", "window"), [(c[0], c[1:]) for c in CASES])
def test_host_against_the_reference(shape: Any, window: Any, kind: str):
    special = {"nan": np.nan, "-inf": -np.inf}
    dtype = "float32" if kind in special else kind
    x = RNG.integers(0, 5, shape).astype(dtype)
    if kind in special:
        x[RNG.random(shape) < 0.5] = special[kind]
    for array in (x, x.T.copy().T):
        got, expected = HOST.max_pool(array, *window), REFERENCE.max_pool(array, *window)
        compare(list(got), list(expected), "max_pool")
        values, none = HOST.max_pool(array, *window, indices=False)
        compare(values, expected[0], "values alone")
        assert none is None
        assert not np.shares_memory(values, array)
