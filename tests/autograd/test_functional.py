"""autograd.functional against PyTorch: values, graphs, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from parity import same

import gpunn


def _x(t: Any) -> Any:
    return t.tensor([0.5, -1.0, 2.0], dtype=t.float64)


def _y(t: Any) -> Any:
    return t.tensor([1.0, 0.25, 3.0], dtype=t.float64)


def _one(x: Any) -> Any:
    return (x * x * x).sum()


def _many(x: Any, y: Any) -> Any:
    return x * x * y, (x * y).sum()


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    return value.requires_grad, (value.detach() * 1e9).round(), tuple(value.shape)


CALLS: list[Any] = [
    lambda t, f: f.vjp(lambda x: x * x, _x(t), _y(t)),
    lambda t, f: f.vjp(_one, _x(t)),
    lambda t, f: f.vjp(_many, (_x(t), _y(t)), (_y(t), t.tensor(2.0, dtype=t.float64))),
    lambda t, f: f.vjp(lambda x, y: x * 2, (_x(t), _y(t)), _y(t)),
    lambda t, f: f.jvp(lambda x: x * x, _x(t), _y(t)),
    lambda t, f: f.jvp(_many, (_x(t), _y(t)), (_y(t), _x(t))),
    lambda t, f: f.jacobian(lambda x: x * x, _x(t)),
    lambda t, f: f.jacobian(_one, _x(t)),
    lambda t, f: f.jacobian(_many, (_x(t), _y(t))),
    lambda t, f: f.jacobian(lambda x: x.reshape(3, 1) * x, _x(t)),
    lambda t, f: f.hessian(_one, _x(t)),
    lambda t, f: f.hessian(lambda x, y: (x * x * y).sum(), (_x(t), _y(t))),
    lambda t, f: f.hessian(lambda x: x.sum(), _x(t)),
    lambda t, f: f.hvp(_one, _x(t), _y(t)),
    lambda t, f: f.vhp(lambda x, y: (x * x * y).sum(), (_x(t), _y(t)), (_y(t), _x(t))),
]


@pytest.mark.parametrize("call", CALLS)
def test_values(call: Any):
    same(lambda t: _rounded(call(t, t.autograd.functional)))


@pytest.mark.parametrize(
    "refused",
    [
        lambda t, f: f.vjp(lambda x: x * x, _x(t)),
        lambda t, f: f.vjp(lambda x: x * x, _x(t), (_y(t), _y(t))),
        lambda t, f: f.vjp(lambda x: x * x, _x(t), _y(t)[:2]),
        lambda t, f: f.vjp(lambda x, y: x * 2, (_x(t), _y(t)), _y(t), strict=True),
        lambda t, f: f.jacobian(lambda x: t.ones(2), _x(t), strict=True),
    ],
)
def test_refusals(refused: Any):
    same(lambda t: refused(t, t.autograd.functional))
    with pytest.raises(TypeError, match="inputs given to vjp must be either a Tensor or a tuple"):
        gpunn.autograd.functional.vjp(_one, 3)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="should contain a single element"):
        gpunn.autograd.functional.hessian(lambda x: x * x, _x(gpunn))
    with pytest.raises(NotImplementedError, match="only implemented for `vectorize=True`"):
        gpunn.autograd.functional.jacobian(_one, _x(gpunn), strategy="forward-mode")


def test_strategies_give_the_same():
    hessian = gpunn.autograd.functional.hessian
    x = _x(gpunn)
    other = hessian(_one, x, vectorize=True, outer_jacobian_strategy="forward-mode")
    assert other.tolist() == hessian(_one, x).tolist()


def test_the_graph_goes_on():
    def scenario(t: Any) -> Any:
        x = _x(t).requires_grad_()
        table = t.autograd.functional.jacobian(lambda x: x * x * x, x, create_graph=True)
        second = t.autograd.functional.hessian(_one, x, create_graph=True)
        (table.sum() + (second * second).sum()).backward()
        return table.requires_grad, x.grad

    same(scenario)


def test_on_every_device(device: str):
    x = gpunn.tensor([1.0, 2.0], device=device)
    table = gpunn.autograd.functional.jacobian(lambda x: x * x, x)
    assert table.device.type == device
    assert table.tolist() == [[2.0, 0.0], [0.0, 4.0]]
