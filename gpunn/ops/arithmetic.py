"""Operations of two or three operands, with broadcasting and promotion."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    Number,
    Pointwise,
    float_array,
    is_tensor,
    local,
    need_tensor,
    not_implemented,
    operands,
    pair,
)
from gpunn.ops.comparison import ge
from gpunn.ops.filling import check_numbers
from gpunn.ops.pointwise import Masked, log, logical_not
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Add(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        a, b, _ = pair(x, y)
        return a + b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        return dy, dy


class Sub(Pointwise):
    _arithmetic = True

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        a, b, _ = pair(x, y)
        if _is_bool(x) or _is_bool(y):
            raise RuntimeError(_NO_DIFFERENCE if _is_bool(x) and _is_bool(y) else _NO_BOOL)
        return a - b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, -dy if ctx.needs_input_grad[1] else None


_NO_DIFFERENCE = (
    "Subtraction, the `-` operator, with two bool tensors is not supported. "
    "Use the `^` or `logical_xor()` operator instead."
)
_NO_BOOL = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
    "trying to invert a mask, use the `~` or `logical_not()` operator instead."
)


def _is_bool(x: Any) -> bool:
    return x._data.dtype.kind == "b" if isinstance(x, Variable) else isinstance(x, bool)


class Mul(Pointwise):
    _arithmetic = True

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        need_x, need_y = ctx.needs_input_grad
        ctx.save_for_backward(x if need_y else None, y if need_x else None)
        a, b, _ = pair(x, y)
        return a * b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        need_x, need_y = ctx.needs_input_grad
        return dy * y if need_x else None, dy * x if need_y else None


class Div(Pointwise):
    _arithmetic = True

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        need_x, need_y = ctx.needs_input_grad
        ctx.save_for_backward(x if need_y else None, y if need_x or need_y else None)
        a, b, _ = pair(x, y, to_float=True)
        return a / b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        need_x, need_y = ctx.needs_input_grad
        return dy / y if need_x else None, -dy * (x / y) / y if need_y else None


class Pow(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        a, b, xp = pair(x, y)
        kind: str = (b if isinstance(a, (int, float)) else a).dtype.kind
        if kind == "b" and isinstance(y, Variable):
            raise NotImplementedError("\"pow\" not implemented for 'Bool'")
        if kind in "iu" and not isinstance(y, Variable):
            check_numbers(x, y)
        if kind in "iu" and _any_negative(y.data if isinstance(y, Variable) else y):
            if not isinstance(y, Variable):
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            return _integer_power(xp, a, b)
        result: Any = xp.logical_or(a, not b) if kind == "b" else a**b
        need_x, need_y = ctx.needs_input_grad
        if need_x or need_y:
            ctx.save_for_backward(x, y, result if need_y else None)
        return result

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y, result = ctx.saved_tensors
        dx = dlog = None
        if ctx.needs_input_grad[0]:
            if not is_tensor(y):
                dx = dy * 0 if y == 0 else dy * (y * x ** (y - 1))
            else:
                dx = dy * where(y == 0, 0.0, y * x ** (y - 1))
        if ctx.needs_input_grad[1]:
            if is_tensor(x):
                # x**y is 0 for x == 0 and y >= 0, whatever y: the derivative there is 0.
                dlog = dy * where((x == 0) & (y >= 0), 0.0, result * log(x))
            elif x == 0:
                dlog = dy * where(ge(y, 0), 0.0, result * -math.inf)
            else:
                dlog = dy * result * (math.log(x) if x > 0 else math.nan)
        return dx, dlog


def _any_negative(b: Any) -> bool:
    """Whether some exponent may be negative: on a device, to ask would be to wait for it."""
    if type(b) is numpy.ndarray:
        return bool((b < 0).any())
    return hasattr(b, "any") or b < 0


def _integer_power(xp: Any, a: Array, b: Array) -> Array:
    """Integers to tensor powers, as PyTorch: a negative power of anything but ±1 is 0."""
    positive = a ** xp.where(b < 0, 0, b)
    ones = xp.where(b % 2 == 0, 1, a)
    return xp.where(b < 0, xp.where(xp.abs(a) == 1, ones, 0), positive).astype(a.dtype)


class Maximum(Pointwise):
    """The larger of two; a tie shares the gradient."""

    compute = "maximum"

    @classmethod
    def forward(cls, ctx: Any, x: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(x, y)
        a, b, xp = pair(x, y)
        return getattr(xp, cls.compute)(a, b)

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, y = ctx.saved_tensors
        chosen = (x > y) if cls.compute == "maximum" else (x < y)
        share = where(x == y, 0.5, chosen.to(dy.dtype)).detach()
        return dy * share, dy * (1 - share)


class Minimum(Maximum):
    compute = "minimum"


class Atan2(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(x, y)
        a, b, xp = pair(x, y, to_float=True)
        return xp.arctan2(a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        need_x, need_y = ctx.needs_input_grad
        scaled = dy / (x * x + y * y)
        return scaled * y if need_x else None, -scaled * x if need_y else None


class Where(Pointwise):
    @staticmethod
    def forward(ctx: Any, condition: Tensor, x: Any, y: Any) -> Array:
        ctx.save_for_backward(condition)
        if isinstance(x, Variable) or isinstance(y, Variable):
            a, b, _ = pair(x, y)
        else:
            from_numbers = operands(condition, x, y)[0]
            a, b = from_numbers[1], from_numbers[2]
        return type2backend[type(condition.data)].where(condition.data, a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (condition,) = ctx.saved_tensors
        _, need_x, need_y = ctx.needs_input_grad
        return (
            None,
            Masked.apply(dy, condition) if need_x else None,
            Masked.apply(dy, logical_not(condition)) if need_y else None,
        )


class Clamp(Pointwise):
    """min(max(x, low), high); the gradient goes to whichever of the three is the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Any, high: Any) -> Array:
        given = [v for v in (low, high) if v is not None]
        (a, *bounds), xp = operands(x, *given)
        if a.dtype.kind == "b" and not all(isinstance(v, Variable) for v in given):
            raise not_implemented("clamp_scalar", a)
        lowest = None if low is None else bounds[0]
        highest = None if high is None else bounds[-1]
        if any(ctx.needs_input_grad):
            under = None if lowest is None else a < lowest
            raised = a if lowest is None else xp.maximum(a, lowest)
            over = None if highest is None else raised > highest
            if under is not None and over is not None:
                under &= ~over
            ctx.save_for_backward(under, over)
        return type2backend[type(a)].clamp(a, lowest, highest)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        under, over = ctx.saved_tensors
        dx: Tensor | None = None
        need_x, need_low, need_high = ctx.needs_input_grad
        if need_x:
            dx = dy
            for outside in (under, over):
                dx = dx if outside is None else Masked.apply(dx, logical_not(outside))
        return (
            dx,
            Masked.apply(dy, under) if need_low else None,
            Masked.apply(dy, over) if need_high else None,
        )


class Rounded(Pointwise):
    """Division that rounds: floor_divide and trunc; no gradient flows."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, mode: str) -> Array:
        a, b, xp = pair(x, y)
        kind = _divisible(f"div_{mode}", a, b)
        if mode == "floor":
            return xp.floor_divide(a, b)
        if kind in FLOATING:
            return xp.trunc(a / b)
        return (xp.sign(a) * xp.sign(b) * (xp.abs(a) // xp.abs(b))).astype(a.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy * 0, dy * 0, None


def _divisible(name: str, a: Any, b: Any) -> str:
    """The kind of the operands' dtype. Raises for bools, and for integers divided by zero."""
    array = b if isinstance(a, (int, float)) else a
    kind: str = array.dtype.kind
    if kind == "b":
        raise not_implemented(name, array)
    if kind not in FLOATING:
        if not isinstance(b, int):
            type2backend[type(b)].check_all(name, b != 0, "ZeroDivisionError", RuntimeError)
        elif b == 0 and array.size:
            raise RuntimeError("ZeroDivisionError")
    return kind


class Remainder(Pointwise):
    """x - y * round(x / y), with the sign of y (floor) or of x (trunc, fmod)."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, mode: str) -> Array:
        a, b, xp = pair(x, y)
        _divisible("remainder" if mode == "floor" else "fmod", a, b)
        ctx.mode = mode
        ctx.save_for_backward(x, y)
        return xp.remainder(a, b) if mode == "floor" else xp.fmod(a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        need_y = ctx.needs_input_grad[1]
        return dy, -dy * div(x, y, rounding_mode=ctx.mode) if need_y else None, None


@extended
def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input + alpha * other``, broadcasting."""
    return Add.apply(input, other if alpha == 1 else _scaled(input, other, alpha))


def _scaled(input: Any, other: Tensor | Number, alpha: Number) -> Any:
    if isinstance(alpha, float) and not any(
        isinstance(v, float) or (isinstance(v, Variable) and v._data.dtype.kind in FLOATING)
        for v in (input, other)
    ):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    check_numbers(other, alpha)
    return mul(other, alpha)


@extended
def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input - alpha * other``, broadcasting. Bool tensors raise RuntimeError."""
    return Sub.apply(input, other if alpha == 1 else _scaled(input, other, alpha))


@extended
def mul(input: Tensor | Number, other: Tensor | Number) -> Any:
    """``input * other``, broadcasting."""
    if not isinstance(input, Variable) and not isinstance(other, Variable):
        return input * other
    return Mul.apply(input, other)


@extended
def div(
    input: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None
) -> Tensor:
    """``input / other``, broadcasting; integers divide to the default float.

    ``rounding_mode``: None, "floor" or "trunc".
    """
    if rounding_mode is None:
        return Div.apply(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' "
            f"but found '{rounding_mode}'"
        )
    return Rounded.apply(input, other, rounding_mode)


class FloorDivide(Rounded):
    """PyTorch has no derivative for this name, though it has for ``div``'s rounding modes."""

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("derivative for aten::floor_divide is not implemented")


@extended
def floor_divide(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``floor(input / other)``, broadcasting, in the promoted dtype; it has no gradient."""
    return FloorDivide.apply(input, other, "floor")


@extended
def remainder(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``input - other * floor(input / other)``: the sign is the divisor's, as in Python."""
    return Remainder.apply(input, other, "floor")


@extended
def fmod(input: Tensor, other: Tensor | Number) -> Tensor:
    """``input - other * trunc(input / other)``: the sign is the dividend's, as in C."""
    need_tensor("fmod", input)
    return Remainder.apply(input, other, "trunc")


@extended
def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``input ** exponent``, broadcasting."""
    if in_use:
        input, exponent = cast_for("pow", input, exponent)
    return Pow.apply(input, exponent)


@extended
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (``other``, ``input``), in (-π, π], elementwise, broadcasting."""
    if in_use:
        input, other = cast_for("atan2", input, other)
    need_tensor("atan2", input)
    need_tensor("atan2", other, "other", 2)
    return Atan2.apply(input, other)


@extended
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two, elementwise; NaN wins, and a tie shares the gradient equally."""
    need_tensor("maximum", input)
    need_tensor("maximum", other, "other", 2)
    return Maximum.apply(input, other)


@extended
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two, elementwise; NaN wins, and a tie shares the gradient equally."""
    need_tensor("minimum", input)
    need_tensor("minimum", other, "other", 2)
    return Minimum.apply(input, other)


@extended
@local
def where(
    condition: Tensor, input: Tensor | Number | None = None, other: Tensor | Number | None = None
) -> Any:
    """``input`` where ``condition`` (bool), else ``other``; all three broadcast.

    ``where(condition)`` alone: the indices of what is not 0, one tensor per dimension.
    """
    if input is None and other is None:
        data = condition.data if condition.data.ndim else condition.data.reshape(1)
        return tuple(wrap(i) for i in data.nonzero())
    if condition.data.dtype == numpy.uint8:  # what masks were before there were bool tensors
        warnings.warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be "
            "removed in a future version of PyTorch. Use a boolean condition instead.",
            UserWarning,
            stacklevel=4,
        )
        condition = wrap(condition.data != 0)
    elif condition.data.dtype.kind != "b":
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.title}"
        )
    check_numbers(input, other)
    return Where.apply(condition, input, other)


@extended
def clamp(
    input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None
) -> Tensor:
    """``min(max(input, min), max)``; the gradient is 1 inside and at the bounds."""
    need_tensor("clamp", input)
    if min is None and max is None:
        raise RuntimeError("gpunn.clamp: At least one of 'min' or 'max' must not be None")
    check_numbers(input, min, max)
    return Clamp.apply(input, min, max)


@extended
def clamp_min(input: Tensor, min: Tensor | Number) -> Tensor:
    """``max(input, min)``: ``clamp`` with this bound alone."""
    check_numbers(input, min)
    return Clamp.apply(input, min, None)


@extended
def clamp_max(input: Tensor, max: Tensor | Number) -> Tensor:
    """``min(input, max)``: ``clamp`` with this bound alone."""
    check_numbers(input, max)
    return Clamp.apply(input, None, max)


@extended
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), elementwise; with ``eps``, of ``input`` clamped to [eps, 1 - eps]."""
    need_tensor("logit", input)
    if input._data.dtype.kind not in FLOATING:
        input = wrap(float_array(input))
    x = input if eps is None else clamp(input, eps, 1 - eps)
    return log(div(x, 1 - x))


def rsub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``other - alpha * input``, broadcasting."""
    need_tensor("rsub", input)
    return Sub.apply(other, input if alpha == 1 else _scaled(other, input, alpha))


subtract, multiply, divide, true_divide, clip, arctan2 = sub, mul, div, div, clamp, atan2
