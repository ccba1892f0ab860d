"""Calls for ``torch.autograd.functional``: derivatives of a few functions, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.calls import Call, call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cube": lambda x: x**3,
    "sum": lambda x: (x**3).sum(),
    "single": lambda x: (x**3).sum().reshape(1, 1),
    "matrix": lambda x: x.reshape(-1, 1) * x.reshape(-1).exp(),
    "product": lambda x, y: x * y.sin(),
    "total": lambda x, y: (x * y.sin() + x**2 * y).sum(),
    "pair": lambda x: (x.exp(), (x * x).sum()),
    "pairs": lambda x, y: (x * y, y**2),
    "list": lambda x: [x * 2],
    "linear": lambda x: (3 * x).sum(),
    "constant": lambda x: x.detach() * 2,
    "constant sum": lambda x: x.detach().sum(),
    "first": lambda x, y: (x**2).sum(),
    "first of two": lambda x, y: (x**2, (y**2).sum()),
    "added": lambda x, y: (x**2).sum() + y.sum(),
    "number": lambda x: 3.0,
    "input": lambda x: x,
    "part": lambda x: x[:1] ** 2,
    "float": lambda x: (x.float() ** 2).sum(),
    "in place": lambda x: x.clone().mul_(2).exp(),
    "fails": lambda x: x.view(7),
}


def runner(lib: Any, name: str) -> Callable[..., Any]:
    """The function of that name, which is told by name what to differentiate."""
    derivative = getattr(lib.autograd.functional, name)
    return lambda key, *args, **options: derivative(FUNCTIONS[key], *args, **options)


def _options(calls: list[Call]) -> list[Call]:
    """Each call as it is, with a graph, and strict."""
    return [
        call(*c.args, **c.kwargs, **more)
        for c in calls
        for more in ({}, {"create_graph": True}, {"strict": True})
    ]


X, Y = array(3), array(3, seed=1)
V, W = array(3, seed=2), array(3, seed=3)
BOTH = (X, Y)

CALLS.add(
    "vjp",
    _options(
        [
            call("cube", X, V),
            call("sum", X),
            call("single", array(2, 3)),
            call("matrix", array(2), array(2, 2)),
            call("product", BOTH, V),
            call("pair", X, (V, array())),
            call("constant", X, V),
            call("constant sum", X),
            call("first", BOTH),
            call("first of two", BOTH, (V, array())),
            call("input", X, V),
        ]
    ),
)
CALLS.add(
    "jvp",
    _options(
        [
            call("cube", X, V),
            call("sum", X, V),
            call("sum", array(1)),
            call("matrix", strided(2, 1), array(2, 1)),
            call("product", BOTH, (V, W)),
            call("pair", X, V),
            call("constant", X, V),
            call("first of two", BOTH, (V, W)),
            call("input", X, V),
            call("linear", X, V),
        ]
    ),
)
CALLS.add(
    "vhp hvp",
    _options(
        [
            call("sum", X, V),
            call("single", array(2, 2), array(2, 2)),
            call("total", BOTH, (V, W)),
            call("sum", array()),
            call("linear", X, V),
            call("constant sum", X, V),
            call("first", BOTH, (V, W)),
            call("added", BOTH, (V, W)),
            call("sum", strided(2, 3), array(2, 3)),
        ]
    ),
)
CALLS.add(
    "jacobian",
    _options(
        [
            call("cube", X),
            call("sum", X),
            call("matrix", array(2, 2)),
            call("product", BOTH),
            call("pair", X),
            call("pairs", BOTH),
            call("constant", X),
            call("first of two", BOTH),
            call("input", X),
            call("part", strided(2, 3)),
            call("cube", array()),
        ]
    ),
)
CALLS.add(
    "hessian",
    _options(
        [
            call("sum", X),
            call("single", array(2, 2)),
            call("total", BOTH),
            call("linear", X),
            call("constant sum", X),
            call("first", BOTH),
            call("added", BOTH),
            call("sum", array()),
        ]
    ),
)
CALLS.add(
    "jacobian hessian",
    [
        call("sum", X, vectorize=True),
        call("sum", X, vectorize=True, create_graph=True),
        call("total", BOTH, vectorize=True),
        call("sum", X, vectorize=True, strict=True),
        call("sum", array(3, dtype=F32)),
        call("sum", array(3, dtype=F16)),
        call("fails", X),
        call("number", X),
        call("sum", 3.0),
        call("sum", (X, 3.0)),
    ],
)
CALLS.add(
    "jacobian",
    [
        call("pair", array(3, dtype=F32), strategy="forward-mode", vectorize=True),
        call("cube", X, strategy="forward-mode", vectorize=True, create_graph=True),
        call("cube", X, strategy="forward-mode", vectorize=True, strict=True),
        call("cube", X, strategy="sideways"),
        call("list", X),
    ],
)
CALLS.add(
    "hessian",
    [
        call("sum", X, outer_jacobian_strategy="sideways"),
        call("cube", X),
        call("pair", X),
    ],
)
CALLS.add("vhp hvp", [call("cube", X, V), call("pair", X, V), call("sum", X), call("float", X, V)])
CALLS.add(
    "vjp jvp vhp hvp",
    [
        call("sum", X, array(2)),
        call("sum", X, 3.0),
        call("sum", X, (V, W)),
        call("sum", array(3, dtype=F32), array(3, dtype=F32)),
        call("total", BOTH, V),
        call("number", X, V),
        call("fails", X, V),
        call("sum", 3.0, V),
        call("sum", (X, 3.0), (V, W)),
        call("sum", array(3, dtype=I64), array(3, dtype=I64)),
        call("in place", X, V),
        call("cube", X),
    ],
)
