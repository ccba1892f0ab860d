"""Shapes: views of the same memory, and the sizes they may have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, is_sequence, wrap
from gpunn.autograd.views import View
from gpunn.backends import type2backend
from gpunn.dtype import dtype as DType
from gpunn.ops.calling import extended
from gpunn.ops.common import (
    Op,
    also_named,
    broadcast_shapes,
    canonical_dim,
    canonical_dims,
    xp_of,
)

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class ViewOp(View, Op, widens=False):
    """A view of gpunn's own."""


class Reshape(ViewOp):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Array:
        ctx.shape = x.data.shape
        return x.data.reshape(shape)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Reshape.apply(dy, ctx.shape), None


class Permute(ViewOp):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Array:
        ctx.dims = dims
        return x.data.transpose(dims)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        inverse = sorted(range(len(ctx.dims)), key=ctx.dims.__getitem__)
        return Permute.apply(dy, tuple(inverse)), None


class Expand(ViewOp):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Array:
        backend = type2backend[type(x.data)]
        return backend.view_of(x.data, backend.xp.broadcast_to(x.data, shape))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, None  # the engine sums it down


class SumToSize(Op):
    """The adjoint of broadcasting."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Array:
        ctx.shape = x.data.shape
        lead = x.data.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            i + lead for i, n in enumerate(shape) if n == 1 and x.data.shape[i + lead] != 1
        )
        return x.data.sum(axes, dtype=x.data.dtype).reshape(shape)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Expand.apply(dy, ctx.shape), None


class Diagonal(ViewOp):
    @staticmethod
    def forward(ctx: Any, x: Tensor, offset: int, dim1: int, dim2: int) -> Array:
        ctx.args, ctx.shape = (offset, dim1, dim2), x.data.shape
        view = x.data.diagonal(offset, dim1, dim2)
        return type2backend[type(x.data)].view_of(x.data, view)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return DiagonalPut.apply(dy, ctx.shape, *ctx.args), None, None, None


class DiagonalPut(Op, widens=False):
    """Zeros of ``shape`` with ``x`` on a diagonal: the adjoint of ``Diagonal``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...], *args: int) -> Array:
        xp, (offset, dim1, dim2) = xp_of(x), args
        ctx.args = args
        y = xp.zeros(shape, x.data.dtype)
        n = x.data.shape[-1]
        rows = xp.arange(n) + max(-offset, 0)
        columns = xp.arange(n) + max(offset, 0)
        index: list[Any] = [slice(None)] * len(shape)
        moved = xp.moveaxis(y, (dim1, dim2), (-2, -1))
        moved[(*index[2:], rows, columns)] = x.data
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Diagonal.apply(dy, *ctx.args), None, None, None, None


_INT = {int}


def sizes_of(given: tuple[Any, ...], name: str, argument: str) -> tuple[int, ...]:
    """What ``name(2, 3)`` or ``name((2, 3))`` is given as its ``argument``, as plain ints."""
    sizes: tuple[Any, ...] = given
    if len(given) == 1 and is_sequence(given[0]):
        sizes = tuple(given[0])
    if set(map(type, sizes)) == _INT:
        return sizes
    for i, n in enumerate(sizes):
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(_no_size(name, argument, type(n).__name__, i, sizes is given))
    return tuple(n.__index__() for n in sizes)


def _no_size(name: str, argument: str, kind: str, place: int, apart: bool) -> str:
    if place:
        return (
            f"{name}(): argument '{argument}' failed to unpack the object at pos {place + 1} with "
            f'error "type must be tuple of ints,but got {kind}"'
        )
    found = f"not {kind}" if apart else f"but found element of type {kind} at pos 0"
    return f"{name}(): argument '{argument}' (position 1) must be tuple of ints, {found}"


def infer_size(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """``shape`` with its one -1 worked out. Raises RuntimeError if ``numel`` does not fit."""
    if math.prod(shape) == numel and min(shape, default=0) >= 0:
        return shape
    unknown = shape.count(-1)
    if unknown > 1:
        raise RuntimeError("only one dimension can be inferred")
    for i, n in enumerate(shape):
        if n < -1:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(shape)}")
    known = math.prod(n for n in shape if n != -1)
    if unknown:
        if known == 0:
            if numel == 0:
                raise RuntimeError(
                    f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                    "unspecified dimension size -1 can be any value and is ambiguous"
                )
        elif numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in shape)
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


@also_named("shape")
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in ``shape``, a view where strides allow it; one size may be -1."""
    return Reshape.apply(input, infer_size(sizes_of(shape, "reshape", "shape"), input.data.size))


@also_named("size")
def view(input: Tensor, *shape: Any, dtype: DType | None = None) -> Tensor:
    """As ``reshape``, but never a copy: raises RuntimeError where strides do not allow it.

    ``view(dtype)`` reads the same memory as elements of another dtype.
    """
    if dtype is None and shape and isinstance(shape[0], DType):
        dtype = shape[0]
    if dtype is not None:
        return _reinterpreted(input, dtype)
    sizes = infer_size(sizes_of(shape, "view", "size"), input.data.size)
    output = Reshape.apply(input, sizes)
    if output._base is None and input.data.size:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return output


def _reinterpreted(input: Tensor, kind: DType) -> Tensor:
    data, have, want = input.data, input.dtype.itemsize, kind.itemsize
    if kind is input.dtype:
        return Reshape.apply(input, data.shape)
    pair = f"to view {input.dtype.title} as {kind.title} (different element sizes)"
    if have != want:
        if not data.ndim:
            raise RuntimeError(f"self.dim() cannot be 0 {pair}")
        if data.size and data.strides[-1] != have:
            raise RuntimeError(
                f"self.stride(-1) must be 1 {pair}, but got {data.strides[-1] // have}"
            )
        if data.shape[-1] * have % want:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {want // have} {pair}, but got "
                f"{data.shape[-1]}"
            )
    output = wrap(data.view(kind.numpy))
    output._version_box = input._version_box
    return output


@also_named("dims")
def permute(input: Tensor, *dims: Any) -> Tensor:
    """Dimensions in the order ``dims``, a view."""
    order = sizes_of(dims, "permute", "dims")
    ndim = input.data.ndim
    if len(order) != ndim:
        raise RuntimeError(
            "permute: number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = "
            f"{len(order)}"
        )
    order = tuple(canonical_dim(d, ndim) for d in order)
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return Permute.apply(input, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged, a view."""
    ndim = input.data.ndim
    dim0, dim1 = canonical_dim(dim0, ndim), canonical_dim(dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return Permute.apply(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """A matrix transposed; 0-d and 1-d tensors as they are."""
    if input.data.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {input.data.ndim}D"
        )
    return Permute.apply(input, tuple(range(input.data.ndim))[::-1])


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions ``source`` moved to ``destination``, the others in their order; a view."""
    ndim = input.data.ndim
    sources = (source,) if isinstance(source, int) else tuple(source)
    targets = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should "
            f"contain the same number of dims as destination ({list(targets)} dims)"
        )
    from_ = tuple(canonical_dim(d, ndim) for d in sources)
    to = tuple(canonical_dim(d, ndim) for d in targets)
    for name, given, dims in (("source", sources, from_), ("destination", targets, to)):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    if not ndim:
        return input
    rest = iter(d for d in range(ndim) if d not in from_)
    place = dict(zip(to, from_, strict=True))
    return Permute.apply(input, tuple(place[d] if d in place else next(rest) for d in range(ndim)))


@extended
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Dimensions of size 1 (all, or those among ``dim``) left out; a view."""
    shape = input.data.shape
    if isinstance(dim, (tuple, list)) and not dim:
        chosen: tuple[int, ...] = ()
    else:
        chosen = canonical_dims(dim, len(shape))
    return Reshape.apply(
        input, tuple(n for d, n in enumerate(shape) if not (d in chosen and n == 1))
    )


@extended
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of size 1 put in before ``dim``; a view."""
    shape = input.data.shape
    dim = canonical_dim(dim, len(shape) + 1)
    return Reshape.apply(input, (*shape[:dim], 1, *shape[dim:]))


@also_named("size")
def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated to ``sizes`` without memory (-1: as it is); a view."""
    wanted, shape = sizes_of(sizes, "expand", "size"), input.data.shape
    lead = len(wanted) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand(gpunn.{input.dtype.title}Tensor{{{list(shape)}}}, size={list(wanted)}): the "
            f"number of sizes provided ({len(wanted)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({len(shape)})"
        )
    full = list(wanted)
    for d in range(len(wanted) - 1, -1, -1):
        n = wanted[d]
        have = shape[d - lead] if d >= lead else None
        if n == -1:
            if have is None:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, "
                    f"non-existing dimension {d}"
                )
            n = have
        if have not in (None, 1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at "
                f"non-singleton dimension {d}.  Target sizes: {list(wanted)}.  "
                f"Tensor sizes: {list(shape)}"
            )
        full[d] = n
    return Expand.apply(input, tuple(full))


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """``expand`` to ``size``."""
    return expand(input, *size)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """``expand`` to the shape of ``other``."""
    return expand(input, *other.data.shape)


def broadcast_or_none(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape to which ``shapes`` broadcast, None if they do not."""
    try:
        return broadcast_shapes(*shapes)
    except RuntimeError:
        return None


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions that broadcasting ``size`` to this shape would repeat."""
    shape = sizes_of(size, "sum_to_size", "size")
    if broadcast_or_none(shape, input.data.shape) != input.data.shape:
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(input.data.shape)}}}."
        )
    return input if input.data.shape == shape else SumToSize.apply(input, shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` (both included) made one."""
    shape = input.data.shape
    start, end = canonical_dim(start_dim, len(shape)), canonical_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if start == end and shape:
        return input
    size = math.prod(shape[start : end + 1])
    return Reshape.apply(input, (*shape[:start], size, *shape[end + 1 :]))


@extended
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension ``dim`` made several; one of ``sizes`` may be -1."""
    shape = input.data.shape
    if not shape:
        raise RuntimeError(
            "unflatten got an unexpected error:\nDimension specified as 0 but tensor has no "
            "dimensions"
        )
    dim = canonical_dim(dim, len(shape))
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if list(sizes).count(-1) > 1:
        raise RuntimeError("unflatten got an unexpected error:\nonly one dimension can be inferred")
    try:
        inner = infer_size(tuple(sizes), shape[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[dim]}) in the input tensor"
        ) from None
    return Reshape.apply(input, (*shape[:dim], *inner, *shape[dim + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return reshape(input, -1)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as the last dimension; a view."""
    ndim = input.data.ndim
    dim1, dim2 = canonical_dim(dim1, ndim), canonical_dim(dim2, ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return Diagonal.apply(input, offset, dim1, dim2)


# PyTorch's other names.
moveaxis, swapaxes, swapdims = movedim, transpose, transpose
