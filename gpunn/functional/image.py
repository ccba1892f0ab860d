"""Images as blocks: pixels shuffled between space and channels, patches unfolded and folded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.functional.arguments import per_dimension
from gpunn.functional.pad import pad
from gpunn.ops.common import constant, need_tensor
from gpunn.ops.gathering import index_add
from gpunn.ops.indexing import Index
from gpunn.ops.shape import permute, reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Ints = int | tuple[int, ...]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C r², H, W) -> (..., C, H r, W r): channels become the pixels of r x r blocks.

    W. Shi et al., "Real-time single image and video super-resolution", 2016.
    """
    r, shape = upscale_factor, input.data.shape
    _at_least("pixel_shuffle", 3, shape)
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    c, h, w = shape[-3:]
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(shape) - 3
    apart = reshape(input, *shape[:-3], c // (r * r), r, r, h, w)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return reshape(permute(apart, *order), *shape[:-3], c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H r, W r) -> (..., C r², H, W): the inverse of ``pixel_shuffle``."""
    r, shape = downscale_factor, input.data.shape
    _at_least("pixel_unshuffle", 3, shape)
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    c, h, w = shape[-3:]
    for name, size, dim in (("height", h, -2), ("width", w, -1)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={size} is not divisible by {r}"
            )
    n = len(shape) - 3
    apart = reshape(input, *shape[:-3], c, h // r, r, w // r, r)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return reshape(permute(apart, *order), *shape[:-3], c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, ...) with the channels (groups, C / groups) transposed. X. Zhang et al., 2017."""
    shape = input.data.shape
    if len(shape) < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups} "
            "groups."
        )
    apart = reshape(input, shape[0], groups, shape[1] // groups, *shape[2:])
    return reshape(apart.transpose(1, 2), *shape)


def _at_least(name: str, dims: int, shape: tuple[int, ...]) -> None:
    if len(shape) < dims:
        raise RuntimeError(
            f"{name} expects input to have at least {dims} dimensions, but got input with "
            f"{len(shape)} dimension(s)"
        )


# Patches ------------------------------------------------------------------------------------


def unfold(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """(N, C, H, W) -> (N, C · kernel's elements, patches): each patch as a column, im2col."""
    need_tensor("unfold", input)
    k, d, p, s = _geometry("unfold", kernel_size, dilation, padding, stride)
    x, shape = input, input.data.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(shape)}"
        )
    x = x if len(shape) == 4 else x.unsqueeze(0)
    size = tuple(n + 2 * q for n, q in zip(shape[-2:], p, strict=True))
    counts = _counts(size, k, d, s)
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(shape[-2:])}, kernel_size={k}, dilation={d}, "
            f"padding={p}, calculated shape of the array of sliding blocks as {counts}, but its "
            "components must be at least one."
        )
    n, c = x.data.shape[:2]
    wide = pad(x, (p[1], p[1], p[0], p[0])).reshape(n, c, size[0] * size[1])
    places = constant(x, _places(size, k, d, s, counts))
    patches = Index.apply(wide, (slice(None), slice(None), places))
    columns = patches.reshape(n, c * k[0] * k[1], counts[0] * counts[1])
    return columns if len(shape) == 4 else columns.squeeze(0)


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """(N, C · kernel's elements, patches) -> (N, C, *output_size): patches added where they lie.

    The adjoint of ``unfold``, col2im.
    """
    need_tensor("fold", input)
    k, d, p, s = _geometry("fold", kernel_size, dilation, padding, stride)
    out = per_dimension(output_size, 2, "fold", "output_size", _TWO.format("output_size"))
    shape = input.data.shape
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    x = input if len(shape) == 3 else input.unsqueeze(0)
    n, rows, columns = x.data.shape
    each = k[0] * k[1]
    if rows % each:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size=({k[0]}, {k[1]})."
        )
    size = tuple(a + 2 * q for a, q in zip(out, p, strict=True))
    counts = _counts(size, k, d, s)
    if counts[0] * counts[1] != columns or min(counts) < 1:
        raise RuntimeError(
            f"Given output_size={out}, kernel_size={k}, dilation={d}, padding={p}, stride={s}, "
            "expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{counts[0]} * {counts[1]} = {counts[0] * counts[1]}, but got input.size(2)={columns}."
        )
    c = rows // each
    places = _places(size, k, d, s, counts)
    flat = x.new_zeros(n * c, size[0] * size[1])
    index = type(x)(constant(x, places.reshape(-1)))
    whole = index_add(flat, 1, index, x.reshape(n * c, places.size))
    image = whole.reshape(n, c, *size)[:, :, p[0] : size[0] - p[0], p[1] : size[1] - p[1]]
    return image if len(shape) == 3 else image.squeeze(0)


_TWO = "It is expected {0} equals to 2, but got a tuple of another size"


def _geometry(name: str, *values: Any) -> list[tuple[int, ...]]:
    """Kernel, dilation, padding and stride, two of each."""
    found: list[tuple[int, ...]] = []
    for what, value in zip(("kernel_size", "dilation", "padding", "stride"), values, strict=True):
        pair = per_dimension(value, 2, name, what, _TWO.format(what))
        short = "kernel" if what == "kernel_size" else what
        if what == "padding" and min(pair) < 0:
            raise RuntimeError(
                f"padding should be non-negative, but got pad_height: {pair[0]} pad_width: "
                f"{pair[1]}"
            )
        if what != "padding" and min(pair) <= 0:
            raise RuntimeError(
                f"{what.replace('_', ' ')} should be greater than zero, but got {short}_height: "
                f"{pair[0]} {short}_width: {pair[1]}"
            )
        found.append(pair)
    return found


def _counts(size: Any, k: Any, d: Any, s: Any) -> tuple[int, ...]:
    """How many patches there are along each dimension."""
    return tuple((n - e * (m - 1) - 1) // t + 1 for n, m, e, t in zip(size, k, d, s, strict=True))


def _places(size: Any, k: Any, d: Any, s: Any, counts: Any) -> Any:
    """Where each element of each patch lies in the image made flat: (kernel, patches)."""
    along: list[Any] = [
        numpy.arange(m)[:, None] * e + numpy.arange(n) * t
        for m, e, t, n in zip(k, d, s, counts, strict=True)
    ]
    flat = along[0][:, None, :, None] * size[1] + along[1][None, :, None, :]
    return flat.reshape(math.prod(k), math.prod(counts))
