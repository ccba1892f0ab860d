"""Matrix products in all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op, draw, same_as_torch
from hypothesis import given
from hypothesis import strategies as st

import gpunn

PAIRS: list[Any] = [
    ((), ()), ((3,), ()), ((3,), (3,)), ((3,), (4,)), ((2, 3), (3,)), ((2, 3), (2,)),
    ((3,), (3, 2)), ((3,), (2, 3)), ((2, 3), (3, 4)), ((2, 3), (2, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (4, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)), ((2, 1, 2, 3), (4, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
    ((5, 2, 0), (0, 3)), ((0, 2, 3), (3, 1)), ((5, 2, 3), (2,)), ((5, 2, 3), (2, 2)), ((0,), (0,)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_all_ranks(left: Any, right: Any):
    pytest.importorskip("torch")
    for dtype in ("float32", "float64", "int64", "float16", "int32"):
        same_as_torch(lambda t, x, y: x @ y, draw(left, dtype), draw(right, dtype, seed=1))
    x, y = draw(left, "float32"), draw(right, "float32", seed=1)
    for name in ("matmul", "mm", "bmm", "dot", "outer"):
        same_as_torch(lambda t, x, y, n=name: getattr(t, n)(x, y), x, y)
    if left:
        same_as_torch(lambda t, x, y: x.mv(y), x, y)
    same_as_torch(lambda t, x, y: x @ y, x, y.astype("f8"), text=False)


def test_addmm():
    pytest.importorskip("torch")
    for shape in ((2, 4), (4,), (), (1, 4), (2, 1), (3, 4)):
        same_as_torch(
            lambda t, c, a, b: t.addmm(c, a, b, beta=2, alpha=3),
            draw(shape, "float32"), draw((2, 3), "float32"), draw((3, 4), "float32"),
        )  # fmt: skip


def test_bools_are_refused():
    x = gpunn.ones(2, 2, dtype=gpunn.bool)
    with pytest.raises(NotImplementedError, match="not implemented for 'Bool'"):
        _ = x @ x


GOOD: list[Any] = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((2, 2, 3), (3, 2)),
    ((2, 2, 3), (2, 3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (2, 3, 1)), ((2, 2, 3), (3,)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), GOOD)
def test_gradients(left: Any, right: Any):
    check_op(gpunn.matmul, [draw(left), draw(right, seed=1)], np.matmul)


@given(st.data())
def test_batches_broadcast(data: Any):
    sizes = st.integers(0, 3)
    n, k, m = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    batch = data.draw(st.lists(st.integers(1, 3), max_size=2))
    fewer = [data.draw(st.sampled_from([1, b])) for b in batch][data.draw(st.integers(0, 1)) :]
    a, b = draw((*batch, n, k)), draw((*fewer, k, m), seed=1)
    for x, y in ((a, b), (b.swapaxes(-1, -2), a.swapaxes(-1, -2))):
        got = gpunn.tensor(x) @ gpunn.tensor(y)
        np.testing.assert_allclose(got.numpy(), x @ y, atol=1e-12)
