"""Hooks on tensors: before their gradients are used, and after they have been added."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
from parity import same

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


def vector(t: Any) -> Any:
    return t.arange(3.0, dtype=t.float64).requires_grad_()


def add(tensor: Any, hook: Any) -> Any:
    tensor.register_hook(hook)
    return tensor


SCENARIOS: dict[str, Any] = {
    "of a leaf, once": lambda t, x, log: (
        (add(x, log.append) * 2 + x * 3).sum().backward(),
        x.grad,
    ),
    "changed on the way": lambda t, x, log: (
        add(x * 2, lambda dy: dy * 5).sum().backward(),
        x.grad,
    ),
    "changed in place": lambda t, x, log: (
        add(x * 2, lambda dy: dy.mul_(5)).sum().backward(),
        x.grad,
    ),
    "before a change in place": lambda t, x, log: (
        add(x * 2, log.append).mul_(3).sum().backward(),
        x.grad,
    ),
    "of a view": lambda t, x, log: (add((x * 2)[:2], log.append).sum().backward(), x.grad),
    "asked for by grad": lambda t, x, log: t.autograd.grad(
        (add(x, lambda dx: dx * 2) ** 2).sum(), x
    ),
    "asked for by grad, on the way": lambda t, x, log: (
        (y := add(x * 2, lambda dy: dy * 2)),
        t.autograd.grad((y * y).sum(), [x, y], retain_graph=True),
        t.autograd.grad((y * y).sum(), [y]),
    ),
    "in second derivatives": lambda t, x, log: (
        dx := t.autograd.grad((add(x, lambda dx: dx * x) ** 2).sum(), x, create_graph=True)[0],
        t.autograd.grad(dx.sum(), x),
    ),
    "kept as the hook left it": lambda t, x, log: (
        (y := x * 2),
        y.retain_grad(),
        add(y, lambda dy: dy * 5).sum().backward(),
        y.grad,
        x.grad,
    ),
    "wanted and kept": lambda t, x, log: (
        (y := x * 2),
        y.retain_grad(),
        (y * y).sum().backward(inputs=[y]),
        y.grad,
        x.grad,
    ),
    "of no tensor": lambda t, x, log: add(x, lambda dx: 3).sum().backward(),
    "of another dtype": lambda t, x, log: add(x, lambda dx: dx.float()).sum().backward(),
    "of what has none": lambda t, x, log: add(x.detach(), print),
    "grad of nothing": lambda t, x, log: t.autograd.grad(x.sum(), []),
    "grad of what is not used": lambda t, x, log: t.autograd.grad(x.sum(), [x, vector(t)]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_hooks_on_gradients(name: str):
    def scenario(t: Any) -> Any:
        log: list[Any] = []
        return SCENARIOS[name](t, vector(t), log), log

    same(scenario)


def test_who_reads_a_gradient_that_never_comes_is_told():
    y = gpunn.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match=r"\.grad attribute of a Tensor that is not a leaf Tensor"):
        assert y.grad is None
    y.retain_grad()
    assert y.grad is None
