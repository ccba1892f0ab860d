"""Inputs scaled by their own size: RMS and local response norm, p-norms of windows; bilinear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.dtype import accumulator, as_dtype, finfo, in_use
from gpunn.functional.arguments import ntuple
from gpunn.functional.pad import pad
from gpunn.functional.pooling import avg_pool1d, avg_pool2d, avg_pool3d
from gpunn.ops.common import need_tensor
from gpunn.ops.joining import narrow
from gpunn.ops.matmul import matmul
from gpunn.ops.pointwise import abs, relu, rsqrt, sign
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the last dimensions, ``normalized_shape``.

    ``eps``: the dtype's unless given, float32's for 16-bit floats. The result is of the dtype of
    ``input``. B. Zhang and R. Sennrich, 2019. Raises RuntimeError for shapes that do not fit.
    """
    need_tensor("rms_norm", input)
    if in_use:
        input, weight = cast_for("rms_norm", input, weight)
    shape, given = tuple(normalized_shape), tuple(input.data.shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(shape)}"
        )
    if weight is not None and tuple(weight.data.shape) != shape:
        raise RuntimeError(
            "Expected weight to be of same shape as normalized_shape, but got weight of shape "
            f"{list(weight.data.shape)} and normalized_shape = {list(shape)}"
        )
    if given[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*{', '.join(map(str, shape))}], but got input of size{list(given)}"
        )
    dims = tuple(range(-len(shape), 0))
    x = input.to(as_dtype(accumulator(input.data.dtype)))  # 16-bit floats are rounded once, at last
    small = finfo(x.dtype).eps if eps is None else eps
    y = x * rsqrt((x * x).mean(dims, keepdim=True) + small)
    return (y if weight is None else y * weight).to(input.dtype)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean of x² over ``size`` neighbouring channels)^beta.

    A. Krizhevsky et al., 2012. ValueError for less than three dimensions.
    """
    need_tensor("local_response_norm", input)
    if input.data.ndim < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input "
            f"(got {input.data.ndim} dimensions)"
        )
    if not input.data.size:
        return input
    channels = input.data.shape[1]
    around = (0, 0) * (input.data.ndim - 2)
    squares = pad(input * input, (*around, size // 2, (size - 1) // 2))
    total: Any = sum(narrow(squares, 1, i, channels) for i in range(size))
    return input / (total * (alpha / size) + k) ** beta


def _lp_pool(n: int, x: Tensor, p: float, kernel: Any, stride: Any, ceil_mode: bool) -> Tensor:
    pools: Any = avg_pool1d, avg_pool2d, avg_pool3d
    mean = pools[n - 1](x**p, kernel, stride, 0, ceil_mode)
    count = math.prod(ntuple(kernel, n))
    return (sign(mean) * relu(abs(mean)) * count) ** (1.0 / p)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over windows: (N, C, L) -> (N, C, Lo). A power of 0 has no such root."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """``lp_pool1d`` in two dimensions."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """``lp_pool1d`` in three dimensions."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1ᵀ A_o x2 + b_o: (..., I1), (..., I2) and A (O, I1, I2) -> (..., O)."""
    if bias is not None:
        need_tensor("bilinear", bias, "bias", 4)
    lead, other = input1.data.shape[:-1], input2.data.shape[:-1]
    if len(lead) != len(other):
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {len(lead) + 1} and {len(other) + 1}"
        )
    for d, (n, m) in enumerate(zip(lead, other, strict=True)):
        if n != m:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {d}: got {n} and {m}"
            )
    for i, x in ((1, input1), (2, input2)):
        if x.data.shape[-1] != weight.data.shape[i]:
            raise RuntimeError(
                f"bilinear(): input{i} size does not match weight size: got {x.data.shape[-1]} but "
                f"expected {weight.data.shape[i]}"
            )
    outputs, in1, in2 = weight.data.shape
    rows = input1.reshape(math.prod(lead), in1)
    sides = matmul(rows, weight.permute(1, 0, 2).reshape(in1, outputs * in2))
    y = matmul(
        sides.reshape(math.prod(lead), outputs, in2), input2.reshape(math.prod(lead), in2, 1)
    )
    y = y.reshape(*lead, outputs)
    return y if bias is None else y + bias
