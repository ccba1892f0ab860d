"""Comparison, logic and bits of two operands: no gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.dtype import FLOATING
from gpunn.ops.calling import into
from gpunn.ops.common import (
    Number,
    Pointwise,
    local,
    need_tensor,
    not_implemented,
    pair,
)
from gpunn.ops.pointwise import abs, isfinite, isnan

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _binary(
    name: str, doc: str, compute: Callable[[Any, Any, Any], Array], numbers: bool = True
) -> Callable[..., Any]:
    class Compare(Pointwise):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Array:
            a, b, xp = pair(x, y)
            return compute(xp, a, b)

    Compare.__name__ = Compare.__qualname__ = name.title()

    def function(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
        if not name.startswith("bitwise"):  # of which one may be a number
            need_tensor(name, input)
        if not numbers:
            need_tensor(name, other, "other", 2)
        y = Compare.apply(input, other)
        return y if out is None else into(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, elementwise, broadcasting."
    return function


def _bits(name: str) -> Callable[[Any, Any, Any], Array]:
    def compute(xp: Any, a: Any, b: Any) -> Array:
        array = b if isinstance(a, (int, float)) else a
        if array.dtype.kind in FLOATING or (array.dtype.kind == "b" and name.endswith("shift")):
            raise not_implemented(name, array)
        return getattr(xp, name)(a, b)

    return compute


eq = _binary("eq", "input == other", lambda xp, a, b: xp.equal(a, b))
ne = _binary("ne", "input != other", lambda xp, a, b: xp.not_equal(a, b))
lt = _binary("lt", "input < other", lambda xp, a, b: xp.less(a, b))
le = _binary("le", "input <= other", lambda xp, a, b: xp.less_equal(a, b))
gt = _binary("gt", "input > other", lambda xp, a, b: xp.greater(a, b))
ge = _binary("ge", "input >= other", lambda xp, a, b: xp.greater_equal(a, b))
logical_and = _binary("logical_and", "Both not 0", lambda xp, a, b: xp.logical_and(a, b), False)
logical_or = _binary("logical_or", "Either not 0", lambda xp, a, b: xp.logical_or(a, b), False)
logical_xor = _binary("logical_xor", "One not 0", lambda xp, a, b: xp.logical_xor(a, b), False)
bitwise_and = _binary("bitwise_and", "input & other", _bits("bitwise_and"))
bitwise_or = _binary("bitwise_or", "input | other", _bits("bitwise_or"))
bitwise_xor = _binary("bitwise_xor", "input ^ other", _bits("bitwise_xor"))
bitwise_left_shift = _binary("bitwise_left_shift", "input << other", _bits("left_shift"))
bitwise_right_shift = _binary("bitwise_right_shift", "input >> other", _bits("right_shift"))


@local
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """|input - other| <= atol + rtol * |other|, elementwise; both of one dtype."""
    need_tensor("isclose", other, "other", 2)
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype.title} did not match {other.dtype.title}")
    if input.data.dtype.kind == "b":
        return input == other
    close = (input == other) | (isfinite(other) & (abs(input - other) <= atol + rtol * abs(other)))
    return close | (isnan(input) & isnan(other)) if equal_nan else close


@local
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether ``isclose`` holds for all elements."""
    need_tensor("allclose", other, "other", 2)
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


@local
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    need_tensor("equal", input)
    need_tensor("equal", other, "other", 2)
    return input.data.shape == other.data.shape and bool((input == other).data.all())


# PyTorch's other names.
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
