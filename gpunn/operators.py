"""Python's operators on tensors, a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy

from gpunn.autograd.variable import Variable, wrap
from gpunn.ops import (
    arithmetic,
    comparison,
    indexing,
    pointwise,
)
from gpunn.ops import matmul as products  # inside the class these names mean methods
from gpunn.values import Values

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Operand: TypeAlias = "Tensor | bool | int | float"
_OPERANDS = (Variable, int, float, numpy.number, numpy.bool_)


def operator_of(
    apply: Callable[..., Any], swap: bool = False, numbers: bool = True
) -> Callable[[Tensor, Any], Tensor]:
    """A binary operator; NotImplemented, as Python wants it, for what is no operand."""
    kinds = _OPERANDS if numbers else Variable

    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, kinds):
            if not isinstance(other, numpy.ndarray):
                return NotImplemented
            other = wrap(other)
        return apply(other, self) if swap else apply(self, other)

    return operator


class Operators(Values):
    """``x + y`` is ``gpunn.add(x, y)``."""

    __add__ = operator_of(arithmetic.Add.apply)
    __radd__ = operator_of(arithmetic.Add.apply, swap=True)
    __sub__ = operator_of(arithmetic.Sub.apply)
    __rsub__ = operator_of(arithmetic.Sub.apply, swap=True)
    __mul__ = operator_of(arithmetic.Mul.apply)
    __rmul__ = operator_of(arithmetic.Mul.apply, swap=True)
    __truediv__ = operator_of(arithmetic.Div.apply)
    __rtruediv__ = operator_of(arithmetic.Div.apply, swap=True)
    __floordiv__ = operator_of(arithmetic.floor_divide)
    __rfloordiv__ = operator_of(arithmetic.floor_divide, swap=True)
    __mod__ = operator_of(arithmetic.remainder)
    __rmod__ = operator_of(arithmetic.remainder, swap=True)
    __pow__ = operator_of(arithmetic.pow)
    __rpow__ = operator_of(arithmetic.pow, swap=True)
    __matmul__ = operator_of(products.matmul, numbers=False)
    __rmatmul__ = operator_of(products.matmul, swap=True, numbers=False)
    __lt__ = operator_of(comparison.lt)
    __le__ = operator_of(comparison.le)
    __gt__ = operator_of(comparison.gt)
    __ge__ = operator_of(comparison.ge)
    __and__ = operator_of(comparison.bitwise_and)
    __rand__ = operator_of(comparison.bitwise_and, swap=True)
    __or__ = operator_of(comparison.bitwise_or)
    __ror__ = operator_of(comparison.bitwise_or, swap=True)
    __xor__ = operator_of(comparison.bitwise_xor)
    __rxor__ = operator_of(comparison.bitwise_xor, swap=True)
    __lshift__ = operator_of(comparison.bitwise_left_shift)
    __rlshift__ = operator_of(comparison.bitwise_left_shift, swap=True)
    __rshift__ = operator_of(comparison.bitwise_right_shift)
    __rrshift__ = operator_of(comparison.bitwise_right_shift, swap=True)
    __invert__ = pointwise.bitwise_not
    __neg__ = pointwise.neg
    __abs__ = pointwise.abs
    __getitem__ = indexing.getitem
    __pos__ = pointwise.positive

    if TYPE_CHECKING:  # elementwise, which object's do not foresee

        def __eq__(self, other: Any) -> Any: ...
        def __ne__(self, other: Any) -> Any: ...

    else:
        __eq__ = operator_of(comparison.eq)
        __ne__ = operator_of(comparison.ne)

    def __hash__(self) -> int:  # which __eq__ has taken away
        return id(self)
