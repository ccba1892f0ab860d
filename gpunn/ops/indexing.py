"""Indexing: ``x[index]``, ``x[index] = value``, and the adjoints of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, is_sequence, wrap
from gpunn.backends import type2backend
from gpunn.ops.common import Op, as_tensor_like, local, xp_of
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


class SlicePut(Op, widens=False):
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


class Index(Op, widens=False):
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


class IndexAdd(Op, widens=False):
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


class IndexPut(Op, widens=False):
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


# x[...] -------------------------------------------------------------------------------------


@local
def getitem(input: Tensor, index: Any) -> Tensor:
    """``input[index]`` with PyTorch's rules: a view for integers, slices, None and ``...``;
    a copy where a tensor, array, list or bool takes part."""
    basic, advanced = _split_index(input, index)
    output = input if basic is None else _slice(input, basic)
    if advanced is None:
        return output if output is not input else _slice(input, (Ellipsis,))
    type2backend[type(output.data)].check_places("indexing", output.data, advanced)
    return numpy_errors(Index.apply, output, advanced)


@local
def setitem(input: Tensor, index: Any, value: Any) -> None:
    """``input[index] = value``: in place, broadcast, cast to ``input``'s dtype."""
    basic, advanced = _split_index(input, index)
    place = input if basic is None else _slice(input, basic)
    if is_sequence(value) or issubclass(value.__class__, numpy.ndarray):
        value = wrap(type2backend[type(input.data)].from_numpy(numpy.asarray(value)))
    else:
        value = as_tensor_like(value, input)
    if advanced is None:
        place.copy_(value)
    else:
        place.index_put_(advanced, value.to(input.dtype))


def _slice(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    # The ellipsis makes NumPy return a 0-d view where it would return a number.
    full = index if Ellipsis in [i for i in index if i is Ellipsis] else (*index, Ellipsis)
    return numpy_errors(Slice.apply, x, full)


def numpy_errors(apply: Any, x: Tensor, *args: Any) -> Tensor:
    """``apply(x, ...)``, what NumPy says of an index put as PyTorch does."""
    try:
        return apply(x, *args)
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
    items: tuple[Any, ...] = index if issubclass(index.__class__, tuple) else (index,)
    if all(type(i) is int or i is None or i is Ellipsis for i in items):
        return items, None
    xp = xp_of(x)
    parts = [_index_part(i, x) for i in items]
    used = sum(
        getattr(p, "ndim", 1) if is_mask(p) else 1
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
        elif is_mask(part):
            check_mask(x, part, dim)
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


def is_mask(part: Any) -> bool:
    """Whether a part of an index is a bool array, that stands for its ndim dimensions."""
    return hasattr(part, "dtype") and part.dtype.kind == "b" and part.ndim > 0


def _is_flag(part: Any) -> bool:
    return isinstance(part, (bool, numpy.bool_))


def check_mask(x: Tensor, mask: Array, dim: int) -> None:
    """Refuse a mask whose sizes are not those of ``x`` from ``dim`` on."""
    for d, n in enumerate(mask.shape):
        have = x.data.shape[dim + d] if dim + d < x.data.ndim else None
        if have != n:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {d} does not match the shape "
                f"of the indexed tensor {list(x.data.shape)} at index {dim + d}"
            )


def _index_part(part: Any, x: Tensor) -> Any:
    """One item of an index: int, slice, None, ``...``, a bool, or an array of ints or bools."""
    if part is None or part is Ellipsis or _is_flag(part):
        return part
    if type(part) is slice:
        given: list[Any] = [part.start, part.stop, part.step]
        ends = [None if e is None else _integer(e) for e in given]
        if ends[2] is not None and ends[2] <= 0:
            raise ValueError("step must be greater than zero")
        return slice(*ends)
    if isinstance(part, Variable):
        place = type2backend[type(part._data)].device(part._data)
        if place.type != "cpu" and place != x.device:
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor "
                f"({x.device}), but got one on {place}"
            )
        part = part._data
    if issubclass(part.__class__, (int, numpy.integer)):
        return int(part)
    xp = xp_of(x)
    if is_sequence(part):
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
