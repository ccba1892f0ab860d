"""Memory taken and filled: which sizes it may have, and which numbers a dtype holds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.dtype import dtype, finfo, iinfo
from gpunn.ops.common import Number, dtype_of, result_type
from gpunn.ops.shape import sizes_of

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_C_TYPES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
}  # fmt: skip


@functools.cache
def bounds(kind: dtype) -> tuple[float, float]:
    """The least and the largest element."""
    if not kind.kind:
        return 0, 1
    info: Any = iinfo(kind) if kind.kind == 1 else finfo(kind)
    return info.min, info.max


def overflows(least: float, most: float, kind: dtype) -> bool:
    """Whether a number in [least, most] is none of ``kind``: negative ones wrap, as in C."""
    low, high = bounds(kind)
    return bool(kind.kind) and not (min(low, -high) <= least and most <= high)


def check_held(value: float, kind: dtype) -> None:
    """Raise RuntimeError where ``value`` would overflow as an element of ``kind``."""
    if overflows(value, value, kind) and (kind.kind == 1 or math.isfinite(value)):
        raise RuntimeError(
            f"value cannot be converted to type {_C_TYPES.get(kind.name, kind.name)} without "
            "overflow"
        )


def check_numbers(*operands: Any) -> None:
    """Refuse a number among ``operands`` that would overflow in the dtype they are combined in."""
    for v in operands:  # float32 and float64 hold all numbers that come, and come most
        if isinstance(v, Variable) and (v._data.dtype.kind != "f" or v._data.dtype.itemsize == 2):
            break
    else:
        return
    given = [v for v in operands if v is not None]
    numbers = [v for v in given if not isinstance(v, Variable)]
    if numbers:
        kind = result_type(*given)
        for value in numbers:
            check_held(value, kind)


def factor(x: Variable, number: Number) -> Number:
    """``number`` as PyTorch's kernels for the dtype of ``x`` take it: an integer where that is."""
    if x._data.dtype.kind not in "iu":
        return number
    check_held(number, dtype_of(x))
    return int(number)


def element(value: Any, like: Variable) -> Tensor:
    """``value``, a tensor or a number, as a tensor of the dtype (and device) of ``like``."""
    if isinstance(value, Variable):
        given: Any = value
        return given.to(dtype_of(like))
    kind, backend = dtype_of(like), type2backend[type(like._data)]
    check_held(value, kind)
    with backend.beside(like._data):
        return wrap(backend.from_numpy(numpy.asarray(_wrapped(value, kind), kind.numpy)))


def _wrapped(value: Any, kind: dtype) -> Any:
    return int(value) % 256 if kind.name == "uint8" and value < 0 else value


def not_negative(shape: Sequence[int]) -> None:
    """Refuse sizes below 0."""
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
        )


def filled(xp: Any, name: str, size: tuple[Any, ...], kind: dtype, *fill: Any) -> Array:
    """An array by ``xp.zeros``, ``ones``, ``empty`` or ``full``, for the function ``name``."""
    make = name.removeprefix("new_")
    shape = sizes_of(size, name, "size")
    if name == "zeros" and any(n < 0 for n in shape):
        raise RuntimeError("zeros: Dimension size must be non-negative.")
    not_negative(shape)
    for value in fill:
        check_held(value, kind)
    return getattr(xp, make)(shape, *(_wrapped(v, kind) for v in fill), dtype=kind.numpy)
