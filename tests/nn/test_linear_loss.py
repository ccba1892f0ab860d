"""LinearCrossEntropyLoss against PyTorch's, and against its two halves on every device."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from parity import same

import gpunn
import gpunn.functional as F
from gpunn import nn


@pytest.mark.parametrize("options", [
    {},
    {"bias": True, "reduction": "sum", "ignore_index": 1},
    {"out_features": (2,), "bias": True, "label_smoothing": 0.1},
    {"reduction": "none"},
])  # fmt: skip
def test_as_pytorch(options: Any):
    def scenario(lib: Any) -> Any:
        layer = lib.nn.LinearCrossEntropyLoss(3, 5, weight=lib.ones(5).double(), **options).double()
        with lib.no_grad():
            for p in layer.parameters():
                p.copy_(lib.from_numpy(np.cos(np.arange(p.numel())).reshape(tuple(p.shape))))
        target = np.array([[0, 4], [1, 1], [2, 3], [4, 0]])
        target = target if "out_features" in options else target[:, 0].copy()
        y = layer(lib.from_numpy(np.sin(np.arange(12.0)).reshape(4, 3)), lib.from_numpy(target))
        y.sum().backward()
        grads = [p.grad.sum().item() for p in layer.parameters()]
        numbers = [round(v, 6) + 0.0 for v in [*y.detach().reshape(-1).tolist(), *grads]]
        return repr(layer), [(k, list(v.shape)) for k, v in layer.state_dict().items()], numbers

    same(scenario)


def test_is_its_two_halves(device: str):
    layer = nn.LinearCrossEntropyLoss(3, 5, bias=True, device=device)
    x, target = gpunn.rand(4, 3, device=device), gpunn.tensor([0, 4, 2, 1], device=device)
    assert layer(x, target).equal(F.cross_entropy(layer.linear(x), target))


def test_signature_and_refusals():
    torch: Any = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(lib.nn.LinearCrossEntropyLoss) for lib in (gpunn, torch))
    assert list(ours.parameters) == list(theirs.parameters)
    same(lambda lib: lib.nn.LinearCrossEntropyLoss(3, 5)(lib.ones(2, 4), lib.tensor([0, 1])))
    with pytest.raises(NotImplementedError, match="options are not supported"):
        nn.LinearCrossEntropyLoss(3, 5, options=1)(gpunn.ones(2, 3), gpunn.tensor([0, 1]))
