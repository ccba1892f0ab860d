"""Softmax and its logarithm along a dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, as_dtype, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, canonical_dim, need_tensor, not_implemented
from gpunn.ops.conversion import to
from gpunn.ops.pointwise import exp
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.dtype import dtype
    from gpunn.tensor import Tensor


class Softmax(Op, widens=False):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Array:
        ctx.dim = dim
        y = type2backend[type(x.data)].softmax(x.data, dim)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return SoftmaxInput.apply(dy, ctx.saved_tensors[0], ctx.dim), None


class SoftmaxInput(Op, widens=False):
    """dx = y (dy - Σ dy y)."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, y: Tensor, dim: int) -> Array:
        ctx.dim = dim
        ctx.save_for_backward(dy, y)
        return type2backend[type(y.data)].softmax_input(dy.data, y.data, dim)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        dy, y = ctx.saved_tensors
        dim = ctx.dim
        gradient = ddx * (dy - (dy * y).sum(dim, True)) - dy * (ddx * y).sum(dim, True)
        return SoftmaxInput.apply(ddx, y, dim), gradient, None


class LogSoftmax(Op, widens=False):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Array:
        ctx.dim = dim
        y = type2backend[type(x.data)].log_softmax(x.data, dim)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return LogSoftmaxInput.apply(dy, ctx.saved_tensors[0], ctx.dim), None


class LogSoftmaxInput(Op, widens=False):
    """dx = dy - exp(y) Σ dy."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, y: Tensor, dim: int) -> Array:
        ctx.dim = dim
        ctx.save_for_backward(dy, y)
        return type2backend[type(y.data)].log_softmax_input(dy.data, y.data, dim)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        dy, y = ctx.saved_tensors
        weighted = ddx * exp(y)
        ddy = ddx - weighted.sum(ctx.dim, True)
        return ddy, -weighted * dy.sum(ctx.dim, True), None


@extended
def softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """exp(x) / Σ exp(x) along ``dim``, shifted so that nothing overflows; first cast to ``dtype``.

    Raises NotImplementedError for integers, IndexError for a ``dim`` that is not there.
    """
    return _along(Softmax, "softmax", input, dim, dtype)


@extended
def log_softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """x - log Σ exp(x) along ``dim``; arguments and errors as ``softmax``."""
    return _along(LogSoftmax, "log_softmax", input, dim, dtype)


def _along(op: type[Op], name: str, x: Tensor, dim: int, dtype: dtype | None) -> Tensor:
    need_tensor(name, x)
    ndim = x.data.ndim
    if dtype is not None:
        x = to(x, as_dtype(dtype))
    elif in_use:
        (x,) = cast_for(name, x)
    if x.data.dtype.kind not in FLOATING:
        raise not_implemented(name, x.data)
    dim = canonical_dim(dim, ndim)
    return op.apply(x, dim) if ndim else op.apply(x.reshape(1), 0).reshape(())
