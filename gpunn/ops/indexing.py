"""Indexing and scattering: ``x[index]``, gather, scatter and their adjoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.ops.common import Number, Op, as_tensor_like, canonical_dim, xp_of
from gpunn.ops.pointwise import Masked, logical_not
from gpunn.ops.shape import ViewOp

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class Slice(ViewOp):
    """Basic indexing, integers and slices: a view."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: tuple[Any, ...]) -> Array:
        ctx.shape, ctx.index = x.data.shape, index
        return x.data[index]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return SlicePut.apply(dy, ctx.shape, ctx.index), None


class SlicePut(Op):
    """Zeros of ``shape`` with ``x`` at ``index``: the adjoint of ``Slice``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
        ctx.index = index
        y = xp_of(x).zeros(shape, x.data.dtype)
        y[index] = x.data
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Slice.apply(dy, ctx.index), None, None


class Index(Op):
    """Indexing by integer arrays: a copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: tuple[Any, ...]) -> Array:
        ctx.shape, ctx.index = x.data.shape, _kept(ctx, index)
        return x.data[index]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return IndexAdd.apply(dy, ctx.shape, ctx.index), None


def _kept(ctx: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """``index`` for backward: copies, since the user may change an index tensor meanwhile."""
    if not any(ctx.needs_input_grad):
        return index
    return tuple(i.copy() if hasattr(i, "copy") else i for i in index)


class IndexAdd(Op):
    """Zeros of ``shape`` to which ``x`` is added at ``index``: the adjoint of ``Index``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
        ctx.index = index
        y = xp_of(x).zeros(shape, x.data.dtype)
        type2backend[type(y)].index_add(y, index, x.data)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Index.apply(dy, ctx.index), None, None


class IndexPut(Op):
    """A copy of ``x`` with ``values`` written at (or added to) ``index``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor, index: tuple[Any, ...], accumulate: bool
    ) -> Array:
        ctx.index, ctx.accumulate = _kept(ctx, index), accumulate
        y = type2backend[type(x.data)].copy(x.data)
        values_ = values.data.astype(y.dtype, copy=False)
        if accumulate:
            type2backend[type(y)].index_add(y, index, values_)
        else:
            y[index] = values_
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        need_x, need_values, _, _ = ctx.needs_input_grad
        dx = dvalues = None
        if need_x:
            dx = dy
            if not ctx.accumulate:
                zero = wrap(xp_of(dy).zeros((), dy.data.dtype))
                dx = IndexPut.apply(dy, zero, ctx.index, False)
        if need_values:
            dvalues = Index.apply(dy, ctx.index)
        return dx, dvalues, None, None


def _along(x: Array, dim: int, index: Array, xp: Any) -> tuple[Any, ...]:
    """The full NumPy index that ``index`` along ``dim`` means."""
    grid = [
        xp.arange(n).reshape((1,) * d + (n,) + (1,) * (index.ndim - d - 1))
        for d, n in enumerate(index.shape)
    ]
    grid[dim] = index
    return tuple(grid)


# x[...] -------------------------------------------------------------------------------------


def getitem(input: Tensor, index: Any) -> Tensor:
    """``input[index]`` with PyTorch's rules: a view for integers, slices, None and ``...``;
    a copy where a tensor, array, list or bool takes part."""
    basic, advanced = _split_index(input, index)
    output = input if basic is None else _slice(input, basic)
    if advanced is None:
        return output if output is not input else _slice(input, (Ellipsis,))
    return _numpy_errors(Index.apply, output, advanced)


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """``input[index] = value``: in place, broadcast, cast to ``input``'s dtype."""
    basic, advanced = _split_index(input, index)
    place = input if basic is None else _slice(input, basic)
    value = (
        as_tensor_like(value, input)
        if not isinstance(value, (list, tuple, numpy.ndarray))
        else (wrap(type2backend[type(input.data)].from_numpy(numpy.asarray(value))))
    )
    if advanced is None:
        place.copy_(value)
    else:
        place.index_put_(advanced, value)


def _slice(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    # The ellipsis makes NumPy return a 0-d view where it would return a number.
    full = index if Ellipsis in [i for i in index if i is Ellipsis] else (*index, Ellipsis)
    return _numpy_errors(Slice.apply, x, full)


def _numpy_errors(apply: Any, x: Tensor, index: tuple[Any, ...]) -> Tensor:
    try:
        return apply(x, index)
    except IndexError as error:
        text = str(error).replace("for axis", "for dimension")
        if text.startswith("too many indices") and not x.data.ndim:
            text = (
                "invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor to "
                "a number"
            )
        elif text.startswith("too many indices"):
            text = f"too many indices for tensor of dimension {x.data.ndim}"
        elif text.startswith("shape mismatch"):
            text = text.replace(
                "shape mismatch: indexing arrays", "shape mismatch: indexing tensors"
            )
        raise IndexError(text) from None


def _split_index(x: Tensor, index: Any) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """``index`` as a basic part (a view) and then an advanced part (integer arrays and ``:``)."""
    items = index if isinstance(index, tuple) else (index,)
    if all(type(i) is int or i is None or i is Ellipsis for i in items):
        return items, None
    xp = xp_of(x)
    parts = [_index_part(i, xp) for i in items]
    used = sum(
        getattr(p, "ndim", 1) if _is_mask(p) else 1
        for p in parts
        if p is not None and p is not Ellipsis and not _is_flag(p)
    )
    basic: list[Any] = []
    advanced: list[Any] = []
    dim = 0  # the dimension of x that comes next
    for part in parts:
        if part is Ellipsis:
            hidden = x.data.ndim - used
            basic.extend([slice(None)] * hidden)
            advanced.extend([slice(None)] * hidden)
            dim += hidden
        elif part is None:
            basic.append(None)
            advanced.append(slice(None))
        elif _is_flag(part):  # x[True]: a new dimension of size 1, or 0
            basic.append(None)
            advanced.append(xp.zeros(int(part), numpy.int64))
        elif isinstance(part, int):
            basic.append(part)
            dim += 1
        elif isinstance(part, slice):
            basic.append(part)
            advanced.append(slice(None))
            dim += 1
        elif _is_mask(part):
            _check_mask(x, part, dim)
            basic.extend([slice(None)] * part.ndim)
            advanced.extend(part.nonzero())
            dim += part.ndim
        else:
            basic.append(slice(None))
            advanced.append(part)
            dim += 1
    if used > x.data.ndim:
        if not x.data.ndim and any(isinstance(p, slice) for p in parts):
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        raise IndexError(f"too many indices for tensor of dimension {x.data.ndim}")
    if all(isinstance(a, slice) for a in advanced):
        return tuple(basic), None
    return tuple(basic), tuple(advanced)


def _is_mask(part: Any) -> bool:
    return hasattr(part, "dtype") and part.dtype.kind == "b" and part.ndim > 0


def _is_flag(part: Any) -> bool:
    return isinstance(part, (bool, numpy.bool_))


def _check_mask(x: Tensor, mask: Array, dim: int) -> None:
    for d, n in enumerate(mask.shape):
        have = x.data.shape[dim + d] if dim + d < x.data.ndim else None
        if have != n:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {d} does not match the shape "
                f"of the indexed tensor {list(x.data.shape)} at index {dim + d}"
            )


def _index_part(part: Any, xp: Any) -> Any:
    """One item of an index: int, slice, None, ``...``, a bool, or an array of ints or bools."""
    if part is None or part is Ellipsis or isinstance(part, (bool, numpy.bool_)):
        return part
    if isinstance(part, slice):
        ends = [None if e is None else _integer(e) for e in (part.start, part.stop, part.step)]
        if ends[2] is not None and ends[2] <= 0:
            raise ValueError("step must be greater than zero")
        return slice(*ends)
    if isinstance(part, Variable):
        part = part._data
    if isinstance(part, (int, numpy.integer)):
        return int(part)
    if isinstance(part, (list, tuple, range)):
        items = [i.data.item() if isinstance(i, Variable) else i for i in part]
        part = xp.asarray(items) if items else xp.zeros(0, numpy.int64)
    if not hasattr(part, "dtype"):
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
            f"valid indices (got {type(part).__name__})"
        )
    if part.dtype.kind not in "iub":
        raise IndexError(
            f"tensors used as indices must be long, int, byte or bool tensors, got {part.dtype}"
        )
    if part.ndim == 0:
        return bool(part) if part.dtype.kind == "b" else int(part)
    array = xp.asarray(part)
    return array.astype(bool) if array.dtype == numpy.uint8 else array


def _integer(value: Any) -> int:
    if isinstance(value, Variable):
        value = value._data.item()
    if not hasattr(value, "__index__"):
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method, "
            f"got {type(value).__name__}"
        )
    return value.__index__()


# Functions ----------------------------------------------------------------------------------


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``out[i][j][k] = input[index[i][j][k]][j][k]`` for ``dim`` 0, and so on.

    ``index`` (int64) has ``input``'s number of dimensions and is no larger except in ``dim``.
    Gradients of elements taken several times add up.
    """
    dim = canonical_dim(dim, input.data.ndim)
    _check_gather("gather", input, dim, index)
    if not input.data.ndim:
        return input.reshape(())
    return Index.apply(input, _along(input.data, dim, index.data, xp_of(input)))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src`` added at ``index`` along ``dim``; duplicates add up, in order."""
    return _scatter(input, dim, index, src, True)


def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | Number) -> Tensor:
    """``input`` with ``src`` (or one number) written at ``index`` along ``dim``."""
    return _scatter(input, dim, index, src, False)


def _scatter(
    input: Tensor, dim: int, index: Tensor, src: Tensor | Number, accumulate: bool
) -> Tensor:
    dim = canonical_dim(dim, input.data.ndim)
    name = "scatter_add" if accumulate else "scatter"
    values = as_tensor_like(src, input)
    _check_gather(name, input, dim, index)
    if not index.data.size:
        return input.clone()
    if isinstance(src, Variable):
        if values.data.dtype != input.data.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        if any(n > m for n, m in zip(index.data.shape, values.data.shape, strict=True)):
            raise RuntimeError(
                f"Expected index {list(index.data.shape)} to be no larger than src "
                f"{list(values.data.shape)}"
            )
        values = values[tuple(slice(n) for n in index.data.shape)] if index.data.ndim else values
    if not input.data.ndim:
        return input + values if accumulate else IndexPut.apply(input, values, (), False)
    full = _along(input.data, dim, index.data, xp_of(input))
    return IndexPut.apply(input, values, full, accumulate)


def _check_gather(name: str, input: Tensor, dim: int, index: Tensor) -> None:
    shape, wanted = input.data.shape, index.data.shape
    if index.data.dtype not in (numpy.int64, numpy.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if index.data.size and max(len(wanted), 1) != max(len(shape), 1):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: "
            f"{len(wanted)} and {len(shape)}"
        )
    if not index.data.size:
        return
    for d, (n, m) in enumerate(zip(wanted, shape, strict=False)):
        if d != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(wanted)} to be no "
                f"larger than self {list(shape)} apart from dimension {dim}"
            )
    size = shape[dim] if shape else 1
    if index.data.size:
        low, high = int(index.data.min()), int(index.data.max())
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements ``index`` (a vector) of dimension ``dim``."""
    dim = canonical_dim(dim, input.data.ndim)
    if index.data.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not input.data.ndim:
        return input[None][index.reshape(-1)].reshape(())
    return input[(slice(None),) * dim + (index.reshape(-1),)]


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` with ``indices`` broadcast against ``input`` outside ``dim``."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    dim = canonical_dim(dim, input.data.ndim)
    shape = numpy.broadcast_shapes(
        tuple(1 if d == dim else n for d, n in enumerate(input.data.shape)),
        tuple(1 if d == dim else n for d, n in enumerate(indices.data.shape)),
    )
    a = input.expand(*(input.data.shape[d] if d == dim else n for d, n in enumerate(shape)))
    b = indices.expand(*(indices.data.shape[d] if d == dim else n for d, n in enumerate(shape)))
    return gather(a, dim, b)


def masked_fill(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) where ``mask`` (bool, broadcast)."""
    if mask.data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.data.dtype}"
        )
    filler = as_tensor_like(value, input)
    if filler.data.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{filler.data.ndim} dimension(s)."
        )
    shape = numpy.broadcast_shapes(input.data.shape, mask.data.shape)
    mask = mask.expand(*shape)
    kept = Masked.apply(input.expand(*shape), logical_not(mask))
    return IndexPut.apply(kept, filler, (mask.data,), False)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """``input`` with ``value`` (a number or 0-d tensor) at ``index`` (a vector) of ``dim``."""
    place = (slice(None),) * canonical_dim(dim, input.data.ndim) + (index.data.reshape(-1),)
    return IndexPut.apply(input, as_tensor_like(value, input), place, False)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``input`` where ``mask`` (bool), both broadcast, in one dimension."""
    if mask.data.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = numpy.broadcast_shapes(input.data.shape, mask.data.shape)
    if not shape:
        return input.reshape(1)[mask.reshape(1)]
    return input.expand(*shape)[mask.expand(*shape)]


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not 0, ``(n, ndim)`` int64, or a tuple of vectors."""
    xp, data = xp_of(input), input.data
    if not data.ndim and not as_tuple:
        return wrap(xp.zeros((int(bool(data)), 0), numpy.int64))
    parts = (data if data.ndim else data.reshape(1)).nonzero()
    if as_tuple:
        return tuple(wrap(p) for p in parts)
    return wrap(xp.stack(parts, axis=1))


def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1
) -> Tensor:
    """``input`` with ``alpha * source[i]`` added to element ``index[i]`` of ``dim``, in order."""
    dim = canonical_dim(dim, input.data.ndim)
    place = (slice(None),) * dim + (index.data.reshape(-1),)
    return IndexPut.apply(input, source if alpha == 1 else source * alpha, place, True)


def index_put(
    input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy of ``input`` with ``values`` at ``indices``, a tuple of integer or bool tensors."""
    arrays: list[Any] = []
    for i in indices:
        data = i._data if isinstance(i, Variable) else i
        arrays.extend(data.nonzero() if _is_mask(data) else [data])
    try:
        return IndexPut.apply(input, values, tuple(arrays), accumulate)
    except ValueError as error:
        raise RuntimeError(f"shape mismatch: {error}") from None
