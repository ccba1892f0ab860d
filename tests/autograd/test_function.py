"""Function: the contract for our operations and for users' own."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.autograd import Function, gradcheck, gradgradcheck
from gpunn.autograd.function import once_differentiable
from gpunn.backends import type2backend


class Exp(Function):
    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        y = type2backend[type(x.data)].xp.exp(x.data)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: gpunn.Tensor) -> gpunn.Tensor:
        (y,) = ctx.saved_tensors
        return dy * y


class Scale(Function):
    """x * factor, whose backward is another Function."""

    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor, factor: float) -> Any:
        ctx.factor = factor
        return x.data * factor

    @staticmethod
    def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
        return Scale.apply(dy, ctx.factor), None


class SumAndProduct(Function):
    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor, y: gpunn.Tensor) -> Any:
        ctx.save_for_backward(x, y)
        return x.data + y.data, x.data * y.data

    @staticmethod
    def backward(ctx: Any, ds: gpunn.Tensor, dp: gpunn.Tensor) -> Any:
        x, y = ctx.saved_tensors
        return ds + dp * y, ds + dp * x


def leaf(*values: float) -> gpunn.Tensor:
    return gpunn.tensor(values, dtype=gpunn.float64, requires_grad=True)


def make(backward: Any, forward: Any = None) -> Any:
    """A Function "Fn" of any number of arguments whose backward is ``backward``."""
    body = {
        "forward": staticmethod(forward or (lambda ctx, *xs: sum(x.data for x in xs))),
        "backward": staticmethod(backward),
    }
    return type("Fn", (Function,), body)


def test_derivatives_of_all_orders():
    x, y = leaf(0.3, -1.2), leaf(0.5, 2.0)
    assert gradcheck(Exp.apply, x)
    assert gradgradcheck(Exp.apply, x)
    assert gradcheck(lambda x: Scale.apply(x, 3.0), x)
    assert gradcheck(SumAndProduct.apply, (x, y))
    assert gradgradcheck(SumAndProduct.apply, (x, y))


def test_forward_records_nothing_and_may_return_tensors():
    def forward(ctx: Any, x: gpunn.Tensor) -> gpunn.Tensor:
        y = x * 2 + 1
        assert not y.requires_grad
        assert not gpunn.is_grad_enabled()
        return y

    y = make(lambda ctx, dy: dy * 2, forward).apply(leaf(1.0))
    assert y.requires_grad
    assert repr(y) == "tensor([3.], dtype=gpunn.float64, grad_fn=<FnBackward>)"


@pytest.mark.parametrize(
    ("returned", "got"), [(lambda ctx, dy: dy, 1), (lambda ctx, dy: (dy, dy, dy), 3)]
)
def test_wrong_number_of_gradients(returned: Any, got: int):
    y = make(returned).apply(leaf(1.0), leaf(2.0))
    with pytest.raises(
        RuntimeError,
        match=r"^function FnBackward returned an incorrect number of gradients "
        rf"\(expected 2, got {got}\)$",
    ):
        y.backward()


def test_surplus_nones_are_allowed():
    x = leaf(1.0)
    make(lambda ctx, dy: (dy, None, None)).apply(x).backward()
    assert x.grad is not None


def test_wrong_shapes_and_types_of_gradients():
    with pytest.raises(RuntimeError, match="FnBackward returned an invalid gradient at index 0"):
        make(lambda ctx, dy: gpunn.ones(3)).apply(leaf(1.0, 2.0)).sum().backward()
    with pytest.raises(
        RuntimeError, match=r"expected Variable or None \(got ndarray\) as gradient 0"
    ):
        make(lambda ctx, dy: dy.data).apply(leaf(1.0)).backward()


def test_gradients_may_have_the_broadcast_shape_and_another_dtype():
    x = gpunn.ones(1, 3, requires_grad=True)
    make(lambda ctx, dy: gpunn.ones(2, 4, 3, dtype=gpunn.float64)).apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is gpunn.float32
    assert x.grad.tolist() == [[8, 8, 8]]


def test_needs_input_grad():
    seen: list[Any] = []

    def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
        seen.append(ctx.needs_input_grad)
        return dy, None, dy, None

    def forward(ctx: Any, x: Any, n: Any, y: Any, z: Any) -> Any:
        return x.data + y.data

    make(backward, forward).apply(leaf(1.0), 3, gpunn.ones(1), leaf(2.0)).backward()
    assert seen == [(True, False, False, True)]


def test_non_differentiable_outputs():
    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        order = x.data.argsort()
        rounded = np.rint(x.data)
        ctx.mark_non_differentiable(rounded)
        return x.data * 2, order, rounded, None

    y, order, rounded, nothing = make(lambda ctx, dy, *_: dy * 2, forward).apply(leaf(2.0, 1.0))
    assert (y.requires_grad, order.requires_grad, rounded.requires_grad) == (True, False, False)
    assert nothing is None
    y.sum().backward()


@pytest.mark.parametrize("materialize", [True, False])
def test_outputs_without_gradient(materialize: bool):
    seen: list[Any] = []

    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        ctx.set_materialize_grads(materialize)
        return x.data * 2, x.data * 3

    def backward(ctx: Any, dy: Any, dz: Any) -> Any:
        seen.append(None if dz is None else dz.tolist())
        return dy * 2

    y, _ = make(backward, forward).apply(leaf(1.0, 2.0))
    y.sum().backward()
    assert seen == [[0.0, 0.0] if materialize else None]


def test_mark_dirty():
    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        x.data[...] *= 3
        ctx.mark_dirty(x)
        return x

    triple = make(lambda ctx, dy: dy * 3, forward)
    a = leaf(1.0, 2.0)
    x = a * 2
    view = x[:1]
    assert triple.apply(x) is x
    assert x.grad_fn is not None
    assert x.grad_fn.name == "FnBackward"
    (x.sum() + view.sum()).backward()
    assert a.grad is not None
    assert a.grad.tolist() == [12, 6]
    b = a * 2
    part = b[:1]
    triple.apply(part)
    b.sum().backward()
    assert a.grad.tolist() == [18, 8]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        triple.apply(a)
    saved = a * 1
    y = saved * saved
    with gpunn.no_grad():
        triple.apply(saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_saved_intermediates_and_nones():
    def forward(ctx: Any, x: gpunn.Tensor, y: Any) -> Any:
        middle = x.data + 1
        ctx.save_for_backward(middle, None, x)
        return middle * x.data

    def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
        middle, nothing, x = ctx.saved_tensors
        assert nothing is None
        assert isinstance(middle, gpunn.Tensor)
        assert not middle.requires_grad
        return dy * (middle + x), None

    assert gradcheck(lambda x: make(backward, forward).apply(x, None), leaf(0.5, 2.0))


def test_saved_outputs_make_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = Exp.apply(x)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_saved_tensors_after_backward():
    y = Exp.apply(leaf(1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already"):
        _ = y.grad_fn.saved_tensors


def test_missing_methods():
    class Nothing(Function):
        pass

    class NoBackward(Function):
        @staticmethod
        def forward(ctx: Any, x: gpunn.Tensor) -> Any:
            return x.data * 1

    with pytest.raises(NotImplementedError, match="You must implement the forward function"):
        Nothing.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="You must implement either the backward"):
        NoBackward.apply(leaf(1.0)).backward()


def test_the_graph_can_be_read():
    x = leaf(1.0)
    y = (x * 2).exp()
    assert y.grad_fn is not None
    assert y.grad_fn.name == "ExpBackward0"
    ((before, nr),) = y.grad_fn.next_functions
    assert before is not None
    assert (before.name, nr) == ("MulBackward0", 0)
    (first, _), second = before.next_functions
    assert first is not None
    assert first.name == "AccumulateGrad"
    assert second == (None, 0)
    assert repr(before) == "<MulBackward0>"


def test_a_function_without_tensors():
    class Constant(Function):
        @staticmethod
        def forward(ctx: Any, n: int) -> Any:
            return np.full(n, 2.0)

    assert Constant.apply(3).tolist() == [2, 2, 2]
    assert not Constant.apply(3).requires_grad


def test_no_warning_from_numpy_on_the_way():
    x = leaf(0.0, -1.0, 1e308)
    y = x.log() + 1 / x + x * 1e10
    y.sum().backward()
    assert y.isnan().tolist() == [True, True, False] or y.isinf().any()
    with np.errstate(all="raise"):
        (gpunn.zeros(1) / 0).item()
    with pytest.raises(FloatingPointError), np.errstate(all="raise"):
        np.log(np.zeros(1))  # the user's own settings hold outside


def test_setup_context_apart_from_forward():
    class Scale(Function):
        @staticmethod
        def forward(x: Any, factor: float) -> Any:
            return x * factor, x.sum()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, ctx.factor = inputs
            scaled, _ = output
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(x, scaled)

        @staticmethod
        def backward(ctx: Any, dy: Any, _: Any) -> Any:
            x, scaled = ctx.saved_tensors
            return dy * scaled / x, None

    class Twice(Scale):  # another forward, the same context
        @staticmethod
        def forward(x: Any, factor: float) -> Any:
            return x * factor * 1, x.sum()

    for kind in (Scale, Twice):
        x = leaf(1.0, 2.0)
        y, total = kind.apply(x, 3.0)
        assert not total.requires_grad
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [3.0, 3.0]
        assert gradgradcheck(lambda x, kind=kind: kind.apply(x, 3.0)[0], [leaf(1.0, 2.0)])
    with pytest.raises(NotImplementedError, match="setup_context is not implemented"):
        Function.setup_context(None, (), None)


def test_once_differentiable():
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: gpunn.Tensor, y: gpunn.Tensor) -> Any:
            ctx.save_for_backward(x)
            return x**3 + y

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
            (x,) = ctx.saved_tensors
            assert not gpunn.is_grad_enabled()
            return 3 * x**2 * dy, dy if ctx.needs_input_grad[1] else None

    x = leaf(1.0, 2.0)
    y = Cube.apply(x, gpunn.tensor([0.0, 0.0]))
    (dx,) = gpunn.autograd.grad(y.sum(), x, retain_graph=True)
    assert dx.tolist() == [3.0, 12.0]
    weights = leaf(1.0, 1.0)
    (dx,) = gpunn.autograd.grad(y, x, weights, create_graph=True)
    assert dx.tolist() == [3.0, 12.0]
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was mar"):
        dx.sum().backward()
