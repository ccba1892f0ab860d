"""Tensors made one beside the other: stacks by rows, columns and depth; grids; repetitions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, is_sequence, wrap
from gpunn.backends import backend_of
from gpunn.device import device as Device
from gpunn.device import get_default_device
from gpunn.dtype import as_dtype, dtype, int32, int64
from gpunn.ops.calling import extended
from gpunn.ops.common import canonical_dim, local, not_implemented, xp_of
from gpunn.ops.gathering import index_select
from gpunn.ops.joining import cat
from gpunn.ops.shape import DiagonalPut, diagonal, expand, movedim, reshape, unsqueeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Tensors = Sequence["Tensor"]


def atleast_1d(*tensors: Tensor | Any) -> Any:
    """Each with at least one dimension; one tensor for one, else a tuple."""
    return _each(tensors, _one)


def atleast_2d(*tensors: Tensor | Any) -> Any:
    """Each with at least two dimensions: vectors become rows."""
    return _each(tensors, _two)


def atleast_3d(*tensors: Tensor | Any) -> Any:
    """Each with at least three dimensions: a vector (n) becomes (1, n, 1), a matrix (n, m, 1)."""
    return _each(tensors, _three)


def _one(x: Tensor) -> Tensor:
    return x if x.data.ndim else reshape(x, 1)


def _two(x: Tensor) -> Tensor:
    return x if x.data.ndim > 1 else reshape(x, 1, -1 if x.data.size else 0)


def _three(x: Tensor) -> Tensor:
    return x if x.data.ndim > 2 else unsqueeze(_two(x), 2)


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Variable):
        return change(tensors[0])
    if len(tensors) == 1 and is_sequence(tensors[0]):
        tensors = tuple(tensors[0])
    return tuple(change(x) for x in tensors)


def _need_some(name: str, tensors: Tensors) -> None:
    if not len(tensors):
        raise RuntimeError(f"{name} expects a non-empty TensorList")


@extended
def hstack(tensors: Tensors) -> Tensor:
    """Joined along the second dimension; vectors along their only one."""
    _need_some("hstack", tensors)
    wide = atleast_1d(list(tensors))
    return cat(wide, 0 if wide[0].data.ndim == 1 else 1)


@extended
def vstack(tensors: Tensors) -> Tensor:
    """Joined along the first dimension, vectors as rows."""
    _need_some("vstack", tensors)
    return cat(atleast_2d(list(tensors)), 0)


@extended
def dstack(tensors: Tensors) -> Tensor:
    """Joined along the third dimension, with ``atleast_3d``."""
    _need_some("dstack", tensors)
    return cat(atleast_3d(list(tensors)), 2)


@extended
def column_stack(tensors: Tensors) -> Tensor:
    """Joined along the second dimension, vectors as columns."""
    _need_some("column_stack", tensors)
    return hstack([x if x.data.ndim > 1 else reshape(x, x.data.size, 1) for x in tensors])


concat = concatenate = cat
row_stack = vstack


def meshgrid(*tensors: Tensor | Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For vectors of n1, n2, ... elements a grid (n1, n2, ...) of each one's values.

    ``indexing="xy"`` exchanges the first two dimensions; "ij" is the default, with a warning.
    """
    if len(tensors) == 1 and is_sequence(tensors[0]):
        tensors = tuple(tensors[0])
    if indexing is None:
        warnings.warn(
            "gpunn.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            stacklevel=2,
        )
        indexing = "ij"
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in tensors:
        if x.data.ndim > 1:
            raise RuntimeError(
                f"gpunn.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x}"
            )
        if x.data.dtype != tensors[0].data.dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            'gpunn.meshgrid: indexing must be one of "xy" or "ij", but received: ' + indexing
        )
    xy, vectors = indexing == "xy" and len(tensors) > 1, list[Any](tensors)
    if xy:
        vectors[:2] = vectors[1::-1]
    sizes, n = [int(x.data.size) for x in vectors], len(vectors)
    grids = [
        expand(reshape(x, *(size if i == j else 1 for j in range(n))), *sizes)
        for i, (x, size) in enumerate(zip(vectors, sizes, strict=True))
    ]
    if xy:
        grids[:2] = grids[1::-1]
    return tuple(grids)


# Diagonals ----------------------------------------------------------------------------------


@extended
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a square matrix; of a matrix the diagonal, a copy."""
    if input.data.ndim == 1:
        return diag_embed(input, diagonal)
    if input.data.ndim == 2:
        return _diagonal(input, diagonal, 0, 1).clone()
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.data.ndim}D")


_diagonal = diagonal  # which an argument of PyTorch's hides


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices in dimensions ``dim1`` and ``dim2``, their diagonal the last of ``input``."""
    shape = input.data.shape
    ndim = len(shape) + 1
    first, second = canonical_dim(dim1, ndim), canonical_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if not shape:
        raise IndexError("diag_embed: expected at least one dimension, got a 0-d tensor")
    n = shape[-1] + abs(offset)
    matrices = DiagonalPut.apply(input, (*shape[:-1], n, n), offset, ndim - 2, ndim - 1)
    return movedim(matrices, (-2, -1), (first, second))


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix' diagonal."""
    if input.data.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.data.ndim}")
    if input.data.dtype.kind == "b":
        raise not_implemented("trace", input.data)
    return diagonal(input).sum()


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype = int64, device: Any = None
) -> Tensor:
    """Row and column (2, n) of the elements on and below diagonal ``offset``, row by row."""
    return _triangle_indices("tril", row, col, offset, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: dtype = int64, device: Any = None
) -> Tensor:
    """Row and column (2, n) of the elements on and above diagonal ``offset``, row by row."""
    return _triangle_indices("triu", row, col, offset, dtype, device)


def _triangle_indices(
    name: str, row: int, col: int, offset: int, kind: dtype, device: Any
) -> Tensor:
    for which, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{which} must be non-negative, got{n}")
    if as_dtype(kind) not in (int32, int64):
        raise NotImplementedError(
            f"\"{name}_indices\" not implemented for '{as_dtype(kind).title}'"
        )
    where = get_default_device() if device is None else Device(device)
    backend = backend_of(where)
    with backend.on(where):
        inside = getattr(backend.xp, name)(backend.xp.ones((row, col), bool), offset).nonzero()
        return wrap(backend.xp.stack(inside).astype(as_dtype(kind).numpy))


# Repetition ---------------------------------------------------------------------------------


@extended
@local
def repeat_interleave(
    input: Tensor,
    repeats: Tensor | int | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each element (or each index of ``dim``) ``repeats`` times in a row; a copy.

    ``repeats`` may be a tensor, one number for each. ``repeat_interleave(repeats)`` alone gives the
    indices: 0 ``repeats[0]`` times, and so on.
    """
    if repeats is None:
        return wrap(_repeated(input.data, xp_of(input)))
    if dim is None:
        input, dim = reshape(input, -1), 0
    dim = canonical_dim(dim, input.data.ndim)
    n = input.data.shape[dim] if input.data.ndim else 1
    xp = xp_of(input)
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        counts = xp.full(n, repeats, numpy.int64)
    else:
        counts = repeats.data.reshape(-1)
        if repeats.data.ndim > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if counts.size == 1:
            counts = xp.broadcast_to(counts, n)
        if counts.size != n:
            raise RuntimeError(
                "repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{counts.size} and input.size({dim}) = {n}"
            )
    index = _repeated(counts, xp)
    if output_size is not None and output_size != index.size:
        raise RuntimeError("allocated size does not match required size")
    return index_select(input, dim, wrap(index))


def _repeated(counts: Array, xp: Any) -> Array:
    """0 ``counts[0]`` times, 1 ``counts[1]`` times, and so on."""
    if counts.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if counts.dtype not in (numpy.int64, numpy.int32):
        raise RuntimeError("repeats has to be Long or Int tensor")
    if not counts.size:
        return xp.zeros(0, numpy.int64)
    if bool((counts < 0).any()):
        raise RuntimeError("repeats can not be negative")
    ends = counts.cumsum()
    return xp.searchsorted(ends, xp.arange(int(ends[-1])), side="right").astype(numpy.int64)
