"""Undoing max pooling: values put back where their maxima came from; one op for all ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING
from gpunn.functional.arguments import Ints
from gpunn.functional.windows import Sizes, refusal, window_of
from gpunn.ops.common import Op, dtype_of, need_tensor
from gpunn.ops.gathering import gather

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class MaxUnpool(Op, widens=False):
    """Zeros of spatial shape ``size`` with ``x`` at ``indices``, each in its own plane."""

    name = "MaxUnpool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, indices: Tensor, size: Ints) -> Array:
        ctx.save_for_backward(indices)
        ctx.ndim = len(size)
        xp, batch = type2backend[type(x.data)].xp, x.data.shape[: x.data.ndim - len(size)]
        planes = math.prod(batch)
        y = xp.zeros((planes, math.prod(size)), x.data.dtype)
        if x.data.size:
            rows = xp.arange(planes)[:, None]
            y[rows, indices.data.reshape(planes, -1)] = x.data.reshape(planes, -1)
        return y.reshape(*batch, *size)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        dx = gather(dy.flatten(-ctx.ndim), -1, indices.flatten(-ctx.ndim))
        return dx.reshape(indices.data.shape), None, None


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """``max_unpool2d`` in one dimension: ``(N, C, L) -> (N, C, Lo)``."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The values and indices of ``max_pool2d`` put back, with zeros elsewhere.

    ``(N, C, H, W) -> (N, C, Ho, Wo)``, ``Ho = (H - 1) stride - 2 padding + kernel``; also
    ``(C, H, W)``. Several sizes pool to one: ``output_size``, with or without N and C, says which
    is meant. int64 ``indices``, of the shape of ``input``, count within a plane of Ho * Wo.
    Raises ValueError for an ``output_size`` that is no size between, RuntimeError for indices that
    do not fit. As ``torch.nn.functional.max_unpool2d``.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """``max_unpool2d`` in three dimensions: ``(N, C, D, H, W) -> (N, C, Do, Ho, Wo)``."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    n: int,
    x: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{n}d"
    need_tensor(name, x)
    need_tensor(name, indices, "indices", 2)
    kernel, stride, padding, _ = window_of(n, name, kernel_size, stride, padding, 1)
    out = _output_size(x.data.shape, kernel, stride, padding, output_size)
    _check(n, x, indices, stride, out)
    if math.prod(out):
        sizes = "x".join(map(str, out))
        text = f"Found an invalid max index: {{value}} (output volumes are of size {sizes})"
        backend = type2backend[type(x.data)]
        backend.check_indices(name, indices.data, 0, math.prod(out), text, RuntimeError)
    return MaxUnpool.apply(x, indices, out)


def _output_size(
    shape: Ints, kernel: Ints, stride: Ints, padding: Ints, asked: Sequence[int] | None
) -> Ints:
    """The spatial shape that the window gives, or ``asked`` if it is less than a stride off."""
    n = len(kernel)
    if len(shape) < n:
        raise IndexError(f"tuple index out of range: {n} spatial dimensions of {list(shape)}")
    usual = tuple(
        (m - 1) * s + k - 2 * p
        for m, k, s, p in zip(shape[-n:], kernel, stride, padding, strict=True)
    )
    if asked is None:
        return usual
    sizes = tuple(asked)
    if len(sizes) == n + 2:
        sizes = sizes[2:]
    if len(sizes) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a "
            f"length of '{len(sizes)}'"
        )
    for d, (size, middle, s) in enumerate(zip(sizes, usual, stride, strict=True)):
        if not middle - s < size < middle + s:
            raise ValueError(
                f'invalid output_size "{sizes}" (dim {d} must be between {middle - s} and '
                f"{middle + s})"
            )
    return sizes


def _check(n: int, x: Tensor, indices: Tensor, stride: Ints, out: Ints) -> None:
    shape, wanted = x.data.shape, indices.data.shape
    if n == 1:  # in PyTorch's words, two dimensions
        n, shape, wanted = 2, (*shape, 1), (*wanted, 1)
    name = f"max_unpooling{n}d"
    for d, size in enumerate(out):
        if size < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
                f"output_size[{d}]={size}"
            )
    if indices.data.dtype.name != "int64":
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {dtype_of(indices).title}"
        )
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Input to {name} should be a {n + 1}d or {n + 2}d Tensor, but got a tensor with "
            f"{len(shape)} dimensions."
        )
    if n == 3 and min(stride) <= 0:
        raise RuntimeError(f"strides should be greater than zero, but got stride: {list(stride)}")
    if shape != wanted:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(shape)}) "
            f"but got indices tensor with shape: {list(wanted)}"
        )
    empty = next((d for d in range(1, len(shape)) if not shape[d]), None)
    if empty is not None:
        raise RuntimeError(
            f"{name}_forward_out_{type2backend[type(x.data)].name}(): Expected input to have "
            f"non-zero size for non-batch dimensions, but got {list(shape)} with dimension "
            f"{empty} being empty."
        )
    if x.data.dtype.kind not in FLOATING:
        raise refusal(f"max_unpool{n}d", x)
