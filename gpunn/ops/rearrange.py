"""Parts of tensors taken, put back, turned and lined up: compositions of views and joins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import int64
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    broadcast_shapes,
    canonical_dim,
    constant,
    dtype_of,
    need_tensor,
    result_type,
)
from gpunn.ops.gathering import nonzero
from gpunn.ops.indexing import Index, IndexPut
from gpunn.ops.joining import cat, flip, narrow, select, stack
from gpunn.ops.shape import diagonal, expand, reshape, transpose
from gpunn.ops.stacking import meshgrid

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Sections = int | Sequence[int]


def fliplr(input: Tensor) -> Tensor:
    """The order of dimension 1 reversed (a copy)."""
    if input.data.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The order of dimension 0 reversed (a copy)."""
    if not input.data.ndim:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by ``k`` right angles in the plane of ``dims``, from the first to the second."""
    ndim = input.data.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
    a, b = (canonical_dim(d, ndim) for d in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {a} and dim1 = {b}"
        )
    if k % 4 == 0:
        return input.clone()
    if k % 4 == 2:
        return flip(input, a, b)
    return transpose(flip(input, b if k % 4 == 1 else a), a, b).clone()


@extended
def tensor_split(
    input: Tensor, indices_or_sections: Sections | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """Views along ``dim``: as many sections of nearly equal size, or cut before each index."""
    if not input.data.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = canonical_dim(dim, input.data.ndim)
    size: int = input.data.shape[dim]
    given: Any = indices_or_sections
    if isinstance(given, Variable):
        given = given.data.tolist()
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {given}")
        short, longer = divmod(size, given)
        cuts = [i * short + min(i, longer) for i in range(given + 1)]
    else:
        cuts = [0, *(min(max(i + size if i < 0 else i, 0), size) for i in given), size]
    return tuple(narrow(input, dim, a, max(b - a, 0)) for a, b in itertools.pairwise(cuts))


def _split_along(name: str, input: Tensor, given: Sections, dim: int, least: int) -> Any:
    ndim = input.data.ndim
    if ndim < least:
        raise RuntimeError(
            f"gpunn.{name} requires a tensor with at least {least} dimension, but got a tensor "
            f"with {ndim} dimensions!"
        )
    if isinstance(given, int) and (given == 0 or input.data.shape[dim] % given):
        raise RuntimeError(
            f"gpunn.{name} attempted to split along dimension {dim}, but the size of the "
            f"dimension {input.data.shape[dim]} is not divisible by the split_size {given}!"
        )
    return tensor_split(input, given, dim)


def hsplit(input: Tensor, indices_or_sections: Sections) -> tuple[Tensor, ...]:
    """``tensor_split`` along dimension 1 (0 for a vector), into equal sections."""
    dim = 0 if input.data.ndim == 1 else 1
    return _split_along("hsplit", input, indices_or_sections, dim, 1)


def vsplit(input: Tensor, indices_or_sections: Sections) -> tuple[Tensor, ...]:
    """``tensor_split`` along dimension 0, into equal sections."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Sections) -> tuple[Tensor, ...]:
    """``tensor_split`` along dimension 2, into equal sections."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of ``input`` on the diagonal ``offset``."""
    flat = reshape(input, -1)
    n = flat.data.size + abs(offset)
    zeros = input.new_zeros(n, n)
    return diagonal_scatter(zeros, flat, offset)


def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """``input`` with ``src`` on a diagonal."""
    return _put(input, src, lambda x: diagonal(x, offset, dim1, dim2))


def _put(input: Tensor, src: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of ``input`` in which ``view`` of it shows ``src``."""
    shape = view(input).data.shape
    if src.data.shape != shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. "
            f"src size = {list(src.data.shape)}, slice size = {list(shape)}"
        )
    copy = input.clone()
    if src.data.dtype != input.data.dtype:
        src = src.to(input.dtype)
    view(copy).copy_(src)
    return copy


@extended
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """``input`` with ``src`` in place of ``select(input, dim, index)``."""
    return _put(input, src, lambda x: select(x, dim, index))


@extended
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """``input`` with ``src`` in place of the slice ``start:end:step`` of ``dim``."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    place = (slice(None),) * canonical_dim(dim, input.data.ndim) + (slice(start, end, step),)
    return _put(input, src, lambda x: x[place])


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices (vectors and numbers count as one row) along the diagonal, zeros elsewhere."""
    rows = [x if x.data.ndim == 2 else reshape(x, 1, -1) for x in tensors if x.data.ndim <= 2]
    if len(rows) < len(tensors):
        wrong = next(i for i, x in enumerate(tensors) if x.data.ndim > 2)
        raise RuntimeError(
            "gpunn.block_diag: Input tensors must have 2 or fewer dimensions. "
            f"Input {wrong} has {tensors[wrong].data.ndim} dimensions"
        )
    if not rows:
        return wrap(numpy.zeros((1, 0), "f4"))
    kind, width = result_type(*rows), sum(x.data.shape[1] for x in rows)
    lines: list[Tensor] = []
    before = 0
    for x in rows:
        (n, m), y = x.data.shape, x.to(kind)
        left, right = y.new_zeros(n, before), y.new_zeros(n, width - before - m)
        lines.append(cat([left, y, right], 1))
        before += m
    return cat(lines)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All expanded to the shape to which they broadcast."""
    shape = broadcast_shapes(*[x.data.shape for x in tensors])
    return tuple(expand(x, *shape) for x in tensors)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element of each vector, a row each, the last one changing fastest."""
    for x in tensors:
        if x.data.ndim != 1:
            raise RuntimeError("Expect a 1D vector, but got shape " + str(list(x.data.shape)))
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, -1) for x in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """The combinations of ``r`` elements of a vector, a row each, in order."""
    if input.data.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.data.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if not r:
        return input.new_empty(0)
    places = numpy.array(list(choose(range(input.data.size), r)), numpy.int64).reshape(-1, r)
    return Index.apply(input, (constant(input, places),))


def argwhere(input: Tensor) -> Tensor:
    """The indices of elements that are not 0, ``(n, ndim)`` int64."""
    return nonzero(input)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """For each index into the flattened ``shape``, its index along every dimension."""
    need_tensor("unravel_index", indices, "indices")
    if indices.data.dtype.kind not in "iu":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    result: list[Tensor] = []
    for d, n in enumerate(sizes):
        below = math.prod(sizes[d + 1 :])
        result.append((indices // max(below, 1) % max(n, 1)).to(int64))
    return tuple(result)


@extended
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements of ``input``, made flat, at ``index``, in the shape of ``index``."""
    if index.data.dtype != numpy.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype.title}")
    if not input.data.size and index.data.size:
        raise IndexError("take(): tried to take from an empty tensor")
    _check_flat("take", input, index)
    return reshape(input, -1)[index]


def _check_flat(name: str, input: Tensor, index: Tensor) -> None:
    """Refuse an index into the elements of ``input``, made flat, that is out of range."""
    size, text = input.data.size, "out of range: tried to access index {value} on a tensor of "
    backend = type2backend[type(index.data)]
    backend.check_indices(name, index.data, -size, size, f"{text}{size} elements.")


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``input`` with ``source`` at ``index`` of its elements made flat (added if asked)."""
    if index.data.dtype != numpy.int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {dtype_of(index).title}"
        )
    if input.data.dtype != source.data.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{dtype_of(input).title} and source.dtype = {dtype_of(source).title}"
        )
    if index.data.size and not input.data.size:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    if index.data.size != source.data.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.data.size}, index.numel() = {index.data.size}"
        )
    _check_flat("put", input, index)
    flat = IndexPut.apply(
        reshape(input, -1), reshape(source, -1), (index.data.reshape(-1),), accumulate
    )
    return reshape(flat, *input.data.shape)
