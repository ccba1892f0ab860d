"""What NumPy does faster on the CPU gives what the reference gives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from checks import compare

from gpunn.backends import type2backend
from gpunn.backends.base import Backend

HOST, REFERENCE = type2backend[np.ndarray], Backend(np)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_masked(dtype: str):
    x = RNG.normal(size=(4, 5)).astype(dtype)
    mask = RNG.random((4, 5)) < 0.5
    if x.dtype.kind == "f":
        x[0] = np.nan, np.inf, -np.inf, np.nan, np.inf
        mask[0] = False, False, False, True, True
    for a, m in [(x, mask), (x.T, mask.T), (x[0], mask), (x[:, :1], mask), (x[1, 1], mask[1, 1])]:
        compare(np.asarray(HOST.masked(a, m)), np.asarray(REFERENCE.masked(a, m)), "masked", 0, 0)


def _axes(ndim: int) -> Any:
    return itertools.chain.from_iterable(
        itertools.combinations(range(ndim), k) for k in range(ndim + 1)
    )


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (4, 3, 5), (1, 3, 1), (2, 3, 4, 5), (2, 0, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums(shape: tuple[int, ...], dtype: str):
    x, y = RNG.normal(size=(2, *shape)).astype(dtype)
    for axes in _axes(len(shape)):
        for a, b in [(x, y), (x.T, y.T), (x, y.T.copy().T)]:
            what = f"over {axes} of {a.shape}"
            got = HOST.sum_over(a, axes)
            compare(np.asarray(got), np.asarray(REFERENCE.sum_over(a, axes)), f"sum {what}")
            assert not np.shares_memory(got, a)
            expected = np.asarray(REFERENCE.dot_over(a, b, axes))
            compare(np.asarray(HOST.dot_over(a, b, axes)), expected, f"dot {what}")
