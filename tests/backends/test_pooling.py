"""Max pooling on the CPU, dimension by dimension, against the reference, tap by tap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
from gpunn.backends import type2backend
from gpunn.backends.base import Backend
from gpunn.backends.host import pooling
from gpunn.backends.host import threads as host_threads

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


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = gpunn.get_num_threads()
    gpunn.set_num_threads(request.param)
    yield request.param
    gpunn.set_num_threads(before)


@pytest.fixture(params=[2**19, 100], ids=["whole", "tiles"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of tiles so far, where there are several."""
    counts: list[int] = []

    def tiled(work: Callable[[int, int], None], n: int, tile: int) -> None:
        counts.append(-(-n // tile))
        host_threads.tiled(work, n, tile)

    monkeypatch.setattr(pooling, "tiled", tiled)
    monkeypatch.setattr(host_threads, "TILE", request.param)
    return counts


@pytest.mark.parametrize("kind", ["float32", "float16", "nan", "-inf", "int64", "uint8"])
@pytest.mark.parametrize(("shape", "window"), [(c[0], c[1:]) for c in CASES])
def test_host_against_the_reference(
    shape: Any, window: Any, kind: str, threads: int, tiles: list[int]
):
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
        dy = RNG.integers(-5, 5, expected[0].shape).astype(dtype)
        arguments = dy, expected[1], shape[-len(window[0]) :], window[1:]
        dx = REFERENCE.max_pool_input(*arguments)
        compare(HOST.max_pool_input(*arguments), dx, "dx")
        planes = int(np.prod(shape[: -len(window[0])]))
        large = host_threads.TILE == 100 and array.size > 25 and planes > 1
        assert len(tiles) == 3 * large
        assert all(n > 1 for n in tiles)
        tiles.clear()
