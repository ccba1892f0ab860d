"""The four operations, powers, remainders and angles of two operands, broadcast and promoted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import (
    Number,
    Pointwise,
    is_tensor,
    need_tensor,
    not_implemented,
    pair,
)
from gpunn.ops.comparison import ge
from gpunn.ops.filling import check_numbers
from gpunn.ops.pointwise import log
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
        if type(y) is float and y == -0.5 and kind in FLOATING:
            result: Any = 1 / xp.sqrt(a)  # as the root itself: no number for x < 0
        else:
            result = xp.logical_or(a, not b) if kind == "b" else a**b
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


def rsub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``other - alpha * input``, broadcasting."""
    need_tensor("rsub", input)
    return Sub.apply(other, input if alpha == 1 else _scaled(other, input, alpha))


subtract, multiply, divide, true_divide, arctan2 = sub, mul, div, div, atan2
