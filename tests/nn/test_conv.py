"""Convolution and transposed convolution layers: text, state, first values, padding modes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from checks import compare, to_numpy
from parity import same

import gpunn
import gpunn.functional as F
from gpunn import nn

LAYERS = [
    lambda nn: nn.Conv2d(4, 6, 3),
    lambda nn: nn.Conv2d(4, 6, (3, 5), stride=2, padding=(1, 2), dilation=2, groups=2, bias=False),
    lambda nn: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    lambda nn: nn.Conv2d(4, 6, 3, padding="same"),
    lambda nn: nn.Conv2d(4, 6, 3, padding="valid", padding_mode="circular"),
    lambda nn: nn.Conv2d(4, 6, (4, 2), padding="same", padding_mode="replicate", dilation=(1, 2)),
    lambda nn: nn.Conv1d(4, 6, 3, padding=1),
    lambda nn: nn.Conv1d(4, 6, 4, padding="same", padding_mode="circular"),
    lambda nn: nn.Conv3d(4, 6, 2, stride=(1, 2, 2)),
    lambda nn: nn.ConvTranspose2d(4, 6, 3),
    lambda nn: nn.ConvTranspose2d(4, 6, (3, 5), 2, (1, 2), (1, 0), 2, False, dilation=2),
    lambda nn: nn.ConvTranspose1d(4, 6, 4, stride=3, output_padding=2),
    lambda nn: nn.ConvTranspose3d(4, 6, 2, stride=(1, 2, 2)),
]


@pytest.mark.parametrize("make", LAYERS)
def test_text_and_state_as_pytorch(make: Any):
    def scenario(lib: Any) -> Any:
        layer = make(lib.nn)
        named = "in_channels out_channels kernel_size stride padding dilation groups padding_mode"
        named += " output_padding"
        return (
            repr(layer),
            [(k, list(v.shape)) for k, v in layer.state_dict().items()],
            [getattr(layer, name) for name in named.split()],
        )

    same(scenario)


@pytest.mark.parametrize("make", LAYERS)
def test_values_and_gradients_as_pytorch(make: Any):
    torch = pytest.importorskip("torch")
    layer, peer = make(nn), make(torch.nn)
    with torch.no_grad():
        for name, value in layer.state_dict().items():
            getattr(peer, name).copy_(torch.tensor(value.numpy()))
    data = np.random.default_rng(0).normal(size=(2, 4, *(9, 8, 7)[: layer._ndim])).astype("f4")
    x, z = gpunn.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, expected = layer(x), peer(z)
    compare(to_numpy(y), to_numpy(expected), repr(layer), 1e-4, 1e-5)
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    compare(to_numpy(x.grad), to_numpy(z.grad), f"dx of {layer}", 1e-4, 1e-4)
    compare(to_numpy(layer.weight.grad), to_numpy(peer.weight.grad), f"dw of {layer}", 1e-4, 1e-3)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_mode_pads_and_then_convolves(mode: str, device: str):
    layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode).to(device)
    x = gpunn.rand(1, 2, 5, 6, device=device)
    padded = F.pad(x, (2, 2, 1, 1), mode)
    assert layer(x).equal(F.conv2d(padded, layer.weight, layer.bias))


def test_layer_is_the_function(device: str):
    layer = nn.Conv2d(4, 6, 3, 2, 1, 2, 2).to(device)
    x = gpunn.rand(2, 4, 9, 9, device=device)
    assert layer(x).equal(F.conv2d(x, layer.weight, layer.bias, 2, 1, 2, 2))
    assert layer(x[0]).shape == (6, 4, 4)


def test_first_values_lie_within_one_over_the_root_of_fan_in():
    layer = nn.Conv2d(16, 256, 5, groups=4)  # fan_in = 16 / 4 * 5 * 5
    for values in (layer.weight, layer.bias):
        assert float(values.abs().max()) <= 0.1
        assert float(values.abs().max()) > 0.098
        assert abs(float(values.mean())) < 0.01
    # Uniform, so with this standard deviation.
    assert float(layer.weight.std()) == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    before = layer.weight.clone()
    layer.reset_parameters()
    assert not layer.weight.equal(before)


def test_takes_dtype_and_device(device: str):
    layer = nn.Conv2d(2, 3, 3, device=device, dtype=gpunn.float64)
    assert layer.weight.dtype is gpunn.float64
    assert layer.bias.device.type == device


@pytest.mark.parametrize(("args", "text"), [
    ({"in_channels": 3, "groups": 2}, "in_channels must be divisible by groups"),
    ({"out_channels": 3, "groups": 2}, "out_channels must be divisible by groups"),
    ({"groups": 0}, "groups must be a positive integer"),
    ({"padding_mode": "some"}, "padding_mode must be one of "),
    ({"padding": "some"}, "Invalid padding string 'some', should be one of "),
    ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
])  # fmt: skip
def test_refusals(args: Any, text: str):
    arguments = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, **args}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        nn.Conv2d(**arguments)
    assert str(caught.value).startswith(text)
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        torch.nn.Conv2d(**arguments)
    assert str(caught.value).startswith(text)


def test_an_error_names_the_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4 channels") as caught:
        model(gpunn.ones(1, 3, 9, 9))
    assert any("1 (Conv2d)" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "asked", [(12, 11), (2, 6, 11, 12), (13, 11), (11, 10), (11,), (1, 2, 6, 11, 11)]
)
def test_output_size_chooses_the_padding_as_pytorch(asked: tuple[int, ...]):
    def scenario(lib: Any) -> Any:
        layer = lib.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, dilation=2)
        try:
            return list(layer(lib.zeros(2, 4, 5, 5), output_size=asked).shape)
        except ValueError as error:
            return str(error).replace("torch.", "gpunn.")

    same(scenario)


def test_transposed_layers_refuse_other_padding():
    with pytest.raises(ValueError, match='Only "zeros" padding mode is supported'):
        nn.ConvTranspose2d(2, 2, 3, padding_mode="circular")
    with pytest.raises(TypeError, match="padding must be an int or a tuple of ints"):
        nn.ConvTranspose2d(2, 2, 3, padding="same")  # pyright: ignore[reportArgumentType]
