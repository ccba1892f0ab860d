"""Rows added at indices: what NumPy adds, in the same order, whatever the layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpunn.backends import type2backend
from gpunn.backends.host.scatter import _WORTH, _add_rows

BACKEND = type2backend[np.ndarray]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("places", "row"), [((2000,), (16,)), ((50, 40), (4, 5)), ((9000,), (2,))])
@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_as_numpy(dtype: str, places: Any, row: Any, kind: Any):
    rng = np.random.default_rng(0)
    index = rng.integers(-30, 30, places).astype(kind)
    source = rng.standard_normal((*places, *row)).astype(dtype)
    for target in (np.zeros((30, *row), dtype), rng.standard_normal((30, *row)).astype(dtype)):
        expected = target.copy()
        np.add.at(expected, (index,), source)
        for given in ((index,), index):
            found = target.copy()
            BACKEND.index_add(found, given, source)
            if not target.any():
                np.testing.assert_array_equal(found, expected)
            np.testing.assert_allclose(found, expected, 1e-4, 1e-4)  # the rows' sum comes first
        assert _add_rows(target.copy(), (index,), source)


def test_what_are_no_rows_is_left_to_numpy():
    index = np.zeros(_WORTH, np.int64)
    source, target = np.ones(_WORTH), np.zeros(3)
    for args in (
        (target, (index,), np.ones(1)),
        (target, (index[:5],), source[:5]),
        (np.zeros((3, 3)), (index, index), source),
        (target, (slice(None),), target),
        (target.astype("f4"), (index,), source),
        (np.zeros((3, 2))[:, 0], (index,), source),
        (np.zeros(3, np.int64), (index,), np.ones(_WORTH, np.int64)),
    ):
        assert not _add_rows(*args)
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            BACKEND.index_add(target, (index + wrong,), source)
    half = np.zeros(3, np.float16)
    BACKEND.index_add(half, (index,), np.ones(_WORTH, np.float16))
    assert half[0] == _WORTH  # 16 bits alone would stop at 2048
