"""Bags of embeddings by loops, on every device; gradients of both orders by finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op

import gpunn
import gpunn.functional as F

INDEX, STARTS = np.array([4, 1, 2, 5, 1, 0, 1]), np.array([0, 2, 2, 5])
FACTORS = np.random.default_rng(1).random(7)
# Different in every column, so that a maximum stays where it is when a difference is taken.
WEIGHT = np.random.default_rng(0).permutation(18).reshape(6, 3) / 4.0


def bags(weight: Any, factors: Any, mode: str, padding: int | None) -> Any:
    """Row by row."""
    y = np.zeros((len(STARTS), weight.shape[1]), weight.dtype)
    for i, (start, stop) in enumerate(zip(STARTS, [*STARTS[1:], len(INDEX)], strict=True)):
        inside = [j for j in range(start, stop) if INDEX[j] != padding]
        rows = [weight[INDEX[j]] * (factors[j] if mode == "sum" else 1) for j in inside]
        if rows:
            y[i] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, 0)
    return y


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 1])
def test_as_loops(mode: str, padding: int | None):
    def pooled(weight: Any, factors: Any) -> Any:
        index, starts = (gpunn.tensor(a, device=weight.device) for a in (INDEX, STARTS))
        given = factors if mode == "sum" else None
        y = F.embedding_bag(
            index, weight, starts, mode=mode, per_sample_weights=given, padding_idx=padding
        )
        return y if mode == "sum" else y + 0 * factors.sum()

    check_op(pooled, [WEIGHT, FACTORS], lambda w, f: bags(w, f, mode, padding))


def test_max_norm_changes_the_rows_that_are_looked_up(device: str):
    weight = gpunn.tensor(WEIGHT, device=device)
    index = gpunn.tensor([[4, 2], [4, 4]], device=device)
    y = F.embedding_bag(index, weight, max_norm=1.0)
    norms = weight.norm(dim=1).cpu()
    assert float(norms[[2, 4]].max()) <= 1
    assert weight.cpu()[[0, 1, 3, 5]].equal(gpunn.tensor(WEIGHT)[[0, 1, 3, 5]])
    gpunn.testing.assert_close(y, weight[index].mean(1))


def test_a_last_offset_before_the_end():
    # What lies behind the last offset belongs to the last bag, for every mode.
    index, ends = gpunn.tensor(INDEX), gpunn.tensor([0, 2, 5])
    weight = gpunn.tensor(WEIGHT)
    for mode in ("sum", "mean", "max"):
        y = F.embedding_bag(index, weight, ends, mode=mode, include_last_offset=True)
        rows = weight[INDEX[2:]]
        want = {"sum": rows.sum(0), "mean": rows.mean(0), "max": rows.amax(0)}[mode]
        gpunn.testing.assert_close(y[1], want)


def test_bfloat16_and_refusals():
    weight = gpunn.tensor(WEIGHT, dtype=gpunn.bfloat16)
    y = F.embedding_bag(gpunn.tensor([[0, 1]]), weight)
    assert y.dtype is gpunn.bfloat16
    gpunn.testing.assert_close(y[0].float(), weight[:2].float().mean(0), rtol=0.01, atol=0.01)
    with pytest.raises(NotImplementedError, match="sparse gradients are not supported"):
        F.embedding_bag(gpunn.tensor([[0, 1]]), weight, sparse=True)
    with pytest.raises(RuntimeError, match="step must be nonzero"):
        F.embedding_bag(gpunn.zeros(2, 0, dtype=gpunn.int64), weight)
