"""Dropout layers: they drop in training, and hand their input on after eval()."""

from __future__ import annotations

import pytest
from parity import same

import gpunn
from gpunn import nn

SHAPES = {
    "Dropout": (4, 5),
    "Dropout1d": (9, 4, 5),
    "Dropout2d": (9, 4, 2, 3),
    "Dropout3d": (9, 4, 2, 2, 2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_training_and_evaluation(name: str, device: str):
    layer, x = getattr(nn, name)(0.5), gpunn.ones(SHAPES[name], device=device)
    gpunn.manual_seed(4)
    y = layer(x)
    gpunn.manual_seed(4)
    assert y.equal(getattr(nn.functional, name.lower())(x))
    assert set(y.flatten().tolist()) == {0, 2}
    assert layer.eval()(x) is x
    assert not layer.train()(x).equal(x)


@pytest.mark.parametrize("name", SHAPES)
def test_text_and_errors_as_pytorch(name: str):
    same(lambda lib: repr(getattr(lib.nn, name)()))
    same(lambda lib: repr(getattr(lib.nn, name)(0.2, inplace=True)))
    same(lambda lib: getattr(lib.nn, name)(-0.1))


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout(name: str, device: str):
    function = {"AlphaDropout": "alpha_dropout", "FeatureAlphaDropout": "feature_alpha_dropout"}
    layer, x = getattr(nn, name)(0.3, inplace=True), gpunn.ones(9, 4, 5, device=device)
    gpunn.manual_seed(4)
    y = layer(x)
    gpunn.manual_seed(4)
    assert y.equal(getattr(nn.functional, function[name])(x, 0.3, training=True))
    assert x.equal(gpunn.ones(9, 4, 5, device=device))  # never in place, as in PyTorch
    assert layer.eval()(x) is x
    same(lambda lib: repr(getattr(lib.nn, name)(0.2, inplace=True)))
    same(lambda lib: getattr(lib.nn, name)(-0.1))


def test_in_place():
    x = gpunn.ones(100)
    assert nn.Dropout(inplace=True)(x) is x
    assert set(x.tolist()) == {0, 2}
