"""Pooling layers: text, and that each is its function."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn
import gpunn.functional as F
from gpunn import nn


@pytest.mark.parametrize("make", [
    lambda nn: nn.MaxPool1d(3),
    lambda nn: nn.MaxPool2d(2),
    lambda nn: nn.MaxPool2d((2, 3), (1, 2), 1, 2, True, ceil_mode=True),
    lambda nn: nn.MaxPool3d(2, stride=1),
    lambda nn: nn.AvgPool1d(3),
    lambda nn: nn.AvgPool1d(3, 2, 1, True, False),
    lambda nn: nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False, divisor_override=3),
    lambda nn: nn.AvgPool3d((2, 1, 2), 1),
    lambda nn: nn.AdaptiveAvgPool1d(4),
    lambda nn: nn.AdaptiveAvgPool2d((2, None)),
    lambda nn: nn.AdaptiveMaxPool1d(3),
    lambda nn: nn.AdaptiveMaxPool2d(1, return_indices=True),
])  # fmt: skip
def test_text_and_attributes_as_pytorch(make: Any):
    names = "kernel_size stride padding dilation ceil_mode return_indices count_include_pad"

    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        return repr(layer), [getattr(layer, n, None) for n in (*names.split(), "output_size")]

    same(scenario)


def test_layers_are_their_functions(device: str):
    x = gpunn.rand(2, 3, 7, 8, device=device)
    row, volume = x[:, :, 0], x.unsqueeze(2)
    assert nn.MaxPool1d(3, 2, 1)(row).equal(F.max_pool1d(row, 3, 2, 1))
    assert nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True)(x).equal(F.max_pool2d(x, 3, 2, 1, 1, True))
    assert nn.MaxPool3d((1, 2, 2))(volume).equal(F.max_pool3d(volume, (1, 2, 2)))
    assert nn.AvgPool1d(3, 2, 1, True, False)(row).equal(F.avg_pool1d(row, 3, 2, 1, True, False))
    assert nn.AvgPool2d(3, 2, 1, divisor_override=5)(x).equal(
        F.avg_pool2d(x, 3, 2, 1, divisor_override=5)
    )
    assert nn.AvgPool3d((1, 2, 2))(volume).equal(F.avg_pool3d(volume, (1, 2, 2)))
    assert nn.AdaptiveAvgPool1d(3)(row).equal(F.adaptive_avg_pool1d(row, 3))
    assert nn.AdaptiveAvgPool2d((2, None))(x).equal(F.adaptive_avg_pool2d(x, (2, None)))
    for layer, expected in [
        (nn.MaxPool2d(2, return_indices=True), F.max_pool2d(x, 2, return_indices=True)),
        (nn.AdaptiveMaxPool2d(3, True), F.adaptive_max_pool2d(x, 3, True)),
    ]:
        assert all(a.equal(b) for a, b in zip(layer(x), expected, strict=True))
    assert nn.AdaptiveMaxPool1d(3)(row).equal(F.adaptive_max_pool1d(row, 3))
