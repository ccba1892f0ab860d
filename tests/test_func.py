"""Transforms of functions, held to PyTorch's: structures, nesting, graphs around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from parity import same

import gpunn

pytestmark = pytest.mark.filterwarnings("ignore:.*jit.script.*:DeprecationWarning")  # PyTorch's


def close(scenario: Callable[[Any], Any]) -> None:
    """As ``same``, but for rounding."""

    def rounded(value: Any) -> Any:
        if hasattr(value, "detach"):
            return str(value.dtype), list(value.shape), rounded(value.detach().tolist())
        if isinstance(value, dict):
            return {key: rounded(part) for key, part in value.items()}
        if isinstance(value, (tuple, list)):
            return [rounded(part) for part in value]
        return round(value, 10) if isinstance(value, float) else value

    same(lambda t: rounded(scenario(t)))


def x(t: Any, n: int = 3) -> Any:
    return t.arange(1.0, n + 1, dtype=t.float64) / 4


def f(x: Any) -> Any:
    return (x**3).sum()


def g(x: Any, y: Any) -> Any:
    return (x * y.exp()).sum() + (x**2).sum()


SCENARIOS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda t: t.func.grad(f)(x(t)),
    "grad by another argument": lambda t: t.func.grad(g, argnums=1)(x(t), x(t)),
    "grad by the last": lambda t: t.func.grad(g, argnums=-1)(x(t), x(t)),
    "grad by both": lambda t: t.func.grad(g, argnums=(1, 0))(x(t), x(t)),
    "grad of a keyword's function": lambda t: t.func.grad(lambda a, k=1: f(a) * k)(x(t), k=3),
    "grad and more": lambda t: t.func.grad(lambda a: (f(a), {"y": a * 2}), has_aux=True)(x(t)),
    "grad and value": lambda t: t.func.grad_and_value(f)(x(t)),
    "grad, value and more": lambda t: t.func.grad_and_value(lambda a: (f(a), a * 5), has_aux=True)(
        x(t)
    ),
    "grad of what does not depend": lambda t: t.func.grad(lambda a: x(t).sum())(x(t)),
    "second": lambda t: t.func.grad(lambda a: t.func.grad(f)(a).sum())(x(t)),
    "third": lambda t: t.func.grad(t.func.grad(t.func.grad(lambda a: a**4)))(x(t)[0]),
    "one within another": lambda t: t.func.grad(
        lambda a: t.func.grad(lambda b: (a * b**2).sum())(x(t)).sum()
    )(x(t)),
    "grad by a dict": lambda t: t.func.grad(lambda p, a: (p["w"] * a + p["b"][0]).sin().sum())(
        {"w": x(t), "b": [x(t, 1)]}, x(t)
    ),
    "grad where nothing is recorded": lambda t: t.no_grad()(t.func.grad(f))(x(t)),
    "vjp": lambda t: (lambda y, back: (y, back(x(t))))(*t.func.vjp(lambda a: a.exp(), x(t))),
    "vjp of two": lambda t: (lambda y, back: (y, back(t.tensor(2.0, dtype=t.float64))))(
        *t.func.vjp(g, x(t), x(t))
    ),
    "vjp of a structure": lambda t: t.func.vjp(lambda a: {"b": a * 2, "a": (a.sum(),)}, x(t))[1](
        {"b": x(t), "a": (x(t, 1)[0],)}
    ),
    "vjp and more": lambda t: t.func.vjp(lambda a: (a * 2, [a * 3]), x(t), has_aux=True)[2],
    "jvp": lambda t: t.func.jvp(lambda a: a.exp(), (x(t),), (x(t),)),
    "jvp of two": lambda t: t.func.jvp(g, (x(t), x(t)), (x(t), x(t))),
    "jvp of a structure": lambda t: t.func.jvp(
        lambda p: {"y": p["a"] * p["b"]}, ({"a": x(t), "b": x(t)},), ({"a": x(t), "b": x(t)},)
    ),
    "jvp and more": lambda t: t.func.jvp(lambda a: (a * 2, a), (x(t),), (x(t),), has_aux=True),
    "jvp of grad": lambda t: t.func.jvp(t.func.grad(f), (x(t),), (x(t),)),
    "grad of jvp": lambda t: t.func.grad(lambda a: t.func.jvp(f, (a,), (x(t),))[1])(x(t)),
    "jacrev": lambda t: t.func.jacrev(lambda a: a.exp())(x(t)),
    "jacrev of two by two": lambda t: t.func.jacrev(lambda a, b: (a * b, a.sum()), argnums=(0, 1))(
        x(t), x(t)
    ),
    "jacrev of a structure": lambda t: t.func.jacrev(lambda p: {"y": p["w"].outer(p["v"])})(
        {"w": x(t), "v": x(t, 2)}
    ),
    "jacrev and more": lambda t: t.func.jacrev(lambda a: (a.sin(), a), has_aux=True)(x(t)),
    "jacfwd": lambda t: t.func.jacfwd(lambda a: a[:2].cos())(x(t)),
    "hessian": lambda t: t.func.hessian(f)(x(t)),
    "hessian of two": lambda t: t.func.hessian(g, argnums=(0, 1))(x(t), x(t)),
    "no tensor": lambda t: t.func.grad(lambda a: 3.0)(x(t)),
    "no scalar": lambda t: t.func.grad(lambda a: a)(x(t)),
    "nothing more": lambda t: t.func.grad(f, has_aux=True)(x(t)),
    "no such argument": lambda t: t.func.grad(f, argnums=1)(x(t)),
    "primals that are no tuple": lambda t: t.func.jvp(f, x(t), (x(t),)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_as_pytorch(name: str):
    close(SCENARIOS[name])


@pytest.mark.parametrize("transform", ["grad", "jacrev", "vjp", "jvp"])
def test_results_are_linked_to_what_is_outside_alone(transform: str):
    def scenario(t: Any) -> Any:
        w, free = x(t).requires_grad_(), x(t)

        def by(a: Any) -> Any:
            return (a**2 * w).sum()

        def run(function: Any, a: Any) -> Any:
            if transform == "vjp":
                return t.func.vjp(function, a)[1](t.ones((), dtype=t.float64))[0]
            if transform == "jvp":
                return t.func.jvp(function, (a,), (x(t),))[1]
            return getattr(t.func, transform)(function)(a)

        inner, outer, none = run(by, free), run(f, w), run(f, free)
        found = [t.autograd.grad(d.sum(), w) for d in (inner, outer)]
        return inner, outer, none.requires_grad, found

    close(scenario)


def test_a_model_as_a_function_of_its_parameters():
    def scenario(t: Any) -> Any:
        model = t.nn.Linear(3, 2, dtype=t.float64)
        params = {
            "weight": t.arange(6.0, dtype=t.float64).reshape(2, 3),
            "bias": t.ones(2, dtype=t.float64),
        }

        def loss(p: Any) -> Any:
            return t.func.functional_call(model, p, (x(t),)).tanh().sum()

        return t.func.grad(loss)(params), t.func.hessian(loss)(params)

    close(scenario)


def test_what_is_not_there_says_so():
    with pytest.raises(AttributeError, match="a leading dimension: operations broadcast"):
        gpunn.func.vmap  # noqa: B018
