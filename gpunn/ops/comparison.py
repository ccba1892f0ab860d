"""Comparison, logic and bits of two operands: no gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.dtype import FLOATING
from gpunn.ops.common import (
    Number,
    Pointwise,
    not_implemented,
    operands,
)
from gpunn.ops.pointwise import abs, isfinite, isnan

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _binary(name: str, doc: str, compute: Callable[[Any, Any, Any], Array]) -> Callable[..., Any]:
    class Compare(Pointwise):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Array:
            (a, b), xp = operands(x, y)
            return compute(xp, a, b)

    Compare.__name__ = Compare.__qualname__ = name.title()

    def function(input: Tensor, other: Tensor | Number) -> Tensor:
        return Compare.apply(input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, elementwise, broadcasting."
    return function


def _bits(name: str) -> Callable[[Any, Any, Any], Array]:
    def compute(xp: Any, a: Any, b: Any) -> Array:
        array = b if isinstance(a, (int, float)) else a
        if array.dtype.kind in FLOATING:
            raise not_implemented(name, array)
        return getattr(xp, name)(a, b)

    return compute


eq = _binary("eq", "input == other", lambda xp, a, b: xp.equal(a, b))
ne = _binary("ne", "input != other", lambda xp, a, b: xp.not_equal(a, b))
lt = _binary("lt", "input < other", lambda xp, a, b: xp.less(a, b))
le = _binary("le", "input <= other", lambda xp, a, b: xp.less_equal(a, b))
gt = _binary("gt", "input > other", lambda xp, a, b: xp.greater(a, b))
ge = _binary("ge", "input >= other", lambda xp, a, b: xp.greater_equal(a, b))
logical_and = _binary("logical_and", "Both not 0", lambda xp, a, b: xp.logical_and(a, b))
logical_or = _binary("logical_or", "Either not 0", lambda xp, a, b: xp.logical_or(a, b))
logical_xor = _binary("logical_xor", "One alone not 0", lambda xp, a, b: xp.logical_xor(a, b))
bitwise_and = _binary("bitwise_and", "input & other", _bits("bitwise_and"))
bitwise_or = _binary("bitwise_or", "input | other", _bits("bitwise_or"))
bitwise_xor = _binary("bitwise_xor", "input ^ other", _bits("bitwise_xor"))
bitwise_left_shift = _binary("bitwise_left_shift", "input << other", _bits("left_shift"))
bitwise_right_shift = _binary("bitwise_right_shift", "input >> other", _bits("right_shift"))


def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """|input - other| <= atol + rtol * |other|, elementwise."""
    close = (input == other) | (isfinite(other) & (abs(input - other) <= atol + rtol * abs(other)))
    return close | (isnan(input) & isnan(other)) if equal_nan else close


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether ``isclose`` holds for all elements."""
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    return input.data.shape == other.data.shape and bool((input == other).data.all())
