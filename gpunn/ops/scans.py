"""Along a dimension, from one element to the next: running extrema, differences, integrals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.dtype import FLOATING
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import (
    Op,
    canonical_dim,
    canonical_dims,
    dtype_of,
    local,
    need_tensor,
    not_implemented,
    xp_of,
)
from gpunn.ops.comparison import logical_xor
from gpunn.ops.conversion import in_wide
from gpunn.ops.gathering import gather
from gpunn.ops.joining import cat, flip, narrow
from gpunn.ops.order import ValuesAndIndices
from gpunn.ops.pointwise import exp, log
from gpunn.ops.reduction import cumsum, sum
from gpunn.ops.shape import reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


@extended
def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """The largest element so far along ``dim``, and the last index of it; NaN is the largest."""
    return _running("cummax", input, dim, "greater_equal")


@extended
def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """The smallest element so far along ``dim``, and the last index of it; NaN is the smallest."""
    return _running("cummin", input, dim, "less_equal")


@local
def _running(name: str, input: Tensor, dim: int, better: str) -> ValuesAndIndices:
    need_tensor(name, input)
    dim, xp, x = canonical_dim(dim, input.data.ndim), xp_of(input), input.data
    if not x.ndim:
        indices = wrap(xp.zeros((), "int64"))
        return ValuesAndIndices(input.clone(), indices)
    y = xp.moveaxis(x, dim, -1).astype("float32" if x.dtype.kind == "V" else x.dtype)
    found = xp.broadcast_to(xp.arange(y.shape[-1]), y.shape).copy()
    step = 1
    while step < y.shape[-1]:  # each looks back twice as far as before
        here, back = y[..., step:], y[..., :-step]
        stays = getattr(xp, better)(here, back)
        if y.dtype.kind == "f":
            stays = (stays & ~xp.isnan(back)) | xp.isnan(here)
        # `where` makes new arrays: those read are not yet written to.
        later, places = (
            xp.where(stays, here, back),
            xp.where(stays, found[..., step:], found[..., :-step]),
        )
        y[..., step:], found[..., step:] = later, places
        step *= 2
    indices = wrap(xp.ascontiguousarray(xp.moveaxis(found, -1, dim)))
    return ValuesAndIndices(gather(input, dim, indices), indices)


class LogCumsumExp(Op):
    """log Σ exp(x) of all elements so far along ``dim``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Array:
        xp, ctx.dim = xp_of(x), dim
        y = xp.moveaxis(x.data, dim, -1).copy()
        step = 1
        while step < y.shape[-1]:
            y[..., step:] = xp.logaddexp(y[..., step:], y[..., :-step])
            step *= 2
        y = xp.ascontiguousarray(xp.moveaxis(y, -1, dim))
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        # dx[j] = Σ_{i >= j} dy[i] exp(x[j] - y[i]), in logarithms for dy > 0 and for dy < 0.
        x, y = ctx.saved_tensors

        def part(size: Tensor) -> Tensor:
            some = (size > 0) & (y > -math.inf)
            shares = where(some, log(where(some, size, 1.0)) - where(some, y, 0.0), -math.inf)
            back = flip(LogCumsumExp.apply(flip(shares, ctx.dim), ctx.dim), ctx.dim)
            return exp(back + x)

        return part(dy) - part(-dy), None


@extended
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log Σ exp(x) of all elements so far along ``dim``, without overflow."""
    need_tensor("logcumsumexp", input)
    dim = canonical_dim(dim, input.data.ndim)
    if input.data.dtype.kind not in FLOATING:
        raise not_implemented("logcumsumexp_out", input.data)
    return LogCumsumExp.apply(input, dim) if input.data.ndim else input.clone()


@extended
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along ``dim``, ``n`` times over; of bools, whether they differ."""
    need_tensor("diff", input)
    if not input.data.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = canonical_dim(dim, input.data.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    x = cat(parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, x.data.shape[dim])):
        after, before = _tail(x, dim), _head(x, dim)
        x = logical_xor(after, before) if x.data.dtype.kind == "b" else after - before
    return x.clone() if x is input else x


def _tail(x: Tensor, dim: int) -> Tensor:
    return narrow(x, dim, 1, x.data.shape[dim] - 1) if x.data.shape[dim] else x


def _head(x: Tensor, dim: int) -> Tensor:
    return narrow(x, dim, 0, x.data.shape[dim] - 1) if x.data.shape[dim] else x


@extended
@in_wide
def trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """The integral along ``dim`` by the trapezoidal rule, at points ``x`` or ``dx`` (1) apart."""
    return sum(_trapezoids("trapezoid", y, x, dx, dim), dim)


@extended
@in_wide
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """The integral so far along ``dim``, one element fewer than ``y``."""
    return cumsum(_trapezoids("cumulative_trapezoid", y, x, dx, dim), dim)


trapz = trapezoid


def _trapezoids(name: str, y: Tensor, x: Tensor | None, dx: float | None, dim: int) -> Tensor:
    """The area between each two neighbours."""
    need_tensor(name, y)
    if y.data.dtype.kind == "b":
        raise RuntimeError(f"{name}: received a bool input for `y`, but bool is not supported")
    dim = canonical_dim(dim, y.data.ndim)
    height = (_tail(y, dim) + _head(y, dim)) / 2.0
    if x is None:
        return height * (1.0 if dx is None else dx)
    if x.data.dtype.kind == "b":
        raise RuntimeError(f"{name}: received a bool input for `x`, but bool is not supported")
    if x.data.ndim == 1 and x.data.shape[0] != y.data.shape[dim]:
        raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
    along = 0 if x.data.ndim == 1 else dim - y.data.ndim + x.data.ndim
    width = _tail(x, along) - _head(x, along)
    if x.data.ndim == 1:
        width = width.reshape(-1, *(1,) * (y.data.ndim - 1 - dim))
    return height * width


# Derivatives by differences -----------------------------------------------------------------


def gradient(
    input: Tensor,
    *,
    spacing: float | Sequence[float | Tensor] | None = None,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Along each ``dim`` (all by default) the derivative, by second-order differences.

    ``spacing`` is the distance of the samples: a number, or for each ``dim`` a number or a vector
    of coordinates. At the ends the differences are of order ``edge_order``, 1 or 2.
    """
    need_tensor("gradient", input)
    dims = () if dim == () else canonical_dims(dim, input.data.ndim)
    steps: list[Any] = _spacings(spacing, dim, len(dims))
    if dtype_of(input).name == "uint8":
        raise RuntimeError("gpunn.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise RuntimeError("gpunn.gradient only supports edge_order=1 and edge_order=2.")
    if any(input.data.shape[d] <= edge_order for d in dims):
        raise RuntimeError(
            "gpunn.gradient expected each dimension size to be at least edge_order+1"
        )
    return tuple(_derivative(input, d, h, edge_order) for d, h in zip(dims, steps, strict=True))


def _spacings(spacing: Any, dim: Any, count: int) -> list[Any]:
    """The distance, or the coordinates, for each of ``count`` dimensions."""
    if isinstance(spacing, Variable):
        raise TypeError("gradient(): argument 'spacing' must be a number or a sequence, not Tensor")
    if spacing is None or isinstance(spacing, (int, float)):
        return [1 if spacing is None else spacing] * count
    if len(spacing) != count:
        given = "gpunn.gradient expected spacing to be unspecified, a scalar"
        if dim is None:
            raise RuntimeError(
                f"{given}, or a list of length equal to 'self.dim() = {count}', since dim argument "
                f"was not given, but got a list of length {len(spacing)}"
            )
        raise RuntimeError(
            f"{given} or it's spacing and dim arguments to have the same length, but got a spacing "
            f"argument of length {len(spacing)} and a dim argument of length {count}."
        )
    for s in spacing:
        if isinstance(s, Variable) and s.data.ndim != 1:
            raise RuntimeError(
                "gpunn.gradient expected each element of spacing to have one dimension, but got "
                f"an element with {s.data.ndim} dimensions!"
            )
    return list(spacing)


def _derivative(x: Tensor, dim: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.data.shape[dim]
    widths = spacing
    if isinstance(spacing, Variable):
        if spacing.data.shape[0] != n:
            raise RuntimeError(
                f"gpunn.gradient expected {n} coordinates for dimension {dim}, but got "
                f"{spacing.data.shape[0]}"
            )
        shape = (1,) * dim + (n,) + (1,) * (x.data.ndim - dim - 1)
        widths = diff(reshape(spacing, shape), 1, dim)
    slopes = (_tail(x, dim) - _head(x, dim)) / widths

    def at(start: int, count: int = 1) -> tuple[Tensor, Any]:
        """Slopes from ``start`` on, and how wide they are."""
        wide = isinstance(widths, Variable)
        part = narrow(widths, dim, start, count) if wide else widths
        return narrow(slopes, dim, start, count), part

    # The parabola through three points has these slopes at the middle one, and at its ends.
    (before, h), (after, k) = at(0, n - 2), at(1, n - 2)
    inner = (after * h + before * k) / (h + k)
    (left, h), (right, k) = at(0), at(n - 2)
    if edge_order == 2:
        second, g = at(1)
        left = left - (second - left) * h / (h + g)
        second, g = at(n - 3)
        right = right + (right - second) * k / (k + g)
    return cat([left, inner, right], dim)
