"""Pooling against loops, finite differences and PyTorch: sizes, values, indices, ties, NaN."""

from __future__ import annotations

import itertools
from typing import Any

import loops
import numpy as np
import pytest
from checks import check_op, compare, to_numpy

import gpunn
import gpunn.functional as F
from gpunn.backends.reference.window import output_size

RNG = np.random.default_rng(0)
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def distinct(*shape: int, dtype: str = "f4") -> Any:
    """No two elements equal, nor so near that finite differences would see a kink."""
    return RNG.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) / 8


def draw(*shape: int, dtype: str = "f4") -> Any:
    return RNG.normal(size=shape).astype(dtype)


# shape, (kernel, stride, padding, dilation, ceil_mode)
WINDOWS: list[Any] = [
    ((2, 3, 4, 6), (2, 2, 0, 1, False)),
    ((1, 2, 5, 5), (3, 2, 1, 1, False)),
    ((1, 2, 6, 7), ((3, 2), (2, 3), (1, 0), 1, True)),
    ((1, 2, 7, 6), (2, 1, 0, (2, 3), False)),
    ((1, 1, 7, 5), (3, 2, 1, 2, True)),
    ((2, 5, 4), (1, 3, 0, 1, False)),  # one image (C, H, W); elements that no window sees
    ((2, 2, 7), (3, 2, 1, 1, True)),
    ((2, 6), (2, 2, 0, 1, False)),
    ((1, 2, 4, 3, 5), (2, (1, 2, 2), (0, 1, 1), 1, True)),
]


def rank(shape: Any, window: Any) -> int:
    return {2: 1, 3: 2 if window[0] == 1 else 1, 4: 2, 5: 3}[len(shape)]


@pytest.mark.parametrize(("shape", "window"), WINDOWS)
def test_max_pool(shape: Any, window: Any):
    n = rank(shape, window)

    def oracle(x: Any, *window: Any) -> Any:
        return loops.max_pool(x, n, *window)[0]

    check_op(MAX[n], [distinct(*shape), *window], oracle)


@pytest.mark.parametrize(("shape", "window"), WINDOWS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8"])
def test_max_pool_indices(shape: Any, window: Any, dtype: str, device: str):
    n = rank(shape, window)
    x = RNG.integers(0, 4, shape).astype(dtype)  # many ties: the first one counts
    got = MAX[n](gpunn.tensor(x, device=device), *window, return_indices=True)
    values, indices = loops.max_pool(x, n, *window)
    compare(to_numpy(got), [values, indices], "max_pool")


@pytest.mark.parametrize(("shape", "window"), [(s, w) for s, w in WINDOWS if w[3] == 1])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool(shape: Any, window: Any, count_include_pad: bool):
    n = rank(shape, window)

    def oracle(x: Any, k: Any, s: Any, p: Any, ceil: bool, include: bool) -> Any:
        return loops.avg_pool(x, n, k, s, p, 1, ceil, count_include_pad=include).astype("f4")

    inputs = [draw(*shape), *window[:3], window[4], count_include_pad]
    check_op(AVG[n], inputs, oracle)


@pytest.mark.parametrize("divisor", [3, -2])
def test_avg_pool_with_a_divisor_of_ones_own(divisor: int):
    def oracle(x: Any, *args: Any) -> Any:
        return loops.avg_pool(x, 2, 3, 2, 1, 1, True, divisor=divisor).astype("f4")

    check_op(F.avg_pool2d, [draw(1, 2, 5, 6), 3, 2, 1, True, False, divisor], oracle)


def test_avg_pool_does_not_count_what_ceil_mode_adds_beyond_the_padding(device: str):
    y = F.avg_pool2d(gpunn.ones(1, 1, 4, 4, device=device), 3, 2, 1, ceil_mode=True)
    compare(to_numpy(y)[0, 0, 0], np.array([4 / 9, 2 / 3, 1 / 3], "f4"), "first row")


def test_avg_pool_of_large_windows_is_the_mean():
    x = draw(2, 3, 24, 20)
    compare(
        to_numpy(F.avg_pool2d(gpunn.tensor(x), 12, 12)[..., 0, 0]),
        x[..., :12, :12].mean((2, 3)),
        "",
    )
    compare(to_numpy(F.adaptive_avg_pool2d(gpunn.tensor(x), 1))[..., 0, 0], x.mean((2, 3)), "")


def test_avg_pool_divides_integers_as_c_does():
    x = gpunn.arange(16).reshape(1, 1, 4, 4)
    assert F.avg_pool2d(x, 2).tolist() == [[[[2, 4], [10, 12]]]]
    assert F.avg_pool2d(-x, 2).tolist() == [[[[-2, -4], [-10, -12]]]]


# The grid: sizes of all small geometries ----------------------------------------------------

LINES = [
    (n, k, s, p, d, ceil_mode)
    for n, k, s, d, ceil_mode in itertools.product(
        range(1, 9), range(1, 5), range(1, 5), range(1, 4), [False, True]
    )
    for p in range(k // 2 + 1)
]
SIZES = [len(loops._starts(*line)) for line in LINES]


def test_output_sizes_by_counting():
    for line, size in zip(LINES, SIZES, strict=True):
        assert max(output_size(*line), 0) == size, line


@pytest.mark.parametrize("values", [[0, 1], [-np.inf, 0, 1], [np.nan, -np.inf, 0, 1]], ids=str)
def test_max_pool_grid_as_pytorch(values: list[float]):
    torch = pytest.importorskip("torch")
    for (n, k, s, p, d, ceil_mode), size in zip(LINES, SIZES, strict=True):
        if size:
            x = RNG.choice(values, (1, 2, n, 5)).astype("f4")
            args = (k, 3), (s, 2), (p, 1), (d, 1), ceil_mode, True
            what = f"max_pool2d of {n} by {args}"
            y, indices = F.max_pool2d(gpunn.tensor(x), *args)
            expected = torch.nn.functional.max_pool2d(torch.tensor(x), *args)
            compare(to_numpy(y), expected[0].numpy(), what)
            if p == 0 or d == 1:  # else a window may see nothing, and PyTorch's index is beyond
                compare(to_numpy(indices), expected[1].numpy(), f"index of {what}")


def test_avg_pool_grid_as_pytorch():
    torch = pytest.importorskip("torch")
    for (n, k, s, p, d, ceil_mode), size in zip(LINES, SIZES, strict=True):
        if size and d == 1:
            x = draw(1, 2, n, 5)
            args = (k, 3), (s, 2), (p, 1), ceil_mode, bool(n % 2)
            expected = torch.nn.functional.avg_pool2d(torch.tensor(x), *args)
            compare(
                to_numpy(F.avg_pool2d(gpunn.tensor(x), *args)), expected.numpy(), f"{n}, {args}"
            )


def test_max_pool_gradients_as_pytorch():
    torch = pytest.importorskip("torch")
    for shape, args in [
        ((2, 3, 9, 8), (3, 2, 1)),
        ((2, 3, 8, 8), (2,)),
        ((2, 3, 7, 9), (3, 1, 1, 2)),
    ]:
        data = RNG.integers(0, 3, shape).astype("f4")
        x, z = gpunn.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        y, expected = F.max_pool2d(x, *args), torch.nn.functional.max_pool2d(z, *args)
        dy = draw(*expected.shape)
        y.backward(gpunn.tensor(dy))
        expected.backward(torch.tensor(dy))
        compare(to_numpy(x.grad), to_numpy(z.grad), f"dx of {shape}, {args}")


# What is special in maxima ------------------------------------------------------------------


def test_the_last_nan_wins(device: str):
    x = gpunn.tensor([1, np.nan, 2, np.nan], device=device).reshape(1, 1, 2, 2)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(to_numpy(y)).all()
    assert index.tolist() == [[[[3]]]]
    x.requires_grad_()
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[0, 0], [0, 1]]]]


def test_a_window_of_minus_infinity_points_into_the_input(device: str):
    x = gpunn.full((1, 1, 4, 4), -np.inf, device=device)
    y, index = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert (y == -np.inf).all()
    assert index.tolist() == [[[[0, 1], [4, 5]]]]


def test_integers_are_padded_with_their_lowest_value(device: str):
    for dtype in (gpunn.int8, gpunn.int64):
        lowest = gpunn.iinfo(dtype).min
        x = gpunn.full((1, 1, 3, 3), lowest, dtype=dtype, device=device)
        x[0, 0, 2, 2] = -5
        y, index = F.max_pool2d(x, 3, 2, 1, return_indices=True)
        assert y.tolist() == [[[[lowest, lowest], [lowest, -5]]]]
        assert index.tolist() == [[[[0, 1], [3, 8]]]]


def test_a_window_that_sees_only_padding_is_minus_infinity(device: str):
    x = gpunn.zeros(1, 1, 1, 1, device=device, requires_grad=True)
    y = F.max_pool2d(x, 2, 1, 1, 2)
    assert y.tolist() == [[[[-np.inf]]]]


def test_no_stride_is_the_kernels():
    x = gpunn.tensor(draw(1, 2, 7, 8))
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert pool(x, (2, 3)).equal(pool(x, (2, 3), (2, 3)))
        assert pool(x, 2, ()).equal(pool(x, 2, 2))


def test_indices_have_no_gradient():
    x = gpunn.tensor(distinct(1, 1, 4, 4), requires_grad=True)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    assert y.requires_grad
    assert not index.requires_grad
    assert index.dtype is gpunn.int64
    assert y.grad_fn.name == "MaxPool2DWithIndicesBackward0"


def test_empty_batch(device: str):
    x = gpunn.zeros(0, 2, 4, 4, device=device, requires_grad=True)
    for pool in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d):
        y = pool(x, 2)
        assert y.shape == (0, 2, 2, 2)
        y.sum().backward()
    assert x.grad.shape == x.shape


# Adaptive -----------------------------------------------------------------------------------

ADAPTIVE = [
    ((2, 2, 6, 4), (3, 2)),
    ((1, 2, 7, 5), (3, 4)),
    ((2, 5, 3), (7, 3)),
    ((1, 2, 4, 5), (1, 1)),
]


@pytest.mark.parametrize(("shape", "out"), ADAPTIVE)
def test_adaptive_avg_pool2d(shape: Any, out: Any):
    def oracle(x: Any, out: Any) -> Any:
        y = np.zeros((*x.shape[:-2], *out), "f4")
        for q, window in loops.adaptive(x, out):
            y[(..., *q)] = x[(..., *window)].mean((-2, -1))
        return y

    check_op(F.adaptive_avg_pool2d, [draw(*shape), out], oracle)


@pytest.mark.parametrize(("shape", "out"), ADAPTIVE)
def test_adaptive_max_pool2d(shape: Any, out: Any):
    def oracle(x: Any, out: Any) -> Any:
        y = np.zeros((*x.shape[:-2], *out), "f4")
        for q, window in loops.adaptive(x, out):
            y[(..., *q)] = x[(..., *window)].max((-2, -1))
        return y

    check_op(F.adaptive_max_pool2d, [distinct(*shape), out], oracle)


def test_adaptive_windows_overlap_as_little_as_they_can(device: str):
    x = gpunn.arange(7.0, device=device).reshape(1, 1, 7)
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[[1, 3, 5]]]
    y, index = F.adaptive_max_pool1d(x, 3, return_indices=True)
    assert y.tolist() == [[[2, 4, 6]]]
    assert index.tolist() == [[[2, 4, 6]]]


def test_adaptive_sizes():
    x = gpunn.tensor(draw(2, 3, 4, 6))
    assert F.adaptive_avg_pool2d(x, (None, 2)).shape == (2, 3, 4, 2)
    assert F.adaptive_avg_pool2d(x, 3).shape == (2, 3, 3, 3)
    assert F.adaptive_avg_pool2d(x, 0).shape == (2, 3, 0, 0)
    y, index = F.adaptive_max_pool2d(x, (0, 2), return_indices=True)
    assert y.shape == index.shape == (2, 3, 0, 2)
    assert index.dtype is gpunn.int64


def test_a_nan_stays_in_its_adaptive_windows(device: str):
    x = gpunn.ones(1, 1, 7, device=device)
    x[0, 0, 0] = np.nan
    y = to_numpy(F.adaptive_avg_pool1d(x, 3))
    assert np.isnan(y).tolist() == [[[True, False, False]]]


def test_adaptive_grid_as_pytorch():
    torch = pytest.importorskip("torch")
    for n, m in itertools.product(range(1, 9), range(1, 11)):
        x = RNG.choice([0, 1, 2, np.nan], (1, 2, n, 5), p=[0.3, 0.3, 0.3, 0.1]).astype("f4")
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            extra = () if "avg" in name else (True,)
            got = getattr(F, name)(gpunn.tensor(x), (m, 3), *extra)
            expected = getattr(torch.nn.functional, name)(torch.tensor(x), (m, 3), *extra)
            compare(to_numpy(got), to_numpy(expected), f"{name} from {n} to {m}")


# Refusals -----------------------------------------------------------------------------------

PLANE = (1, 1, 4, 4)


@pytest.mark.parametrize(("name", "shape", "args", "text"), [
    ("max", PLANE, {"kernel_size": 2, "padding": 2}, "pad should be at most half of effective "
     "kernel size, but got pad=2, kernel_size=2 and dilation=1"),
    ("max", PLANE, {"kernel_size": 3, "padding": 2, "dilation": 2}, "pad should be smaller than or "
     "equal to half of kernel size, but got padW = 2, padH = 2, kW = 3, kH = 3"),
    ("avg", PLANE, {"kernel_size": 2, "padding": 2}, "pad should be at most half of effective "
     "kernel size, but got pad=2, kernel_size=2 and dilation=1"),
    ("max", PLANE, {"kernel_size": 2, "padding": -1},
     "pad must be non-negative, but got pad: -1"),
    ("max", PLANE, {"kernel_size": 2, "stride": 0}, "stride should not be zero"),
    ("max", PLANE, {"kernel_size": 0}, "stride should not be zero"),
    ("max", PLANE, {"kernel_size": 2, "stride": -1},
     "stride should be greater than zero, but got dH: -1 dW: -1"),
    ("max", PLANE, {"kernel_size": -1},
     "kernel size should be greater than zero, but got kH: -1 kW: -1"),
    ("max", PLANE, {"kernel_size": 2, "dilation": 0},
     "dilation should be greater than zero, but got dilationH: 0 dilationW: 0"),
    ("max", PLANE, {"kernel_size": 7}, "Given input size: (1x4x4). Calculated output size: "
     "(1x0x0). Output size is too small"),
    ("avg", PLANE, {"kernel_size": 7}, "Given input size: (1x4x4). Calculated output size: "
     "(1x0x0). Output size is too small"),
    ("max", (4, 4), {"kernel_size": 2}, "non-empty 3D or 4D (batch mode) tensor "
     "expected for input"),
    ("max", (2, 0, 4, 4), {"kernel_size": 2}, "Expected 3D or 4D (batch mode) tensor with optional "
     "0 dim batch size for input, but got:[2, 0, 4, 4]"),
    ("max", PLANE, {"kernel_size": (2, 2, 2)},
     "max_pool2d: kernel_size must either be a single int, or a tuple of two ints"),
    ("max", PLANE, {"kernel_size": 2, "stride": (1, 2, 3)},
     "max_pool2d: stride must either be omitted, a single int, or a tuple of two ints"),
    ("avg", PLANE, {"kernel_size": 2, "divisor_override": 0}, "divisor must be not zero"),
    ("adaptive_avg", PLANE, {"output_size": -1}, "adaptive_avg_pool2d: elements of output_size "
     "must be greater than or equal to 0 but received {-1, -1}"),
    ("adaptive_avg", PLANE, {"output_size": (2, 2, 2)},
     "adaptive_avg_pool2d: output_size must be 2"),
    ("adaptive_avg", (4, 4), {"output_size": 2},
     "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got [4, 4]"),
    ("adaptive_avg", (1, 2, 0, 4), {"output_size": 2}, "adaptive_avg_pool2d(): Expected input to "
     "have non-zero size for non-batch dimensions, but input has sizes [1, 2, 0, 4] with dimension "
     "2 being empty"),
])  # fmt: skip
def test_refusals(name: str, shape: Any, args: Any, text: str):
    with pytest.raises(RuntimeError) as caught:
        getattr(F, f"{name}_pool2d")(gpunn.ones(shape), **args)
    assert str(caught.value).startswith(text)
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        getattr(torch.nn.functional, f"{name}_pool2d")(torch.ones(shape), **args)
    assert str(caught.value).startswith(text)


def test_refuses_dtypes():
    x = gpunn.ones(1, 1, 4, 4)
    with pytest.raises(NotImplementedError, match="not implemented for 'Bool'"):
        F.max_pool2d(x.bool(), 2)
    with pytest.raises(NotImplementedError, match="not implemented for 'Int'"):
        F.avg_pool2d(x.int(), 2)
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        F.adaptive_avg_pool2d(x.long(), 2)
    with pytest.raises(TypeError, match="argument 'kernel_size' must be tuple of ints, not float"):
        F.max_pool2d(x, 2.5)
