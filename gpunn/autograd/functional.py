"""Derivatives of functions: ``jacobian``, ``hessian``, products with vectors, by the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy

from gpunn.autograd.engine import grad
from gpunn.autograd.grad_mode import enable_grad
from gpunn.autograd.variable import Variable, wrap
from gpunn.backends import type2backend
from gpunn.missing import refuse_others as _refuse_others

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
        xs, alone = _prepared(inputs, "vjp", create_graph)
        outputs, single = _called(func, xs, "vjp", strict)
        vs = _vectors(v, outputs, single, "vjp", "user-provided function returns")
        found = gradients_by(outputs, xs, vs, create_graph)
        dxs = _filled(found, xs, strict, create_graph, _INDEPENDENT, _CONSTANT)
    return _given_back(outputs, single, create_graph), _given_back(dxs, alone, create_graph)


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
        xs, alone = _prepared(inputs, "jvp", create_graph)
        vs = _vectors(v, xs, alone, "jvp", "input to the user-provided function is")
        outputs, single = _called(func, xs, "jvp", strict)
        weights = tuple(zeros_like(y).requires_grad_() for y in outputs)
        found = gradients_by(outputs, xs, weights, True)
        dxs = _filled(found, xs, strict, strict, _INDEPENDENT, _GRADIENT_CONSTANT)
        found = gradients_by(dxs, weights, vs, create_graph)
        moved = _filled(found, outputs, strict, create_graph, _ENTRY_INDEPENDENT, _CONSTANT)
    return _given_back(outputs, single, create_graph), _given_back(moved, single, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J[i..., j...] = d output[i...] / d input[j...]; nested tuples for several of either.

    One gradient for each element of the outputs, whatever ``vectorize`` and ``strategy`` say; what
    PyTorch refuses of them is refused.
    """
    _check_strategy(strategy, create_graph, strict, vectorize)
    with enable_grad():
        xs, alone = _prepared(inputs, "jacobian", create_graph)
        outputs, single = _called(func, xs, "jacobian", strict)
        if vectorize and strict:
            raise RuntimeError(
                "gpunn.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
                "supported together. Please either set `strict=False` or `vectorize=False`."
            )
        tables = [jacobian_of(y, xs, create_graph, strict, i) for i, y in enumerate(outputs)]
    rows = tuple(_given_back(t, alone, create_graph) for t in tables)
    return rows[0] if single else rows


def _check_strategy(strategy: str, create_graph: bool, strict: bool, vectorize: bool) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        for name, given in (("create_graph", create_graph), ("strict", strict)):
            if given:
                kind = NotImplementedError if name == "create_graph" else RuntimeError
                raise kind(
                    f"gpunn.autograd.functional.jacobian: `{name}=True` and "
                    '`strategy="forward-mode"` are not supported together (yet). Please either set '
                    f'`{name}=False` or `strategy="reverse-mode"`.'
                )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
                "implemented for `vectorize=True`."
            )


def jacobian_of(
    y: Any, xs: tuple[Any, ...], create_graph: bool, strict: bool, i: int
) -> tuple[Any, ...]:
    """The derivatives of one output's elements by every input."""
    backend, size = type2backend[type(y.data)], y.data.size
    columns: list[list[Any]] = [list[Any]() for _ in xs]
    for k in range(size):
        seed: Any = numpy.zeros(size, y.data.dtype)
        seed[k] = 1
        with backend.on(backend.device(y.data)):
            weights = wrap(backend.from_numpy(seed.reshape(y.data.shape)))
        found = gradients_by((y,), xs, (weights,), create_graph)
        missing = f"Output {i} of the user-provided function is independent of input {{}}. {_NOT}."
        dxs = _filled(found, xs, strict, create_graph, missing, _CONSTANT)
        for column, dx in zip(columns, dxs, strict=True):
            column.append(dx.reshape(-1))
    tables: list[Any] = []
    for x, column in zip(xs, columns, strict=True):
        shape = (*y.data.shape, *x.data.shape)
        table = x.new_zeros((size, x.data.size))
        for k, row in enumerate(column):  # keeps the rows' graph
            table[k] = row
        tables.append(table.reshape(shape))
    return tuple(tables)


def hessian(
    func: Callable[..., Any],
    inputs: Inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function whose output is one element: Jacobian of the gradient.

    A tuple of tuples for several inputs. As ``jacobian`` otherwise.
    """
    xs, alone = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*xs: Any) -> Any:
        return _scalar(*_called(func, xs, "hessian", strict), "hessian")

    def gradient(*xs: Any) -> Any:
        dxs = jacobian(scalar, xs, create_graph=True)
        return _varying(dxs, strict)

    rows: Any = jacobian(gradient, xs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return rows[0][0] if alone else rows


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
    """H is symmetric: one product for both."""
    with enable_grad():
        xs, alone = _prepared(inputs, name, create_graph)
        vs = _vectors(v, xs, alone, name, "input to the user-provided function is")
        outputs, single = _called(func, xs, name, strict)
        _scalar(outputs, single, name)
        found = gradients_by(outputs, xs, (zeros_like(outputs[0]) + 1,), True)
        dxs = _varying(_filled(found, xs, strict, False, _INDEPENDENT, ""), strict)
        found = gradients_by(dxs, xs, vs, create_graph)
        products = _filled(
            found, xs, strict, create_graph, _JACOBIAN_INDEPENDENT, _HESSIAN_CONSTANT
        )
    both = _given_back(outputs, single, create_graph)
    return both, _given_back(products, alone, create_graph)


def _scalar(outputs: tuple[Any, ...], single: bool, name: str) -> Any:
    """The one output of one element, as a scalar."""
    if not single:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].data.size != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    return outputs[0].reshape(())


# What strict mode refuses -------------------------------------------------------------------

_NOT = "This is not allowed in strict mode"
_GRAPH = f"{_NOT} when create_graph=True."
_INDEPENDENT = f"The output of the user-provided function is independent of input {{}}. {_NOT}."
_CONSTANT = f"The jacobian of the user-provided function is independent of input {{}}. {_GRAPH}"
_JACOBIAN_INDEPENDENT = (
    f"The jacobian of the user-provided function is independent of input {{}}. {_NOT}."
)
_HESSIAN_CONSTANT = (
    f"The hessian of the user-provided function is independent of input {{}}. {_GRAPH}"
)
_GRADIENT_CONSTANT = (
    "The gradient with respect to input {} is independent of the inputs of the user-provided "
    f"function. {_NOT}."
)
_ENTRY_INDEPENDENT = (
    "The gradient with respect to the input is independent of entry {} in the grad_outputs when "
    f"using the double backward trick to compute forward mode gradients. {_NOT}."
)


def _filled(
    found: tuple[Any, ...],
    like: tuple[Any, ...],
    strict: bool,
    create_graph: bool,
    missing: str,
    constant: str,
) -> tuple[Any, ...]:
    """Gradients with zeros for those that there are not; ``strict`` refuses them as ``missing``.

    With a graph to create it refuses as ``constant`` those that depend on nothing.
    """
    for i, dx in enumerate(found):
        if strict and dx is None:
            raise RuntimeError(missing.format(i))
        if strict and create_graph and not dx.requires_grad:
            raise RuntimeError(constant.format(i))
    return tuple(zeros_like(x) if dx is None else dx for x, dx in zip(like, found, strict=True))


def _varying(dxs: tuple[Any, ...], strict: bool) -> tuple[Any, ...]:
    for i, dx in enumerate(dxs):
        if strict and not dx.requires_grad:
            raise RuntimeError(
                "While computing the hessian, found that the jacobian of the user-provided "
                f"function with respect to input {i} is independent of the input. {_NOT}. You "
                "should ensure that your function is twice differentiable and that the jacobian "
                "depends on the inputs (this would be violated by a linear function for example)."
            )
    return dxs


# Tuples of tensors --------------------------------------------------------------------------


def _tuple(value: Any, what: str, name: str) -> tuple[tuple[Any, ...], bool]:
    """Tensors as a tuple, and whether it was one alone."""
    alone = not isinstance(value, tuple)
    parts: tuple[Any, ...] = (value,) if alone else cast("tuple[Any, ...]", value)
    for i, part in enumerate(parts):
        if not isinstance(part, Variable):
            where = f"given {what}" if alone else f"value at index {i}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"{where} has type {type(part)}."
            )
    return parts, alone


def _prepared(inputs: Any, name: str, create_graph: bool) -> tuple[tuple[Any, ...], bool]:
    """The inputs as variables of their own: in the graph of ``inputs`` only for who wants that."""
    xs, alone = _tuple(inputs, "inputs", name)
    own = tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in xs
    )
    return own, alone


def _called(
    func: Callable[..., Any], xs: tuple[Any, ...], name: str, strict: bool
) -> tuple[tuple[Any, ...], bool]:
    outputs, alone = _tuple(func(*xs), "outputs of the user-provided function", name)
    for i, y in enumerate(outputs):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs "
                "must be computed in a differentiable manner from the input when running in "
                "strict mode."
            )
    return outputs, alone


def _vectors(v: Any, like: tuple[Any, ...], alone: bool, name: str, what: str) -> tuple[Any, ...]:
    """The vector of a product, which belongs to ``like``; ones where it is left out."""
    if v is None:
        if len(like) != 1 or like[0].data.size != 1:
            raise RuntimeError(
                f"The vector v can only be None if the {what} a single Tensor with a single "
                "element."
            )
        return (zeros_like(like[0]) + 1,)
    vs, _ = _tuple(v, "v", name)
    if len(vs) != len(like):
        if alone:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(vs)}."
        )
    for i, (a, b) in enumerate(zip(vs, like, strict=True)):
        if a.data.shape != b.data.shape:
            entry = "" if alone else f"Entry {i} in "
            raise RuntimeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return vs


def zeros_like(x: Any) -> Any:
    return wrap(type2backend[type(x.data)].zeros_like(x.data))


def gradients_by(
    outputs: Sequence[Any], xs: tuple[Any, ...], weights: Sequence[Any], create_graph: bool
) -> tuple[Any, ...]:
    """The gradients by ``xs``; None where the outputs do not depend on one."""
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(xs)
    ys, ws = zip(*pairs, strict=True)
    return grad(ys, xs, ws, retain_graph=True, create_graph=create_graph, allow_unused=True)


def _given_back(results: tuple[Any, ...], alone: bool, create_graph: bool) -> Any:
    """One tensor for one; without history unless that was asked for."""
    kept = results if create_graph else tuple(r.detach() for r in results)
    return kept[0] if alone else kept


_refuse_others(globals())
