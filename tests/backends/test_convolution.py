"""Convolution on the CPU by columns against the reference, tap by tap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from checks import compare

from gpunn.backends import type2backend
from gpunn.backends.base import Backend
from gpunn.backends.host import convolution

HOST, REFERENCE = type2backend[np.ndarray], Backend(np)
RNG = np.random.default_rng(0)

# x, weight, stride, padding, dilation, groups
CASES: list[Any] = [
    ((5, 3, 9, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # dx by a convolution
    ((5, 3, 9, 8), (8, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),  # dx by columns
    ((5, 3, 4, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # few outputs: images side by side
    ((5, 4, 11, 12), (6, 2, 3, 2), (2, 3), (2, 1), (2, 1), 2),
    ((5, 4, 9, 9), (8, 4, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((5, 4, 9, 9), (8, 4, 1, 1), (2, 2), (1, 1), (1, 1), 1),
    ((3, 2, 3, 3), (2, 2, 2, 2), (1, 1), (5, 5), (1, 1), 1),  # tiles of padding only
    ((5, 4, 20), (6, 2, 3), (2,), (1,), (2,), 2),
    ((2, 12, 10, 10), (12, 1, 3, 3), (1, 1), (1, 1), (1, 1), 12),
]


@pytest.mark.parametrize("tile", [1, 300, 2**20], ids=["rows", "some", "whole"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize(("x", "w", "stride", "padding", "dilation", "groups"), CASES)
def test_host_against_the_reference(
    x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int,
    dtype: str, tile: int, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr(convolution, "_TILE", tile)
    geometry = stride, padding, dilation, groups
    x, w, b = ((RNG.normal(size=s) * 4).astype(dtype) for s in (x, w, w[:1]))
    tolerance = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-12, "int64": 0}[dtype]
    y = REFERENCE.conv(x, w, b, *geometry)
    dy = (RNG.normal(size=y.shape) * 4).astype(dtype)
    for name, args in [
        ("conv", (x, w, b)),
        ("conv", (x.swapaxes(2, -1).copy().swapaxes(2, -1), w, None)),
        ("conv_input", (dy, w, x.shape[2:])),
        ("conv_weight", (x, dy, w.shape[2:])),
    ]:
        got, expected = (getattr(b, name)(*args, *geometry) for b in (HOST, REFERENCE))
        compare(got, expected, name, tolerance, tolerance * 40)
        assert got.flags.c_contiguous


def test_threads_do_not_share_scratch_memory():
    inputs = [RNG.normal(size=(4, 8, 16, 16)).astype("f4") for _ in range(8)]
    w = RNG.normal(size=(8, 8, 3, 3)).astype("f4")

    def convolve(x: Any) -> Any:
        return [HOST.conv(x, w, None, (1, 1), (1, 1), (1, 1), 1) for _ in range(10)]

    expected = [convolve(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for results, y in zip(pool.map(convolve, inputs), expected, strict=True):
            assert all((r == y).all() for r in results)
