"""What the graph keeps, where hooks have a say in it; nodes and their hooks."""

from __future__ import annotations

import gc
import importlib
import weakref
from typing import Any

import pytest
from checks import to_numpy
from parity import same

import gpunn
from gpunn.autograd.graph import save_on_cpu, saved_tensors_hooks
from gpunn.autograd.packing import in_force, pairs


def graph(lib: Any) -> Any:
    return importlib.import_module(f"{lib.__name__}.autograd.graph")


def x(lib: Any) -> Any:
    return lib.arange(3.0, dtype=lib.float64).requires_grad_()


def nothing(t: Any) -> Any:
    return t


def test_what_is_packed_is_unpacked():
    def scenario(t: Any) -> Any:
        log, a = [], x(t)

        def pack(tensor: Any) -> Any:
            log.append((tensor.tolist(), tensor.requires_grad, tensor.is_leaf, tensor is a))
            return tensor * 2

        with graph(t).saved_tensors_hooks(pack, lambda kept: kept / 2):
            y = a.exp().square().sum()
        y.backward()
        return log, a.grad

    same(scenario)


@pytest.mark.parametrize("inside", [True, False])
def test_second_derivatives_go_through_what_was_brought_back(inside: bool):
    def scenario(t: Any) -> Any:
        a = x(t)
        hooks = graph(t).saved_tensors_hooks(
            lambda tensor: tensor.detach().numpy().copy(), lambda kept: t.from_numpy(kept.copy())
        )
        with hooks:
            y = (a.exp() * (a * 2) ** 3 * a).sum()
            if inside:
                (dx,) = t.autograd.grad(y, a, create_graph=True)
        if not inside:
            (dx,) = t.autograd.grad(y, a, create_graph=True)
        return dx, t.autograd.grad(dx.sum(), a)

    same(scenario)


def test_the_innermost_hooks_are_in_force_and_end_with_their_block():
    def scenario(t: Any) -> Any:
        log, a, hooks = [], x(t), graph(t).saved_tensors_hooks
        with hooks(lambda s: log.append("outer") or s, nothing):
            with hooks(lambda s: log.append("inner") or s, nothing):
                y = a.exp()
            z = a.exp()
            with t.no_grad():
                a.exp()
        (y + z + a.exp()).sum().backward()
        return log, a.grad

    same(scenario)
    assert not in_force


def test_each_backward_unpacks_anew():
    def scenario(t: Any) -> Any:
        log, a = [], x(t)
        with graph(t).saved_tensors_hooks(nothing, lambda kept: log.append("again") or kept):
            y = a.exp().sum()
        y.backward(retain_graph=True)
        y.backward()
        log.append(a.grad)
        return log

    same(scenario)


def test_functions_of_ones_own_are_packed_too():
    def scenario(t: Any) -> Any:
        seen = []

        class Own(t.autograd.Function):
            @staticmethod
            def forward(ctx: Any, a: Any) -> Any:
                b = a * 2
                ctx.save_for_backward(a, b, a * 3)
                return b

            @staticmethod
            def backward(ctx: Any, dy: Any) -> Any:
                seen.append(ctx.saved_tensors)
                return dy * ctx.saved_tensors[0]

        a = x(t)
        with graph(t).saved_tensors_hooks(lambda s: s + 10, nothing):
            y = Own.apply(a).sum()
        y.backward()
        return seen, a.grad

    same(scenario)


def test_what_was_packed_may_change_in_place():
    def scenario(t: Any) -> Any:
        a = x(t)
        z = a * 1
        with graph(t).saved_tensors_hooks(lambda s: s.clone(), nothing):
            y = z.exp() * z
        z += 1
        y.sum().backward()
        return a.grad

    same(scenario)


@pytest.mark.parametrize(
    "refused",
    [
        lambda t, g: g.saved_tensors_hooks(nothing, lambda kept: 3),
        lambda t, g: g.saved_tensors_hooks(lambda s: s.add_(1), nothing),
    ],
)
def test_hooks_that_are_refused(refused: Any):
    def scenario(t: Any) -> Any:
        a = x(t)
        with refused(t, graph(t)):
            y = (a * 1).sin().sum()
        y.backward()

    same(scenario)


def test_hooks_may_be_forbidden():
    def scenario(t: Any) -> Any:
        g = graph(t)
        with g.disable_saved_tensors_hooks("none here"), g.saved_tensors_hooks(nothing, nothing):
            pass

    same(scenario)

    def inside(t: Any) -> Any:
        g = graph(t)
        with g.saved_tensors_hooks(nothing, nothing), g.disable_saved_tensors_hooks("nor here"):
            pass

    same(inside)
    assert not pairs.stack
    assert not pairs.refusals


@pytest.mark.parametrize("pin_memory", [False, True])
def test_saved_on_the_host(device: str, pin_memory: bool):
    layer = gpunn.nn.Linear(3, 4).to(device)
    a = gpunn.randn(2, 3).to(device).requires_grad_()
    layer(a).tanh().pow(2).sum().backward()
    expected = [to_numpy(p.grad) for p in (a, *layer.parameters())]
    for p in (a, *layer.parameters()):
        p.grad = None
    with save_on_cpu(pin_memory):
        y = layer(a).tanh().pow(2).sum()
    y.backward()
    for p, dp in zip((a, *layer.parameters()), expected, strict=True):
        assert (to_numpy(p.grad) == dp).all()


def test_what_is_packed_away_is_not_kept():
    a = gpunn.ones(3, requires_grad=True)
    kept: list[Any] = []
    with saved_tensors_hooks(lambda s: s.tolist(), gpunn.tensor):
        b = a * 2
        kept.append(weakref.ref(b.data.base if b.data.base is not None else b))
        y = b.sin().sum()
    del b
    gc.collect()
    assert kept[0]() is None
    y.backward()
    assert a.grad is not None


def test_increment_version():
    a = x(gpunn) * 1
    y = a * a
    graph(gpunn).increment_version([a])
    assert a._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# Nodes ---------------------------------------------------------------------------------------


def test_hooks_of_nodes():
    def scenario(t: Any) -> Any:
        log, a = [], x(t)
        y = (a * 2).exp()
        y.grad_fn.register_hook(lambda dxs, dys: log.append((dxs, dys)))
        y.grad_fn.register_prehook(lambda dys: log.append(dys))
        removed = y.grad_fn.register_hook(lambda dxs, dys: log.append("removed"))
        removed.remove()
        y.sum().backward()
        return log, a.grad

    same(scenario)


def test_hooks_of_nodes_may_change_gradients():
    def scenario(t: Any) -> Any:
        a = x(t)
        y = (a * 2).exp()
        y.grad_fn.register_hook(lambda dxs, dys: (dxs[0] * 10,))
        y.grad_fn.register_prehook(lambda dys: (dys[0] + 1,))
        y.sum().backward()
        return a.grad

    same(scenario)


def test_hooks_of_nodes_return_as_many_gradients():
    y = (x(gpunn) * 2).exp()
    y.grad_fn.register_hook(lambda dxs, dys: (dxs[0], dxs[0]))
    with pytest.raises(RuntimeError, match=r"incorrect number of values \(got 2, but expected 1"):
        y.sum().backward()


def test_the_graph_leads_to_its_leaves():
    def scenario(t: Any) -> Any:
        a = x(t)
        y = (a * 2).exp()
        ((before, nr),) = y.grad_fn.next_functions
        ((leaf, _), *_) = before.next_functions
        y.grad_fn.metadata["note"] = 1
        same_leaf = (a + 1).grad_fn.next_functions[0][0] == leaf
        end = len(leaf.next_functions)
        return (
            nr,
            leaf.variable is a,
            same_leaf,
            end,
            y.grad_fn.metadata,
            isinstance(before, graph(t).Node),
        )

    same(scenario)
