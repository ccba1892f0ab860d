"""Writing at indices with a rule for what meets there: products, means, extrema; and by masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, recording, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING
from gpunn.ops.arithmetic import div
from gpunn.ops.calling import extended
from gpunn.ops.choice import where
from gpunn.ops.common import Number, Op, as_tensor_like, canonical_dim, dtype_of, local, xp_of
from gpunn.ops.gathering import check_gather, check_slices, full_index, scatter_add
from gpunn.ops.gathering import scatter as _write
from gpunn.ops.indexing import Index, IndexPut
from gpunn.ops.shape import expand, reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_RULES = ("sum", "prod", "mean", "amax", "amin")


@extended
@local
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | Number | None = None,
    *,
    value: Number | None = None,
    reduce: str | None = None,
) -> Tensor:
    """``input`` with ``src`` (or one number) written at ``index`` along ``dim``.

    ``reduce`` "add" or "multiply" combines with what is there, also where indices repeat, and has
    no gradient: ``scatter_add`` and ``scatter_reduce`` do.
    """
    values = value if src is None else src
    if values is None:
        raise TypeError("scatter() missing 1 required argument: 'src' or 'value'")
    if reduce is None:
        return _write(input, dim, index, values)
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if recording(input, values):
        raise RuntimeError("derivative for aten::scatter is not implemented")
    if not isinstance(values, Variable):
        values = expand(as_tensor_like(values, input).to(input.dtype), *index.data.shape)
    if reduce == "add":
        return scatter_add(input, dim, index, values)
    return scatter_reduce(input, dim, index, values, "prod")


@extended
@local
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``input`` where ``index`` along ``dim`` points at it reduced with all of ``src`` there.

    ``reduce``: "sum", "prod", "mean", "amax" or "amin"; without ``include_self`` of ``src`` alone.
    Elements that tie for an extremum share its gradient; that of "prod" is exact at zeros.
    """
    if reduce not in _RULES:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}."
        )
    dim = canonical_dim(dim, input.data.ndim)
    check_gather("scatter_reduce", input, dim, index, src)
    if input.data.dtype != src.data.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.data.size:
        return input.clone()
    if index.data.ndim:
        src = src[tuple(slice(n) for n in index.data.shape)]
    xp = xp_of(input)
    numbers = xp.arange(input.data.size).reshape(input.data.shape)
    places = numbers[full_index(input.data, dim, index.data, xp)] if input.data.ndim else numbers
    result = _reduced(
        reshape(input, -1), reshape(src, -1), places.reshape(-1), reduce, include_self
    )
    return reshape(result, *input.data.shape)


def _reduced(x: Tensor, values: Tensor, places: Array, reduce: str, include_self: bool) -> Tensor:
    xp = xp_of(x)
    if not include_self:
        neutral = wrap(xp.asarray(_neutral(reduce, x.data.dtype)).astype(x.data.dtype))
        x = IndexPut.apply(x, neutral, (places,), False)
    if reduce == "prod":  # of a copy: in place, the backward pass wants what was there
        return Products.apply(x.clone() if include_self else x, values, places)
    if reduce in ("amax", "amin"):
        return _extrema(x, values, places, reduce)
    total = IndexPut.apply(x, values, (places,), True)
    if reduce == "sum":
        return total
    count = xp.bincount(places, minlength=x.data.size) + int(include_self)
    divisor = wrap(xp.maximum(count, 1).astype(x.data.dtype))
    floats = x.data.dtype.kind in FLOATING
    return total / divisor if floats else div(total, divisor, rounding_mode="floor")


def _neutral(reduce: str, kind: Any) -> Any:
    if reduce not in ("amax", "amin"):
        return int(reduce == "prod")
    if kind.kind in FLOATING:
        return -math.inf if reduce == "amax" else math.inf
    if kind.kind == "b":
        return reduce == "amin"
    limits = numpy.iinfo(kind)
    return limits.min if reduce == "amax" else limits.max


def _grouped(places: Array, values: Array, combine: str, xp: Any) -> tuple[Array, Array]:
    """The different ``places``, and what ``combine`` makes of all values of each.

    A scan over the sorted places in steps that double: as many rounds as a number has digits.
    """
    order = xp.argsort(places, kind="stable")
    places, values = places[order], values[order]
    step, rule = 1, getattr(xp, combine)
    while step < places.size:
        same = places[step:] == places[:-step]
        values[step:] = xp.where(same, rule(values[step:], values[:-step]), values[step:])
        step *= 2
    last = xp.ones(places.shape, bool)
    last[:-1] = places[1:] != places[:-1]
    return places[last], values[last]


def _meet(x: Array, values: Array, places: Array, combine: str, xp: Any) -> Array:
    """A copy of ``x`` in which ``combine`` has met all values at their places."""
    y = type2backend[type(x)].copy(x)
    found, totals = _grouped(places, values, combine, xp)
    y[found] = getattr(xp, combine)(y[found], totals)
    return y


class Products(Op):
    """``x`` times all ``values`` whose place it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, places: Array) -> Array:
        ctx.places = places
        ctx.save_for_backward(x, values)
        return _meet(x.data, values.data, places, "multiply", xp_of(x))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        # The product of the others: all but the zeros, over the element, unless others are zero.
        (x, values), places = ctx.saved_tensors, ctx.places
        some_x, some = where(x == 0, 1.0, x), where(values == 0, 1.0, values)
        whole = Products.apply(some_x, some, places)
        zero, zeros = (x == 0).to(dy.dtype), (values == 0).to(dy.dtype)
        count = IndexPut.apply(zero, zeros, (places,), True)
        dx = dy * _others(whole, count, zero, some_x)
        at = [Index.apply(t, (places,)) for t in (dy, whole, count)]
        return dx, at[0] * _others(at[1], at[2], zeros, some), None


def _others(whole: Tensor, count: Tensor, zero: Tensor, some: Tensor) -> Tensor:
    return where(count == zero, whole / some, 0.0)


def _extrema(x: Tensor, values: Tensor, places: Array, reduce: str) -> Tensor:
    xp = xp_of(x)
    combine = "maximum" if reduce == "amax" else "minimum"
    best = wrap(_meet(x.data, values.data, places, combine, xp))
    if not (x.requires_grad or values.requires_grad):
        return best
    # Written as a sum of what ties for it, each by its share, so that gradients follow.
    own = (x == best).to(x.dtype)
    given = (values == wrap(best.data[places])).to(x.dtype)
    count = IndexPut.apply(own, given, (places,), True).detach()
    share, shares = own / count, given / wrap(count.data[places])
    linear = IndexPut.apply(where(own == 1, x * share, 0.0), values * shares, (places,), True)
    return linear + (best - linear).detach()


@extended
@local
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """Slice ``index[i]`` of ``dim`` reduced with slice i of ``source``, as ``scatter_reduce``."""
    if reduce not in _RULES[1:]:
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    dim = canonical_dim(dim, input.data.ndim)
    check_slices("index_reduce_", input, dim, index, source)
    size, text = input.data.shape[dim] if input.data.ndim else 1, "index out of range in self"
    type2backend[type(index.data)].check_indices("index_reduce", index.data, 0, size, text)
    shape = tuple(-1 if d == dim else 1 for d in range(source.data.ndim))
    places = expand(reshape(index, *shape), *source.data.shape)
    return scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


@extended
@local
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``input`` with slice i of ``source`` written into slice ``index[i]`` of ``dim``."""
    dim = canonical_dim(dim, input.data.ndim)
    if index.data.ndim > 1:
        raise IndexError(
            f"index_copy_(): Index should have dimension 1 or 0 (got {index.data.ndim})"
        )
    if index.data.dtype != numpy.int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {dtype_of(index).title}"
        )
    ndims = source.data.ndim, input.data.ndim
    if 0 not in ndims and ndims[0] != ndims[1]:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must "
            f"match. Source dimensionality ({ndims[0]}), destination dimensionality ({ndims[1]})"
        )
    slices = [x.data.shape[:dim] + x.data.shape[dim + 1 :] for x in (input, source)]
    if slices[0] != slices[1]:
        shown = [" ".join(map(str, s)) for s in slices]
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {shown[0]} at dimension {dim} and source slice shape: {shown[1]} at "
            f"dimension {dim}."
        )
    given = source.data.shape[dim] if source.data.ndim else 1
    if index.data.size != given:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.data.size}) should be equal to "
            f"source.size(dim) ({given})"
        )
    if input.data.dtype != source.data.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{dtype_of(input).title} and (source) {dtype_of(source).title}"
        )
    if not input.data.ndim:
        return reshape(source, ()).clone()
    text = f"index_copy_(): index {{value}} is out of bounds for dimension {dim} with size {{high}}"
    backend, size = type2backend[type(index.data)], input.data.shape[dim]
    backend.check_indices("index_copy", index.data, 0, size, text, IndexError)
    place = (slice(None),) * dim + (index.data.reshape(-1),)
    return IndexPut.apply(input, source, place, False)


@local
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with the elements of ``source``, in order, where ``mask`` (bool, broadcast)."""
    if input.data.dtype != source.data.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{dtype_of(input).title} and {dtype_of(source).title}"
        )
    if mask.data.dtype.kind != "b":
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{dtype_of(mask).title}"
        )
    xp = xp_of(input)
    shape = numpy.broadcast_shapes(input.data.shape, mask.data.shape)
    chosen = xp.broadcast_to(mask.data, shape)
    if int(chosen.sum()) > source.data.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    target = expand(input, *shape)
    if not source.data.size:
        return target.clone()
    place = xp.maximum(xp.cumsum(chosen.reshape(-1)) - 1, 0).reshape(shape)
    place = xp.minimum(place, source.data.size - 1)
    return where(wrap(chosen), Index.apply(reshape(source, -1), (place,)), target)
