"""multinomial: frequencies, no repetition, the same draw on every device, PyTorch's refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity import same

import gpunn


def test_frequencies_are_the_weights():
    weights = gpunn.tensor([[1.0, 2.0, 0.0, 5.0], [0.0, 3.0, 1.0, 0.0]])
    drawn = gpunn.multinomial(weights, 20000, replacement=True)
    assert drawn.dtype is gpunn.int64
    assert tuple(drawn.shape) == (2, 20000)
    for row, weight in zip(drawn.numpy(), weights.numpy(), strict=True):
        share = np.bincount(row, minlength=4) / 20000
        np.testing.assert_allclose(share, weight / weight.sum(), atol=0.015)
        assert not share[weight == 0].any()


def test_without_replacement_nothing_comes_twice():
    weights = gpunn.tensor([1.0, 0.0, 2.0, 8.0, 1.0])
    drawn = np.array([gpunn.multinomial(weights, 4).tolist() for _ in range(3000)])
    assert all(sorted(row) == [0, 2, 3, 4] for row in drawn.tolist())
    first = np.bincount(drawn[:, 0], minlength=5) / 3000
    np.testing.assert_allclose(first, weights.numpy() / 12, atol=0.04)


def test_the_same_on_every_device(device: str):
    weights = gpunn.rand(3, 50)
    for replacement in (True, False):
        gpunn.manual_seed(5)
        expected = gpunn.multinomial(weights, 7, replacement)
        generator = gpunn.Generator().manual_seed(5)
        got = gpunn.multinomial(weights.to(device), 7, replacement, generator=generator)
        assert got.tolist() == expected.tolist()
    half = gpunn.multinomial(weights.to(device).bfloat16(), 3)
    assert tuple(half.shape) == (3, 3)


@pytest.mark.parametrize(
    "refused",
    [
        lambda t: t.multinomial(t.ones(2, 2, 2), 1),
        lambda t: t.multinomial(t.ones(2, dtype=t.int64), 1),
        lambda t: t.multinomial(t.ones(2), 0),
        lambda t: t.multinomial(t.ones(2), 3),
        lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1),
        lambda t: t.multinomial(t.tensor([1.0, float("nan")]), 1),
        lambda t: t.multinomial(t.tensor([1.0, float("inf")]), 1),
        lambda t: t.multinomial(t.zeros(3), 1),
    ],
)
def test_refusals(refused: Any):
    same(refused)
    with pytest.raises(RuntimeError, match="not enough non-negative category"):
        gpunn.multinomial(gpunn.tensor([1.0, 0.0, 2.0]), 3)
