"""Full backward hooks, held to PyTorch: what they are called with, and what they change."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn

Log = Callable[..., None]
CASES: list[Callable[[Any, Log], None]] = []


def case(function: Callable[[Any, Log], None]) -> Callable[[Any, Log], None]:
    CASES.append(function)
    return function


def linear(lib: Any) -> Any:
    layer = lib.nn.Linear(2, 2, dtype=lib.float64)
    with lib.no_grad():
        for i, p in enumerate(layer.parameters()):
            p.copy_(lib.arange(p.numel(), dtype=lib.float64).reshape(p.shape) / 3 + i)
    return layer


def numbers(lib: Any, *size: int, grad: bool = True) -> Any:
    x = lib.arange(float(np.prod(size)), dtype=lib.float64).reshape(size)
    return x.requires_grad_() if grad else x


def module(lib: Any, forward: Callable[..., Any]) -> Any:
    made = lib.nn.Module()
    made.forward = forward
    return made


def several(lib: Any) -> Any:
    return module(lib, lambda a, b, c=1: (a * b, b.sum(), 3, a.detach()))


def hooked(made: Any, log: Log, name: str = "") -> Any:
    made.register_full_backward_hook(lambda m, dxs, dys: log(name, "after", dxs, dys))
    made.register_full_backward_pre_hook(lambda m, dys: log(name, "before", dys))
    return made


@case
def one_layer(lib: Any, log: Log) -> None:
    layer, x = hooked(linear(lib), log), numbers(lib, 3, 2)
    layer(x).sum().backward()
    log(x.grad, layer.weight.grad)


@case
def an_input_without_gradient(lib: Any, log: Log) -> None:
    layer = hooked(linear(lib), log)
    layer(numbers(lib, 3, 2, grad=False)).sum().backward()
    log(layer.weight.grad)


@case
def a_pre_hook_alone_and_an_input_without_gradient(lib: Any, log: Log) -> None:
    layer = linear(lib)
    layer.register_full_backward_pre_hook(lambda m, dys: log(dys))
    layer(numbers(lib, 3, 2, grad=False)).sum().backward()


@case
def nothing_requires_gradients(lib: Any, log: Log) -> None:
    layer = hooked(linear(lib).requires_grad_(False), log)
    log(layer(numbers(lib, 3, 2, grad=False)))


@case
def gradients_replaced(lib: Any, log: Log) -> None:
    layer, x = linear(lib), numbers(lib, 3, 2)
    layer.register_full_backward_hook(lambda m, dxs, dys: (dxs[0] * 2,))
    layer.register_full_backward_hook(lambda m, dxs, dys: (dxs[0] + 1,))
    layer.register_full_backward_pre_hook(lambda m, dys: (dys[0] * 3,))
    layer(x).sum().backward()
    log(x.grad, layer.weight.grad)


@case
def a_gradient_taken_away(lib: Any, log: Log) -> None:
    layer, x = linear(lib), numbers(lib, 3, 2)
    layer.register_full_backward_hook(lambda m, dxs, dys: (None,))
    layer(x).sum().backward()
    log(x.grad)


@case
def several_outputs_of_which_one_is_used(lib: Any, log: Log) -> None:
    a, b = numbers(lib, 2), numbers(lib, 2)
    hooked(several(lib), log)(a, b)[0].sum().backward()
    log(a.grad, b.grad)


@case
def several_inputs_of_which_one_has_gradients(lib: Any, log: Log) -> None:
    a, b = numbers(lib, 2, grad=False), numbers(lib, 2)
    y = hooked(several(lib), log)(a, b, 5)
    (y[0].sum() + y[1]).backward()
    log(a.grad, b.grad, y[3].requires_grad)


@case
def an_input_by_name_is_not_seen(lib: Any, log: Log) -> None:
    a, b = numbers(lib, 2), numbers(lib, 2)
    hooked(several(lib), log)(a, b=b)[0].sum().backward()
    log(a.grad, b.grad)


@case
def an_input_that_is_not_used(lib: Any, log: Log) -> None:
    a, b = numbers(lib, 2), numbers(lib, 2)
    hooked(module(lib, lambda a, b: a * 2), log)(a, b).sum().backward()
    log(a.grad, b.grad)


@case
def one_input_twice(lib: Any, log: Log) -> None:
    a = numbers(lib, 2)
    hooked(several(lib), log)(a, a)[0].sum().backward()
    log(a.grad)


@case
def an_output_that_is_the_input(lib: Any, log: Log) -> None:
    a = numbers(lib, 2)
    y = hooked(lib.nn.Identity(), log)(a)
    y.sum().backward()
    log(y is a, a.grad)


@case
def outputs_that_cannot_be_watched(lib: Any, log: Log) -> None:
    for forward in (lambda x: {"y": x * 2}, lambda x: [x * 2]):
        x = numbers(lib, 2)
        y = hooked(module(lib, forward), log)(x)
        (y["y"] if isinstance(y, dict) else y[0]).sum().backward()
        log(x.grad)


@case
def layers_within_layers(lib: Any, log: Log) -> None:
    model = lib.nn.Sequential(linear(lib), lib.nn.Tanh(), linear(lib))
    for name, layer in model.named_modules():
        hooked(layer, log, name)
    x = numbers(lib, 3, 2)
    model(x).sum().backward()
    log(x.grad)


@case
def called_twice(lib: Any, log: Log) -> None:
    layer, x = hooked(linear(lib), log), numbers(lib, 3, 2)
    (layer(x) + layer(2 * x)).sum().backward()
    log(x.grad)


@case
def backward_twice(lib: Any, log: Log) -> None:
    layer, x = hooked(linear(lib), log), numbers(lib, 3, 2)
    y = layer(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    log(x.grad)


@case
def grad_of_an_input(lib: Any, log: Log) -> None:
    layer, x = hooked(lib.nn.Tanh(), log), numbers(lib, 3)
    (dx,) = lib.autograd.grad(layer(x).sum(), x, create_graph=True)
    dx.sum().backward()
    log(dx, x.grad)


@case
def grad_of_a_weight_alone(lib: Any, log: Log) -> None:
    layer, x = hooked(linear(lib), log), numbers(lib, 3, 2)
    log(lib.autograd.grad(layer(x).sum(), layer.weight))


@case
def too_many_gradients_from_a_hook(lib: Any, log: Log) -> None:
    layer = linear(lib)
    layer.register_full_backward_hook(lambda m, dxs, dys: (dxs[0], dxs[0]))
    layer(numbers(lib, 3, 2)).sum().backward()


@case
def too_many_gradients_from_a_pre_hook(lib: Any, log: Log) -> None:
    layer = linear(lib)
    layer.register_full_backward_pre_hook(lambda m, dys: (dys[0], dys[0]))
    layer(numbers(lib, 3, 2)).sum().backward()


@case
def order_and_removal(lib: Any, log: Log) -> None:
    layer = linear(lib)
    for name in "abc":
        layer.register_full_backward_hook(
            lambda m, dxs, dys, name=name: log(name), prepend=name == "c"
        )
    for name in "xyz":
        layer.register_full_backward_pre_hook(
            lambda m, dys, name=name: log(name), prepend=name == "z"
        )
    layer.register_full_backward_hook(lambda m, dxs, dys: log("removed")).remove()
    layer(numbers(lib, 3, 2)).sum().backward()


def run(lib: Any, function: Callable[[Any, Log], None]) -> list[Any]:
    """All that was logged, the warnings, and the error that ended it."""

    def shown(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return tuple(map(shown, value))
        return value.detach().numpy().round(9).tolist() if hasattr(value, "detach") else value

    seen: list[Any] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function(lib, lambda *values: seen.append(shown(values)))
        except Exception as error:
            seen.append((type(error), str(error)))
    return [*seen, *(str(w.message).replace("torch.", "gpunn.")[:120] for w in caught)]


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_agrees_with_pytorch(function: Callable[[Any, Log], None]):
    torch: Any = pytest.importorskip("torch")
    assert run(gpunn, function) == run(torch, function)
