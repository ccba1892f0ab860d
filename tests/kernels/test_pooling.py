"""pooling.cu against the reference's array code, and the bytes that it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare, to_numpy
from hypothesis import given
from hypothesis import strategies as st

import gpunn
import gpunn.functional as F
import gpunn.sim
from gpunn.backends.base import Backend
from gpunn.backends.reference.pooling import PoolingPrimitives
from gpunn.backends.reference.window import output_size

pooling = pytest.importorskip("gpunn.backends.device.pooling")
recorded = pytest.importorskip("gpunn.backends.launcher").recorded
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


# What is left to the reference, and how launches are cut ------------------------------------------

SQUARE = (2, 2), (2, 2), (0, 0), (1, 1)
ONE = (1, 1), (1, 1), (0, 0), (1, 1)


def test_what_the_kernels_do_not_cover_is_the_reference(cuda: Any) -> None:
    cube = (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)
    solid, whole = cuda.from_numpy(draw(1, 4, 4, 4)), cuda.from_numpy(draw(4, 4, dtype="int64"))
    plane = cuda.from_numpy(draw(1, 4, 4))
    with recorded() as ran:
        y, found = cuda.max_pool(solid, (2, 2, 2), *cube)
        assert found.dtype == np.int64
        cuda.max_pool_input(y, found, (4, 4, 4), cube)
        cuda.avg_pool(solid, (2, 2, 2), *cube[:3], True, None)
        cuda.max_pool(whole, (2, 2), *SQUARE)
        cuda.avg_pool(whole, (2, 2), *SQUARE[:3], True, None)
        cuda.avg_pool(plane, (2, 2), *SQUARE[:3], True, 2**31)
        y, found = PoolingPrimitives.max_pool(cuda, plane, (2, 2), *SQUARE)
        cuda.max_pool_input(y, found, (4, 4), SQUARE)  # int64 indices
    assert not [name for name in ran if "pool" in name]


def test_launches_of_few_planes_each(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "_LIMIT", 100)
    x = cuda.from_numpy(draw(3, 4, 5, 7))  # planes of 35 elements: two at a time
    thrice = ((3, 3), (2, 2), (1, 1), (1, 1)), (3, 4)
    y, found = same(cuda, ["max_pool2d_forward"] * 6, "max_pool", x, thrice[1], *thrice[0])
    args = "max_pool_input", y, found, (5, 7), thrice[0]
    same(cuda, ["max_pool2d_backward"] * 6, *args)
    args = "avg_pool", x, thrice[1], *thrice[0][:3], True, None
    same(cuda, ["avg_pool2d_forward"] * 6, *args, tolerance=1e-5)
    monkeypatch.setattr(pooling, "_LIMIT", 30)
    pooling._planned.cache_clear()
    with recorded() as ran:
        cuda.max_pool(x, thrice[1], *thrice[0])
    pooling._planned.cache_clear()
    assert ran == []


def test_more_planes_than_a_grid_has_rows(cuda: Any) -> None:
    x = cuda.from_numpy(draw(70000, 2, 2))
    y, found = same(cuda, ["max_pool2d_forward"], "max_pool", x, (1, 1), *SQUARE)
    same(cuda, ["max_pool2d_backward"], "max_pool_input", y, found, (2, 2), SQUARE)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_no_planes(shape: Any, cuda: Any) -> None:
    x = cuda.from_numpy(draw(*shape))
    y, found = same(cuda, [], "max_pool", x, (2, 2), *SQUARE)
    same(cuda, [], "max_pool_input", y, found, (4, 4), SQUARE)
    same(cuda, [], "avg_pool", x, (2, 2), *SQUARE[:3], True, None)
    same(cuda, [], "avg_pool_input", y, (4, 4), *SQUARE[:3], True, None)


def builds(cuda: Any, size: Any, out: Any, window: Any, offset: int = 0) -> list[tuple[int, int]]:
    """WIDTH and LANES that the kernels are launched with, forward and backward."""
    plan = pooling._planned(size, out, window)
    n = 2 * int(np.prod(size)) + offset
    x, found = (cuda.xp.zeros(n, t)[offset:] for t in ("f4", "i4"))
    cuts = plan.forward(x, x), plan.backward(x, x), plan.backward(x, x, found)
    assert cuts[1].build == cuts[2].build
    return [(cut.build["WIDTH"], cut.build["LANES"]) for cut in cuts[:2]]


def test_which_build_is_launched(cuda: Any) -> None:
    assert builds(cuda, (8, 8), (4, 4), SQUARE) == [(4, 1), (4, 1)]
    assert builds(cuda, (8, 8), (4, 4), SQUARE, offset=1) == [(1, 1), (1, 1)]
    assert builds(cuda, (7, 7), (1, 1), None) == [(4, 32), (4, 1)]
    assert builds(cuda, (80, 80), (1, 1), None) == [(1, 32), (4, 1)]  # a plane is no tile
    assert builds(cuda, (3, 3000), (3, 3000), ONE) == [(4, 1), (1, 1)]  # a table is too long
    wide = (1, 10000), (1, 5000), ((1, 2), (1, 2), (0, 0), (1, 1))  # nor is a row
    assert builds(cuda, *wide) == [(1, 1), (1, 1)]


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_by_multiplication(divisor: int, n: int) -> None:
    value, multiplier, shift = pooling._divisor(divisor)
    assert multiplier < 2**32
    for k in (n, n // divisor * divisor, max(n // divisor * divisor - 1, 0), 2**31 - 1):
        assert (2 * k * multiplier >> 32) >> shift == k // value


# Through the API, and the bytes moved -------------------------------------------------------------


def test_indices_are_int64_for_the_caller_and_gradients_need_none(cuda: Any) -> None:
    x = gpunn.tensor(draw(2, 3, 6, 6), device="cuda", requires_grad=True)
    with recorded() as ran:
        y, found = F.max_pool2d(x, 2, return_indices=True)
        (y * y).sum().backward()
    assert (found.dtype, y.shape) == (gpunn.int64, (2, 3, 3, 3))
    assert ran == ["max_pool2d_forward", "max_pool2d_backward"]
    with gpunn.no_grad(), recorded() as ran:
        assert F.max_pool2d(x, 2).tolist() == y.tolist()
    assert ran == ["max_pool2d_forward"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool1d(x.flatten(1), 3, 2),
        lambda x: F.adaptive_max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    ],
)
def test_double_gradients(function: Any, cuda: Any) -> None:
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        x = gpunn.tensor(np.arange(98.0).reshape(2, 7, 7) % 31, device=device, requires_grad=True)
        y = function(x)
        (dx,) = gpunn.autograd.grad((y * y * y).sum(), x, create_graph=True)
        (dx * dx).sum().backward()
        assert x.grad is not None
        results.append([to_numpy(v) for v in (y, dx, x.grad)])
    compare(results[1], results[0], "double gradient", 1e-12, 1e-12)


def test_same_bits_every_time(cuda: Any) -> None:
    x, window = cuda.from_numpy(draw(4, 3, 13, 11) / 7), ((3, 3), (1, 1), (1, 1), (1, 1))
    args = (13, 11), *window[:3], True, None
    first = cuda.avg_pool_input(x, *args).tobytes()
    assert all(cuda.avg_pool_input(x, *args).tobytes() == first for _ in range(3))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("shape", "window"),
    [((6, 64, 64), SQUARE), ((5, 34, 50), SQUARE), ((4, 56, 56), ((3, 3), (2, 2), (1, 1), (1, 1)))],
)
def test_bytes_are_the_least_possible(
    shape: Any, window: Any, dtype: str, moved: Callable[[str], int], cuda: Any
) -> None:
    x, size = cuda.from_numpy(draw(*shape, dtype=dtype)), shape[1:]
    out = outputs(size, window, False)
    y, found = cuda.max_pool(x, out, *window)
    dx = cuda.max_pool_input(y, found, size, window)
    cuda.avg_pool(x, out, *window[:3], True, None)
    cuda.avg_pool_input(y, size, *window[:3], True, None)
    least = x.nbytes + y.nbytes
    for way in ("forward", "backward"):
        for name, floor in [("max", least + found.nbytes), ("avg", least)]:
            assert floor <= moved(f"{name}_pool2d_{way}") <= 1.05 * floor
    assert dx.shape == x.shape
