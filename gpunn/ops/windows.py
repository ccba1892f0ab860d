"""Views by strides: ``unfold``, windows that slide along a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, wrap
from gpunn.ops.common import Op, canonical_dim, xp_of
from gpunn.ops.shape import ViewOp

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Unfold(ViewOp):
    """``y[..., i, ..., k] = x[..., i step + k, ...]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, size: int, step: int) -> Array:
        data = x.data
        ctx.n, ctx.window = data.shape[dim], (dim, size, step)
        count = (data.shape[dim] - size) // step + 1
        shape = (*data.shape[:dim], count, *data.shape[dim + 1 :], size)
        strides = list(data.strides)
        strides[dim] *= step
        return xp_of(x).lib.stride_tricks.as_strided(data, shape, (*strides, data.strides[dim]))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return UnfoldInput.apply(dy, ctx.n, *ctx.window), None, None, None


class UnfoldInput(Op):
    """dx of ``Unfold`` for a dimension of ``n`` elements; its own adjoint is ``Unfold``."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, n: int, dim: int, size: int, step: int) -> Array:
        ctx.window = dim, size, step
        dy_, count = dy.data, dy.data.shape[dim]
        dx = xp_of(dy).zeros((*dy_.shape[:dim], n, *dy_.shape[dim + 1 : -1]), dy_.dtype)
        for k in range(size):
            place = (slice(None),) * dim + (slice(k, k + (count - 1) * step + 1, step),)
            dx[place] += dy_[..., k]
        return dx

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        return Unfold.apply(ddx, *ctx.window), None, None, None, None


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of ``size`` elements of ``dimension``, ``step`` apart, in a new last dimension.

    A view; windows may overlap. ``(..., n, ...) -> (..., (n - size) // step + 1, ..., size)``.
    """
    dim = canonical_dim(dimension, input.data.ndim)
    n = input.data.shape[dim] if input.data.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input.data.ndim:
        return input.reshape(1)[:size]
    return Unfold.apply(input, dim, size, step)


def laid_out(memory: Tensor, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The elements of a vector ``memory`` that lie ``stride`` apart, a view outside of autograd."""
    data = memory.data
    steps = [s * data.dtype.itemsize for s in stride]
    return wrap(xp_of(memory).lib.stride_tricks.as_strided(data, tuple(size), tuple(steps)))
