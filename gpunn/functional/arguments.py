"""Arguments that convolution and pooling share: one int for all dimensions, or one for each."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

from gpunn.autograd.variable import Variable

P = ParamSpec("P")
R = TypeVar("R")
Ints = tuple[int, ...]
_INT = {int}
_MANY = 4096  # answers that are kept
_NEW: Any = object()


def ntuple(value: Any, n: int) -> tuple[Any, ...]:
    """``value`` as a tuple if it is iterable, else ``n`` times."""
    if isinstance(value, Iterable):
        return tuple(cast("Iterable[Any]", value))
    return (value,) * n


def plain_ints(value: Any, n: int) -> Ints | None:
    """What ``per_dimension`` gives for an int, or for a tuple of ``n``; None for what is neither.

    Asked first, it spares the usual call the making of the sentence for the unusual one.
    """
    if type(value) is int:
        return (value,) * n
    if value.__class__ is tuple and len(value) == n and set(map(type, value)) == _INT:
        return value
    return None


def by_shapes(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` of shapes, dtypes and numbers alone: what it has found right is remembered.

    It sees no elements of its tensors. What it refuses, it refuses anew each time.
    """
    known: dict[Any, R] = {}

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        key = tuple(
            [(a._data.shape, a._data.dtype) if isinstance(a, Variable) else a for a in args]
        )
        if keywords:
            key += tuple(keywords.items())
        found: Any = known.get(key, _NEW)
        if found is _NEW:
            found = function(*args, **keywords)
            if len(known) == _MANY:
                known.clear()
            known[key] = found
        return found

    return call


def per_dimension(value: Any, n: int, function: str, name: str, problem: str) -> Ints:
    """``n`` ints from one int, a tuple of one, or a tuple of ``n``.

    Raises TypeError for what is no int, RuntimeError with the sentence ``problem`` for any other
    number of them.
    """
    try:
        values = tuple(operator.index(v) for v in ntuple(value, n))
    except TypeError:
        raise TypeError(
            f"{function}(): argument '{name}' must be tuple of ints, not {type(value).__name__} "
            f"(an int, or one for each dimension, is expected; got {value!r})"
        ) from None
    if len(values) == 1:
        return values * n
    if len(values) != n:
        raise RuntimeError(problem)
    return values
