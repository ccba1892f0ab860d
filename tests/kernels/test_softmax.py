"""softmax.cu: every form against the reference on the same device, and what it moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
import gpunn.functional as F
import gpunn.sim
from gpunn.backends.reference.softmax import SoftmaxPrimitives as Reference

launcher = pytest.importorskip("gpunn.backends.launcher")
TOLERANCE = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
METHODS = ("softmax", "log_softmax")


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


def normal(cuda: Any, dtype: str, shape: tuple[int, ...], seed: int = 0, offset: int = 0) -> Any:
    """Random numbers on the device, ``offset`` elements into their memory."""
    numbers = 3 * np.random.default_rng(seed).standard_normal(math.prod(shape) + offset)
    return cuda.from_numpy(numbers.astype(element(dtype)))[offset:].reshape(shape)


def same(cuda: Any, got: Any, expected: Any, what: str) -> None:
    assert got.dtype == expected.dtype
    tolerance = TOLERANCE[got.dtype.name]
    wide = np.promote_types(got.dtype, "f4")
    a, b = (cuda.to_numpy(v).astype(wide) for v in (got, expected))
    compare(a, b, what, tolerance, tolerance)


def both_ways(cuda: Any, method: str, x: Any, dy: Any, axis: int) -> list[str]:
    """Holds a method and its gradient to the reference's; the kernels that ran."""
    with launcher.recorded() as names:
        y = getattr(cuda, method)(x, axis)
    with np.errstate(all="ignore"):
        expected = getattr(Reference, method)(cuda, x, axis)
    same(cuda, y, expected, method)
    with launcher.recorded() as backward:
        dx = getattr(cuda, f"{method}_input")(dy, expected, axis)
    with np.errstate(all="ignore"):
        same(cuda, dx, getattr(Reference, f"{method}_input")(cuda, dy, expected, axis), "gradient")
    return names + backward


TILES = [
    ((3, 1), 1),
    ((700, 3), 1),  # several blocks, and some in which the last teams are idle
    ((130, 10), 1),
    ((9, 77), 1),
    ((5, 257), 1),  # a warp to a line
    ((1, 2049), 1),  # a block to a line
    ((7,), 0),
    ((3, 10, 7, 7), 1),
    ((2, 3, 500), 1),
    ((11, 40, 3), 1),
]
FAR = [
    ((1, 10241), 1),
    ((2, 21, 23, 31), 1),  # kept in shared memory
    ((1, 600, 33), 1),  # read twice
    ((1, 3001, 4), 1),  # four lines abreast
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("shape", "axis"), TILES)
def test_tiles(cuda: Any, shape: tuple[int, ...], axis: int, dtype: str):
    for offset, method in zip((0, 1), METHODS, strict=True):  # aligned, and not
        x, dy = (normal(cuda, dtype, shape, seed, offset) for seed in (1, 2))
        names = both_ways(cuda, method, x, dy, axis)
        assert names == [f"{method}_forward_tile", f"{method}_backward_tile"]


@pytest.mark.parametrize(("dtype", "method"), [
    ("float32", "softmax"), ("float32", "log_softmax"), ("float64", "softmax"),
    ("float16", "log_softmax"), ("bfloat16", "softmax"),
])  # fmt: skip
@pytest.mark.parametrize(("shape", "axis"), FAR)
def test_far_lines(cuda: Any, shape: tuple[int, ...], axis: int, dtype: str, method: str):
    x, dy = (normal(cuda, dtype, shape, seed) for seed in (1, 2))
    names = both_ways(cuda, method, x, dy, axis)
    assert names == [f"{method}_forward_far", f"{method}_backward_far"]


BAD = [math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("shape", "axis"), [((6, 10), 1), ((6, 300), 1), ((2, 400, 33), 1)])
def test_what_is_not_finite_stays_in_its_line(cuda: Any, shape: Any, axis: int, method: str):
    x, dy = (normal(cuda, "float32", shape, seed) for seed in (1, 2))
    lines = cuda.xp.moveaxis(x, axis, -1).reshape(-1, shape[axis])
    for i, bad in enumerate(BAD):
        lines[i, 4 + i] = bad
    lines[3] = -math.inf
    lines[4, 5], lines[4, 6] = math.inf, -math.inf
    x = lines.reshape(*shape[:axis], *shape[axis + 1 :], shape[axis])
    x = cuda.xp.ascontiguousarray(cuda.xp.moveaxis(x, -1, axis))
    both_ways(cuda, method, x, dy, axis)
    y = cuda.to_numpy(cuda.xp.moveaxis(getattr(cuda, method)(x, axis), axis, -1))
    bad_lines = np.isnan(y.reshape(-1, shape[axis])).any(1)
    assert bad_lines[:6].tolist() == [True, False, True, True, True, False]
    assert not bad_lines[5:].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [10, 20000])
def test_large_numbers_do_not_overflow(cuda: Any, size: int, method: str):
    x = cuda.from_numpy(np.linspace(-3e38, 3e38, size, dtype="f4").reshape(1, size))
    both_ways(cuda, method, x, x * 1e-38, 1)
    both_ways(cuda, method, cuda.xp.flip(x, 1), x * 1e-38, 1)


def test_strided_empty_and_other_dtypes(cuda: Any):
    x, dy = (normal(cuda, "float32", (40, 30), seed) for seed in (1, 2))
    both_ways(cuda, "softmax", x.T, dy.T, 1)
    with launcher.recorded() as names:
        assert cuda.softmax(x[:0], 1).shape == (0, 30)
        assert cuda.log_softmax(x[:, :0], 1).shape == (40, 0)
        y = cuda.softmax(x, 1)
        names.clear()
        mixed = cuda.softmax_input(dy.astype("f8"), y, 1)
    assert names == []
    compare(cuda.to_numpy(mixed), cuda.to_numpy(cuda.softmax_input(dy, y, 1)), "mixed", dtype=False)


@pytest.mark.parametrize("size", [50, 1500, 11000])
def test_the_bits_of_a_line_do_not_depend_on_the_others(cuda: Any, size: int):
    x = normal(cuda, "float32", (40, size))
    whole = cuda.to_numpy(cuda.softmax(x, 1))
    for rows in (slice(0, 1), slice(17, 20)):
        assert (cuda.to_numpy(cuda.softmax(x[rows], 1)) == whole[rows]).all()


@pytest.mark.parametrize("name", METHODS)
def test_public_functions_and_double_gradients_as_on_the_cpu(name: str):
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        start = np.random.default_rng(3).standard_normal((5, 6, 4))
        x = gpunn.tensor(start, device=device, requires_grad=True)
        y = getattr(F, name)(x, 1)
        (dx,) = gpunn.autograd.grad((y * y).sum(), [x], create_graph=True)
        (ddx,) = gpunn.autograd.grad((dx * dx).sum(), [x])
        results.append([t.detach().cpu().numpy() for t in (y, dx, ddx)])
    compare(*results, name, 1e-12, 1e-12)


# Cross-entropy ------------------------------------------------------------------------------------


def targets(shape: tuple[int, ...], ignored: bool) -> Any:
    """Classes for logits of ``shape``; every third is ignored, if any are."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, shape[1], shape[:1] + shape[2:])
    if ignored:
        classes.reshape(-1)[::3] = -100
    return classes


def losses(device: str, dtype: str, shape: Any, weighted: bool, **options: Any) -> list[Any]:
    """A cross-entropy and its gradient, on the host."""
    rng = np.random.default_rng(6)
    x = gpunn.tensor(3 * rng.standard_normal(shape).astype(dtype), device=device)
    weight = gpunn.tensor(rng.random(shape[1]).astype(dtype), device=device) if weighted else None
    target = gpunn.tensor(targets(shape, weighted), device=device)
    x.requires_grad_()
    loss = F.cross_entropy(x, target, weight, **options)
    loss.sum().backward()
    assert x.grad is not None
    return [t.detach().cpu().numpy() for t in (loss, x.grad)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((33, 10), "tile"),
        ((3, 1001), "tile"),
        ((2, 5, 3, 7), "tile"),
        ((2, 11001), "far"),
        ((1, 300, 40), "far"),
    ],
)
def test_cross_entropy_as_on_the_cpu(shape: Any, form: str, reduction: str, weighted: bool):
    for dtype in ("float32", "float64"):
        with launcher.recorded() as names:
            got = losses("cuda", dtype, shape, weighted, reduction=reduction)
        if reduction == "none":
            assert f"log_softmax_forward_{form}" in names
            assert "cross_entropy" not in str(names)
        else:
            assert [n for n in names if "softmax" in n or "entropy" in n] == [
                f"cross_entropy_{form}",
                "cross_entropy_backward",
            ]
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        expected = losses("cpu", dtype, shape, weighted, reduction=reduction)
        compare(got, expected, f"cross_entropy, {dtype}", tolerance, tolerance)


@pytest.mark.parametrize(
    ("weighted", "reduction"), [(False, "mean"), (False, "sum"), (True, "mean")]
)
@pytest.mark.parametrize("shape", [(33, 10), (2, 5, 3, 7), (1, 300, 40)], ids=str)
def test_label_smoothing_as_on_the_cpu(shape: Any, weighted: bool, reduction: str):
    options: dict[str, Any] = {"label_smoothing": 0.1, "reduction": reduction}
    with launcher.recorded() as names:
        got = losses("cuda", "float64", shape, weighted, **options)
    assert ("cross_entropy_backward" in names) != weighted
    compare(got, losses("cpu", "float64", shape, weighted, **options), "smoothed", 1e-12, 1e-12)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mean", [False, True])
def test_cross_entropy_is_the_references(cuda: Any, mean: bool, smoothing: float, ignored: bool):
    shape = (9, 30, 5)
    x = normal(cuda, "float64", shape)
    classes = cuda.from_numpy(targets(shape, ignored))
    weight = None if smoothing else abs(normal(cuda, "float64", shape[1:2], 3))
    args = x, classes, weight, -100, mean, smoothing, 1
    expected = Reference.cross_entropy(cuda, *args, True)
    for got, e in zip(cuda.cross_entropy(*args, True), expected, strict=True):
        same(cuda, got, e, "cross_entropy")
    loss, nothing = cuda.cross_entropy(*args, False)
    same(cuda, loss, expected[0], "without gradient")
    assert nothing is None
    assert Reference.cross_entropy(cuda, *args, False)[1] is None


def test_the_gradient_of_cross_entropy_is_scaled(cuda: Any):
    x = gpunn.tensor(np.random.default_rng(1).standard_normal((9, 300)).astype("f4"))
    target = gpunn.arange(9) * 7
    gradients: list[Any] = []
    for device in ("cpu", "cuda"):
        z = x.detach().to(device).requires_grad_()
        (F.cross_entropy(z, target.to(device)) * 2.5).backward()
        assert z.grad is not None
        gradients.append(z.grad.cpu().numpy())
    compare(*gradients, "scaled", 1e-5, 1e-7)


def test_a_graph_that_is_kept_gives_the_same_gradient_again(cuda: Any):
    x = gpunn.tensor(np.random.default_rng(1).standard_normal((9, 30)).astype("f4"), device="cuda")
    x.requires_grad_()
    loss = F.cross_entropy(x, gpunn.arange(9, device="cuda"))
    (first,) = gpunn.autograd.grad(loss, [x], retain_graph=True)
    before = first.cpu().numpy().copy()
    (second,) = gpunn.autograd.grad(loss * 3, [x], retain_graph=True)
    (third,) = gpunn.autograd.grad(loss, [x])
    compare(second.cpu().numpy(), 3 * before, "with a factor", 1e-5, 1e-7)
    compare(third.cpu().numpy(), before, "again", 1e-5, 1e-7)
    assert (first.cpu().numpy() == before).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_double_gradients_of_cross_entropy(smoothing: float):
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        x = gpunn.tensor(np.random.default_rng(1).standard_normal((4, 5)), device=device)
        x.requires_grad_()
        target = gpunn.tensor([0, -100, 2, 3], device=device)
        loss = F.cross_entropy(x, target, label_smoothing=smoothing)
        (dx,) = gpunn.autograd.grad(loss, [x], create_graph=True)
        (ddx,) = gpunn.autograd.grad((dx * dx).sum(), [x])
        results.append(ddx.cpu().numpy())
    compare(*results, "double gradient", 1e-12, 1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_what_is_not_finite(smoothing: float):
    start = np.random.default_rng(1).standard_normal((6, 10)).astype("f4")
    start[0, 3], start[1, 4], start[2, 5], start[3] = math.inf, -math.inf, math.nan, -math.inf
    results: list[Any] = []
    for device in ("cpu", "cuda"):
        x = gpunn.tensor(start, device=device, requires_grad=True)
        target = gpunn.full((6,), 4, device=device)
        loss = F.cross_entropy(x, target, reduction="sum", label_smoothing=smoothing)
        loss.backward()
        assert x.grad is not None
        results.append([loss.detach().cpu().numpy(), x.grad.cpu().numpy()])
    compare(*results, "cross_entropy", 1e-5, 1e-6)


def test_no_gradient_is_made_where_none_is_wanted(cuda: Any, moved: Callable[[str], int]):
    x = gpunn.tensor(np.ones((64, 1000), "f4"), device="cuda")
    F.cross_entropy(x, gpunn.arange(64, device="cuda"))
    assert moved("cross_entropy_tile") <= 1.05 * x.data.nbytes


# Bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "dtype", "form"), [
    ((16, 1024), "float32", "tile"),
    ((500, 10), "float32", "tile"),
    ((70, 77), "float16", "tile"),
    ((4, 10, 14, 14), "float32", "tile"),
    ((2, 21, 32, 32), "float32", "far"),
])  # fmt: skip
def test_bytes_per_element(
    cuda: Any, moved: Callable[[str], int], shape: tuple[int, ...], dtype: str, form: str
):
    x, dy = (normal(cuda, dtype, shape, seed) for seed in (1, 2))
    for method in METHODS:
        y = getattr(cuda, method)(x, 1)
        getattr(cuda, f"{method}_input")(dy, y, 1)
        for way, least in (("forward", 2), ("backward", 3)):
            bytes = moved(f"{method}_{way}_{form}")
            assert least * x.nbytes <= bytes <= 1.02 * least * x.nbytes, f"{method} {way}"


def test_cross_entropy_moves_each_logit_once_each_way(cuda: Any, moved: Callable[[str], int]):
    x = gpunn.tensor(np.ones((64, 1000), "f4"), device="cuda", requires_grad=True)
    F.cross_entropy(x, gpunn.arange(64, device="cuda")).backward()
    bytes = moved("cross_entropy_tile") + moved("cross_entropy_backward")
    assert 2 * x.data.nbytes <= bytes <= 1.05 * 2 * x.data.nbytes
