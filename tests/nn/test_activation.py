"""Activation layers: the functions of the same name, and PyTorch's text."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn

F = nn.functional

CASES: list[tuple[str, tuple[Any, ...], str]] = [
    ("ReLU", (), "relu"),
    ("ReLU6", (), "relu6"),
    ("LeakyReLU", (0.2,), "leaky_relu"),
    ("ELU", (0.5,), "elu"),
    ("Hardtanh", (-2.0, 0.5), "hardtanh"),
    ("Threshold", (0.1, 20.0), "threshold"),
    ("Sigmoid", (), "sigmoid"),
    ("LogSigmoid", (), "logsigmoid"),
    ("Tanh", (), "tanh"),
    ("SiLU", (), "silu"),
    ("GELU", ("tanh",), "gelu"),
    ("Softplus", (2.0, 1.0), "softplus"),
    ("Softmax", (1,), "softmax"),
    ("LogSoftmax", (1,), "log_softmax"),
]
INPLACE = ["ReLU", "ReLU6", "LeakyReLU", "ELU", "Hardtanh", "SiLU"]


@pytest.mark.parametrize(("layer", "args", "function"), CASES)
def test_layer_is_the_function(layer: str, args: tuple[Any, ...], function: str, device: str):
    x = gpunn.randn(3, 4, device=device)
    assert getattr(nn, layer)(*args)(x).equal(getattr(F, function)(x, *args))


@pytest.mark.parametrize(("layer", "args", "function"), CASES)
def test_text_as_pytorch(layer: str, args: tuple[Any, ...], function: str):
    same(lambda lib: repr(getattr(lib.nn, layer)(*args)))


@pytest.mark.parametrize("layer", INPLACE)
def test_in_place(layer: str):
    same(lambda lib: repr(getattr(lib.nn, layer)(inplace=True)))
    x = gpunn.randn(10)
    expected = getattr(nn, layer)()(x.clone())
    assert getattr(nn, layer)(inplace=True)(x) is x
    assert x.equal(expected)


def test_softmax_without_dim_warns_and_shows_it():
    same(lambda lib: repr(lib.nn.Softmax()))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        nn.Softmax()(gpunn.ones(2, 2))


def test_hardtanh_refuses_an_empty_interval():
    with pytest.raises(AssertionError, match=r"max_val \(1.0\) must be greater than min_val"):
        nn.Hardtanh(1.0, 1.0)
