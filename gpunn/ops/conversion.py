"""Copies: another memory, another dtype, another device; values cut from their history."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from gpunn import backends
from gpunn.autograd.variable import Array, Variable
from gpunn.backends import backend_of, type2backend
from gpunn.device import device as _Device
from gpunn.dtype import FLOATING, accumulator, as_dtype
from gpunn.ops.common import Op, Pointwise, xp_of
from gpunn.ops.filling import element

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_CUDA = _Device("cuda")
P = ParamSpec("P")
R = TypeVar("R")


class Clone(Op, widens=False):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        return type2backend[type(x.data)].copy(x.data)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy


class Cast(Op, widens=False):
    """To another dtype; the engine casts the gradient back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: Any) -> Array:
        if x.data.dtype.kind in FLOATING and dtype.kind in "iu":
            # NaN, infinity and what does not fit are undefined, as in PyTorch; go by int64.
            return x.data.astype("int64").astype(dtype)
        return x.data.astype(dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, None


def in_wide(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` of tensors that are all of one 16-bit float: in float32, rounded once."""
    plain: Callable[..., Any] = function

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        kinds = {a._data.dtype for a in args if isinstance(a, Variable)}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None or accumulator(kind) is kind:
            return plain(*args, **keywords)
        wide = [Cast.apply(a, accumulator(kind)) if isinstance(a, Variable) else a for a in args]
        return Cast.apply(plain(*wide, **keywords), kind)

    return cast("Callable[P, R]", call)


class Move(Op, widens=False):
    """To another device."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, where: _Device, non_blocking: bool) -> Array:
        source, target = type2backend[type(x.data)], backend_of(where)
        ctx.source, ctx.non_blocking = source.device(x.data), non_blocking
        with target.on(where):
            if source is target:
                return target.from_other_device(x.data)
            host = source.to_numpy(x.data, non_blocking)
            return target.from_numpy(host, non_blocking)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Move.apply(dy, ctx.source, ctx.non_blocking), None, None


class Pin(Op, widens=False):
    """A copy in page-locked host memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Array:
        return backend_of(_CUDA).pinned_copy(x.data)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy


class Overwrite(Pointwise, widens=False):
    """``values``, broadcast to the shape and cast to the dtype of ``x``, whose history ends."""

    @classmethod
    def _explain(cls, args: tuple[Any, ...]) -> None:
        super()._explain(args)
        shapes = [list(a.data.shape) for a in args]
        raise RuntimeError(
            f"output with shape {shapes[0]} doesn't match the broadcast shape {shapes[1]}"
        )

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor) -> Array:
        spread = xp_of(x).broadcast_to(values.data, x.data.shape)
        return spread.astype(x.data.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy * 0 if ctx.needs_input_grad[0] else None, dy


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like ``input``, every element ``value``: a number or a 0-d tensor."""
    filler = element(value, input)
    if filler.data.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{filler.data.ndim} dimensions."
        )
    return Overwrite.apply(input, filler)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own, row by row; gradients flow to ``input``."""
    return Clone.apply(input)


def detach(input: Tensor) -> Tensor:
    """The same memory without history; an in-place change of either is noticed by both."""
    output = input._alias()
    output._grad_fn, output._requires_grad = None, False
    return output


def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``input`` with another dtype or device: ``x.to(gpunn.float64)``, ``x.to("cuda")``,
    ``x.to("cuda:0", gpunn.float16)``, ``x.to(other)``; itself where nothing changes
    (unless ``copy=True``).

    ``non_blocking=True``: copies between a CUDA device and page-locked host memory may be under
    way when this returns. Work on the device waits for them; the host reads what came from a
    device only after ``gpunn.cuda.synchronize()``, or an event."""
    where, dtype, copy, non_blocking = parse_to(*args, **kwargs)
    output = input
    if dtype is not None and dtype.numpy != input.data.dtype:
        output = Cast.apply(output, dtype.numpy)
    if where is not None:
        here = type2backend[type(input.data)].device(input.data)
        if where.type == "cuda" and where.index is None:
            where = backend_of(where).current()
        if where.type != here.type or (where != here and where.type != "cpu"):
            output = Move.apply(output, where, non_blocking)
    return Clone.apply(output) if copy and output is input else output


def pin_memory(input: Tensor, device: Any = None) -> Tensor:
    """A CPU tensor's copy in page-locked memory, which CUDA devices read while the program goes on;
    itself where it lies there already.

    Raises RuntimeError for a tensor on a device, and where CUDA cannot be used.
    """
    if type2backend[type(input.data)].name != "cpu":
        raise RuntimeError(f"cannot pin '{input.type()}' only dense CPU tensors can be pinned")
    return input if is_pinned(input) else Pin.apply(input)


def is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether the tensor lies in page-locked host memory that gpunn allocated."""
    return backends.is_pinned(input.data)


def parse_to(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[_Device | None, Any, bool, bool]:
    """The device, dtype, copy flag and non_blocking that the arguments of ``to`` mean."""
    rest = list(args)
    if rest and hasattr(rest[0], "device") and hasattr(rest[0], "dtype"):
        other = rest.pop(0)
    if other is not None:
        device, dtype = other.device, other.dtype
    elif rest and (isinstance(rest[0], (str, int, _Device)) or rest[0] is None):
        device = rest.pop(0)
        if rest and not isinstance(rest[0], bool):
            dtype = rest.pop(0)
    elif rest:
        dtype = rest.pop(0)
    if rest:
        non_blocking = bool(rest.pop(0))
    if rest:
        copy = bool(rest.pop(0))
    if rest:
        raise TypeError(f"to() received too many arguments: {args!r}")
    return (
        None if device is None else _Device(device),
        None if dtype is None else as_dtype(dtype),
        copy,
        non_blocking,
    )


def type_as_numpy(input: Tensor, dtype: Any) -> Tensor:
    """As ``to``, by NumPy dtype."""
    return input if input.data.dtype == dtype else Cast.apply(input, dtype)
