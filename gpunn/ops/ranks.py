"""Elements by their rank: the k-th, the most frequent, quantiles."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, wrap
from gpunn.dtype import float32, float64, in_use
from gpunn.ops.calling import extended
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import (
    canonical_dim,
    dtype_of,
    is_tensor,
    local,
    need_tensor,
    not_implemented,
    xp_of,
)
from gpunn.ops.conversion import to
from gpunn.ops.gathering import gather
from gpunn.ops.order import ValuesAndIndices, argsort
from gpunn.ops.pointwise import ceil, floor, isnan, logical_not
from gpunn.ops.precision import cast_for
from gpunn.ops.reduction import any, sum
from gpunn.ops.shape import expand, movedim, reshape, squeeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def taken(input: Tensor, dim: int, indices: Tensor, keepdim: bool) -> ValuesAndIndices:
    """The elements at ``indices`` along ``dim``, where there is one, and ``indices``."""
    values = gather(input, dim, indices)
    if not keepdim and input.data.ndim:
        values, indices = squeeze(values, dim), squeeze(indices, dim)
    return ValuesAndIndices(values, indices)


def need_size(name: str, input: Tensor, dim: int) -> None:
    """Refuse bools, and a ``dim`` of no elements."""
    if input.data.dtype.kind == "b" and name != "mode":
        raise not_implemented(name, input.data)
    if input.data.ndim and not input.data.shape[dim]:
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


@extended
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The ``k``-th smallest element along ``dim``, counted from 1, and its index."""
    need_tensor("kthvalue", input)
    dim = canonical_dim(dim, input.data.ndim)
    need_size("kthvalue", input, dim)
    size = input.data.shape[dim] if input.data.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    order = argsort(input, dim)
    return taken(
        input, dim, order.narrow(dim, k - 1, 1) if size and order.data.ndim else order, keepdim
    )


@extended
@local
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The most frequent element along ``dim``, the smallest of several, and its last index."""
    need_tensor("mode", input)
    dim = canonical_dim(dim, input.data.ndim)
    need_size("mode", input, dim)
    order = argsort(input, dim)
    if not order.data.ndim or not order.data.size:
        return taken(input, dim, order.narrow(dim, 0, 1) if order.data.ndim else order, keepdim)
    xp = xp_of(input)
    rows = xp.ascontiguousarray(xp.moveaxis(gather(input.detach(), dim, order).data, dim, -1))
    position = xp.arange(rows.size).reshape(rows.shape)
    run = position - run_starts(rows, xp).reshape(rows.shape)
    longest = xp.expand_dims(xp.moveaxis(run.argmax(-1, keepdims=True), -1, 0)[0], dim)
    return taken(input, dim, gather(order, dim, wrap(longest)), keepdim)


def run_starts(rows: Array, xp: Any) -> Array:
    """For each element of ``rows``, read row after row, where its run of equal ones begins."""
    new = xp.ones(rows.shape, bool)
    new[..., 1:] = rows[..., 1:] != rows[..., :-1]
    flat = new.reshape(-1)
    return xp.flatnonzero(flat)[xp.cumsum(flat) - 1]


@extended
def quantile(
    input: Tensor,
    q: Tensor | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The value below which a share ``q`` of the elements lies; several for a vector ``q``.

    ``interpolation`` says what lies between two elements: "linear", "lower", "higher", "midpoint"
    or "nearest". NaN gives NaN. The values of a vector ``q`` come in a new first dimension.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@extended
def nanquantile(
    input: Tensor,
    q: Tensor | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """``quantile`` of what is not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


@local
def _quantile(
    name: str,
    input: Tensor,
    q: Any,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
    skip: bool,
) -> Tensor:
    need_tensor(name, input)
    if in_use:
        (input,) = cast_for(name, input)
    if dtype_of(input) not in (float32, float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if not input.data.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    ways = ("linear", "lower", "higher", "midpoint", "nearest")
    if interpolation not in ways:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if not is_tensor(q):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = input.new_tensor(q)
    if q.data.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.data.dtype != input.data.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not builtins.bool(((q.data >= 0) & (q.data <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    ndim = input.data.ndim
    if dim is None:
        x, axis = reshape(input, -1), 0
        shape = (1,) * ndim if keepdim else ()
    else:
        axis = canonical_dim(dim, ndim)
        x = input if ndim else reshape(input, 1)
        kept = (1,) if keepdim else ()
        shape = (*input.data.shape[:axis], *kept, *input.data.shape[axis + 1 :]) if ndim else ()
    x = movedim(x, axis, -1)
    ordered = gather(x, -1, argsort(x, -1))
    missing = isnan(x)
    if skip:
        last = clamp(sum(logical_not(missing), -1, True) - 1, min=0)
    else:
        last = sum(missing, -1, True) * 0 + (x.data.shape[-1] - 1)
    rank = reshape(q, *(1,) * (x.data.ndim - 1), -1) * to(last, q.dtype)
    if not skip:  # a NaN, of which there is one, is the largest
        rank = where(any(missing, -1, True), to(last, q.dtype), rank)
    result = _between(ordered, rank, interpolation)
    result = movedim(result, -1, 0)
    return reshape(result, *((q.data.size, *shape) if q.data.ndim else shape))


def _between(ordered: Tensor, rank: Tensor, interpolation: str) -> Tensor:
    """The elements at ``rank`` along the last dimension, a number between two of them."""
    if interpolation == "nearest":
        rank = rank.round()
    elif interpolation in ("lower", "higher"):
        rank = floor(rank) if interpolation == "lower" else ceil(rank)
    below, above = floor(rank).detach(), ceil(rank).detach()
    shape = (*ordered.data.shape[:-1], rank.data.shape[-1])
    low, high = (gather(ordered, -1, expand(r, *shape).long()) for r in (below, above))
    weight = (below * 0 + 0.5) if interpolation == "midpoint" else rank - below
    weight = where(below == above, 0.0, weight)
    return low + (high - low) * weight
