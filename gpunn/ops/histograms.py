"""Counts: how often each integer occurs, and how many elements lie in each bin."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.dtype import FLOATING, float32, float64
from gpunn.ops.calling import extended
from gpunn.ops.common import Op, c_name, dtype_of, local, need_tensor, not_implemented, xp_of

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Histogram(NamedTuple):
    """What ``histogram`` returns."""

    hist: Tensor
    bin_edges: Tensor


class Histograms(NamedTuple):
    """What ``histogramdd`` returns."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


@local
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often 0, 1, 2, ... occur in a vector of integers; with ``weights``, their sums."""
    data = input.data
    if data.dtype.kind not in "iu":
        raise not_implemented("bincount", data)
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if data.ndim != 1 or (data.size and builtins.bool((data < 0).any())):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    xp = xp_of(input)
    if weights is None:
        return wrap(xp.bincount(data.astype("int64"), minlength=minlength).astype("int64"))
    if weights.data.shape != data.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if not data.size:
        return wrap(xp.zeros(minlength, "int64"))
    kind = weights.data.dtype if dtype_of(weights) is float32 else numpy.dtype("float64")
    sums = xp.bincount(data.astype("int64"), weights.data.astype("float64"), minlength)
    return wrap(sums.astype(kind))


@extended
@local
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max], the end included.

    0 and 0 mean the least and the largest element. Elements outside, and NaN, do not count.
    """
    data, xp = input.data, xp_of(input)
    if data.dtype.kind not in FLOATING:
        raise not_implemented("histogram_cpu", data)
    if bins <= 0:
        raise RuntimeError(f"gpunn.histogram(): bins must be > 0, but got {bins} for dimension 0")
    low, high = float(min), float(max)
    if low == high and data.size:
        low, high = float(data.min()), float(data.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise RuntimeError(f"gpunn.histc: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError("gpunn.histc: max must be larger than min")
    if low == high:
        low, high = low - 1, high + 1
    flat = data.reshape(-1)
    flat = flat[(flat >= low) & (flat <= high)].astype("float64")
    place = xp.minimum(xp.floor((flat - low) * (bins / (high - low))), bins - 1).astype("int64")
    return wrap(xp.bincount(place, minlength=bins).astype(data.dtype))


@extended
def histogram(
    input: Tensor,
    bins: int | Tensor = 100,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """How many elements, or how much ``weight``, lie in each bin; and the edges of the bins.

    ``bins`` are equal parts of ``range`` (by default from the least to the largest element), or
    lie between the given edges; the last one includes its end. ``density`` divides by the total
    and by the widths. float32 or float64; without a gradient.
    """
    need_tensor("histogram", input)
    found = _counted(input.reshape(-1, 1), [bins], range, weight, density, "histogram()")
    return Histogram(found[0], found[1])


def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histograms:
    """``histogram`` of points, (..., D): counts in D dimensions, and the edges of each.

    ``range`` lists the least and the largest number of each dimension in turn.
    """
    need_tensor("histogramdd", input)
    if input.data.ndim < 2:
        raise RuntimeError("gpunn.histogramdd: input tensor should have at least 2 dimensions")
    ndim = input.data.shape[-1]
    each: list[Any] = [bins] * ndim if isinstance(bins, int) else list(bins)
    if len(each) != ndim:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    hist, *edges = _counted(input.reshape(-1, ndim), each, range, weight, density, "histogramdd()")
    return Histograms(hist, tuple(edges))


def _counted(
    points: Tensor, bins: list[Any], range: Any, weight: Tensor | None, density: bool, name: str
) -> tuple[Tensor, ...]:
    if dtype_of(points) not in (float32, float64):
        raise not_implemented("histogramdd", points.data)
    n = points.data.shape[0]
    if weight is not None and weight.data.size != n:
        raise RuntimeError(
            "gpunn.histogramdd: if weight tensor is provided it should have the same shape as the "
            f"input tensor excluding its innermost dimension, but got input with shape "
            f"{list(points.data.shape)} and weight with shape {list(weight.data.shape)}"
        )
    if weight is not None and weight.data.dtype != points.data.dtype:
        raise RuntimeError(
            "gpunn.histogramdd: if weight tensor is provided, input tensor and weight tensor "
            f"should have the same dtype, but got input({c_name(points)}), and "
            f"weight({c_name(weight)})"
        )
    if range is not None and len(range) != 2 * len(bins):
        raise RuntimeError(
            f"gpunn.histogramdd: for a {len(bins)}-dimensional histogram range should have "
            f"{2 * len(bins)} elements, but got {len(range)}"
        )
    for d, given in enumerate(bins):
        _check_bins(points, d, given, name)
    return Counts.apply(points, weight, bins, range, density)


def _check_bins(points: Tensor, d: int, bins: Any, name: str) -> None:
    edges = isinstance(bins, Variable)
    if edges and bins.data.ndim != 1:
        raise RuntimeError(
            f"gpunn.histogramdd: bins tensor should have one dimension, but got {bins.data.ndim} "
            f"dimensions in the bins tensor for dimension {d}"
        )
    if edges and bins.data.dtype != points.data.dtype:
        raise RuntimeError(
            "gpunn.histogramdd: input tensor and bins tensors should have the same dtype, but got "
            f"input with dtype {c_name(points)} and bins for dimension {d} with dtype "
            f"{c_name(bins)}"
        )
    if edges and not bins.data.size:
        raise RuntimeError(
            "gpunn.histogramdd: bins tensor should have at least 1 element, but got 0 elements in "
            f"the bins tensor for dimension {d}"
        )
    count = bins.data.size - 1 if edges else bins
    if count <= 0:
        raise RuntimeError(f"gpunn.{name}: bins must be > 0, but got {count} for dimension {d}")


class Counts(Op):
    """The counts in D dimensions of N points, (N, D), and the D edges."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, weight: Tensor | None, bins: Any, limits: Any, density: bool
    ) -> tuple[Array, ...]:
        xp, x = xp_of(points), points.data
        edges = [
            b.data if isinstance(b, Variable)
            else _edges(xp, x[:, d], b, d, None if limits is None else limits[2 * d : 2 * d + 2])
            for d, b in enumerate(bins)
        ]  # fmt: skip
        inside, place = xp.ones(len(x), bool), xp.zeros(len(x), "int64")
        for d, ends in enumerate(edges):
            column, last = x[:, d], ends.size - 2
            inside &= (column >= ends[0]) & (column <= ends[-1])
            found = xp.clip(xp.searchsorted(ends, column, "right") - 1, 0, last)
            place = place * (last + 1) + found
        shape = tuple(e.size - 1 for e in edges)
        weights = None if weight is None else weight.data.reshape(-1)[inside].astype("float64")
        hist = xp.bincount(place[inside], weights, math.prod(shape)).reshape(shape)
        if density:
            hist = hist / hist.sum()
            for d, ends in enumerate(edges):
                hist = hist / xp.diff(ends).reshape(-1, *(1,) * (len(shape) - 1 - d))
        return hist.astype(x.dtype), *edges

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> Any:
        raise NotImplementedError("derivative for aten::histogram is not implemented")


def _edges(xp: Any, x: Array, count: int, d: int, limits: Any) -> Array:
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
    elif x.size:
        low, high = float(x.min()), float(x.max())
    else:
        low, high = 0.0, 1.0
    if not math.isfinite(low) or not math.isfinite(high):
        raise RuntimeError(
            f"gpunn.histogramdd: dimension {d}'s range [{low:g}, {high:g}] is not finite"
        )
    if low > high:
        raise RuntimeError(
            f"gpunn.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for "
            f"dimension {d}"
        )
    if low == high:
        low, high = low - 0.5, high + 0.5
    return xp.linspace(low, high, count + 1).astype(x.dtype)
