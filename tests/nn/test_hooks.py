"""Hooks on a module: what they get, what they may change, and their order; as PyTorch's."""

import copy
from typing import Any, NamedTuple

import pytest
from models import net, scale
from parity import same

import gpunn
from gpunn import nn


def _record(calls, name, result=None):
    def hook(module, *rest):
        calls.append((name, type(module).__name__, *rest))
        return result

    return hook


def test_order_prepend_and_removal():
    def scenario(lib):
        calls = []
        m = scale(lib)
        m.register_forward_pre_hook(_record(calls, "pre 1"))
        m.register_forward_pre_hook(_record(calls, "pre 0"), prepend=True)
        m.register_forward_hook(_record(calls, "post 1"))
        handle = m.register_forward_hook(_record(calls, "post 2"))
        m.register_forward_hook(_record(calls, "post 0"), prepend=True)
        m(lib.ones(2))
        handle.remove()
        handle.remove()
        m(lib.ones(2))
        with m.register_forward_hook(_record(calls, "for a while")):
            m(lib.ones(2))
        m(lib.ones(2))
        return calls

    assert [c[0] for c in same(scenario)[:5]] == ["pre 0", "pre 1", "post 0", "post 1", "post 2"]


@pytest.mark.parametrize("result", [3.0, (4.0,), ([5.0], 2)])
def test_a_pre_hook_may_change_the_arguments(result):
    def scenario(lib):
        m = scale(lib)
        changed = lib.tensor(result) if isinstance(result, float) else result
        if isinstance(changed, tuple):
            changed = (lib.tensor(changed[0]), *changed[1:])
        m.register_forward_pre_hook(lambda module, args: changed)
        return m(lib.ones(2))

    same(scenario)


def test_keyword_arguments_reach_the_hooks_that_want_them():
    def scenario(lib):
        calls = []
        m = scale(lib)
        m.register_forward_pre_hook(_record(calls, "plain pre"))
        m.register_forward_pre_hook(
            lambda module, args, kwargs: (args, {"shift": kwargs["shift"] + 1}), with_kwargs=True
        )
        m.register_forward_hook(_record(calls, "plain"))
        m.register_forward_hook(_record(calls, "kwargs"), with_kwargs=True)
        m.register_forward_hook(lambda module, args, output: output * 2)
        return m(lib.ones(2), shift=10), calls

    same(scenario)


def test_a_pre_hook_with_kwargs_must_return_both():
    def scenario(lib):
        m = scale(lib)
        m.register_forward_pre_hook(lambda *a: 3, with_kwargs=True)
        return m(lib.ones(2))

    same(scenario)


def test_always_call_hooks_see_a_failure():
    calls = []
    m = scale(gpunn)
    m.register_forward_hook(_record(calls, "skipped"))
    m.register_forward_hook(_record(calls, "always"), always_call=True)
    with pytest.raises(TypeError):
        m("text")
    assert calls == [("always", "Scale", ("text",), None)]


def test_always_call_hooks_are_called_once():
    def scenario(lib):
        calls = []
        m = scale(lib)
        m.register_forward_hook(_record(calls, "always"), always_call=True)
        m.register_forward_hook(lambda *a: 1 / 0)
        try:
            m(lib.ones(2))
        except ZeroDivisionError:
            calls.append("raised")
        return calls

    same(scenario)


def test_a_failing_always_call_hook_does_not_hide_the_first_error():
    m = scale(gpunn)
    m.register_forward_hook(lambda *a: 1 / 0, always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced as another error was raised in forward"),
        pytest.raises(TypeError),
    ):
        m("text")


# Backward -----------------------------------------------------------------------------------


def _backward(lib, prepare, requires_grad=True):
    calls = []
    m = net(lib)
    x = lib.tensor([1.0, 2.0], requires_grad=requires_grad)
    prepare(m, calls)
    y = m(x)
    (y * lib.tensor([1.0, 10.0])).sum().backward()
    return calls, x.grad, [p.grad for p in m.parameters()], y


def test_backward_hooks_get_both_gradients():
    def prepare(m, calls):
        m.body[0].register_full_backward_hook(_record(calls, "full"))
        m.body[0].register_full_backward_pre_hook(_record(calls, "pre"))
        m.first.register_full_backward_hook(_record(calls, "first"))
        m.register_full_backward_hook(_record(calls, "net"))

    same(lambda lib: _backward(lib, prepare))


def test_backward_hooks_fire_with_a_warning_where_no_input_requires_gradients():
    def prepare(m, calls):
        m.first.register_full_backward_hook(_record(calls, "first"))

    def scenario(lib):
        with pytest.warns(UserWarning, match="since no inputs require gradients"):
            return _backward(lib, prepare, False)

    assert same(scenario)[0][0][2:] == [[None], [("float32", [6.0, 120.0])]]


def test_backward_hooks_may_change_gradients():
    def prepare(m, calls):
        m.body[0].register_full_backward_hook(lambda mod, gx, gy: (gx[0] * 2,))
        m.body[0].register_full_backward_hook(lambda mod, gx, gy: (gx[0] + 1,))
        m.body[0].register_full_backward_hook(lambda mod, gx, gy: (gx[0] * 3,), prepend=True)
        m.body[1].register_full_backward_pre_hook(lambda mod, gy: (gy[0] * 5,))

    same(lambda lib: _backward(lib, prepare))


def _several(lib):
    class Several(lib.nn.Module):
        def forward(self, a, text, b, whole=None):
            return a * b, text, b + 0

    return Several()


def test_backward_hooks_with_several_inputs_and_outputs():
    def scenario(lib):
        calls = []
        m = _several(lib)
        m.register_full_backward_hook(_record(calls, "full"))
        a, b = lib.tensor([2.0], requires_grad=True), lib.tensor([3.0], requires_grad=True)
        product, text, other = m(a, "text", b, whole=lib.ones(1))
        (product + other * 2).sum().backward()
        product, text, other = m(a, "text", b.detach())
        product.sum().backward()
        return calls, text, a.grad, b.grad

    same(scenario)


def test_a_named_tuple_stays_one():
    class Pair(NamedTuple):
        left: Any
        right: Any

    class Named(nn.Module):
        def forward(self, x):
            return Pair(x * 2, "text")

    seen = []
    m = Named()
    m.register_full_backward_pre_hook(lambda mod, gy: seen.append(gy[1]))
    output = m(gpunn.ones(1, requires_grad=True))
    assert type(output) is Pair
    output.left.sum().backward()
    assert seen == [None]


@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_a_wrong_number_of_gradients_is_refused(kind):
    def scenario(lib):
        m = scale(lib)
        wrong = (lib.ones(2), lib.ones(2))
        getattr(m, kind)(lambda *a: wrong)
        m(lib.ones(2, requires_grad=True)).sum().backward()

    assert same(scenario)[0] == "RuntimeError"


def test_gradients_where_no_input_has_any_are_refused():
    def scenario(lib):
        m = scale(lib)
        m.register_full_backward_hook(lambda mod, gx, gy: (lib.ones(2),))
        with pytest.warns(UserWarning, match="since no inputs require gradients"):
            m(lib.ones(2)).sum().backward()

    assert same(scenario)[0] == "RuntimeError"


def test_hooks_warn_of_an_output_that_they_cannot_watch():
    class Lists(nn.Module):
        def forward(self, x):
            return [x]

    m = Lists()
    m.register_full_backward_hook(lambda *a: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple"):
        m(gpunn.ones(1, requires_grad=True))


def test_without_recording_there_is_nothing_to_watch():
    m = scale(gpunn)
    m.register_full_backward_hook(lambda *a: None)
    with gpunn.no_grad():
        assert m(gpunn.ones(2)).grad_fn is None


def test_modules_that_work_in_place_may_be_watched():
    class InPlace(nn.Module):
        def forward(self, x):
            return x.mul_(2)

    seen = []
    m = InPlace()
    m.register_full_backward_hook(lambda mod, gx, gy: seen.append(gx[0].tolist()))
    x = gpunn.tensor([3.0], requires_grad=True)
    y = x * 1
    (m(y) + y * y).sum().backward()
    assert seen == [[2.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [8.0]


def test_double_backward_goes_through_backward_hooks():
    m = scale(gpunn)
    m.register_full_backward_hook(lambda mod, gx, gy: (gx[0] * gx[0],))
    x = gpunn.tensor([1.0, 2.0], requires_grad=True)
    (dx,) = gpunn.autograd.grad(m(x * x).sum(), x, create_graph=True)
    (ddx,) = gpunn.autograd.grad(dx.sum(), x)
    assert dx.tolist() == [8.0, 36.0]  # 2x · w²
    assert ddx.tolist() == [8.0, 18.0]  # 2w²


def test_hooks_are_copied_with_the_module():
    calls = []
    m = scale(gpunn)
    m.register_forward_hook(_record(calls, "post"))
    copy.deepcopy(m)(gpunn.ones(2))
    assert calls != []


def test_on_every_device(device: str):
    seen = []
    m = net(gpunn).to(device)
    m.body[0].register_full_backward_hook(lambda mod, gx, gy: seen.append(gx[0].device.type))
    m(gpunn.ones(2, device=device, requires_grad=True)).sum().backward()
    assert seen == [device]
