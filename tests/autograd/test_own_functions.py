"""Functions written as for PyTorch, on both: what ``ctx`` offers, and what is refused."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from parity import same


def x(lib: Any, *, grad: bool = True) -> Any:
    return lib.arange(3.0, dtype=lib.float64).requires_grad_(grad)


def made(lib: Any, forward: Callable[..., Any], backward: Callable[..., Any] | None) -> Any:
    members = {"forward": staticmethod(forward)}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("Own", (lib.autograd.Function,), members)


def keep(ctx: Any, dy: Any, *_: Any) -> Any:
    return dy


def square(ctx: Any, a: Any) -> Any:
    ctx.save_for_backward(a)
    return a**2


def test_an_output_saved():
    def scenario(t: Any) -> Any:
        def forward(ctx: Any, a: Any) -> Any:
            y = a.exp()
            ctx.save_for_backward(y, None)
            ctx.times = 2
            return y

        def backward(ctx: Any, dy: Any) -> Any:
            y, none = ctx.saved_tensors
            assert none is None
            return dy * y * ctx.times

        a = x(t)
        y = made(t, forward, backward).apply(a)
        (dx,) = t.autograd.grad(y.sum(), a, create_graph=True)
        return y, dx, t.autograd.grad(dx.sum(), a)

    same(scenario)


def test_an_input_changed_in_place():
    def scenario(t: Any) -> Any:
        def forward(ctx: Any, a: Any) -> Any:
            a.mul_(2)
            ctx.mark_dirty(a)
            return a

        a = x(t)
        b = a * 1
        y = made(t, forward, lambda ctx, dy: dy * 2).apply(b)
        y.sum().backward()
        return y is b, y._version, y, a.grad

    same(scenario)


def dirty_but_not_returned(ctx: Any, a: Any) -> Any:
    ctx.mark_dirty(a)
    return a * 1


def test_what_was_changed_is_returned():
    same(lambda t: made(t, dirty_but_not_returned, keep).apply(x(t) * 1))


def test_outputs_without_gradient():
    def scenario(t: Any) -> Any:
        seen = []

        def forward(ctx: Any, a: Any) -> Any:
            values, places = (-a).sort()
            other = a * 3
            ctx.mark_non_differentiable(places, other)
            ctx.save_for_backward(places)
            return values, places, other

        def backward(ctx: Any, dy: Any, *rest: Any) -> Any:
            seen.append(rest)
            (places,) = ctx.saved_tensors
            return -t.zeros_like(dy).index_add_(0, places, dy)

        a = x(t)
        values, places, other = made(t, forward, backward).apply(a)
        (values * t.arange(3)).sum().backward()
        return places.requires_grad, other.requires_grad, other.grad_fn, seen, a.grad

    same(scenario)


@pytest.mark.parametrize("value", [True, False])
def test_gradients_that_did_not_come(value: bool):
    def scenario(t: Any) -> Any:
        seen = []

        def forward(ctx: Any, a: Any) -> Any:
            ctx.set_materialize_grads(value)
            return a * 2, a * 3

        def backward(ctx: Any, dy: Any, dz: Any) -> Any:
            seen.append((dy, dz))
            return dy

        made(t, forward, backward).apply(x(t))[0].sum().backward()
        return seen

    same(scenario)


def test_what_is_no_tensor_is_handed_through():
    def scenario(t: Any) -> Any:
        seen = []

        def backward(ctx: Any, dy: Any, *rest: Any) -> Any:
            seen.append(rest)
            return dy

        y, *rest = made(t, lambda ctx, a: (a * 1, 5, None, "text"), backward).apply(x(t))
        y.sum().backward()
        return rest, seen

    same(scenario)
    same(lambda t: made(t, lambda ctx, a: [a * 1], keep).apply(x(t)))


def test_needs_input_grad():
    def scenario(t: Any) -> Any:
        seen = []

        def forward(ctx: Any, a: Any, n: int, b: Any, c: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return a * b * n

        a, b = x(t), x(t, grad=False)
        y = made(t, forward, lambda ctx, dy: (dy, None, dy, None)).apply(a, 2, b, None)
        y.sum().backward()
        return seen, a.grad, b.grad

    same(scenario)


def test_setup_context():
    def scenario(t: Any) -> Any:
        class Own(t.autograd.Function):
            @staticmethod
            def forward(a: Any, b: Any) -> Any:
                return a * b

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.save_for_backward(*inputs, output)
                ctx.save_for_forward(*inputs)

            @staticmethod
            def backward(ctx: Any, dy: Any) -> Any:
                a, b, y = ctx.saved_tensors
                return dy * b, dy * a + 0 * y

        a, b = x(t), x(t)
        Own.apply(a, b).sum().backward()
        return a.grad, b.grad

    same(scenario)


def test_once_differentiable():
    def scenario(t: Any) -> Any:
        once = importlib.import_module(f"{t.__name__}.autograd.function").once_differentiable
        own = made(t, square, once(lambda ctx, dy: dy * 2 * ctx.saved_tensors[0]))
        (dx,) = t.autograd.grad(own.apply(x(t)).sum(), (a := x(t)), allow_unused=True)
        y = own.apply(a).sum()
        (dx,) = t.autograd.grad(y, a, create_graph=True)
        assert dx.requires_grad
        dx.sum().backward()

    same(scenario)


def test_an_input_returned_as_it_is():
    def scenario(t: Any) -> Any:
        a = x(t)
        y = made(t, lambda ctx, a: a, lambda ctx, dy: dy * 5).apply(a)
        y.sum().backward()
        return y is a, y.is_leaf, a.is_leaf, a.grad

    same(scenario)


def test_a_view_of_an_input_may_not_be_changed():
    same(lambda t: made(t, lambda ctx, a: a.view_as(a), keep).apply(x(t) * 1).add_(1))


def test_other_dtypes():
    def scenario(t: Any) -> Any:
        seen = []

        def backward(ctx: Any, dy: Any) -> Any:
            seen.append(dy)
            return dy

        a = x(t)
        made(t, lambda ctx, a: a.float(), backward).apply(a).sum().backward()
        return seen, a.grad, made(t, lambda ctx, a: a.long(), keep).apply(a).requires_grad

    same(scenario)


@pytest.mark.parametrize(
    "backward",
    [
        None,
        lambda ctx, dy: (dy, dy),
        lambda ctx, dy: (dy, None),
        lambda ctx, dy: dy[:2],
        lambda ctx, dy: (),
    ],
    ids=["none", "too many", "one more None", "another shape", "too few"],
)
def test_backwards(backward: Any):
    def scenario(t: Any) -> Any:
        a = x(t)
        made(t, lambda ctx, a: a * 1, backward).apply(a).sum().backward()
        return a.grad

    same(scenario)


def test_freed():
    def scenario(t: Any) -> Any:
        y = made(t, square, lambda ctx, dy: dy * ctx.saved_tensors[0]).apply(x(t)).sum()
        y.backward()
        y.backward()

    same(scenario)


def test_differentiating_in_forward():
    def scenario(t: Any) -> Any:
        def forward(ctx: Any, a: Any) -> Any:
            with t.enable_grad():
                b = a.detach().requires_grad_()
                y = (b * b).sum()
            ctx.save_for_backward(*t.autograd.grad(y, b))
            return y.detach()

        a = x(t)
        made(t, forward, lambda ctx, dy: dy * ctx.saved_tensors[0]).apply(a).backward()
        return a.grad

    same(scenario)
