"""backward and grad: roots, hooks, freeing, depth, memory."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.autograd import backward, grad


def leaf(*values: float) -> gpunn.Tensor:
    return gpunn.tensor(values, dtype=gpunn.float64, requires_grad=True)


def test_texts():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError,
        match=r"^element 0 of tensors does not require grad and does not have a grad_fn$",
    ):
        gpunn.ones(1).backward()
    with pytest.raises(
        RuntimeError, match=r"^grad can be implicitly created only for scalar outputs$"
    ):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"Mismatch in shape: grad_output\[0\] has a shape of"):
        (x * 2).backward(gpunn.ones(3))
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not"):
        grad(x.sum(), gpunn.ones(1))
    with pytest.raises(RuntimeError, match=r"appears to not have been used in the graph"):
        grad(x.sum(), leaf(1.0))
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be"):
        x.sum().backward(inputs=[])
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        grad(x.sum(), x, allow_unused=False, materialize_grads=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"^Trying to backward through the graph a second time"):
        y.backward()


def test_gradient_argument():
    x = leaf(1.0, 2.0)
    (x * x).backward(gpunn.tensor([10.0, 100.0]))  # float32: cast to the output's dtype
    assert x.grad is not None
    assert x.grad.tolist() == [20, 400]
    assert x.grad.dtype is gpunn.float64
    y = leaf(3.0)
    y.backward()
    assert y.grad is not None
    assert y.grad.tolist() == [1]


def test_several_roots():
    x = leaf(1.0, 2.0)
    y, z = (x * x).sum(), x * 3
    backward([y, z], [None, gpunn.ones(2)])
    assert x.grad is not None
    assert x.grad.tolist() == [5, 7]


def test_retain_graph_and_accumulation():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    kept = x.grad
    y.backward()
    assert x.grad is kept  # added in place, as in PyTorch
    assert kept is not None
    assert kept.tolist() == [4, 8]
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_grad_leaves_grad_alone():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dx, dy, unused = grad((x * y).sum(), [x, y, leaf(1.0)], allow_unused=True)
    assert (dx.tolist(), dy.tolist(), unused) == ([3, 4], [1, 2], None)
    assert x.grad is None
    assert y.grad is None
    (zeros,) = grad(x.sum(), [leaf(1.0)], materialize_grads=True)
    assert zeros.tolist() == [0]


def test_grad_of_inner_tensors():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    (dy,) = grad(z, y, retain_graph=True)
    dy2, dx = grad(z, [y, x])
    assert dy.tolist() == dy2.tolist() == [4, 8]
    assert dx.tolist() == [8, 16]
    (same,) = grad(y, y, gpunn.ones(2))
    assert same.tolist() == [1, 1]


def test_backward_of_inputs_only():
    x, y = leaf(1.0), leaf(2.0)
    z = x * 3
    (z * y).sum().backward(inputs=[z, y])
    assert x.grad is None
    assert z.grad is not None
    assert y.grad is not None
    assert (z.grad.tolist(), y.grad.tolist()) == ([2], [3])


def test_derivatives_of_higher_order():
    x = leaf(0.5, 2.0)
    y = (x**4).sum()
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)
    np.testing.assert_allclose(first.tolist(), [4 * 0.125, 32])
    np.testing.assert_allclose(second.tolist(), [12 * 0.25, 48])
    np.testing.assert_allclose(third.tolist(), [12, 48])
    assert not third.requires_grad


def test_create_graph_accumulates_in_the_graph():
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    assert x.grad.requires_grad
    penalty = (x.grad**2).sum()
    x.grad = None
    penalty.backward()
    np.testing.assert_allclose(x.grad.tolist(), [4 * 9 * 8.0])


# Whose memory a gradient is -------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_share_no_memory(create_graph: bool):
    x, y, z = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    seed = gpunn.ones(2, dtype=gpunn.float64)
    (x + y + z.reshape(2, 1).reshape(2)).backward(seed, create_graph=create_graph)
    grads = [x.grad, y.grad, z.grad, seed]
    for i, a in enumerate(grads):
        for b in grads[:i]:
            assert a is not None
            assert b is not None
            assert not np.shares_memory(a.detach().numpy(), b.detach().numpy())


def test_results_of_grad_share_no_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = gpunn.ones(2, dtype=gpunn.float64)
    dx, dy, again = grad(x + y, [x, y, x], seed)
    arrays = [dx.numpy(), dy.numpy(), again.numpy(), seed.numpy()]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:i])


class Twice(gpunn.autograd.Function):
    """Returns one new array, and a view of it, as two gradients."""

    _fresh = True

    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor, y: gpunn.Tensor) -> Any:
        return x.data + y.data.reshape(-1)

    @staticmethod
    def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
        dx = dy * 1
        return dx, dx.reshape(2, 1)


def test_views_among_gradients_are_not_added_to():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = y.reshape(2, 1).detach().requires_grad_()
    a = x * 1
    (Twice.apply(a, y) + a * 10).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == [11, 11]
    assert y.grad.tolist() == [[1], [1]]


def test_a_hooks_gradient_is_not_added_to():
    x = leaf(1.0, 2.0)
    y = x * 1
    kept: list[gpunn.Tensor] = []
    y.register_hook(kept.append)
    (y * 2).sum().backward()
    before = kept[0].tolist()
    (x * 5).sum().backward()
    assert kept[0].tolist() == before == [2, 2]


# Hooks ----------------------------------------------------------------------------------------


def test_hooks_run_in_order_replace_and_go():
    x = leaf(1.0, 2.0)
    log: list[str] = []
    y = x * 2
    y.register_hook(lambda g: log.append("first"))
    double = y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: log.append(f"after {g.tolist()}"))
    y.sum().backward(retain_graph=True)
    assert log == ["first", "after [2.0, 2.0]"]
    assert x.grad is not None
    assert x.grad.tolist() == [4, 4]
    double.remove()
    double.remove()
    y.sum().backward()
    assert x.grad.tolist() == [6, 6]


def test_hooks_on_leaves_see_the_sum_once():
    x = leaf(1.0)
    seen: list[Any] = []
    with x.register_hook(lambda g: seen.append(g.tolist())):
        (x * 2 + x * 3).sum().backward()
    assert seen == [[5]]
    (x * 2).sum().backward()
    assert seen == [[5]]


def test_hooks_that_fail():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't"):
        gpunn.ones(1).register_hook(print)
    handle = x.register_hook(lambda g: gpunn.ones(3, dtype=gpunn.float64))
    with pytest.raises(RuntimeError, match="has changed the size of value"):
        (x * 2).sum().backward()
    handle.remove()
    x.register_hook(lambda g: 3)
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'int'"):
        (x * 2).sum().backward()
    assert gpunn.is_grad_enabled()


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert not y.retains_grad
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [4, 8]
    x.retain_grad()
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_gr"):
        gpunn.ones(1).retain_grad()


# The .grad attribute --------------------------------------------------------------------------


def test_assigning_grad():
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None but got"):
        x.grad = 3  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="attempting to assign a gradient of size"):
        x.grad = gpunn.ones(3, dtype=gpunn.float64)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype"):
        x.grad = gpunn.ones(2)
    x.grad = gpunn.ones(2, dtype=gpunn.float64)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_requires_grad_of_integers_and_of_results():
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can"):
        gpunn.ones(1, dtype=gpunn.int64).requires_grad_()
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf"):
        y.requires_grad = False
    assert y.requires_grad_() is y


# Memory and depth ------------------------------------------------------------------------------


def test_graphs_are_freed_by_backward():
    x = gpunn.ones(1000, requires_grad=True)
    y = x * 2
    saved = weakref.ref(y)
    z = (y * y).sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None


def test_no_cycles_in_a_training_step():
    w = gpunn.ones(4, 4, requires_grad=True)
    data = gpunn.ones(8, 4)

    def step() -> None:
        h = (data @ w).relu() * 1
        h[0] = 0
        loss = ((h.sigmoid() * 2).exp().amax(1) - h.mean(1)).var() + h[:, 1:].norm()
        loss.backward()
        with gpunn.no_grad():
            w.sub_(w.grad * 0.1)
        w.grad = None

    step()
    gc.collect()
    gc.disable()
    try:
        step()
        assert gc.collect() == 0
        tracemalloc.start()
        used: list[int] = []
        for _ in range(3):
            for _ in range(30):
                step()
            assert gc.collect() == 0  # (and Python's free lists are emptied)
            used.append(tracemalloc.get_traced_memory()[0])
        assert used[2] - used[1] < 10_000  # a step's graph takes more than that
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_deep_graphs(length: int):
    x = gpunn.ones(1, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1
    del y


def test_deep_graphs_without_backward_and_deep_views():
    x = gpunn.ones(1, requires_grad=True)
    y = x * 1
    for _ in range(5_000):
        y = y.view(1)
    y.mul_(2)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 2
    z = x
    for _ in range(50_000):
        z = z * 1
    del z


def test_wide_graphs():
    x = gpunn.ones(3, requires_grad=True)
    sum(x * i for i in range(2000)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1999000.0] * 3


def test_threads_have_graphs_of_their_own():
    results: list[Any] = [None] * 4

    def work(k: int) -> None:
        x = leaf(float(k + 1))
        for _ in range(50):
            x.grad = None
            with gpunn.set_grad_enabled(k % 2 == 0):
                y = x * x
            results[k] = y.requires_grad
            if y.requires_grad:
                y.backward()
                assert x.grad is not None
                assert x.grad.item() == 2 * (k + 1)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True, False, True, False]


def test_backward_inside_backward():
    class Inner(gpunn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: gpunn.Tensor) -> Any:
            ctx.save_for_backward(x)
            return x.data**2

        @staticmethod
        def backward(ctx: Any, dy: gpunn.Tensor) -> Any:
            (x,) = ctx.saved_tensors
            with gpunn.enable_grad():
                inner = x.detach().requires_grad_()
                (inner**2).sum().backward()
            return dy * inner.grad

    x = leaf(3.0)
    Inner.apply(x * 1).backward()
    assert x.grad is not None
    assert x.grad.item() == 6


def test_grad_takes_only_inputs_which_changes_nothing():
    x = gpunn.ones(2, requires_grad=True)
    y = gpunn.ones(2, requires_grad=True)
    (dx,) = gpunn.autograd.grad((x * y).sum(), x, None, None, False, True)
    assert dx.tolist() == [1, 1]
    assert gpunn.autograd.grad(x.sum(), (x, y), only_inputs=True, allow_unused=True)[1] is None
    assert y.grad is None
