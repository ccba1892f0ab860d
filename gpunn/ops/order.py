"""What orders elements: extrema, the median, sorting, and where they came from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from gpunn.autograd.variable import Array, wrap
from gpunn.dtype import FLOATING, as_dtype
from gpunn.ops.calling import extended
from gpunn.ops.choice import maximum, minimum, where
from gpunn.ops.common import (
    canonical_dim,
    canonical_dims,
    local,
    need_tensor,
    not_implemented,
    xp_of,
)
from gpunn.ops.gathering import gather
from gpunn.ops.reduction import Extremum, any
from gpunn.ops.shape import squeeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """What ``max(dim)``, ``min(dim)``, ``sort`` and ``topk`` return."""

    values: Tensor
    indices: Tensor


class Median(Extremum):
    """The lower middle element of all; elements that tie for it share the gradient evenly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *args: Any) -> Array:
        xp, flat = xp_of(x), x.data.reshape(-1)
        y = xp.sort(_sortable(flat))[(flat.size - 1) // 2].astype(flat.dtype)
        if flat.dtype.kind in FLOATING:
            y = xp.where(xp.isnan(flat).any(), flat.dtype.type(math.nan), y)
        ctx.dims = tuple(range(x.data.ndim))
        ctx.kept = (1,) * x.data.ndim
        ctx.save_for_backward(x, y)
        return y


@extended
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest of all elements; ``max(x, dim)``: values and indices of the first along it;
    ``max(x, other)``: ``maximum``."""
    return _max_or_min(input, dim, keepdim, "max")


@extended
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest of all elements; ``min(x, dim)``: values and indices of the first along it;
    ``min(x, other)``: ``minimum``."""
    return _max_or_min(input, dim, keepdim, "min")


@local
def _max_or_min(input: Tensor, dim: Any, keepdim: bool, name: str) -> Any:
    need_tensor(name, input)
    if dim is None:
        if not input.data.size:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return Extremum.apply(input, canonical_dims(None, input.data.ndim), False, name)
    if hasattr(dim, "data") and hasattr(dim, "requires_grad"):
        return (maximum if name == "max" else minimum)(input, dim)
    indices = _arg(input, dim, True, f"arg{name}", name)
    dim = canonical_dim(dim, input.data.ndim)
    values = gather(input, dim, indices)
    if not keepdim:
        values, indices = _drop(values, dim), _drop(indices, dim)
    return ValuesAndIndices(values, indices)


def _drop(x: Tensor, dim: int) -> Tensor:
    return squeeze(x, dim) if x.data.ndim else x


@extended
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along ``dim``, or among all; the first if several."""
    return _arg(input, dim, keepdim, "argmax", "argmax")


@extended
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element along ``dim``, or among all; the first if several."""
    return _arg(input, dim, keepdim, "argmin", "argmin")


@local
def _arg(input: Tensor, dim: int | None, keepdim: bool, method: str, name: str) -> Tensor:
    need_tensor(name, input)
    data = input.data
    if data.dtype.kind == "b" and name.startswith("arg"):
        raise RuntimeError(f"{name}(): does not support bool input")
    if dim is not None:
        dim = canonical_dim(dim, data.ndim)
        if data.ndim and data.shape[dim] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    elif not data.size:
        raise IndexError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
        )
    if not data.ndim:
        return wrap(xp_of(input).zeros((), numpy.int64))
    return wrap(xp_of(input).asarray(getattr(data, method)(dim, keepdims=keepdim)))


@extended
@local
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the middle elements: of all, or along ``dim`` with its index; NaN wins."""
    if dim is None:
        if not input.data.size:
            return input.new_full((), math.nan)
        return Median.apply(input)
    dim = canonical_dim(dim, input.data.ndim)
    size = input.data.shape[dim] if input.data.ndim else 1
    if input.data.dtype.kind == "b":
        raise not_implemented("median_out", input.data)
    if not size:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size.")
    order = argsort(input, dim)
    indices = order if not order.data.ndim else order.narrow(dim, (size - 1) // 2, 1)
    if input.data.dtype.kind in FLOATING and input.data.ndim:
        missing = input.isnan()
        first = _arg(missing.to(as_dtype("uint8")), dim, True, "argmax", "argmax")
        indices = where(any(missing, dim, True), first, indices)
    values = gather(input, dim, indices)
    if not keepdim:
        values, indices = _drop(values, dim), _drop(indices, dim)
    return ValuesAndIndices(values, indices)


@extended
@local
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> ValuesAndIndices:
    """Elements in order along ``dim``, and where they came from. Always stable."""
    indices = argsort(input, dim, descending, stable)
    return ValuesAndIndices(gather(input, canonical_dim(dim, input.data.ndim), indices), indices)


@extended
@local
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort along ``dim``; NaN counts as the largest. Always stable."""
    dim, xp, data = canonical_dim(dim, input.data.ndim), xp_of(input), _sortable(input.data)
    if not data.ndim:
        return wrap(xp.zeros((), numpy.int64))
    if not descending:
        return wrap(xp.argsort(data, axis=dim, kind="stable"))
    # Stable in descending order: sort the mirror image, and mirror the result back.
    order = xp.argsort(xp.flip(data, dim), axis=dim, kind="stable")
    return wrap(data.shape[dim] - 1 - xp.flip(order, dim))


def _sortable(x: Array) -> Array:
    return x.astype("f4") if x.dtype.kind == "V" else x  # bfloat16's NaN has no place in the order


@extended
@local
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesAndIndices:
    """The ``k`` largest (or smallest) elements along ``dim``, in order, and their indices."""
    need_tensor("topk", input)
    dim = canonical_dim(dim, input.data.ndim)
    size = input.data.shape[dim] if input.data.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"selected index k out of range: k={k}, dimension size {size}")
    indices = argsort(input, dim, descending=largest)
    if indices.data.ndim:
        indices = indices.narrow(dim, 0, k)
    return ValuesAndIndices(gather(input, dim, indices), indices)
