"""Unpooling: what max pooling found comes back to its place, on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op

import gpunn
import gpunn.functional as F

POOL = [F.max_pool1d, F.max_pool2d, F.max_pool3d]
UNPOOL = [F.max_unpool1d, F.max_unpool2d, F.max_unpool3d]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_puts_values_back(n: int):
    x = np.random.default_rng(n).random((2, 3, *(5, 4, 6)[:n])).astype(np.float32)
    pooled, places = (
        t.detach().numpy() for t in POOL[n - 1](gpunn.tensor(x), 2, None, 1, 1, False, True)
    )

    def undone(values: Any, indices: Any) -> Any:
        return UNPOOL[n - 1](values, indices, 2, None, 1, x.shape)

    def loops(values: Any, indices: Any) -> Any:
        y = np.zeros_like(x).reshape(6, -1)
        for plane, found, row in zip(y, indices.reshape(6, -1), values.reshape(6, -1), strict=True):
            for place, value in zip(found, row, strict=True):
                plane[place] = value
        return y.reshape(x.shape)

    check_op(undone, [pooled, places], loops)


def test_index_out_of_its_plane(device: str):
    x, places = gpunn.ones(1, 1, 2, device=device), gpunn.tensor([[[0, 9]]], device=device)
    text = r"Found an invalid max index: 9 \(output volumes are of size 4\)"
    with pytest.raises(RuntimeError if device == "cpu" else IndexError, match=text):
        F.max_unpool1d(x, places, 2).tolist()
