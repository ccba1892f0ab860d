"""The reference primitives of arrays, and that overrides agree with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpunn.backends import Backend, type2backend

reference, cpu = Backend(np), type2backend[np.ndarray]


@given(st.data())
def test_index_add_adds_duplicates(data: Any):
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    n = data.draw(st.integers(0, 6))
    index = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=n, max_size=n)), int)
    source = np.arange(float(n * columns)).reshape(n, columns) + 0.5
    expected = np.ones((rows, columns))
    for k, row in enumerate(index):
        expected[row] += source[k]
    for backend in (reference, cpu):
        target = np.ones((rows, columns))
        backend.index_add(target, (index,), source)
        np.testing.assert_array_equal(target, expected)
        turned = np.ones((columns, rows)).T
        backend.index_add(turned, (index, slice(None)), source)
        np.testing.assert_array_equal(turned, expected)
    mask = np.arange(rows) % 2 == 0
    target = np.zeros((rows, columns))
    reference.index_add(target, (mask,), 1.0)
    np.testing.assert_array_equal(target, np.repeat(mask[:, None], columns, 1) * 1.0)


def test_copies_are_contiguous():
    array = np.arange(6.0).reshape(2, 3).T
    for backend in (reference, cpu):
        for made in (backend.copy(array), backend.zeros_like(array), backend.ones_like(array)):
            assert made.flags.c_contiguous
            assert made.shape == (3, 2)
            assert not np.shares_memory(made, array)


def test_views_are_as_writable_as_what_they_show():
    array = np.zeros((2, 2))
    assert cpu.view_of(array, np.broadcast_to(array, (3, 2, 2))).flags.writeable
    array.flags.writeable = False
    assert not cpu.view_of(array, array.diagonal()).flags.writeable
