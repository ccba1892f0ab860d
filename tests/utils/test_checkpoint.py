"""Checkpoints give the values and gradients of what they wrap, and keep less."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from checks import compare, to_numpy

import gpunn
from gpunn import nn
from gpunn.utils.checkpoint import checkpoint, checkpoint_sequential


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


def test_a_changed_argument_is_noticed():
    x = gpunn.ones(3, requires_grad=True) * 1
    y = checkpoint(lambda x: x * x, x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
