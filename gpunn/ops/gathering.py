"""Gathering and scattering by index tensors and masks, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import int32, int64
from gpunn.ops.calling import extended
from gpunn.ops.choice import Where
from gpunn.ops.common import (
    Number,
    broadcast_shapes,
    c_name,
    canonical_dim,
    dtype_of,
    local,
    need_tensor,
    xp_of,
)
from gpunn.ops.filling import element, factor
from gpunn.ops.indexing import Index, IndexPut, check_mask, is_mask, numpy_errors
from gpunn.ops.shape import reshape

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def full_index(x: Array, dim: int, index: Array, xp: Any) -> tuple[Any, ...]:
    """The full NumPy index that ``index`` along ``dim`` means."""
    grid = [
        xp.arange(n).reshape((1,) * d + (n,) + (1,) * (index.ndim - d - 1))
        for d, n in enumerate(index.shape)
    ]
    grid[dim] = index
    return tuple(grid)


@extended
@local
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``out[i][j][k] = input[index[i][j][k]][j][k]`` for ``dim`` 0, and so on.

    ``index`` (int64) has ``input``'s number of dimensions and is no larger except in ``dim``.
    Gradients of elements taken several times add up.
    """
    dim = canonical_dim(dim, input.data.ndim)
    check_gather("gather", input, dim, index)
    if not input.data.ndim:
        return input.reshape(())
    return Index.apply(input, full_index(input.data, dim, index.data, xp_of(input)))


@extended
@local
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src`` added at ``index`` along ``dim``; duplicates add up, in order."""
    need_tensor("scatter_add", src, "src", 4)
    return _scatter(input, dim, index, src, True)


@local
def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | Number) -> Tensor:
    """``input`` with ``src`` (or one number) written at ``index`` along ``dim``."""
    return _scatter(input, dim, index, src, False)


def _scatter(
    input: Tensor, dim: int, index: Tensor, src: Tensor | Number, accumulate: bool
) -> Tensor:
    dim = canonical_dim(dim, input.data.ndim)
    name = "scatter_add" if accumulate else "scatter"
    values = src if isinstance(src, Variable) else element(src, input)
    check_gather(name, input, dim, index, src if isinstance(src, Variable) else None)
    if not index.data.size:
        return input.clone()
    if isinstance(src, Variable):
        if values.data.dtype != input.data.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        values = values[tuple(slice(n) for n in index.data.shape)] if index.data.ndim else values
    if not input.data.ndim:
        return input + values if accumulate else IndexPut.apply(input, values, (), False)
    full = full_index(input.data, dim, index.data, xp_of(input))
    return IndexPut.apply(input, values, full, accumulate)


def check_gather(
    name: str, input: Tensor, dim: int, index: Tensor, src: Tensor | None = None
) -> None:
    """Refuse an ``index`` that does not fit ``input``, nor what is scattered."""
    shape, wanted = input.data.shape, index.data.shape
    if index.data.dtype not in (numpy.int64, numpy.int32):
        verb = name.partition("_")[0]
        raise RuntimeError(f"{verb}(): Expected dtype int32/int64 for index")
    if not index.data.size:
        return
    for what, x in (("input" if name == "gather" else "self", input), ("src", src)):
        if x is not None and max(len(wanted), 1) != max(x.data.ndim, 1):
            raise RuntimeError(
                f"Index tensor must have the same number of dimensions as {what} tensor"
            )
    longer = [d for d, (n, m) in enumerate(zip(wanted, shape, strict=False)) if d != dim and n > m]
    short = src is not None and any(
        n > m for n, m in zip(wanted, src.data.shape or (1,), strict=False)
    )
    if longer or short:
        text = (
            f"xpected index {list(wanted)} to be no larger than self {list(shape)} apart from "
            f"dimension {dim}"
        )
        if name == "gather":
            raise RuntimeError(f"Size does not match at dimension {longer[0]} e{text}")
        more = "" if src is None else f" and to be no larger size than src {list(src.data.shape)}"
        raise RuntimeError(f"E{text}{more}")
    size = shape[dim] if shape else 1
    text = f"index {{value}} is out of bounds for dimension {dim} with size {{high}}"
    type2backend[type(index.data)].check_indices(name, index.data, 0, size, text, RuntimeError)


def _check_places(
    name: str, input: Tensor, place: tuple[Any, ...], error: type[Exception] = IndexError
) -> None:
    """Refuse the last part of ``place`` where it leads out of its dimension."""
    index, dim = place[-1], len(place) - 1
    n = input.data.shape[dim] if input.data.ndim else 1
    text = f"index {{value}} is out of bounds for dimension {dim} with size {{high}}"
    type2backend[type(index)].check_indices(name, index, -n, n, text, error)


@extended
@local
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements ``index`` (a vector) of dimension ``dim``."""
    dim = canonical_dim(dim, input.data.ndim)
    if index.data.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.data.dtype not in (numpy.int64, numpy.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.data.ndim:
        return input[None][index.reshape(-1)].reshape(())
    text = "index out of range in self: index_select got {value}, expected 0 <= index < {high}"
    places, n = index.data.reshape(-1), input.data.shape[dim]
    if not n and input.data.ndim > 1 and places.size:
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    type2backend[type(places)].check_indices("index_select", places, 0, n, text)
    return input[(slice(None),) * dim + (index.reshape(-1),)]


@extended
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` with ``indices`` broadcast against ``input`` outside ``dim``.

    Along ``dim`` they count modulo its size, so that negative ones count from the end.
    """
    if dtype_of(indices) is not int64:
        raise RuntimeError(
            "gpunn.take_along_dim(): dtype of indices should be Long but got "
            f"{dtype_of(indices).title}"
        )
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.data.ndim != indices.data.ndim:
        raise RuntimeError(
            "gpunn.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.data.ndim} dimensions for input, and {indices.data.ndim} dimensions "
            "for indices"
        )
    dim = canonical_dim(dim, input.data.ndim)
    shape = broadcast_shapes(
        tuple(1 if d == dim else n for d, n in enumerate(input.data.shape)),
        tuple(1 if d == dim else n for d, n in enumerate(indices.data.shape)),
    )
    a = input.expand(*(input.data.shape[d] if d == dim else n for d, n in enumerate(shape)))
    b = indices.expand(*(indices.data.shape[d] if d == dim else n for d, n in enumerate(shape)))
    return gather(a, dim, b % a.data.shape[dim] if a.data.ndim else b)


@local
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) where ``mask`` (bool, broadcast)."""
    if mask.data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {c_name(mask)}"
        )
    filler = element(value, input)
    if filler.data.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{filler.data.ndim} dimension(s)."
        )
    return Where.apply(mask, filler, input)


@extended
@local
def index_fill(input: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) at ``index`` (a vector) of ``dim``."""
    if index.data.dtype != numpy.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.data.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    place = (slice(None),) * canonical_dim(dim, input.data.ndim) + (index.data.reshape(-1),)
    _check_places("index_fill", input, place)
    if not input.data.ndim:
        return reshape(IndexPut.apply(reshape(input, 1), element(value, input), place, False), ())
    return IndexPut.apply(input, element(value, input), place, False)


@extended
@local
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``input`` where ``mask`` (bool), both broadcast, in one dimension."""
    if mask.data.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input.data.shape, mask.data.shape)
    if not shape:
        return input.reshape(1)[mask.reshape(1)]
    return input.expand(*shape)[mask.expand(*shape)]


@extended
@local
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not 0, ``(n, ndim)`` int64, or a tuple of vectors."""
    xp, data = xp_of(input), input.data
    if not data.ndim and not as_tuple:
        return wrap(xp.zeros((int(bool(data)), 0), numpy.int64))
    parts = (data if data.ndim else data.reshape(1)).nonzero()
    if as_tuple:
        return tuple(wrap(p) for p in parts)
    return wrap(xp.stack(parts, axis=1))


@extended
@local
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1
) -> Tensor:
    """``input`` with ``alpha * source[i]`` added to element ``index[i]`` of ``dim``, in order."""
    dim = canonical_dim(dim, input.data.ndim)
    check_slices("index_add_", input, dim, index, source)
    places, size = index.data.reshape(-1), input.data.shape[dim] if input.data.ndim else 1
    text = f"index {{value}} is out of bounds for dimension {dim} with size {{high}}"
    type2backend[type(places)].check_indices("index_add", places, 0, size, text, RuntimeError)
    alpha = factor(source, alpha)
    source = source if alpha == 1 else source * alpha
    if not input.data.ndim:
        return input + source
    return IndexPut.apply(input, source, (slice(None),) * dim + (places,), True)


def check_slices(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """Refuse what is no slice of ``source`` for each index along ``dim`` of ``input``."""
    kind, shape, given = dtype_of(index), input.data.shape, source.data.shape
    if index.data.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.data.ndim} with "
            f"type: {kind.title} and size: {list(index.data.shape)}"
        )
    if kind not in (int32, int64):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index but got: {kind.title}")
    if input.data.dtype != source.data.dtype:
        raise RuntimeError(
            f"{name}(): self ({dtype_of(input).title}) and source ({dtype_of(source).title}) must "
            "have the same scalar type"
        )
    if given and dim >= len(given):
        raise RuntimeError(
            f"{name}(): Indexing dim {dim} is out of bounds of the source tensor with dim "
            f"{len(given)}"
        )
    number = given[dim] if given else 1
    if number != index.data.size:
        raise RuntimeError(
            f"{name}(): Number of indices ({index.data.size}) should be equal to "
            f"source.size(dim): ({number}), for dim: {dim}"
        )
    if shape[:dim] != given[:dim] or shape[dim + 1 :] != given[dim + 1 :] or (given and not shape):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(shape)} source.shape = {list(given)}"
        )


@local
def index_put(
    input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy of ``input`` with ``values`` at ``indices``, a tuple of integer or bool tensors."""
    arrays: list[Any] = []
    for i in indices:
        data = i._data if isinstance(i, Variable) else i
        if isinstance(i, Variable) and data.dtype.kind not in "iub":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if is_mask(data):
            check_mask(input, data, len(arrays))
        arrays.extend(data.nonzero() if is_mask(data) else [data])
    if len(arrays) > input.data.ndim:
        raise IndexError(
            f"too many indices for tensor of dimension {input.data.ndim} (got {len(arrays)})"
        )
    if input.data.dtype != values.data.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{dtype_of(input).title} for the destination and {dtype_of(values).title} for the "
            "source."
        )
    place = tuple(arrays)
    type2backend[type(input.data)].check_places("index_put", input.data, place)
    try:
        return numpy_errors(IndexPut.apply, input, values, place, accumulate)
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.data.shape)} cannot be broadcast "
            f"to indexing result of shape {list(input.data[place].shape)}"
        ) from None
