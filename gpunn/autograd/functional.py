"""Derivatives of functions: ``jacobian``, ``hessian``, products with vectors, by the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy

from gpunn.autograd.engine import grad
from gpunn.autograd.grad_mode import enable_grad
from gpunn.autograd.variable import Variable, is_sequence, wrap
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Inputs: TypeAlias = "Tensor | tuple[Tensor, ...]"


def vjp(
    func: Callable[..., Any],
    inputs: Inputs,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``func(*inputs)``, and vᵀ J: the gradient of the outputs weighted by ``v``.

    ``v`` may be left out for an output of one element. ``strict`` refuses outputs that do not
    depend on an input, whose gradient is 0 otherwise.
    """
    with enable_grad():
        xs = _prepared(inputs, "inputs", "vjp", create_graph)
        outputs, alone = _called(func, xs, "vjp")
        vs = _vectors(v, outputs, alone)
        dxs = _gradients(outputs, xs, vs, create_graph, strict)
    return _given_back(outputs, alone, create_graph), _given_back(dxs, _one(inputs), create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Inputs,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``func(*inputs)``, and J v: how the outputs change as the inputs move along ``v``.

    By differentiating twice: the gradient is linear in what the outputs are weighted by.
    """
    with enable_grad():
        xs = _prepared(inputs, "inputs", "jvp", create_graph)
        vs = _vectors(v, xs, _one(inputs))
        outputs, alone = _called(func, xs, "jvp")
        weights = tuple(_zeros_like(y).requires_grad_() for y in outputs)
        dxs = _gradients(outputs, xs, weights, True, strict)
        moved = _gradients(dxs, weights, vs, create_graph, strict)
    return _given_back(outputs, alone, create_graph), _given_back(moved, alone, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J[i..., j...] = d output[i...] / d input[j...]; nested tuples for several of either.

    One gradient for each element of the outputs. ``vectorize`` changes nothing; only
    "reverse-mode" is there.
    """
    if strategy != "reverse-mode":
        raise NotImplementedError(
            f"jacobian: the strategy is 'reverse-mode' only, got {strategy!r}"
        )
    with enable_grad():
        xs = _prepared(inputs, "inputs", "jacobian", create_graph)
        outputs, alone = _called(func, xs, "jacobian")
        tables = [_jacobian_of(y, xs, create_graph, strict, i) for i, y in enumerate(outputs)]
    single = _one(inputs)
    rows = tuple(_given_back(t, single, create_graph) for t in tables)
    return rows[0] if alone else rows


def _jacobian_of(
    y: Any, xs: tuple[Any, ...], create_graph: bool, strict: bool, i: int
) -> tuple[Any, ...]:
    """The derivatives of one output's elements by every input."""
    if strict and not y.requires_grad:
        raise RuntimeError(
            f"Output {i} of the user-provided function does not require gradients. The outputs "
            "must be computed in a differentiable manner from the input when running in strict "
            "mode."
        )
    backend, size = type2backend[type(y.data)], y.data.size
    columns: list[list[Any]] = [list[Any]() for _ in xs]
    for k in range(size):
        seed: Any = numpy.zeros(size, y.data.dtype)
        seed[k] = 1
        with backend.on(backend.device(y.data)):
            weights = wrap(backend.from_numpy(seed.reshape(y.data.shape)))
        for column, dx in zip(
            columns, _gradients((y,), xs, (weights,), create_graph, strict), strict=True
        ):
            column.append(dx.reshape(-1))
    found: list[Any] = []
    for x, column in zip(xs, columns, strict=True):
        shape = (*y.data.shape, *x.data.shape)
        if not column:
            found.append(x.new_zeros(shape))
            continue
        table = x.new_zeros((size, x.data.size))
        for k, row in enumerate(column):  # keeps the rows' graph
            table[k] = row
        found.append(table.reshape(shape))
    return tuple(found)


def hessian(
    func: Callable[..., Any],
    inputs: Inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function whose output is one element: Jacobian of the gradient.

    A tuple of tuples for several inputs.
    """
    single = _one(inputs)

    def gradient(*xs: Any) -> Any:
        first = jacobian(_scalar(func), xs[0] if single else xs, create_graph=True, strict=strict)
        return first if single else tuple(first)

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def hvp(
    func: Callable[..., Any],
    inputs: Inputs,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``func(*inputs)``, of one element, and H v."""
    return _second("hvp", func, inputs, v, create_graph, strict)


def vhp(
    func: Callable[..., Any],
    inputs: Inputs,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``func(*inputs)``, of one element, and vᵀ H: the gradient of the gradient times ``v``."""
    return _second("vhp", func, inputs, v, create_graph, strict)


def _second(
    name: str,
    func: Callable[..., Any],
    inputs: Inputs,
    v: Any,
    create_graph: bool,
    strict: bool,
) -> tuple[Any, Any]:
    with enable_grad():
        xs = _prepared(inputs, "inputs", name, create_graph)
        vs = _vectors(v, xs, _one(inputs))
        outputs, alone = _called(_scalar(func), xs, name)
        ones = (_zeros_like(outputs[0]) + 1,)
        dxs = _gradients(outputs, xs, ones, True, strict)
        products = _gradients(dxs, xs, vs, create_graph, strict)
    both = _given_back(outputs, alone, create_graph)
    return both, _given_back(products, _one(inputs), create_graph)


def _scalar(func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, refusing an output that is not one element."""

    def call(*xs: Any) -> Any:
        y = func(*xs)
        if not isinstance(y, Variable):
            raise RuntimeError("The function given to hessian should return a single Tensor")
        if y.data.size != 1:
            raise RuntimeError(
                "The Tensor returned by the function given to hessian should contain a single "
                "element"
            )
        return y.reshape(())  # type: ignore[attr-defined]

    return call


def _one(inputs: object) -> bool:
    return isinstance(inputs, Variable)


def _tuple(value: Any, what: str, name: str) -> tuple[Any, ...]:
    several = is_sequence(value)
    parts: Sequence[Any] = value if several else (value,)
    for i, part in enumerate(parts):
        if not isinstance(part, Variable):
            where = f"value at index {i}" if several else f"given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"{where} has type {type(part)}."
            )
    return tuple(parts)


def _prepared(inputs: Any, what: str, name: str, create_graph: bool) -> tuple[Any, ...]:
    """The inputs as variables of their own: in the graph of ``inputs`` only for who wants that."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in _tuple(inputs, what, name)
    )


def _called(
    func: Callable[..., Any], xs: tuple[Any, ...], name: str
) -> tuple[tuple[Any, ...], bool]:
    y = func(*xs)
    return _tuple(y, "outputs of the user-provided function", name), _one(y)


def _vectors(v: Any, like: tuple[Any, ...], alone: bool) -> tuple[Any, ...]:
    if v is None:
        if len(like) != 1 or like[0].data.size != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single "
                "Tensor with a single element."
            )
        return (_zeros_like(like[0]) + 1,)
    vs = _tuple(v, "v", "the function")
    if len(vs) != len(like):
        if alone:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(vs)}."
        )
    for i, (a, b) in enumerate(zip(vs, like, strict=True)):
        if a.data.shape != b.data.shape:
            entry = "" if len(vs) == 1 else f"Entry {i} in "
            raise RuntimeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return vs


def _zeros_like(x: Any) -> Any:
    return wrap(type2backend[type(x.data)].zeros_like(x.data))


def _gradients(
    outputs: Sequence[Any],
    xs: tuple[Any, ...],
    weights: Sequence[Any],
    create_graph: bool,
    strict: bool,
) -> tuple[Any, ...]:
    """The gradients by ``xs``; zeros where the outputs do not depend on one, unless ``strict``."""
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    found: tuple[Any, ...] = (None,) * len(xs)
    if pairs:
        ys, ws = zip(*pairs, strict=True)
        found = grad(ys, xs, ws, retain_graph=True, create_graph=create_graph, allow_unused=True)
    for i, dx in enumerate(found):
        if strict and dx is None:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}. This is "
                "not allowed in strict mode."
            )
    return tuple(_zeros_like(x) if dx is None else dx for x, dx in zip(xs, found, strict=True))


def _given_back(results: tuple[Any, ...], alone: bool, create_graph: bool) -> Any:
    """One tensor for one; without history unless that was asked for."""
    kept = results if create_graph else tuple(r.detach() for r in results)
    return kept[0] if alone else kept
