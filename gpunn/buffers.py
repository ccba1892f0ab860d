"""Tensors over memory that is given, or laid out in an order that is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from gpunn.autograd.variable import wrap
from gpunn.creation import Where, empty
from gpunn.dtype import as_dtype
from gpunn.ops.factory import factory
from gpunn.tensor import Tensor


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector of ``count`` elements (-1: all) of a bytes-like object, ``offset`` bytes on.

    It shares the memory of ``buffer``; of one that is read-only it has a copy.
    """
    kind = as_dtype(dtype).numpy
    try:
        view = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    length, size = view.nbytes, kind.itemsize
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({length} bytes) minus 1"
        )
    if count > 0 and offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({length} bytes)"
        )
    if count < 0 and (length - offset) % size:
        raise ValueError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({size})"
        )
    array = numpy.frombuffer(buffer, kind, count, offset)
    return wrap(array.copy() if view.readonly else array).requires_grad_(requires_grad)


@factory
def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uninitialised; neighbours along dimension d lie ``stride[d]`` elements apart."""
    made = empty(0, dtype=dtype, device=device).new_empty_strided(size, stride)
    return made.requires_grad_(requires_grad)


@factory
def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uninitialised, without gaps; ``physical_layout`` lists the dimensions from outer to inner."""
    shape, order = tuple(size), tuple(physical_layout)
    if len(shape) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(f"physical_layout is not a permutation of the dimensions: {order}")
    strides = [math.prod(shape[e] for e in order[order.index(d) + 1 :]) for d in range(len(shape))]
    return empty_strided(shape, strides, dtype=dtype, device=device, requires_grad=requires_grad)
