"""Hooks on leaves, called when their gradients have been added."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest

import gpunn
from gpunn.autograd.variable import after_accumulation


def test_the_hook_sees_the_gradient_added_up():
    x = gpunn.tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append((leaf is x, leaf.grad.tolist())))
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert seen == [(True, [2, 4]), (True, [5, 7])]


def test_an_optimizer_may_step_in_the_hook(device: str):
    torch: Any = pytest.importorskip("torch")
    found: list[Any] = []
    for lib, place in ((gpunn, device), (torch, "cpu")):
        w = lib.ones(2, device=place, requires_grad=True)
        optimizer = lib.optim.SGD([w], lr=0.25, momentum=0.5)

        def step(leaf: Any, optimizer: Any = optimizer) -> None:
            optimizer.step()
            optimizer.zero_grad()

        w.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            (w * w).sum().backward()
        assert w.grad is None
        found.append(w.tolist())
    assert found[0] == pytest.approx(found[1])


def test_it_comes_after_the_hooks_that_change_gradients_in_order():
    x = gpunn.tensor(1.0, requires_grad=True)
    seen: list[Any] = []
    x.register_hook(lambda dx: dx * 10)
    first = x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.item()))
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append("second"))
    (2 * x).backward(inputs=[x])
    assert seen == [20, "second"]
    first.remove()
    (2 * x).backward()
    assert seen == [20, "second", "second"]


def test_grad_adds_nothing_and_calls_nothing():
    x = gpunn.tensor(1.0, requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda leaf: pytest.fail("called"))
    gpunn.autograd.grad(2 * x, x)


def test_copies_have_no_hooks_and_nothing_is_kept():
    x = gpunn.ones(2, requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda leaf: pytest.fail("called"))
    copy.deepcopy(x).sum().backward()
    before = len(after_accumulation)
    del x
    gc.collect()
    assert len(after_accumulation) == before - 1


def test_refusals():
    x = gpunn.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="cannot be registered on non-leaf tensors"):
        (x * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="tensor that doesn't require gradient"):
        gpunn.ones(2).register_post_accumulate_grad_hook(print)
    x.register_post_accumulate_grad_hook(lambda leaf: leaf)
    with pytest.raises(RuntimeError, match="post accumulate grad hooks should return None"):
        x.sum().backward()
