"""Reductions, sorting: any dims, all dtypes, gradients, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from checks import check_op, draw, same_as_torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gpunn

MANY = ["sum", "mean", "var", "std", "amax", "amin", "all", "any", "logsumexp", "count_nonzero"]
ONE = ["prod", "max", "min", "argmax", "argmin"]
DIMS: list[Any] = [None, 0, 1, -1, 2, -3, (0, 1), (1, 0), (0, 0), (-1,), (0, 2)]
SHAPES = [(2, 3), (2, 1, 3), (), (0, 3), (2, 0)]

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom")


@pytest.mark.parametrize("name", MANY + ONE)
def test_any_dims(name: str):
    pytest.importorskip("torch")
    for dtype in ("bool", "uint8", "int32", "float16", "float32", "float64"):
        for shape in SHAPES:
            x = draw(shape, dtype)
            for dim in DIMS:
                if isinstance(dim, tuple) and name in ONE:
                    continue
                if dim is None:
                    if name != "logsumexp":
                        same_as_torch(lambda t, x: getattr(t, name)(x), x)
                    continue
                # (Where several things are wrong, which one is named first is open.)
                text = x.size > 0 and dtype != "bool"
                if not x.size and name in ("amax", "amin"):
                    continue
                if name == "logsumexp" and dtype in ("bool", "uint8", "int32"):
                    continue  # PyTorch: a bug for tuples of dims
                same_as_torch(lambda t, x, d=dim: getattr(t, name)(x, d), x, text=text)
                if name != "count_nonzero":
                    same_as_torch(
                        lambda t, x, d=dim: getattr(t, name)(x, dim=d, keepdim=True), x, text=text
                    )


def test_dtype_and_correction():
    pytest.importorskip("torch")
    for dtype in ("int32", "float32", "float16"):
        x = draw((3, 4), dtype)
        same_as_torch(lambda t, x: t.sum(x, 0, dtype=t.float64), x)
        same_as_torch(lambda t, x: t.sum(x, dtype=t.int32), x)
        same_as_torch(lambda t, x: t.mean(x, dtype=t.float64), x)
        same_as_torch(lambda t, x: t.prod(x, 1, dtype=t.int32), x)
        same_as_torch(lambda t, x: t.cumsum(x, 1, dtype=t.float64), x)
        same_as_torch(lambda t, x: t.cumsum(x, -2), x)
        same_as_torch(lambda t, x: t.var(x, 0, False), x)
        same_as_torch(lambda t, x: t.std(x, False), x)
        for correction in (0, 1, 2, 1.5):
            same_as_torch(lambda t, x, c=correction: t.var(x, 1, correction=c), x)


def test_variance_of_one_warns():
    with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
        assert math.isnan(gpunn.ones(1).var().item())


def test_norm():
    pytest.importorskip("torch")
    for dtype in ("int32", "float32", "float64"):
        x = draw((3, 4), dtype)
        for p in (0, 1, 2, 3, 2.5, math.inf, -math.inf, "fro"):
            same_as_torch(lambda t, x, p=p: t.norm(x, p), x)
            if p != "fro":
                same_as_torch(lambda t, x, p=p: x.norm(p, 1, True), x)


def test_nan():
    pytest.importorskip("torch")
    x = np.array([[1, np.nan, 3], [np.nan, 2, np.inf]], "f4")
    for name in ["sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "var"]:
        same_as_torch(lambda t, x, n=name: getattr(t, n)(x), x)
        same_as_torch(lambda t, x, n=name: getattr(t, n)(x, 1), x)


def test_sorting():
    pytest.importorskip("torch")
    ties = np.array([[3, 1, 3, 2, 1, 1], [0, 0, 5, 5, 0, 9]])
    nans = np.array([2, np.nan, 1, np.inf, np.nan, -np.inf], "f4")
    for x in (ties, ties.astype("f4"), nans, np.array(3.0), np.zeros((2, 0), "f4")):
        for descending in (False, True):
            for dim in (0, -1):
                same_as_torch(
                    lambda t, x, k=descending, d=dim: t.sort(x, dim=d, descending=k, stable=True), x
                )
                same_as_torch(
                    lambda t, x, k=descending, d=dim: t.argsort(
                        x, dim=d, descending=k, stable=True
                    ),
                    x,
                )
    for k in (0, 1, 3, 6, 7, -1):
        for largest in (True, False):
            same_as_torch(lambda t, x, k=k, m=largest: t.topk(x, k, -1, m)[0], ties)


def test_median_and_cumprod():
    pytest.importorskip("torch")
    nans = np.array([[2, np.nan, 1, 5], [3, 1, 2, 2]], "f4")
    for x in (nans, draw((3, 4), "int32"), draw((5,)), np.array(2.0)):
        same_as_torch(lambda t, x: t.median(x), x)
        for dim in (0, -1):
            same_as_torch(lambda t, x, d=dim: t.median(x, d)[0], x)
            same_as_torch(lambda t, x, d=dim: x.median(d, True)[0], x)
            same_as_torch(lambda t, x, d=dim: t.cumprod(x, d), x)
    same_as_torch(lambda t, x: t.median(x), np.zeros((0,), "f4"))
    check_op(lambda x: x.cumprod(1), [draw((2, 3))], lambda a: a.cumprod(1))
    check_op(lambda x: x.median(0).values, [draw((3, 2))], lambda a: np.median(a, 0))


def test_results_have_names():
    result = gpunn.tensor([[1.0, 5.0], [7.0, 2.0]]).max(1)
    assert result.values.tolist() == [5, 7]
    assert result.indices.tolist() == [1, 0]


@given(st.data())
def test_sums_over_any_axes(data: Any):
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    axes = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0)))) if shape else set()
    keepdim = data.draw(st.booleans())
    array = draw(shape)
    x = gpunn.tensor(array, requires_grad=True)
    y = x.sum(tuple(axes), keepdim)
    expected = array.sum(tuple(axes) or None, keepdims=keepdim)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    weights = draw(expected.shape, seed=1)
    (y * gpunn.tensor(weights)).sum().backward()
    full = array.sum(tuple(axes) or None, keepdims=True)
    assert x.grad is not None
    spread = np.broadcast_to(weights.reshape(full.shape), shape)
    np.testing.assert_allclose(x.grad.numpy(), spread, atol=1e-12)


def test_gradients():
    x, y = draw((2, 3)), draw((2, 2, 3), seed=2)
    check_op(lambda x: x.sum(0), [x], lambda x: x.sum(0))
    check_op(lambda x: x.mean((0, 2)), [y], lambda x: x.mean((0, 2)))
    check_op(lambda x: x.var(1), [x], lambda x: x.var(1, ddof=1))
    check_op(lambda x: x.std(), [x], lambda x: x.std(ddof=1))
    check_op(lambda x: x.amax(1), [x], lambda x: x.max(1))
    check_op(lambda x: x.amin((0, 1), True), [y], lambda x: x.min((0, 1), keepdims=True))
    check_op(lambda x: x.max(1).values, [x], lambda x: x.max(1))
    check_op(lambda x: x.min(), [x], lambda x: x.min())
    check_op(lambda x: x.prod(1), [x], lambda x: x.prod(1))
    check_op(lambda x: x.prod(), [x], lambda x: x.prod())
    check_op(lambda x: x.cumsum(1), [y], lambda x: x.cumsum(1))
    check_op(lambda x: x.logsumexp(1), [x], lambda x: np.log(np.exp(x).sum(1)))
    check_op(lambda x: x.norm(), [x], lambda x: np.sqrt((x * x).sum()))
    check_op(lambda x: x.norm(3, 1), [x], lambda x: (np.abs(x) ** 3).sum(1) ** (1 / 3))
    check_op(lambda x: x.sort(1).values, [x], lambda x: np.sort(x, 1))
    check_op(lambda x: x.topk(2, 0).values, [x], lambda x: np.sort(x, 0)[::-1])
    zeros = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 0.0]])
    check_op(lambda x: x.prod(1), [zeros], lambda x: x.prod(1))


def test_ties_share_as_in_pytorch():
    torch = pytest.importorskip("torch")
    values = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    for function in (
        lambda x: x.amax(1).sum(),
        lambda x: x.amin(0).sum(),
        lambda x: x.max(),
        lambda x: x.min(),
        lambda x: x.max(1)[0].sum(),
        lambda x: x.min(0)[0].sum(),
        lambda x: x.median(),
        lambda x: x.median(1)[0].sum(),
    ):
        grads = []
        for t in (torch, gpunn):
            x = t.tensor(values, requires_grad=True)
            function(x).backward()
            grads.append(x.grad.tolist())
        assert grads[0] == grads[1]


def test_float16_sums_in_float32():
    assert gpunn.ones(5000, dtype=gpunn.float16).sum().item() == 5000
    assert gpunn.full((4096,), 8.0, dtype=gpunn.float16).mean().item() == 8


@pytest.mark.parametrize("dim", [None, 0, 1, 2, (0, 2), (1, 2), (0, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sums(dim: Any, dtype: str, device: str):
    """By products with ones on the CPU; exact for small whole numbers."""
    x = np.random.default_rng(0).integers(-4, 5, (40, 30, 70)).astype(dtype)
    for keepdim in (False, True):
        y = gpunn.tensor(x, device=device).sum(dim, keepdim)
        np.testing.assert_array_equal(y.cpu().numpy(), x.sum(dim, keepdims=keepdim))
    strided = gpunn.tensor(x, device=device).permute(2, 0, 1)
    np.testing.assert_array_equal(strided.sum(0).cpu().numpy(), x.sum(2))
    x[3, 4, 5], x[6, 7, 8] = np.inf, np.nan
    y = gpunn.tensor(x, device=device).sum((1, 2)).cpu().numpy()
    assert np.isinf(y[3])
    assert np.isnan(y[6])
    assert np.isfinite(np.delete(y, [3, 6])).all()
