"""Views by strides: ``as_strided``, and ``unfold``, windows that slide along a dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, wrap
from gpunn.ops.common import Op, canonical_dim, constant, xp_of
from gpunn.ops.indexing import IndexAdd
from gpunn.ops.shape import Reshape, ViewOp

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


class AsStrided(ViewOp):
    """Elements of a contiguous ``x`` that lie ``stride`` apart, from ``start`` on."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, size: tuple[int, ...], stride: tuple[int, ...], start: int
    ) -> Array:
        ctx.shape, ctx.layout = x.data.shape, (size, stride, start)
        return _laid_out(x.data.reshape(-1)[start:], size, stride, xp_of(x))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        size, stride, start = ctx.layout
        places: Any = numpy.asarray(start)
        outer: Any = numpy.add.outer
        for n, s in zip(size, stride, strict=True):
            places = outer(places, numpy.arange(n) * s)
        dx = IndexAdd.apply(dy, (math.prod(ctx.shape),), (constant(dy, places),))
        return Reshape.apply(dx, ctx.shape), None, None, None


def _laid_out(memory: Array, size: tuple[int, ...], stride: tuple[int, ...], xp: Any) -> Array:
    steps = [s * memory.dtype.itemsize for s in stride]
    return xp.lib.stride_tricks.as_strided(memory, size, tuple(steps))


def laid_out(memory: Tensor, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The elements of a vector ``memory`` that lie ``stride`` apart, a view outside of autograd."""
    return wrap(_laid_out(memory.data, tuple(size), tuple(stride), xp_of(memory)))


def as_strided(
    input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """The elements that ``size`` and ``stride`` (in elements) pick from a contiguous ``input``.

    A view; its elements may overlap, and their gradients add up.
    """
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(size)} and "
            f"strides={list(stride)}"
        )
    if not input.data.flags.c_contiguous:
        raise RuntimeError("as_strided() needs a contiguous tensor; call contiguous() first")
    start = storage_offset or 0
    last = start + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and last >= input.data.size:
        item = input.data.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and "
            f"itemsize {item} requiring a storage size of {(last + 1) * item} are out of bounds "
            f"for storage of size {input.data.size * item}"
        )
    return AsStrided.apply(input, tuple(size), tuple(stride), start)
