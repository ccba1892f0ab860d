"""Joining, cutting, repeating and rearranging: parts of tensors, and tensors of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    Op,
    also_named,
    canonical_dim,
    canonical_dims,
    result_type,
    xp_of,
)
from gpunn.ops.shape import Expand, Reshape, sizes_of, unsqueeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Flip(Op, widens=False):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Array:
        ctx.dims = dims
        return xp_of(x).flip(x.data, dims).copy()

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Flip.apply(dy, ctx.dims), None


class Roll(Op, widens=False):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shifts: tuple[int, ...], dims: tuple[int, ...] | None
    ) -> Array:
        ctx.back = tuple(-s for s in shifts), dims
        shift = shifts[0] if dims is None else shifts
        return xp_of(x).roll(x.data, shift, dims)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Roll.apply(dy, *ctx.back), None, None


class Cat(Op, widens=False):
    @staticmethod
    def forward(ctx: Any, dim: int, *tensors: Tensor) -> Array:
        dtype = result_type(*tensors).numpy
        ctx.dim, ctx.sizes = dim, [t.data.shape[dim] for t in tensors]
        arrays = [t.data.astype(dtype, copy=False) for t in tensors]
        return xp_of(tensors[0]).concatenate(arrays, dim)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return None, *split(dy, ctx.sizes, ctx.dim)


class Triangle(Op, widens=False):
    """The elements on and below (``lower``) or above diagonal ``k``; zeros elsewhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int, lower: bool) -> Array:
        ctx.args = k, lower
        xp = xp_of(x)
        return (xp.tril if lower else xp.triu)(x.data, k)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Triangle.apply(dy, *ctx.args), None, None


@extended
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an existing dimension; other sizes must agree; dtypes promote."""
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(
            "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    if not tensors:
        raise ValueError("gpunn.cat(): expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if not isinstance(x, Variable):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
            )
    # PyTorch lets an empty 1-d tensor join anything.
    joined = [x for x in tensors if x.data.shape != (0,)] or [tensors[0]]
    first = joined[0].data.shape
    for i, x in enumerate(tensors):
        if not x.data.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    dim = 0 if first == (0,) else canonical_dim(dim, len(first))
    for i, x in enumerate(joined):
        shape = x.data.shape
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for d, (n, m) in enumerate(zip(first, shape, strict=True)):
            if d != dim and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. "
                    f"Expected size {n} but got size {m} for tensor number {i} in the list."
                )
    if len(joined) < len(tensors):
        kind = result_type(*tensors)
        joined = [x.to(kind) for x in joined]
    return Cat.apply(dim, *joined)


@extended
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0].data.shape
    dim = canonical_dim(dim, len(shape) + 1)
    for i, x in enumerate(tensors):
        if x.data.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 "
                f"and {list(x.data.shape)} at entry {i}"
            )
    return cat([unsqueeze(x, dim) for x in tensors], dim)


@extended
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` elements of dimension ``dim`` from ``start`` on; a view."""
    if not input.data.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim = canonical_dim(dim, input.data.ndim)
    size = input.data.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return input[(slice(None),) * dim + (slice(start, start + length),)]


@extended
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Element ``index`` of dimension ``dim``, which goes; a view."""
    if not input.data.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, shape = canonical_dim(dim, input.data.ndim), input.data.shape
    if not -shape[dim] <= index < shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at "
            f"dimension {dim}"
        )
    return input[(slice(None),) * dim + (index,)]


@extended
def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of ``split_size`` elements each along ``dim`` (the last may be smaller), or of the
    sizes listed, which must add up."""
    if not tensor.data.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = canonical_dim(dim, tensor.data.ndim)
    size = tensor.data.shape[dim]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step < 0:
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={step}"
            )
        if step == 0 and size:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
            )
        sizes = [min(step, size - i) for i in range(0, size, step)] if size else [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's "
                f"size at dimension {dim}), but got split_sizes={sizes}"
            )
    pieces: list[Tensor] = []
    start = 0
    for n in sizes:
        pieces.append(narrow(tensor, dim, start, n))
        start += n
    return tuple(pieces)


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the sizes listed along ``dim``, which must add up."""
    if isinstance(split_sizes, int):
        raise TypeError(
            "split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not int"
        )
    if min(split_sizes, default=0) < 0:
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(split_sizes)}"
        )
    return split(input, split_sizes, dim)


@extended
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` views of equal size along ``dim`` (the last may be smaller)."""
    if not input.data.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input.data.shape[canonical_dim(dim, input.data.ndim)]
    if not size:
        return tuple(split(input, [0] * chunks, dim))
    return split(input, -(-size // chunks), dim)


# PyTorch's own hands out copies; what gpunn knows of views makes views safe.
unsafe_split, unsafe_split_with_sizes, unsafe_chunk = split, split_with_sizes, chunk


@extended
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The elements of dimension ``dim``, each a view without it."""
    dim = canonical_dim(dim, input.data.ndim)
    if not input.data.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(select(input, dim, i) for i in range(input.data.shape[dim]))


@also_named("dims")
def flip(input: Tensor, *dims: Any) -> Tensor:
    """The order along ``dims`` reversed (a copy)."""
    order = sizes_of(dims, "flip", "dims")
    return Flip.apply(input, canonical_dims(order, input.data.ndim)) if order else input.clone()


def roll(
    input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None
) -> Tensor:
    """Elements shifted along ``dims``, those that leave at one end enter at the other."""
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if not steps:
        raise RuntimeError("`shifts` required")
    places = (dims,) if isinstance(dims, int) else tuple(dims or ())
    if not places and len(steps) == 1:
        return Roll.apply(input, steps, None)
    if len(places) != len(steps):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(places)}"
        )
    if not input.data.ndim:
        raise IndexError(f"Dimension specified as {places[0]} but tensor has no dimensions")
    return Roll.apply(input, steps, tuple(canonical_dim(d, input.data.ndim) for d in places))


@also_named("repeats")
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor repeated ``repeats[d]`` times along each dimension."""
    counts, shape = sizes_of(repeats, "repeat", "repeats"), input.data.shape
    if len(counts) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    shape = (1,) * (len(counts) - len(shape)) + shape
    if any(r < 0 for r in counts):
        product = [r * n for r, n in zip(counts, shape, strict=True)]
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(product)}: {product}"
        )
    # (n,) -> (r, n) -> (r * n,): each dimension gets a partner to be repeated along.
    apart = Reshape.apply(input, tuple(m for n in shape for m in (1, n)))
    both = tuple(m for r, n in zip(counts, shape, strict=True) for m in (r, n))
    return Reshape.apply(
        Expand.apply(apart, both), tuple(r * n for r, n in zip(counts, shape, strict=True))
    )


@also_named("dims")
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As ``repeat``; missing leading counts are 1."""
    counts = sizes_of(dims, "tile", "dims")
    return repeat(input, *((1,) * (input.data.ndim - len(counts)) + counts))


@extended
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, zeros above ``diagonal``."""
    return _triangle(input, diagonal, True)


@extended
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, zeros below ``diagonal``."""
    return _triangle(input, diagonal, False)


def _triangle(input: Tensor, diagonal: int, lower: bool) -> Tensor:
    if input.data.ndim < 2:
        raise RuntimeError(
            f"{'tril' if lower else 'triu'}: input tensor must have at least 2 dimensions"
        )
    return Triangle.apply(input, diagonal, lower)
