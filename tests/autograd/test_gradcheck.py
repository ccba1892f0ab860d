"""gradcheck finds wrong derivatives and says where they are."""

from __future__ import annotations

from typing import Any

import pytest

import gpunn
from gpunn.autograd import Function, gradcheck, gradgradcheck


class Wrong(Function):
    """x * y, whose derivative by y is wrong in element (1, 2)."""

    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor, y: gpunn.Tensor) -> Any:
        ctx.save_for_backward(x, y)
        return x.data * y.data

    @staticmethod
    def backward(ctx: Any, dz: gpunn.Tensor) -> Any:
        x, y = ctx.saved_tensors
        dy = dz * x
        off = gpunn.zeros(2, 3, dtype=gpunn.float64)
        off[1, 2] = 0.25
        return dz * y, dy + off * dz


def inputs() -> list[gpunn.Tensor]:
    return [gpunn.rand(2, 3, dtype=gpunn.float64, requires_grad=True) for _ in range(2)]


def wrong(x: gpunn.Tensor, y: gpunn.Tensor) -> Any:
    return x * 2, Wrong.apply(x, y)


def test_it_names_function_argument_and_index():
    with pytest.raises(
        RuntimeError,
        match=r"Jacobian mismatch for output 1 with respect to input 1, wrong: "
        r"d output1\[1, 2\] / d argument1\[1, 2\]: numerical 0\.\d+, analytical \d\.\d+",
    ):
        gradcheck(wrong, inputs())
    assert gradcheck(wrong, inputs(), raise_exception=False) is False


def test_second_derivatives_are_checked():
    class Cut(Function):
        @staticmethod
        def forward(ctx: Any, x: gpunn.Tensor) -> Any:
            ctx.save_for_backward(x)
            return x.data**3

        @staticmethod
        def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
            (x,) = ctx.saved_tensors
            return dy * 3 * (x * x).detach()

    x = inputs()[0]
    assert gradcheck(Cut.apply, x)
    with pytest.raises(RuntimeError, match="mismatch for output 0 with respect to input 0"):
        gradgradcheck(Cut.apply, x)


def test_what_cannot_be_checked():
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, gpunn.ones(1))
    with pytest.raises(ValueError, match="argument 0 is float32; finite differences need float64"):
        gradcheck(lambda x: x, gpunn.ones(1, requires_grad=True))


def test_inputs_keep_their_values_and_gradients():
    x, y = inputs()
    before = x.tolist()
    assert gradcheck(lambda x, y: (x * y).sum(), (x, y))
    assert x.tolist() == before
    assert x.grad is None


def test_a_backward_that_differs_from_run_to_run():
    calls = iter(range(1000))

    class Drifts(Function):
        @staticmethod
        def forward(ctx: Any, x: gpunn.Tensor) -> Any:
            return x.data * 1

        @staticmethod
        def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
            return dy * (1 + 1e-9 * next(calls))

    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        gradcheck(Drifts.apply, inputs()[0])
