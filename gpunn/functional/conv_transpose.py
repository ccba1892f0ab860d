"""Transposed convolution: the gradient of a convolution to its input, as a function of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpunn.dtype import in_use
from gpunn.functional.arguments import Ints
from gpunn.functional.conv import ConvInput, by_axis, by_dimension, check_fit, check_rank
from gpunn.functional.pad import pad
from gpunn.ops.common import need_tensor
from gpunn.ops.precision import cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: int | Ints = 0,
    output_padding: int | Ints = 0,
    groups: int = 1,
    dilation: int | Ints = 1,
) -> Tensor:
    """``conv_transpose2d`` in one dimension: ``(N, C, L), (C, O / groups, kL) -> (N, O, Lo)``."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: int | Ints = 0,
    output_padding: int | Ints = 0,
    groups: int = 1,
    dilation: int | Ints = 1,
) -> Tensor:
    """y[n, o, q stride - padding + t dilation] = bias[o] + Σ_{c, q, t} weight[c, o, t] x[n, c, q].

    ``(N, C, H, W), (C, O / groups, kH, kW), (O,) -> (N, O, Ho, Wo)`` with ``Ho = (H - 1) stride -
    2 padding + dilation (kH - 1) + output_padding + 1``: the gradient of ``conv2d`` with the same
    weight to its input, whose size ``output_padding`` chooses among those that ``conv2d`` maps to
    H. ``input`` may be one image ``(C, H, W)``. Raises RuntimeError for shapes and dtypes that do
    not fit. As ``torch.nn.functional.conv_transpose2d``.
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Ints = 1,
    padding: int | Ints = 0,
    output_padding: int | Ints = 0,
    groups: int = 1,
    dilation: int | Ints = 1,
) -> Tensor:
    """``conv_transpose2d`` in three dimensions: ``(N, C, D, H, W) -> (N, O, Do, Ho, Wo)``."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _conv_transpose(
    n: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Ints,
    padding: int | Ints,
    output_padding: int | Ints,
    groups: int,
    dilation: int | Ints,
) -> Tensor:
    name = f"conv_transpose{n}d"
    need_tensor(name, x)
    need_tensor(name, weight, "weight", 2)
    if in_use:
        x, weight, bias = cast_for(name, x, weight, bias)
    shape, kernel = x.data.shape, weight.data.shape[2:]
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            f"of size: {list(shape)}"
        )
    stride, padding = (
        by_dimension(n, name, "stride", stride),
        by_dimension(n, name, "padding", padding),
    )
    check_rank(n, name, weight, stride, "in_channels, out_channels / groups")
    dilation = by_dimension(n, name, "dilation", dilation)
    extra = by_dimension(n, name, "output_padding", output_padding)
    if min(extra) < 0:
        raise RuntimeError("negative output_padding is not supported")
    check_fit(n, x, weight, bias, stride, padding, dilation, groups, transposed=True)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        sizes = by_axis(" ", output_padding=extra, stride=stride, dilation=dilation)
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got {sizes}"
        )
    full = tuple(
        (q - 1) * s + d * (k - 1) + 1
        for q, s, d, k in zip(shape[-n:], stride, dilation, kernel, strict=True)
    )
    size = tuple(f - 2 * p + e for f, p, e in zip(full, padding, extra, strict=True))
    if min(size) <= 0:
        given, made = (" x ".join(map(str, v)) for v in (shape[-n:], size))
        raise RuntimeError(
            f"Given input size per channel: ({given}). Calculated output size per channel: "
            f"({made}). Output size is too small"
        )
    batch = x if len(shape) == n + 2 else x.unsqueeze(0)
    if any(e >= s for e, s in zip(extra, stride, strict=True)):
        # No convolution of that size has this input: make what it reaches, and cut it or add zeros.
        none = (0,) * n
        y = ConvInput.apply(batch, weight, full, stride, none, dilation, groups)
        y = pad(
            y, [w for p, e in zip(padding[::-1], extra[::-1], strict=True) for w in (-p, e - p)]
        )
    else:
        y = ConvInput.apply(batch, weight, size, stride, padding, dilation, groups)
    if bias is not None:
        y = y + bias.reshape(-1, *(1 for _ in size))
    return y if len(shape) == n + 2 else y.squeeze(0)
