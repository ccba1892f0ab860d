"""pooling.cu against the reference on the same device, and the bytes that it moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare

from gpunn.backends.base import Backend
from gpunn.backends.reference.window import output_size

pooling = pytest.importorskip("gpunn.backends.device.pooling")
RNG = np.random.default_rng(0)

REFERENCE, LAYOUTS = Backend(np), ("as it is", "misaligned", "strided")
DTYPES = ["float32", "float64", "float16", "bfloat16"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 2e-2}

# size, (kernel, stride, padding, dilation), ceil_mode
WINDOWS: list[Any] = [
    ((8, 6), ((2, 2), (2, 2), (0, 0), (1, 1)), False),
    ((9, 11), ((3, 3), (2, 2), (1, 1), (1, 1)), False),
    ((7, 10), ((3, 2), (2, 3), (1, 0), (1, 1)), True),
    ((5, 6), ((2, 3), (2, 2), (1, 1), (2, 2)), False),  # windows that jump over an edge
    ((7, 6), ((2, 2), (1, 1), (0, 0), (2, 3)), False),
    ((5, 9), ((1, 2), (3, 4), (0, 0), (1, 1)), False),  # elements that no window holds
    ((6, 5), ((5, 5), (1, 1), (2, 2), (1, 1)), False),
    ((3, 3), ((4, 4), (2, 2), (2, 2), (1, 1)), False),  # larger than the plane
    ((16, 16), ((8, 8), (8, 8), (0, 0), (1, 1)), False),  # a warp for each
    ((13, 9), ((6, 7), (7, 7), (3, 3), (1, 1)), True),
    ((33,), ((3,), (2,), (1,), (1,)), False),
    ((40,), ((40,), (1,), (0,), (1,)), False),
]


def outputs(size: Any, window: Any, ceil_mode: bool) -> tuple[int, ...]:
    return tuple(output_size(n, *line, ceil_mode) for n, *line in zip(size, *window, strict=True))


def draw(*shape: int, dtype: str = "float32") -> Any:
    return RNG.integers(-9, 9, shape).astype(dtype)  # many ties


def device_array(backend: Any, array: Any, layout: str) -> Any:
    """A copy on the device: as it is, at an address that no vector fits, or strided."""
    xp = backend.xp
    if layout == "misaligned":
        whole = xp.empty(array.size + 1, array.dtype)
        whole[1:] = xp.asarray(array).ravel()
        return whole[1:].reshape(array.shape)
    if layout == "strided":
        return xp.asarray(np.ascontiguousarray(array.T)).T
    return xp.asarray(array)


@pytest.fixture
def small_tile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few bytes of shared memory, so that small planes take several blocks."""
    monkeypatch.setattr(pooling, "_TILE", 700)
    pooling._planned.cache_clear()
    yield
    pooling._planned.cache_clear()


def same(backend: Any, kernels: list[str], method: str, *args: Any, tolerance: float = 0.0) -> Any:
    """The method's result, which is the reference's; these kernels ran."""
    from gpunn.backends.launcher import recorded

    with recorded() as ran:
        got = getattr(backend, method)(*args)
    assert ran == kernels
    host = [backend.to_numpy(a) if hasattr(a, "dtype") else a for a in args]
    expected = getattr(REFERENCE, method)(*host)
    for g, e in zip(got, expected, strict=True) if isinstance(got, tuple) else [(got, expected)]:
        assert g.flags.c_contiguous
        assert g.dtype == (np.int32 if e.dtype.kind == "i" else e.dtype)
        compare(backend.to_numpy(g), e, method, tolerance, tolerance, dtype=False)
    return got


@pytest.mark.parametrize(("size", "window", "ceil_mode"), WINDOWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool(
    size: Any, window: Any, ceil_mode: bool, dtype: str, small_tile: None, cuda: Any
) -> None:
    out = outputs(size, window, ceil_mode)
    for layout in LAYOUTS if dtype == "float32" else LAYOUTS[:1]:
        x = device_array(cuda, draw(2, 3, *size, dtype=dtype), layout)
        y, found = same(cuda, ["max_pool2d_forward"], "max_pool", x, out, *window)
        dy = device_array(cuda, draw(*y.shape, dtype=dtype), layout)
        back = dy, device_array(cuda, found.get(), layout), size, window
        same(cuda, ["max_pool2d_backward"], "max_pool_input", *back, tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("special", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize(("size", "window", "ceil_mode"), WINDOWS)
def test_max_pool_of_nan_and_infinity(
    size: Any, window: Any, ceil_mode: bool, special: float, cuda: Any
) -> None:
    x = draw(5, *size)
    x[RNG.random(x.shape) < 0.6] = special
    x = cuda.from_numpy(x)
    same(cuda, ["max_pool2d_forward"], "max_pool", x, outputs(size, window, ceil_mode), *window)


@pytest.mark.parametrize(("size", "window", "ceil_mode"), WINDOWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_avg_pool(
    size: Any, window: Any, ceil_mode: bool, dtype: str, small_tile: None, cuda: Any
) -> None:
    kernel, stride, padding, _ = window
    tolerance = TOLERANCE[dtype]
    window = kernel, stride, padding, (1,) * len(size)
    out = outputs(size, window, ceil_mode)
    for layout in LAYOUTS if dtype == "float32" else LAYOUTS[:1]:
        for mean in [(True, None), (False, None), (False, -3)]:
            x = device_array(cuda, draw(2, 3, *size, dtype=dtype), layout)
            rest = *window[:3], *mean
            args = x, out, *rest
            y = same(cuda, ["avg_pool2d_forward"], "avg_pool", *args, tolerance=tolerance)
            args = device_array(cuda, draw(*y.shape, dtype=dtype), layout), size, *rest
            same(cuda, ["avg_pool2d_backward"], "avg_pool_input", *args, tolerance=tolerance)


ADAPTIVE = [
    ((7, 9), (3, 4)),
    ((7, 7), (1, 1)),  # a warp for each
    ((30, 5), (2, 3)),
    ((2, 3), (5, 7)),
    ((8, 8), (4, 2)),
    ((3, 4), (0, 2)),
    ((13,), (5,)),
]


@pytest.mark.parametrize(("size", "out"), ADAPTIVE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adaptive(size: Any, out: Any, dtype: str, small_tile: None, cuda: Any) -> None:
    tolerance = TOLERANCE[dtype]
    for layout in LAYOUTS if dtype == "float32" else LAYOUTS[:1]:
        x = device_array(cuda, draw(2, 3, *size, dtype=dtype), layout)
        forward = [] if 0 in out else ["max_pool2d_forward"]
        y, found = same(cuda, forward, "adaptive_max_pool", x, out)
        dy = device_array(cuda, draw(*y.shape, dtype=dtype), layout)
        back = dy, device_array(cuda, found.get(), layout), size, None
        same(cuda, ["max_pool2d_backward"], "max_pool_input", *back, tolerance=tolerance)
        forward = [] if 0 in out else ["avg_pool2d_forward"]
        same(cuda, forward, "adaptive_avg_pool", x, out, tolerance=tolerance)
        back = "adaptive_avg_pool_input", dy, size
        same(cuda, ["avg_pool2d_backward"], *back, tolerance=tolerance)
