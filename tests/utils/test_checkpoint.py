"""Checkpoints give the values and gradients of what they wrap, and keep less."""

from __future__ import annotations

import contextlib
import gc
import importlib
import weakref
from typing import Any

import pytest
from checks import compare, to_numpy
from parity import same

import gpunn
from gpunn import nn
from gpunn.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def _model() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)
    )


def _run(wrap: Any, device: str = "cpu") -> list[Any]:
    gpunn.manual_seed(3)
    model, x = _model().to(device), gpunn.rand(5, 4).to(device).requires_grad_()
    gpunn.manual_seed(7)
    y = wrap(model, x)
    after = gpunn.rand(2)
    (y * y).sum().backward()
    assert gpunn.equal(gpunn.rand(2), gpunn.rand(2)) is False
    return [to_numpy(v) for v in (y, after, x.grad, *(p.grad for p in model.parameters()))]


def test_as_without(device: str):
    expected = _run(lambda model, x: model(x), device)
    for wrap in (
        lambda model, x: checkpoint(model, x),
        lambda model, x: checkpoint(model, x, use_reentrant=False),
        lambda model, x: checkpoint_sequential(model, 3, x),
        lambda model, x: model[3:](checkpoint(model[:3], x)),
    ):
        for i, (a, b) in enumerate(zip(_run(wrap, device), expected, strict=True)):
            compare(a, b, f"result {i}")


def test_the_next_random_numbers_are_the_same():
    def drawn(wrap: Any) -> Any:
        gpunn.manual_seed(1)
        x = gpunn.ones(50, requires_grad=True)
        y = wrap(lambda x: nn.functional.dropout(x) * 2, x)
        y.sum().backward()
        assert x.grad is not None
        assert gpunn.equal(x.grad, y.detach())  # the same mask in both passes
        return gpunn.rand(3)

    assert gpunn.equal(drawn(checkpoint), drawn(lambda f, x: f(x)))


def test_several_results_and_what_is_no_tensor():
    def function(x: Any, factor: float, extra: Any) -> Any:
        return x * factor, "text", (x + extra).sum()

    x = gpunn.tensor([1.0, 2.0], requires_grad=True)
    extra = gpunn.tensor([3.0, 4.0])
    doubled, text, total = checkpoint(function, x, 2.0, extra)
    assert text == "text"
    (doubled.sum() + total).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]
    with gpunn.no_grad():
        assert not checkpoint(function, x, 2.0, extra)[0].requires_grad
    assert not checkpoint(lambda x: x * 2, extra).requires_grad


def test_what_it_takes_from_outside():
    w = gpunn.tensor([2.0, 3.0], requires_grad=True)
    outside = w * w  # neither an argument nor a leaf
    x = gpunn.tensor([1.0, 1.0], requires_grad=True)
    y = checkpoint(lambda x: x * outside * w, x)
    (dx, dw) = gpunn.autograd.grad(y.sum(), (x, w))
    assert dx.tolist() == [8.0, 27.0]
    assert dw.tolist() == [12.0, 27.0]


def test_second_derivatives():
    x = gpunn.tensor([0.5, 1.5], dtype=gpunn.float64, requires_grad=True)
    w = gpunn.tensor([1.0, 2.0], dtype=gpunn.float64, requires_grad=True)

    def function(x: Any, w: Any) -> Any:
        return checkpoint(lambda x: x * x * x * w, x)

    assert gpunn.autograd.gradcheck(function, [x, w])
    assert gpunn.autograd.gradgradcheck(function, [x, w])


def test_intermediate_results_are_not_kept():
    kept: list[Any] = []

    def function(x: Any) -> Any:
        middle = x.exp()
        kept.append(weakref.ref(middle))
        return (middle * middle).tanh()

    x = gpunn.ones(3, requires_grad=True)
    y = checkpoint(function, x)
    gc.collect()
    assert kept[0]() is None
    y.sum().backward()
    assert len(kept) == 2


def test_within_another_the_arguments_are_not_kept_either():
    kept: list[Any] = []

    def inner(x: Any) -> Any:
        return x.exp().exp()

    def outer(x: Any) -> Any:
        middle = x * 2
        kept.append(weakref.ref(middle))
        return checkpoint(inner, middle) + 1

    x = gpunn.ones(3, dtype=gpunn.float64, requires_grad=True)
    y = checkpoint(outer, x)
    gc.collect()
    assert kept[0]() is None
    y.sum().backward()
    expected = gpunn.ones(3, dtype=gpunn.float64, requires_grad=True)
    inner(expected * 2).sum().backward()
    assert gpunn.equal(x.grad, expected.grad)


def a(t: Any) -> Any:
    return t.arange(3.0, dtype=t.float64).requires_grad_()


def of(t: Any) -> Any:
    return importlib.import_module(f"{t.__name__}.utils.checkpoint")


FUNCTIONS: dict[str, Any] = {
    "results of any form": lambda x: {"y": x * x, "z": [x.exp()]},
    "an argument within another": lambda x: x[0] * x[0],
    "a keyword": lambda x, k=1: x.exp() * k,
}


@pytest.mark.parametrize("create_graph", [False, True])
def test_results_and_arguments_of_any_form(create_graph: bool):
    def scenario(t: Any) -> Any:
        x, found = a(t), []
        wrap = of(t).checkpoint
        made = wrap(FUNCTIONS["results of any form"], x, use_reentrant=False)
        found.append(made["y"].sum() * made["z"][0].sum())
        found.append(wrap(FUNCTIONS["an argument within another"], [x], use_reentrant=False))
        found.append(wrap(FUNCTIONS["a keyword"], x, k=x * 2, use_reentrant=False))
        total = sum(y.sum() for y in found)
        (dx,) = t.autograd.grad(total, x, create_graph=create_graph)
        return dx, t.autograd.grad(dx.sum(), x) if create_graph else None

    same(scenario)


def test_contexts_of_both_runs_and_an_early_end():
    def scenario(t: Any) -> Any:
        log, x = [], a(t)

        @contextlib.contextmanager
        def context(name: str) -> Any:
            log.append(f"into {name}")
            yield
            log.append(f"out of {name}")

        def function(x: Any) -> Any:
            y = x.exp() * x
            log.append("end")
            return y + 1

        for stop in (True, False):
            y = of(t).checkpoint(
                function,
                x,
                use_reentrant=False,
                context_fn=lambda: (context("first"), context("second")),
                early_stop=stop,
            )
            y.sum().backward()
        with of(t).set_checkpoint_early_stop(False):
            of(t).checkpoint(function, x, use_reentrant=False).sum().backward()
        return log, x.grad

    same(scenario)


def test_backward_twice():
    def scenario(t: Any) -> Any:
        log, x = [], a(t)
        y = of(t).checkpoint(lambda x: log.append(1) or x.exp(), x, use_reentrant=False).sum()
        y.backward(retain_graph=True)
        y.backward()
        return len(log), x.grad

    same(scenario)


def test_autocast_is_that_of_the_first_run():
    def scenario(t: Any) -> Any:
        w = (t.arange(4.0).reshape(2, 2) / 3).requires_grad_()
        x = (t.arange(6.0).reshape(3, 2) / 7).requires_grad_()
        with t.autocast("cpu", dtype=t.bfloat16):
            y = of(t).checkpoint(lambda x: x @ w @ w, x, use_reentrant=False)
        y.float().sum().backward()
        return y.dtype == t.bfloat16, x.grad, w.grad

    same(scenario)


@pytest.mark.parametrize(
    "refused",
    [
        lambda t, c, x: c.checkpoint(FUNCTIONS["a keyword"], x, k=2, use_reentrant=True),
        lambda t, c, x: c.checkpoint(t.exp, x, debug=True, use_reentrant=True),
        lambda t, c, x: (
            c.checkpoint(t.exp, x, determinism_check="odd", use_reentrant=False).sum().backward()
        ),
        lambda t, c, x: c.checkpoint_sequential([t.exp, t.sin], 2, x, False, odd=3),
        lambda t, c, x: c.checkpoint_sequential([t.exp], 2, x, use_reentrant=False),
    ],
)
def test_refusals(refused: Any):
    same(lambda t: refused(t, of(t), a(t)))


@pytest.mark.parametrize(
    "second", [lambda x: x[:2].exp(), lambda x: x * 1, lambda x: x.exp().exp()]
)
def test_a_second_run_that_differs(second: Any):
    runs: list[int] = []

    def function(x: Any) -> Any:
        runs.append(1)
        return x.exp() if len(runs) == 1 else second(x)

    y = checkpoint(function, a(gpunn), early_stop=False)
    with pytest.raises(CheckpointError, match="during"):
        y.sum().backward()


def test_a_changed_argument_is_noticed():
    x = gpunn.ones(3, requires_grad=True) * 1
    y = checkpoint(lambda x: x * x, x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
