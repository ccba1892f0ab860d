"""One of several values: by a condition, by size, by bounds; the gradient follows the choice."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.ops.calling import extended
from gpunn.ops.common import Number, Pointwise, local, need_tensor, not_implemented, operands, pair
from gpunn.ops.filling import check_numbers
from gpunn.ops.pointwise import Masked, logical_not

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


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
    """min(max(x, low), high); the gradient goes to whichever of the three is the result, NaN's to
    none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Any, high: Any) -> Array:
        given = [v for v in (low, high) if v is not None]
        (a, *bounds), xp = operands(x, *given)
        if a.dtype.kind == "b" and not all(isinstance(v, Variable) for v in given):
            raise not_implemented("clamp_scalar", a)
        lowest = None if low is None else bounds[0]
        highest = None if high is None else bounds[-1]
        need_x, need_low, need_high = ctx.needs_input_grad
        inside = under = over = None
        if need_x:
            inside = True if lowest is None else a >= lowest
            if highest is not None:
                inside = (a <= highest) & inside
        if need_low or need_high:
            raised = a if lowest is None else xp.maximum(a, lowest)
            over = None if highest is None else raised > highest
            under = None if lowest is None else a < lowest
            if under is not None and over is not None:
                under &= ~over
        ctx.save_for_backward(inside, under, over)
        return type2backend[type(a)].clamp(a, lowest, highest)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        inside, under, over = ctx.saved_tensors
        need_x, need_low, need_high = ctx.needs_input_grad
        return (
            Masked.apply(dy, inside) if need_x else None,
            Masked.apply(dy, under) if need_low else None,
            Masked.apply(dy, over) if need_high else None,
        )


class Maximum(Pointwise):
    """The larger of two; a tie shares the gradient, and both get it where one is NaN."""

    compute = "maximum"

    @classmethod
    def forward(cls, ctx: Any, x: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(x, y)
        a, b, xp = pair(x, y)
        return getattr(xp, cls.compute)(a, b)

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        lost = (x < y, x > y) if cls.compute == "maximum" else (x > y, x < y)
        share = where(x == y, dy * 0.5, dy)
        return tuple(
            Masked.apply(share, logical_not(loser)) if need else None
            for loser, need in zip(lost, ctx.needs_input_grad, strict=True)
        )


class Minimum(Maximum):
    compute = "minimum"


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


clip = clamp
