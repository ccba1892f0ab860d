"""Indexing: basic, advanced and mixed; values, gradients, assignment; gather and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, draw, same_as_torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunn


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> list[tuple[str, Any]]:
    """An index for an array of ``shape``, sometimes wrong, as (kind, value) pairs."""
    items: list[tuple[str, Any]] = []
    kinds = [
        "int",
        "slice",
        "slice",
        "none",
        "ellipsis",
        "vector",
        "column",
        "list",
        "mask",
        "flag",
    ]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        size = max(draw(st.sampled_from(shape)), 1) if shape else 1
        inside = st.integers(-size, size - 1)
        if kind == "ellipsis" and any(k == kind for k, _ in items):
            continue
        value: Any = None
        if kind == "int":
            value = draw(inside)
        elif kind == "slice":
            ends = st.sampled_from([None, 0, 1, -1, -2, 5])
            value = slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, 3])))
        elif kind in ("vector", "list"):
            value = draw(st.lists(inside, min_size=1, max_size=3))
        elif kind == "column":
            value = [[draw(inside)], [draw(inside)]]
        elif kind == "mask":
            start = draw(st.integers(0, len(shape)))
            sizes = shape[start : start + draw(st.integers(1, 2))]
            bits = draw(
                st.lists(st.booleans(), min_size=int(np.prod(sizes)), max_size=int(np.prod(sizes)))
            )
            value = np.array(bits, bool).reshape(sizes)
        elif kind == "flag":
            value = draw(st.booleans())
        items.append((kind, value))
    return items


def build(t: Any, items: list[tuple[str, Any]]) -> Any:
    made: list[Any] = []
    for kind, value in items:
        if kind == "ellipsis":
            made.append(...)
        elif kind in ("vector", "column", "mask"):
            made.append(t.tensor(value))
        else:
            made.append(value)
    return tuple(made) if len(made) != 1 else made[0]


def read(t: Any, array: Any, items: Any) -> list[Any]:
    x = t.tensor(array, requires_grad=True)
    y = x[build(t, items)]
    (y * t.arange(1.0, y.numel() + 1).reshape(y.shape)).sum().backward()
    return [y.detach().numpy(), x.grad.numpy()]


def write(t: Any, array: Any, items: Any) -> list[Any]:
    index = build(t, items)
    x = t.tensor(array, requires_grad=True)
    values = t.full(x[index].shape[-1:], 7.0, dtype=t.float64, requires_grad=True)
    y = x * 1
    y[index] = values
    (y * y).sum().backward()
    z = t.tensor(array)
    z[index] = 5
    w = t.tensor(array)
    w[index] += 1
    return [y.detach().numpy(), x.grad.numpy(), values.grad, z.numpy(), w.numpy()]


def outcome(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return error


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_index(data: Any):
    torch = pytest.importorskip("torch")
    shape = data.draw(st.sampled_from([(3,), (2, 3), (3, 3), (2, 3, 4), (2, 1, 3), (), (0, 3)]))
    items = data.draw(indices(shape))
    array = np.arange(float(np.prod(shape))).reshape(shape) + 1
    picked = outcome(read, torch, array, items)
    for function in (read, write):
        expected, got = (
            outcome(function, torch, array, items),
            outcome(function, gpunn, array, items),
        )
        if isinstance(got, Exception):
            if not isinstance(expected, Exception):  # PyTorch does not look at indices of nothing
                assert picked[0].size == 0, got
            continue
        if isinstance(expected, Exception):  # a flag False beside vectors, a mask after a flag
            assert any(kind == "flag" for kind, _ in items), expected
            continue
        for g, e in zip(got, expected, strict=True):
            if g is None or e is None:
                assert g is e or not (e if g is None else g).any()
            else:
                np.testing.assert_array_equal(np.asarray(g), np.asarray(e))


def test_errors():
    pytest.importorskip("torch")
    x = draw((2, 3))
    for index in (2, -3, (0, 3), (0, 0, 0), (slice(None, None, -1),), 1.5, (slice("a"),)):
        same_as_torch(lambda t, x, i=index: x[i], x, text=isinstance(index, int))
    same_as_torch(lambda t, x: x[0], np.array(1.0))
    same_as_torch(lambda t, x: x[:], np.array(1.0))
    same_as_torch(lambda t, x: x[t.tensor([True, False, True])], x)
    same_as_torch(lambda t, x: x[t.tensor([0.5])], x)
    same_as_torch(lambda t, x: x[t.tensor([0, 1]), t.tensor([0, 1, 2])], x)
    with pytest.raises(RuntimeError, match="must match the size of tensor b"):
        gpunn.tensor(x)[0] = gpunn.ones(4)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        gpunn.tensor(x)[[0, 1]] = gpunn.ones(4)


def test_what_shares_memory():
    x = gpunn.zeros(3, 4)
    x[1:, ::2] = 1
    x[0][1] = 2
    x[..., -1].fill_(3)
    x[[0, 1]].fill_(9)  # a copy
    assert x.tolist() == [[0, 2, 0, 3], [1, 0, 1, 3], [1, 0, 1, 3]]


def test_assignment_casts_and_broadcasts():
    x = gpunn.zeros(2, 3, dtype=gpunn.int64)
    x[0] = 1.9
    x[1] = gpunn.tensor([2.9, -2.9, 0.1])
    assert x.tolist() == [[1, 1, 1], [2, -2, 0]]
    x[:, 1] = [7, 8]
    x[x == 0] = np.int64(5)
    assert x.tolist() == [[1, 7, 1], [2, 8, 5]]
    x[gpunn.tensor([0, 0]), 0] += 1
    assert x[0, 0].item() == 2


def test_overlapping_assignment():
    x = gpunn.arange(5)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]


def test_gather_scatter():
    pytest.importorskip("torch")
    x, src = draw((3, 4), "float32"), draw((3, 4), "float32", seed=1)
    index = np.array([[0, 1, 2, 0], [2, 0, 0, 1]])
    for dim in (0, 1, -1, 2):
        same_as_torch(lambda t, x, i, d=dim: x.gather(d, i), x, index)
        same_as_torch(lambda t, x, i, s, d=dim: x.scatter_add(d, i, s), x, index, src)
        same_as_torch(lambda t, x, i, d=dim: x.scatter(d, i, 5.0), x, index)
        same_as_torch(lambda t, x, i, d=dim: t.zeros(3, 4).scatter_(d, i, 1.0), x, index)
        same_as_torch(lambda t, x, i, d=dim: x.index_select(d, i), x, np.array([2, 0, 2]))
        same_as_torch(lambda t, x, i, d=dim: t.take_along_dim(x, i, d), x, index[:1], text=False)
    same_as_torch(lambda t, x, i: x.gather(0, i), x, np.array([[3]]), text=False)
    same_as_torch(lambda t, x, i: x.gather(0, i), x, np.array([0]))
    same_as_torch(lambda t, x, i: x.gather(0, i), x, np.array([[0]], "int32"))
    same_as_torch(lambda t, x, i: x.gather(0, i), x, np.array([[0]], "int16"))
    same_as_torch(lambda t, x, i: x.gather(0, i), x, np.array([[0] * 5]))
    same_as_torch(lambda t, x, i: x.gather(0, i), np.array(2.0), np.array(0))
    same_as_torch(lambda t, x, i, s: x.index_add(0, i, s), x, np.array([0, 2, 0]), src)
    same_as_torch(lambda t, x, i, s: x.index_add(0, i, s, alpha=2), x, np.array([0, 2, 0]), src)
    same_as_torch(lambda t, x: x.nonzero(), (x > 0).astype("f4"))
    same_as_torch(lambda t, x: t.nonzero(x, as_tuple=True), x)
    same_as_torch(lambda t, x: x.masked_fill(x > 0, -1), x)
    same_as_torch(lambda t, x: x.masked_fill(x, -1), x)
    same_as_torch(lambda t, x: x.masked_fill(x > 0, t.tensor(3.0)), x)
    same_as_torch(lambda t, x: x.masked_select(x > 0), x)
    same_as_torch(lambda t, x: t.masked_select(x, x), x)


def test_gradients():
    x, y = draw((3, 4)), draw((2, 4), seed=1)
    index = gpunn.tensor([[0, 1, 2, 0], [2, 0, 0, 1]])
    rows = gpunn.tensor([0, 2, 0])
    flat = np.array([0, 2, 0])
    check_op(lambda x: x[rows], [x], lambda a: a[flat])
    check_op(lambda x: x[rows, 1:], [x], lambda a: a[flat, 1:])
    check_op(lambda x: x[x.detach() > 0], [x], lambda a: a[a > 0])
    check_op(lambda x: x[::2, None, ..., 1], [x], lambda a: a[::2, None, ..., 1])
    check_op(lambda x: x.gather(0, index), [x], lambda a: np.take_along_axis(a, index.numpy(), 0))
    check_op(lambda x: x.index_select(1, rows), [x], lambda a: a[:, flat])

    def add_at(a: Any, b: Any) -> Any:
        a = a.copy()
        np.add.at(a, np.array([1, 1]), b)
        return a

    twice = gpunn.tensor([1, 1])
    check_op(lambda x, y: x.index_add(0, twice, y), [x, y], add_at)
    check_op(lambda x, y: x.scatter_add(0, twice.reshape(2, 1).expand(2, 4), y), [x, y], add_at)

    def put(x: gpunn.Tensor, y: gpunn.Tensor) -> gpunn.Tensor:
        z = x * 1
        z[gpunn.tensor([2, 0])] = y
        z[1, ::2] = y[0, :2]
        z[z.detach() > 1] = 0
        return z

    def put_array(a: Any, b: Any) -> Any:
        a = a.copy()
        a[np.array([2, 0])] = b
        a[1, ::2] = b[0, :2]
        a[a > 1] = 0
        return a

    check_op(put, [x, y], put_array)
    mask = draw((3, 4), "bool")
    check_op(
        lambda x: x.masked_fill(gpunn.tensor(mask, device=x.device), 2.0),
        [x],
        lambda a: np.where(mask, 2.0, a),
    )
