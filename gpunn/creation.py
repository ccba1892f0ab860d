"""Making tensors: from data, filled, ranges, and like another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from gpunn.autograd.variable import Variable, is_sequence, wrap
from gpunn.backends import Backend, backend_of, type2backend
from gpunn.device import device as Device
from gpunn.device import get_default_device
from gpunn.dtype import (
    FLOATING,
    as_dtype,
    dtype,
    get_default_dtype,
    int64,
    scalar_dtype,
)
from gpunn.ops.common import also_named
from gpunn.ops.factory import factory, filling
from gpunn.ops.filling import filled
from gpunn.ops.from_data import check_supported, host_array
from gpunn.tensor import Tensor

Where = Device | str | int | None


def place_of(device: Where) -> tuple[Device, Backend]:
    """The device that is meant, the default one by None, and its backend."""
    where = get_default_device() if device is None else Device(device)
    return where, backend_of(where)


def finished(array: Any, requires_grad: bool) -> Tensor:
    """``array``, which is new, as a leaf."""
    tensor = wrap(array)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


# From data ----------------------------------------------------------------------------------


@factory
def tensor(
    data: Any, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of ``data``: numbers, nested sequences, arrays or tensors.

    Python floats become the default dtype, ints int64; arrays keep theirs.
    """
    kind = None if dtype is None else as_dtype(dtype)
    if issubclass(data.__class__, Variable):
        device = data.device if device is None else device
        data = data._data
    where, target = place_of(device)
    if data.__class__.__module__.partition(".")[0] == "cupy":
        source = type2backend[type(data)]
        where = source.device(data) if device is None else where
        target, data = backend_of(where), source.to_numpy(data)
    array = host_array(data, kind)
    if requires_grad and array.dtype.kind not in FLOATING:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    with target.on(where):
        return finished(target.from_numpy(array), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Where = None) -> Tensor:
    """``data`` as a tensor, sharing memory where dtype and device already fit."""
    if isinstance(data, Variable):
        given: Any = data
        return given.to(dtype=dtype, device=device)
    if type(data) is numpy.ndarray:
        return from_numpy(data).to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray: numpy.ndarray[Any, Any]) -> Tensor:
    """A CPU tensor that shares the memory of ``ndarray``."""
    if not isinstance(ndarray, numpy.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    check_supported(ndarray)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().)"
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    return wrap(numpy.asarray(ndarray))


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of any array that speaks DLPack (CPU or CUDA)."""
    kind = int(ext_tensor.__dlpack_device__()[0])
    if kind == 1:  # host memory
        array = numpy.from_dlpack(ext_tensor)
        check_supported(array)
        return wrap(array)
    return wrap(backend_of(Device("cuda")).xp.from_dlpack(ext_tensor))


# Filled -------------------------------------------------------------------------------------


def _filled(
    make: str, size: tuple[Any, ...], dtype: Any, device: Where, requires_grad: bool, *fill: Any
) -> Tensor:
    where, backend = place_of(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    with backend.on(where):
        return finished(filled(backend.xp, make, size, kind, *fill), requires_grad)


@filling
@also_named("size")
def zeros(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Zeros."""
    return _filled("zeros", size, dtype, device, requires_grad)


@filling
@also_named("size")
def ones(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Ones."""
    return _filled("ones", size, dtype, device, requires_grad)


@filling
@also_named("size")
def empty(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Memory as it is found: the values mean nothing."""
    return _filled("empty", size, dtype, device, requires_grad)


@filling
def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``fill_value`` everywhere, in the dtype it stands for unless one is named."""
    if not is_sequence(size):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    value: Any = fill_value.data.item() if isinstance(fill_value, Variable) else fill_value
    kind = scalar_dtype(value) if dtype is None else dtype
    return _filled("full", (tuple(size),), kind, device, requires_grad, value)


@filling
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """The ``n`` by ``m`` (default ``n``) matrix with ones on the diagonal."""
    where, backend = place_of(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    for name, size in (("n", n), ("m", n if m is None else m)):
        if not hasattr(size, "__index__"):
            raise TypeError(
                f"eye(): argument '{name}' (position 1) must be int, not {type(size).__name__}"
            )
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    with backend.on(where):
        return finished(backend.xp.eye(n, n if m is None else m, dtype=kind.numpy), requires_grad)


# Ranges -------------------------------------------------------------------------------------


@filling
def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start, start + step, ...`` below ``end``; int64 for ints, else the default float."""
    if end is None:
        start, end = 0, start
    numbers: list[Any] = [
        v.data.item() if isinstance(v, Variable) else v for v in (start, end, step)
    ]
    first, last, by = numbers
    kind = _range_dtype(dtype, numbers)
    if by == 0 or math.isnan(by):
        raise RuntimeError("step must be nonzero")
    if kind.kind == 1 and not int(by):
        raise ValueError("step must be nonzero")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"unsupported range: {first:g} -> {last:g}")
    if (by > 0 and first > last) or (by < 0 and first < last):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    where, backend = place_of(device)
    if not kind.kind:
        raise NotImplementedError(f"\"arange_{where.type}\" not implemented for 'Bool'")
    with backend.on(where):
        count = math.ceil((last - first) / by)
        base = backend.xp.arange(count, dtype="f8" if kind.is_floating_point else "i8")
        return finished((base * by + first).astype(kind.numpy), requires_grad)


def _range_dtype(given: Any, numbers: Sequence[Any]) -> dtype:
    """That of a range: as asked for, else int64 for ints, else the default float."""
    if given is not None:
        return as_dtype(given)
    whole = all(isinstance(v, (int, numpy.integer)) for v in numbers)
    return int64 if whole else get_default_dtype()


def need_number(name: str, argument: str, value: Any) -> Any:
    """A number given as such or as a 0-d tensor."""
    if not isinstance(value, Variable):
        return value
    if value.data.ndim:
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got {argument} with "
            f"{value.data.ndim} dimension(s)."
        )
    return value.data.item()


@filling
def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` equally spaced numbers from ``start`` to ``end``, both included."""
    start, end = need_number("linspace", "start", start), need_number("linspace", "end", end)
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    where, backend = place_of(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    with backend.on(where):
        return finished(backend.xp.linspace(start, end, steps).astype(kind.numpy), requires_grad)


# Like another -------------------------------------------------------------------------------


@factory
def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape, dtype and device of ``input``."""
    return input.new_zeros(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


@factory
def ones_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the shape, dtype and device of ``input``."""
    return input.new_ones(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


@factory
def empty_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised, of the shape, dtype and device of ``input``."""
    return input.new_empty(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


@factory
def full_like(
    input: Tensor,
    fill_value: float,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``fill_value`` in the shape, dtype and device of ``input``."""
    made = input.new_full(input.shape, fill_value, dtype=dtype, device=device)
    return made.requires_grad_(requires_grad)
