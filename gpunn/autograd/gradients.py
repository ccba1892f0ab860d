"""Gradients as arrays: what functions and hooks may give for one, and how they add up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.node import Edge, Node
from gpunn.autograd.variable import Array, Hook, Variable, is_sequence, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def conform(node: Node, i: int, edge: Edge, dx: Any) -> Any:
    """``dx`` summed down to the argument's shape, in the argument's dtype."""
    data = dx._data
    if type(edge) is tuple:
        like: Any = edge[0].outputs[edge[1]]  # None only where nothing leads to
        shape, dtype, array_type = like
    else:
        leaf: Any = edge
        shape, dtype, array_type = leaf._data.shape, leaf._data.dtype, leaf._data.__class__
    if data.shape == shape and data.dtype is dtype and type(data) is array_type:
        return dx
    if data.shape != shape:
        offset = data.ndim - len(shape)
        if offset < 0 or any(
            n not in (1, m) for n, m in zip(shape, data.shape[offset:], strict=True)
        ):
            raise RuntimeError(
                f"Function {node.name} returned an invalid gradient at index {i} - got "
                f"{list(data.shape)} but expected shape compatible with {list(shape)}"
            )
        dx = dx.sum_to_size(shape)
    if data.dtype != dtype:
        dx = dx.type_as_numpy(dtype)
    if type(data) is not array_type:
        raise RuntimeError(
            f"Function {node.name} returned an invalid gradient at index {i} - expected "
            f"device {type2backend[array_type].name} but got {type2backend[type(data)].name}"
        )
    return dx


def hooked(hooks: OrderedDict[int, Hook], gradient: Tensor) -> Tensor:
    """What ``hooks`` make of a gradient; they may also have kept it, so it is no longer ours."""
    for hook in list(hooks.values()):
        replaced = hook(gradient)
        if replaced is None:
            continue
        if not isinstance(replaced, Variable):
            raise TypeError(f"expected Variable, but hook returned '{type(replaced).__name__}'")
        title = f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the"
        if replaced._data.dtype != gradient._data.dtype:
            raise RuntimeError(
                f"{title} type of value (was {gradient.type()} got {replaced.type()})"
            )
        if replaced._data.shape != gradient._data.shape:
            raise RuntimeError(
                f"{title} size of value: expected {list(gradient._data.shape)}, got "
                f"{list(replaced._data.shape)}"
            )
        gradient = replaced
    return gradient


def changed(found: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients after a hook of a node."""
    if found is None:
        return before
    after: tuple[Any, ...] = tuple(found) if is_sequence(found) else (found,)
    if len(after) != len(before):
        raise RuntimeError(
            "hook has returned an incorrect number of values "
            f"(got {len(after)}, but expected {len(before)})"
        )
    return after


def zeros(
    shape: tuple[int, ...], dtype: Any, array_type: type, others: Sequence[Tensor | None]
) -> Tensor:
    """Zeros where the other gradients of the node lie."""
    backend = type2backend[array_type]
    with backend.beside(next(other for other in others if other is not None)._data):
        return wrap(backend.xp.zeros(shape, dtype))


def own(gradient: Tensor, owned: bool) -> Array:
    """The gradient's array, or a copy unless nobody else can hold it."""
    data = gradient._data
    if owned and data.base is None and data.flags.c_contiguous:
        return data
    return type2backend[type(data)].copy(data)


def add_to(total: Array, gradient: Array) -> None:
    """Add ``gradient`` into the array of ``total``, on its device."""
    if type(total) is numpy.ndarray:
        total += gradient
    else:
        with type2backend[type(total)].beside(total):
            total += gradient


def accumulate(leaf: Variable, gradient: Tensor, owned: bool, create_graph: bool) -> None:
    """Add to ``leaf.grad``, whose array is its own."""
    before = leaf._grad
    if create_graph:
        leaf._grad = gradient.clone() if before is None else before + gradient
    elif before is None:
        leaf._grad = wrap(own(gradient, owned))
    elif before.requires_grad:
        leaf._grad = (before + gradient).detach()
    else:
        add_to(before._data, gradient._data)
        before._version_box[0] += 1


def refuse_not_finite(node: Node, i: int, dx: Variable) -> None:
    """Raise RuntimeError if the i-th gradient that ``node`` gave has a NaN or an infinity."""
    backend = type2backend[type(dx._data)]
    if dx._data.dtype.kind not in FLOATING or bool(backend.xp.isfinite(dx._data).all()):
        return
    kind = "nan" if bool(backend.xp.isnan(dx._data).any()) else "infinite"
    where = f"\nForward call:\n{''.join(node.trace.format())}" if node.trace else ""
    raise RuntimeError(f"Function '{node.name}' returned {kind} values in its {i}th output.{where}")
