"""Elements found: the different ones, where values belong in a sorted sequence, membership."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import int64
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    Op,
    as_tensor_like,
    canonical_dim,
    dtype_of,
    local,
    need_tensor,
    not_implemented,
    result_type,
    xp_of,
)
from gpunn.ops.gathering import nonzero
from gpunn.ops.order import sort

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


@extended
@local
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in order, or the different slices of ``dim``; each NaN is another.

    With ``return_inverse`` also where in the result each element is, with ``return_counts`` how
    often each occurs. Sorted whatever ``sorted``; there is no gradient.
    """
    need_tensor("unique", input)
    rows, xp = _rows(input, dim), xp_of(input)
    if rows.ndim == 1:
        order = xp.argsort(_sortable(rows), kind="stable")
    elif rows.shape[1]:
        order = xp.lexsort(_sortable(rows).T[::-1])
    else:
        order = xp.arange(len(rows))
    found, inverse, counts = _runs(rows[order], xp)
    if return_inverse:
        places = xp.empty_like(inverse)
        places[order] = inverse
        inverse = places
    name = "_unique2" if dim is None else "unique_dim"
    return _result(name, input, dim, found, inverse, counts, return_inverse, return_counts)


@extended
@local
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The first of every run of equal elements, or of equal slices of ``dim``; as ``unique``."""
    need_tensor("unique_consecutive", input)
    found, inverse, counts = _runs(_rows(input, dim), xp_of(input))
    name = "unique_consecutive"
    return _result(name, input, dim, found, inverse, counts, return_inverse, return_counts)


def _rows(input: Tensor, dim: int | None) -> Array:
    """The elements in a row, or the slices of ``dim`` as rows."""
    if dim is None:
        return input.data.reshape(-1)
    dim, xp = canonical_dim(dim, input.data.ndim), xp_of(input)
    x = input.data if input.data.ndim else input.data.reshape(1)
    moved = xp.moveaxis(x, dim, 0)
    if 0 in moved.shape[1:]:
        if not len(moved):
            raise RuntimeError(
                "Number of zero sized dimensions is more than one, so unique cannot be applied "
            )
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    width = moved.size // len(moved) if len(moved) else 0
    return xp.ascontiguousarray(moved).reshape(len(moved), width)


def _sortable(x: Array) -> Array:
    """What sorts as ``x`` does, on every device."""
    if x.dtype.kind == "V":
        return x.astype("float32")
    return x.astype("uint8") if x.dtype.kind == "b" else x


def _runs(rows: Array, xp: Any) -> tuple[Array, Array, Array]:
    """The first of each run, the number of the run for each row, and how long each run is."""
    new = xp.ones(len(rows), bool)
    if len(rows):
        differ = rows[1:] != rows[:-1]
        new[1:] = differ if rows.ndim == 1 else differ.any(1)
    starts = xp.flatnonzero(new)
    ends = xp.concatenate([starts[1:], xp.full(min(len(rows), 1), len(rows), starts.dtype)])
    return rows[starts], (xp.cumsum(new) - 1).astype("int64"), (ends - starts).astype("int64")


class _Found(Op, widens=False):
    """``found``, some elements of ``x`` through which no gradient can be followed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, found: Array, name: str) -> Array:
        ctx.function = name
        return found

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(f"the derivative for '{ctx.function}' is not implemented.")


def _result(
    name: str,
    input: Tensor,
    dim: int | None,
    found: Array,
    inverse: Array,
    counts: Array,
    return_inverse: bool,
    return_counts: bool,
) -> Any:
    xp = xp_of(input)
    if dim is None:
        inverse = inverse.reshape(input.data.shape)
    else:
        dim = canonical_dim(dim, input.data.ndim)
        shape = xp.moveaxis(input.data.reshape(input.data.shape or (1,)), dim, 0).shape[1:]
        found = xp.moveaxis(found.reshape(len(found), *shape), 0, dim)
    extra = [wrap(inverse)] if return_inverse else []
    extra += [wrap(counts)] if return_counts else []
    values = _Found.apply(input, xp.ascontiguousarray(found), name)
    return (values, *extra) if extra else values


# Sorted sequences ---------------------------------------------------------------------------


@extended
def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in a sorted sequence each value belongs: before its equals, or after if ``right``.

    A sequence of n dimensions is one for each of its rows, and ``input`` has the same leading
    shape. ``sorter`` holds the indices that sort ``sorted_sequence``. Values of another dtype are
    compared in the one to which both promote.
    """
    need_tensor("searchsorted", sorted_sequence, "sorted_sequence")
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"gpunn.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "gpunn.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    sequence = sorted_sequence.detach()
    if sorter is not None:
        _check_sorter(sequence, sorter)
        sequence = sequence.gather(-1, sorter)
    return _search("searchsorted", sequence, input, right or side == "right", out_int32)


def _check_sorter(sequence: Tensor, sorter: Tensor) -> None:
    if sorter.data.shape != sequence.data.shape:
        raise RuntimeError(
            "gpunn.searchsorted(): boundary and sorter must have the same size, but got boundary "
            f"tensor {list(sequence.data.shape)}and got sorter tensor {list(sorter.data.shape)}"
        )
    if dtype_of(sorter) is not int64:
        raise RuntimeError(
            "gpunn.searchsorted(): sorter must be a tensor of long dtype but got dtype "
            f"{dtype_of(sorter).title}"
        )
    text = "gpunn.searchsorted(): sorter index out of range"
    backend, size = type2backend[type(sorter.data)], sequence.data.shape[-1]
    backend.check_indices("searchsorted", sorter.data, 0, size, text, RuntimeError)


@extended
def bucketize(
    input: Tensor | float,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
) -> Tensor:
    """Which of the intervals between sorted ``boundaries`` holds each value.

    i for ``boundaries[i-1] < v <= boundaries[i]``; with ``right`` the left end is inside instead.
    """
    need_tensor("bucketize", boundaries, "boundaries", 2)
    if boundaries.data.ndim != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({boundaries.data.ndim})"
        )
    return _search("searchsorted", boundaries, input, right, out_int32)


@local
def _search(name: str, sequence: Tensor, input: Any, right: bool, out_int32: bool) -> Tensor:
    xp, side = xp_of(sequence), "right" if right else "left"
    values = as_tensor_like(input, sequence)
    a, v = sequence.data, values.data
    if not a.ndim:
        raise RuntimeError(
            f"gpunn.{name}(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if a.ndim > 1 and not v.ndim:
        raise RuntimeError(
            f"gpunn.{name}(): input value can be a scalar only when boundaries tensor dimension is "
            f"1, but we got boundaries tensor dim({a.ndim}) and input value's dim(0) numel(1)"
        )
    if a.ndim != 1 and (a.ndim != v.ndim or a.shape[:-1] != v.shape[:-1]):
        raise RuntimeError(
            f"gpunn.{name}(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
            "of boundaries tensor and input value tensor must match, but we got boundaries tensor "
            f"{list(a.shape)} and input value tensor {list(v.shape)}"
        )
    if a.dtype != v.dtype:
        common = result_type(sequence, values).numpy
        a, v = a.astype(common), v.astype(common)
    if a.dtype.kind == "b":
        raise not_implemented("searchsorted_out", a)
    a, v, kind = _sortable(a), _sortable(v), "int32" if out_int32 else "int64"
    if a.ndim == 1:
        return wrap(xp.asarray(xp.searchsorted(a, v, side)).astype(kind))
    found = xp.empty(v.shape, kind)
    number = math.prod(a.shape[:-1])
    rows, places = a.reshape(number, a.shape[-1]), found.reshape(number, v.shape[-1])
    for i, row in enumerate(v.reshape(len(rows), v.shape[-1])):
        places[i] = xp.searchsorted(rows[i], row, side)
    return wrap(found)


@extended
@local
def isin(
    elements: Tensor | float,
    test_elements: Tensor | float,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> Tensor:
    """Whether each of ``elements`` is among ``test_elements`` (or is not, with ``invert``)."""
    like: Any = elements if isinstance(elements, Variable) else test_elements
    x, y = as_tensor_like(elements, like), as_tensor_like(test_elements, like)
    if any(t.data.dtype.kind == "b" for t in (x, y)):
        raise RuntimeError("Unsupported input type encountered for isin(): Bool")
    among = xp_of(x).isin(_sortable(x.data), _sortable(y.data), invert=invert)
    return wrap(xp_of(x).asarray(among).reshape(x.data.shape))


@extended
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


@extended
@local
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The indices of the first ``size`` elements that are not 0, (size, ndim) int64.

    Rows of ``fill_value`` where there are fewer.
    """
    need_tensor("nonzero_static", input)
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = nonzero(input).data[:size]
    rows = xp_of(input).full((size, found.shape[1]), fill_value, "int64")
    rows[: len(found)] = found
    return wrap(rows)
