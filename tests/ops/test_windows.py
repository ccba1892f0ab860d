"""unfold against PyTorch: values, both gradients, refusals; a view."""

from __future__ import annotations

from typing import Any

import pytest
from checks import check_op, draw, same_as_torch
from parity import same

import gpunn


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((7,), (0, 3, 2)),
        ((7,), (0, 7, 1)),
        ((4, 6), (1, 2, 1)),
        ((4, 6), (-2, 3, 3)),
        ((2, 5, 3), (1, 2, 2)),
        ((2, 5, 3), (-1, 1, 1)),
        ((0, 4), (1, 2, 1)),
    ],
)
def test_unfold(shape: tuple[int, ...], window: tuple[int, ...]):
    torch = pytest.importorskip("torch")
    x = draw(shape, "float32")
    check_op(lambda x: x.unfold(*window), [x], lambda x: torch.tensor(x).unfold(*window))
    same_as_torch(lambda t, x: x.unfold(*window), draw(shape, "int64"))


@pytest.mark.parametrize("window", [(0, 9, 1), (0, 2, 0), (2, 1, 1), (0, -1, 1)])
def test_unfold_refuses(window: Any):
    same(lambda t: t.zeros(4, 5).unfold(*window))


def test_unfold_is_a_view(device: str):
    x = gpunn.zeros(6, device=device)
    x.unfold(0, 2, 2)[:, 1] = 3.0
    assert x.tolist() == [0, 3, 0, 3, 0, 3]
    assert gpunn.tensor(3.0).unfold(0, 1, 1).tolist() == [3.0]
