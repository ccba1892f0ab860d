"""Pooling over windows: extrema and means, differentiable to any order; one op for all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.backends.reference.pooling import Window
from gpunn.dtype import FLOATING
from gpunn.functional.arguments import Ints
from gpunn.functional.windows import (
    OutputSize,
    Sizes,
    adaptive_size,
    refusal,
    window_count,
    window_of,
)
from gpunn.ops.common import Op
from gpunn.ops.gathering import gather

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class MaxPool(Op, widens=False):
    """Values and, if wanted, indices; ``window`` is (out, kernel, stride, padding, dilation)."""

    name = "MaxPool2DWithIndicesBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, want_indices: bool, *window: Ints) -> Any:
        keep = ctx.needs_input_grad[0] or want_indices
        y, indices = type2backend[type(x.data)].max_pool(x.data, *window, indices=keep)
        if not keep:
            return y
        ctx.size, ctx.window = x.data.shape[-len(window[0]) :], window[1:]
        ctx.save_for_backward(indices)
        if not want_indices:
            return y
        found = indices.astype(numpy.int64, copy=False)
        ctx.mark_non_differentiable(found)
        return y, found

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        dx = MaxPoolInput.apply(dy, *ctx.saved_tensors, ctx.size, ctx.window)
        return dx, None, None, None, None, None, None


class AdaptiveMaxPool(Op, widens=False):
    """Values and indices."""

    name = "AdaptiveMaxPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints) -> tuple[Array, Array]:
        y, indices = type2backend[type(x.data)].adaptive_max_pool(x.data, out)
        ctx.size = x.data.shape[-len(out) :]
        ctx.save_for_backward(indices)
        found = indices.astype(numpy.int64, copy=False)
        ctx.mark_non_differentiable(found)
        return y, found

    @staticmethod
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return MaxPoolInput.apply(dy, *ctx.saved_tensors, ctx.size, None), None


class MaxPoolInput(Op, widens=False):
    """dx of dy, each added where its maximum came from; linear: its adjoint looks them up."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, indices: Tensor, size: Ints, window: Window | None) -> Array:
        ctx.save_for_backward(indices)
        ctx.ndim = len(size)
        return type2backend[type(dy.data)].max_pool_input(dy.data, indices.data, size, window)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        found = gather(ddx.flatten(-ctx.ndim), -1, indices.flatten(-ctx.ndim))
        return found.reshape(indices.data.shape), None, None, None


class AvgPool(Op, widens=False):
    """``window`` is (kernel, stride, padding, count_include_pad, divisor_override)."""

    name = "AvgPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints, *window: Any) -> Array:
        ctx.size, ctx.window = x.data.shape[-len(out) :], window
        return type2backend[type(x.data)].avg_pool(x.data, out, *window)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dx = AvgPoolInput.apply(dy, ctx.size, *ctx.window)
        return dx, None, None, None, None, None, None


class AvgPoolInput(Op, widens=False):
    """dx of dy, for an input of spatial shape ``size``."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, size: Ints, *window: Any) -> Array:
        ctx.out, ctx.window = dy.data.shape[-len(size) :], window
        return type2backend[type(dy.data)].avg_pool_input(dy.data, size, *window)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        ddy = AvgPool.apply(ddx, ctx.out, *ctx.window)
        return ddy, None, None, None, None, None, None


class AdaptiveAvgPool(Op, widens=False):
    name = "AdaptiveAvgPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Ints) -> Array:
        ctx.size = x.data.shape[-len(out) :]
        return type2backend[type(x.data)].adaptive_avg_pool(x.data, out)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return AdaptiveAvgPoolInput.apply(dy, ctx.size), None


class AdaptiveAvgPoolInput(Op, widens=False):
    """dx of dy, for an input of spatial shape ``size``."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, size: Ints) -> Array:
        ctx.out = dy.data.shape[-len(size) :]
        return type2backend[type(dy.data)].adaptive_avg_pool_input(dy.data, size)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        return AdaptiveAvgPool.apply(ddx, ctx.out), None


# Maxima -------------------------------------------------------------------------------------


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` in one dimension: ``(N, C, L) -> (N, C, Lo)``."""
    return _max_pool(
        1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window: ``(N, C, H, W) -> (N, C, Ho, Wo)``; also ``(C, H, W)``.

    ``Ho = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1``; ``ceil_mode`` rounds up, but
    no window begins beyond the input and its left padding. ``stride=None`` means ``kernel_size``.
    Padding is lower than every element; NaN is larger. ``return_indices``: also the int64 index of
    each maximum in its plane of H * W elements, the first of equal ones. Raises RuntimeError for
    sizes that do not fit. As ``torch.nn.functional.max_pool2d``.
    """
    return _max_pool(
        2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` in three dimensions: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""
    return _max_pool(
        3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )  # fmt: skip


def _max_pool(
    n: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{n}d" + "_with_indices" * (n == 1 and return_indices)
    window = window_of(n, name, kernel_size, stride, padding, dilation)
    out = window_count(n, name, x, *window, ceil_mode)
    if x.data.dtype.kind == "b":
        raise refusal(name, x)
    return MaxPool.apply(x, return_indices, out, *window)


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """``adaptive_max_pool2d`` in one dimension: ``(N, C, L) -> (N, C, output_size)``."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Any:
    """The largest elements (and indices) of the windows of ``adaptive_avg_pool2d``."""
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Any:
    """``adaptive_max_pool2d`` in three dimensions: ``(N, C, D, H, W)``."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


def _adaptive_max_pool(n: int, x: Tensor, output_size: OutputSize, return_indices: bool) -> Any:
    out = adaptive_size(n, f"adaptive_max_pool{n}d", x, output_size)
    y, indices = AdaptiveMaxPool.apply(x, out)
    return (y, indices) if return_indices else y


# Means --------------------------------------------------------------------------------------


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """``avg_pool2d`` in one dimension: ``(N, C, L) -> (N, C, Lo)``."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: ``(N, C, H, W) -> (N, C, Ho, Wo)``; also ``(C, H, W)``.

    Sizes as in ``max_pool2d``. The sum is divided by the number of elements, where padding counts
    with ``count_include_pad``, but never what ``ceil_mode`` adds beyond it; or by
    ``divisor_override``. int64 is divided as in C. Raises RuntimeError for sizes that do not fit.
    As ``torch.nn.functional.avg_pool2d``.
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """``avg_pool2d`` in three dimensions: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _avg_pool(
    n: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{n}d"
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    kernel, stride, padding, ones = window_of(n, name, kernel_size, stride, padding, 1)
    out = window_count(n, name, x, kernel, stride, padding, ones, ceil_mode)
    if x.data.dtype.kind not in FLOATING and x.data.dtype.name != "int64":
        raise refusal(name, x)
    return AvgPool.apply(x, out, kernel, stride, padding, count_include_pad, divisor_override)


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """``adaptive_avg_pool2d`` in one dimension: ``(N, C, L) -> (N, C, output_size)``."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of windows that part H x W as evenly as whole elements allow.

    ``(N, C, H, W) -> (N, C, *output_size)``; window i of m over H reaches from ⌊i H / m⌋ to before
    ⌈(i + 1) H / m⌉. None in ``output_size`` keeps a dimension; also ``(C, H, W)``. Raises
    NotImplementedError for integers. As ``torch.nn.functional.adaptive_avg_pool2d``.
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: OutputSize) -> Tensor:
    """``adaptive_avg_pool2d`` in three dimensions: ``(N, C, D, H, W)``."""
    return _adaptive_avg_pool(3, input, output_size)


def _adaptive_avg_pool(n: int, x: Tensor, output_size: OutputSize) -> Tensor:
    return AdaptiveAvgPool.apply(x, adaptive_size(n, f"adaptive_avg_pool{n}d", x, output_size))
