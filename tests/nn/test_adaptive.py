"""AdaptiveLogSoftmaxWithLoss against PyTorch's: state, values, gradients and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity import same

import gpunn
from gpunn import nn

OPTIONS: list[dict[str, Any]] = [
    {"cutoffs": [3]},
    {"cutoffs": [2, 5, 9], "div_value": 2.0},
    {"cutoffs": (1, 9), "head_bias": True, "div_value": 1.5},
]
TARGETS = [[0, 1, 9, 4, 2, 8], [0, 0, 0, 0, 0, 0], [9, 9, 9, 9, 9, 9]]


def filled(lib: Any, options: Any) -> Any:
    layer = lib.nn.AdaptiveLogSoftmaxWithLoss(8, 10, **options)
    with lib.no_grad():
        for i, p in enumerate(layer.parameters()):
            values = np.cos(np.arange(p.numel()) * 0.7 + i).reshape(tuple(p.shape))
            p.copy_(lib.from_numpy(values))
    return layer.double()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("targets", TARGETS)
def test_as_pytorch(options: Any, targets: Any):
    def scenario(lib: Any) -> Any:
        layer = filled(lib, options)
        x = lib.from_numpy(np.sin(np.arange(48.0).reshape(6, 8))).requires_grad_()
        found = layer(x, lib.tensor(targets))
        found.loss.backward()
        one = layer(x[0], lib.tensor(targets[2]))
        grads = [x.grad, *(p.grad for p in layer.parameters())]
        numbers = [*found, *one, layer.log_prob(x), layer.predict(x), *grads]
        shown = repr(layer), list(layer.state_dict()), type(found).__name__, found._fields
        return shown, [None if t is None else t.detach().numpy() for t in numbers]

    torch: Any = pytest.importorskip("torch")
    (shown, ours), (expected, theirs) = scenario(gpunn), scenario(torch)
    assert shown == expected
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, 1e-6, 1e-9)


@pytest.mark.parametrize("act", [
    lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 10, []),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(2, 8).double(), lib.tensor([0])),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(2, 8).double(), lib.tensor([0, 10])),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(2, 8).double(), lib.tensor([-1, 3])),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(2, 8).double(), lib.tensor([[0], [1]])),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(2, 8).double(), lib.tensor(0)),
    lambda lib: filled(lib, OPTIONS[0])(lib.ones(8).double(), lib.tensor([0] * 8)),
])  # fmt: skip
def test_refusals_as_pytorch(act: Any):
    same(act)


@pytest.mark.parametrize("cutoffs", [[5, 3], [3, 3], [0, 3], [10], [2.5], [-1]])
def test_cutoffs_refused(cutoffs: Any):
    with pytest.raises(ValueError, match="cutoffs should be a sequence of unique, positive"):
        nn.AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs)


def test_on_a_device(device: str):
    layer = filled(gpunn, OPTIONS[1])
    x, target = gpunn.rand(6, 8, dtype=gpunn.float64), gpunn.tensor(TARGETS[0])
    expected = layer(x, target)
    found = layer.to(device)(x.to(device), target.to(device))
    gpunn.testing.assert_close(found.output.cpu(), expected.output)
    full = layer.log_prob(x.to(device))
    gpunn.testing.assert_close(full.gather(1, target.to(device)[:, None])[:, 0], found.output)
    gpunn.testing.assert_close(full.exp().sum(1), gpunn.ones_like(full[:, 0]))
    before = layer.tail[0][0].weight.clone()
    layer.reset_parameters()
    assert not before.equal(layer.tail[0][0].weight)
