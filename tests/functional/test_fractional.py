"""Fractional pooling: every device alike, windows where they may be, and the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import check_op
from parity import same

import gpunn
import gpunn.functional as F
from gpunn import nn


def placed(x: Any, u: Any, size: tuple[int, ...], kernel: int) -> Any:
    """The maxima, window by window, and their indices."""
    n = len(size)
    y = np.zeros((*x.shape[:-n], *size), x.dtype)
    found = np.zeros(y.shape, np.int64)
    for at in np.ndindex(*y.shape):
        plane, sample = x[at[:-n]], u[at[:-n]]
        sample = sample[::-1] if n == 2 else sample
        begin = []
        for i, m, s, r in zip(at[-n:], size, plane.shape, sample, strict=True):
            a = (s - kernel) / (m - 1)
            begin.append(s - kernel if i == m - 1 else int((i + r) * a) - int(r * a))
        window = plane[tuple(slice(b, b + kernel) for b in begin)]
        inside = np.unravel_index(window.argmax(), window.shape)
        y[at] = window.max()
        where = tuple(b + int(i) for b, i in zip(begin, inside, strict=True))
        found[at] = np.ravel_multi_index(where, plane.shape)
    return [y, found]


@pytest.mark.parametrize(("shape", "size"), [((7, 6), (3, 4)), ((4, 5, 6), (2, 3, 3))])
def test_as_the_definition(shape: Any, size: Any):
    rng = np.random.default_rng(len(shape))
    x = rng.permutation(6 * int(np.prod(shape))).reshape(2, 3, *shape) / 8.0
    u = rng.random((2, 3, len(shape)))
    pool = F.fractional_max_pool2d if len(shape) == 2 else F.fractional_max_pool3d

    def pooled(x: Any) -> Any:
        samples = gpunn.tensor(u, device=x.device, dtype=x.dtype)
        return pool(x, 2, size, return_indices=True, _random_samples=samples)

    check_op(pooled, [x], lambda x: placed(x, u, size, 2))


def test_drawn_from_the_stream(device: str):
    x = gpunn.rand(2, 3, 20, 20, device=device)
    gpunn.manual_seed(1)
    a, b = (F.fractional_max_pool2d(x, 2, output_ratio=(0.6, 0.7)) for _ in range(2))
    gpunn.manual_seed(1)
    assert F.fractional_max_pool2d(x, 2, output_ratio=(0.6, 0.7)).equal(a)
    assert not a.equal(b)
    assert a.shape == (2, 3, 12, 14)


@pytest.mark.parametrize("make", [
    lambda nn: nn.FractionalMaxPool2d(2, 3),
    lambda nn: nn.FractionalMaxPool3d((1, 2, 3), output_ratio=0.5),
    lambda nn: nn.FractionalMaxPool2d(2),
    lambda nn: nn.FractionalMaxPool2d(2, 3, 0.5),
    lambda nn: nn.FractionalMaxPool3d(2, output_ratio=1.5),
    lambda nn: nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0)),
])  # fmt: skip
def test_layers_as_pytorch(make: Any):
    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        held = layer.kernel_size, layer.output_size, layer.output_ratio, layer.return_indices
        return repr(layer), held, list(layer.state_dict())

    same(scenario)


def test_layer_is_the_function():
    x, u = gpunn.rand(2, 3, 8, 8), gpunn.rand(2, 3, 2)
    layer = nn.FractionalMaxPool2d(3, output_ratio=0.5, return_indices=True, _random_samples=u)
    expected = F.fractional_max_pool2d(x, 3, 4, return_indices=True, _random_samples=u)
    assert all(a.equal(b) for a, b in zip(layer(x), expected, strict=True))
    undone = nn.MaxUnpool2d(2)(*layer(x), output_size=(8, 8))
    assert undone.max().item() == x.max().item()
