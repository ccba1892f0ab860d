"""Backward of arithmetic alone gets arrays where nothing is recorded: nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gpunn

FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: 2 - x,
    "mul": lambda x, y: x * y,
    "number": lambda x, y: x * 3,
    "div": lambda x, y: x / y,
    "rdiv": lambda x, y: 1 / x,
    "itself": lambda x, y: x * x - x / x,
    "tanh": lambda x, y: x.tanh(),
    "exp": lambda x, y: x.exp(),
    "log": lambda x, y: x.log(),
    "sqrt": lambda x, y: x.sqrt(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "square": lambda x, y: x.square(),
    "floor": lambda x, y: x.floor(),
}

DTYPES = [
    "float32 float32",
    "float64 float64",
    "float16 float16",
    "bfloat16 bfloat16",
    "float32 float64",
    "float32 int64",
]


def gradients(
    formula: Callable[[Any, Any], Any], x: Any, y: Any, recorded: bool
) -> list[gpunn.Tensor | None]:
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_(y.is_floating_point())
    inputs = [v for v in (x, y) if v.requires_grad]
    loss = formula(x, y).sum()
    return list(gpunn.autograd.grad(loss, inputs, create_graph=recorded, allow_unused=True))


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((), (2,)), ((2,), ())])
@pytest.mark.parametrize("dtypes", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_as_where_it_is_recorded(name: str, dtypes: str, shapes: Any):
    kinds = [getattr(gpunn, d) for d in dtypes.split()]
    x, y = ((gpunn.rand(*s) + 1).to(k) for s, k in zip(shapes, kinds, strict=True))
    plain, recorded = (gradients(FORMULAS[name], x, y, r) for r in (False, True))
    for a, b in zip(plain, recorded, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert a.dtype == b.dtype
            assert not a.requires_grad
            assert gpunn.equal(a, b.detach())


def test_a_saved_value_that_has_changed_is_refused():
    x, y = gpunn.ones(2, requires_grad=True), gpunn.ones(2)
    for z in (x * y, (x * 2).exp()):
        loss = z.sum()
        (y if z.grad_fn.name == "MulBackward0" else z.detach()).add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_a_second_time_is_refused_and_a_kept_graph_is_not():
    x = gpunn.tensor([2.0], requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_gradients_are_not_shared():
    x, y = gpunn.ones(2, requires_grad=True), gpunn.ones(2, requires_grad=True)
    seen: list[gpunn.Tensor] = []
    z = x - y
    z.register_hook(seen.append)
    z.backward(gpunn.ones(2))
    x.grad.add_(1)
    assert seen[0].tolist() == [1, 1]
    assert y.grad.tolist() == [-1, -1]
