"""Linear and the reshaping layers: their state, text and first values."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn


@pytest.mark.parametrize("make", [
    lambda nn: nn.Linear(3, 4),
    lambda nn: nn.Linear(3, 4, bias=False),
    lambda nn: nn.Identity(3, key=4),
    lambda nn: nn.Flatten(),
    lambda nn: nn.Flatten(0, 2),
    lambda nn: nn.Unflatten(1, (2, 3)),
])  # fmt: skip
def test_text_and_state_as_pytorch(make: Any):
    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        return repr(layer), [(k, list(v.shape)) for k, v in layer.state_dict().items()]

    same(scenario)


def test_linear_is_the_function(device: str):
    layer = nn.Linear(3, 4).to(device)
    x = gpunn.rand(2, 5, 3, device=device)
    assert layer(x).equal(nn.functional.linear(x, layer.weight, layer.bias))


def test_linear_begins_within_its_bound():
    layer = nn.Linear(16, 500)
    for values in (layer.weight, layer.bias):
        assert float(values.abs().max()) <= 0.25
        assert float(values.abs().max()) > 0.24
        assert abs(float(values.mean())) < 0.03
    before = layer.weight.clone()
    layer.reset_parameters()
    assert not layer.weight.equal(before)
    assert nn.Linear(0, 3).bias.tolist() == [0, 0, 0]


def test_linear_takes_dtype_and_device(device: str):
    layer = nn.Linear(3, 4, device=device, dtype=gpunn.float64)
    assert layer.weight.dtype is gpunn.float64
    assert layer.bias.device.type == device


def test_linear_without_bias():
    layer = nn.Linear(3, 4, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]


def test_reshaping():
    x = gpunn.rand(2, 3, 4, 5)
    assert nn.Identity(1, two=2)(x) is x
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(2, (2, -1))(x).shape == (2, 3, 2, 2, 5)
    same(lambda lib: lib.nn.Unflatten(1, 3))
    same(lambda lib: lib.nn.Unflatten(1, (3, 2.0)))
