"""out=, axis= and keepdims=, as PyTorch takes them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from checks import to_numpy
from parity import same

import gpunn

FILLED = [
    lambda t, x, **k: t.add(x, x, **k),
    lambda t, x, **k: t.exp(x, **k),
    lambda t, x, **k: t.sigmoid(x, **k),
    lambda t, x, **k: t.round(x, decimals=1, **k),
    lambda t, x, **k: t.maximum(x, -x, **k),
    lambda t, x, **k: t.clamp(x, -0.5, 0.5, **k),
    lambda t, x, **k: t.hypot(x, x, **k),
    lambda t, x, **k: t.sum(x, 0, **k),
    lambda t, x, **k: t.mean(x, 1, **k),
    lambda t, x, **k: t.cumsum(x, 0, **k),
    lambda t, x, **k: t.matmul(x, x, **k),
    lambda t, x, **k: t.mm(x, x, **k),
    lambda t, x, **k: t.cat([x, x], **k),
    lambda t, x, **k: t.stack([x, x], 1, **k),
    lambda t, x, **k: t.gather(x, 0, t.zeros(2, 3, dtype=t.int64), **k),
    lambda t, x, **k: t.softmax(x, 0, **k),
    lambda t, x, **k: t.where(x > 0, x, -x, **k),
    lambda t, x, **k: t.addcmul(x, x, x, **k),
]


def _x(t: Any) -> Any:
    return t.tensor([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75], [3.0, -2.0, 0.0]])


def _rounded(x: Any) -> Any:
    """Without the last bits, which may differ."""
    return str(x.dtype), (x.double() * 1e4).round()


@pytest.mark.parametrize("function", FILLED)
def test_out_of_the_right_shape(function: Any):
    def scenario(t: Any) -> Any:
        x = _x(t)
        out = t.full_like(function(t, x), 7.0)
        returned = function(t, x, out=out)
        return returned is out, _rounded(out)

    ours = same(scenario)
    assert ours[0]


@pytest.mark.parametrize("function", [FILLED[i] for i in (0, 4, 7, 9)])
def test_out_of_another_dtype_and_layout(function: Any):
    def scenario(t: Any) -> Any:
        x = _x(t)
        expected = function(t, x)
        wide = t.zeros(*expected.shape, dtype=t.float64)
        spread = t.zeros(*expected.shape, 2)[..., 0]
        function(t, x, out=wide)
        function(t, x, out=spread)
        return wide, spread

    same(scenario)


@pytest.mark.parametrize(
    "refused",
    [
        lambda t, x: t.add(x, x, out=t.zeros(3, 3, dtype=t.int64)),
        lambda t, x: t.exp(x, out=t.zeros(3, 3, dtype=t.bool)),
        lambda t, x: t.add(x.requires_grad_(), x, out=t.zeros(3, 3)),
        lambda t, x: t.add(x, x, out=t.zeros(3, 3, requires_grad=True)),
    ],
)
def test_refused(refused: Any):
    same(lambda t: refused(t, _x(t)))
    with pytest.raises(TypeError, match="argument 'out' must be Tensor, not int"):
        gpunn.exp(_x(gpunn), out=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="argument 'out' must be tuple of 2 Tensors"):
        gpunn.max(_x(gpunn), 0, out=gpunn.zeros(3))  # type: ignore[call-arg]


def test_out_takes_another_shape():
    def scenario(t: Any) -> Any:
        empty, small = t.empty(0), t.ones(2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            t.sum(_x(t), 0, out=empty)
            quiet = len(caught)
            t.sum(_x(t), 0, out=small)
            text = str(caught[-1].message)[:150]
        return empty, small, quiet, text

    same(scenario)


def test_two_results():
    def scenario(t: Any) -> Any:
        values, indices = t.zeros(3), t.zeros(3, dtype=t.int64)
        t.max(_x(t), 1, out=(values, indices))
        return values, indices

    same(scenario)


def test_on_every_device(device: str):
    x, out = _x(gpunn).to(device), gpunn.zeros(3, 3, device=device)
    before = out._version
    assert gpunn.exp(x, out=out) is out
    np.testing.assert_allclose(to_numpy(out), np.exp(to_numpy(x)), 1e-6)
    assert out._version > before
    if device != "cpu":
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            gpunn.exp(x, out=gpunn.zeros(3, 3))


def test_numpys_names():
    def scenario(t: Any) -> Any:
        x = _x(t)
        results = [
            x.sum(axis=1),
            x.mean(axis=0, keepdims=True),
            t.sum(x, axis=(0, 1)),
            x.max(axis=1)[0],
            x.argmax(axis=0),
            t.cat([x, x], axis=1),
            t.stack([x, x], axis=2),
            x.softmax(axis=1),
            x.std(axis=1, keepdims=True),
            x.squeeze(axis=0),
            x.unsqueeze(axis=0),
            x.cumsum(axis=0),
            t.sort(x, axis=0)[0],
            t.logsumexp(x, axis=1),
            x.prod(axis=1),
            x.any(axis=0),
            t.norm(x, dim=1, keepdim=True),
        ]
        return [_rounded(y) for y in results]

    same(scenario)
