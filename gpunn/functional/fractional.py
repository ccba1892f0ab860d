"""Max pooling over windows at random places, by which a size shrinks to a fraction of itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING
from gpunn.functional.arguments import Ints, ntuple, per_dimension
from gpunn.functional.pooling import MaxPoolInput
from gpunn.functional.windows import Sizes, refusal
from gpunn.ops.common import Op, dtype_of, local, need_tensor, xp_of
from gpunn.sampling import rand

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Ratios = float | tuple[float, ...]
_AXES = {2: ("height", "width"), 3: ("time", "height", "width")}
_COUNTED = {2: "tuple of Ints", 3: "tuple of three Ints"}


class FractionalMaxPool(Op, widens=False):
    """Values and indices of windows that begin at ``starts``: (planes, out) of each dimension."""

    name = "FractionalMaxPool2DBackward0"

    @staticmethod
    def forward(ctx: Any, x: Tensor, starts: list[Array], kernel: Ints) -> tuple[Array, Array]:
        xp, n, planes = xp_of(x), len(kernel), len(starts[0])
        ctx.size = size = x.data.shape[-n:]
        out = tuple(s.shape[1] for s in starts)
        flat = xp.zeros((planes,) + (1,) * n, numpy.int64)
        for d, (begin, k) in enumerate(zip(starts, kernel, strict=True)):
            shape = [planes] + [1] * n
            shape[1 + d] = out[d] * k
            places = begin[..., None] + xp.arange(k)
            flat = flat * size[d] + places.reshape(shape)
        # The windows side by side, in which they do not overlap.
        wide, rows = flat.shape, flat.reshape(planes, math.prod(flat.shape[1:]))
        spread = xp.take_along_axis(x.data.reshape(planes, math.prod(size)), rows, 1)
        y, found = type2backend[type(x.data)].max_pool(
            spread.reshape(wide), out, kernel, kernel, (0,) * n, (1,) * n
        )
        found = xp.take_along_axis(rows, found.reshape(planes, math.prod(out)), 1)
        shape = (*x.data.shape[:-n], *out)
        indices = found.reshape(shape)
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        return y.reshape(shape), indices

    @staticmethod
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return MaxPoolInput.apply(dy, *ctx.saved_tensors, ctx.size, None), None, None


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest element of each of ``output_size`` windows of ``kernel_size``, placed at random.

    ``(N, C, H, W) -> (N, C, Ho, Wo)``; also ``(C, H, W)``. ``output_ratio`` of the input's size
    stands in for ``output_size``. Windows begin u-pseudorandomly: window i of m at ⌊(i + u) a⌋ -
    ⌊u a⌋, a = (H - k) / (m - 1), the last at H - k; u is drawn for each plane, or given as
    ``_random_samples`` ``(N, C, 2)``, width first. ``return_indices``: also where in its plane each
    maximum was. Raises RuntimeError for sizes that do not fit. B. Graham, 2014.
    """
    return _pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )  # fmt: skip


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """``fractional_max_pool2d`` of ``(N, C, D, H, W)``; samples ``(N, C, 3)``, depth first."""
    return _pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )  # fmt: skip


@local
def _pool(
    n: int,
    x: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: Ratios | None,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    name = f"fractional_max_pool{n}d"
    need_tensor(name, x)
    if output_size is None:
        if output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        ratios = ntuple(output_ratio, n)
        output_size = tuple(int(x.size(d - n) * ratio) for d, ratio in enumerate(ratios))
    if samples is None:
        batch = x.size(0) if x.dim() == n + 2 else 1
        samples = rand(batch, x.size(-n - 1), n, dtype=x.dtype, device=x.device)
    problem = f"{name}: {{}} must either be a single Int or {_COUNTED[n]}"
    kernel = per_dimension(kernel_size, n, name, "kernel_size", problem.format("kernel_size"))
    out = per_dimension(output_size, n, name, "output_size", problem.format("output_size"))
    _check(n, x, kernel, out, samples)
    shape = x.data.shape
    planes, size = math.prod(shape[:-n]), shape[-n:]
    numbers = samples.data[: shape[0] if len(shape) == n + 2 else 1].reshape(planes, n)
    if n == 2:
        numbers = numbers[:, ::-1]
    starts = [
        _starts(numbers[:, d], s, m, k)
        for d, (s, m, k) in enumerate(zip(size, out, kernel, strict=True))
    ]
    y, indices = FractionalMaxPool.apply(x, starts, kernel)
    return (y, indices) if return_indices else y


def _starts(u: Array, size: int, out: int, kernel: int) -> Array:
    """Where the ``out`` windows of each plane begin, ``(planes, out)``."""
    xp, last = type2backend[type(u)].xp, size - kernel
    steps = xp.arange(max(out - 1, 0)).astype(u.dtype)
    alpha = u.dtype.type(last) / u.dtype.type(max(out - 1, 1))
    begin = ((steps + u[:, None]) * alpha).astype(numpy.int64)
    begin -= (u[:, None] * alpha).astype(numpy.int64)
    return xp.concatenate([begin, xp.full((len(u), min(out, 1)), last)], 1)


def _check(n: int, x: Tensor, kernel: Ints, out: Ints, samples: Tensor) -> None:
    shape, name = x.data.shape, f"fractional_max_pool{n}d"
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got:{list(shape)}")
    empty = next((d for d in range(len(shape) - n - 1, len(shape)) if not shape[d]), None)
    if empty is not None:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
            f"got{list(shape)} with dimension {empty} being empty."
        )
    for axis, k, s, m in zip(_AXES[n], kernel, shape[-n:], out, strict=True):
        if m + k - 1 > s:
            where = name if n == 2 else f"{name}_out"
            raise RuntimeError(f"{where}(): pool {axis} {k} too large relative to input {axis} {s}")
    given = samples.data.shape
    batch = shape[0] if len(shape) == n + 2 else 1
    if samples.requires_grad:
        raise RuntimeError(
            f"The function '{name}' is not differentiable with respect to argument "
            "'random_samples'. This input cannot have requires_grad True."
        )
    if dtype_of(samples) is not dtype_of(x):
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if len(given) != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {len(given)}")
    if given[0] < batch:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if given[1] != shape[-n - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if given[2] != n:
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {n}; got {given[2]}.")
    if x.data.dtype.kind not in FLOATING:
        raise refusal(f"{name}_out_frame", x)
