"""Ranges, powers and windows against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
from checks import same_as_torch
from parity import same

import gpunn

CALLS: list[Any] = [
    lambda t: t.logspace(0, 2, 5),
    lambda t: t.logspace(-1, 1, 4, base=2, dtype=t.float64),
    lambda t: t.logspace(0, 1, 0),
    lambda t: t.scalar_tensor(3),
    lambda t: t.scalar_tensor(2, dtype=t.int64),
    lambda t: t.asarray([1.0, 2]),
    lambda t: t.asarray(3),
    lambda t: t.asarray([1, 2], dtype=t.float64),
    lambda t: t.vander(t.tensor([1.0, 2.0, 3.0])),
    lambda t: t.vander(t.tensor([1, 2, 3]), 2),
    lambda t: t.vander(t.tensor([1.0, 2.0]), 4, increasing=True),
    lambda t: t.vander(t.tensor([1.0, 2.0]), 0),
    *(
        lambda t, name=name, args=args: getattr(t, name)(*args)
        for name in ("hann_window", "hamming_window", "blackman_window", "bartlett_window")
        for args in ((8,), (7, False), (1,), (0,), (2, False))
    ),
    lambda t: t.hamming_window(5, False, 0.6, 0.4, dtype=t.float64),
]


@pytest.mark.parametrize("made", CALLS)
def test_values(made: Any):
    same_as_torch(made, tolerance=1e-6)


@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
@pytest.mark.parametrize("bounds", [(0, 3), (1, 2.5, 0.5), (3, 0, -1), (0, 0)])
def test_range(bounds: Any):
    same_as_torch(lambda t: t.range(*bounds))


@pytest.mark.parametrize(
    "refused",
    [
        lambda t: t.logspace(0, 1, -1),
        lambda t: t.vander(t.ones(2, 2)),
        lambda t: t.vander(t.ones(2), -1),
        lambda t: t.hann_window(-1),
        lambda t: t.broadcast_shapes((2,), (3,)),
    ],
)
def test_refusals(refused: Any):
    same_as_torch(refused)


def test_broadcast_shapes():
    same(lambda t: t.broadcast_shapes((2, 1), (3,), 1))
    same(lambda t: t.broadcast_shapes())


def test_asarray_shares_or_copies():
    import numpy

    array = numpy.zeros(2)
    gpunn.asarray(array)[0] = 1
    gpunn.asarray(array, copy=True)[1] = 1
    assert array.tolist() == [1, 0]
    with pytest.raises(ValueError, match="can't alias arbitrary sequence"):
        gpunn.asarray([1], copy=False)
    assert gpunn.asarray([1.0], requires_grad=True).requires_grad


def test_on_every_device(device: str):
    window = gpunn.hann_window(6, device=device)
    assert window.device.type == device
    assert window.cpu().tolist() == gpunn.hann_window(6).tolist()
