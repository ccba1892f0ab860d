"""Arguments that convolution and pooling share: one int for all dimensions, or one for each."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, cast

Ints = tuple[int, ...]


def ntuple(value: Any, n: int) -> tuple[Any, ...]:
    """``value`` as a tuple if it is iterable, else ``n`` times."""
    if isinstance(value, Iterable):
        return tuple(cast("Iterable[Any]", value))
    return (value,) * n


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
