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
    DTYPES,
    FLOATING,
    as_dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    scalar_dtype,
)
from gpunn.ops.common import also_named
from gpunn.ops.shape import sizes_of
from gpunn.tensor import Tensor

Where = Device | str | int | None


def _place(device: Where) -> tuple[Device, Backend]:
    where = get_default_device() if device is None else Device(device)
    return where, backend_of(where)


def _finish(array: Any, requires_grad: bool) -> Tensor:
    tensor = wrap(array)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


# From data ----------------------------------------------------------------------------------


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
    where, target = _place(device)
    if not issubclass(data.__class__, (numpy.ndarray, numpy.generic)):
        if data.__class__.__module__.partition(".")[0] == "cupy":
            source = type2backend[type(data)]
            where = source.device(data) if device is None else where
            target, data = backend_of(where), source.to_numpy(data)
        else:
            data = _array_of(data, default_float=kind is None)
            if kind is not None and kind.kind == 1 and data.size and data.dtype.kind in "iu":
                limits = numpy.iinfo(kind.name)
                if data.min() < limits.min or data.max() > limits.max:
                    raise RuntimeError(
                        f"value cannot be converted to type {kind.name} without overflow"
                    )
    array = numpy.array(data, dtype=None if kind is None else kind.numpy, order="C")
    _supported(array)
    if requires_grad and array.dtype.kind not in FLOATING:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    with target.on(where):
        return _finish(target.from_numpy(array), requires_grad)


def _array_of(data: Any, default_float: bool) -> Any:
    """Nested sequences of numbers (and of tensors) as an array in PyTorch's dtype.

    Without ``default_float``, floats keep all their bits for the dtype that is asked for.
    """
    plain = _plain(data)
    try:
        array = numpy.array(plain)
    except ValueError:
        raise _ragged(plain) from None
    if array.dtype.kind not in "biuf" or array.dtype == numpy.uint64:
        raise _odd(plain) or TypeError(f"expected numbers, got {array.dtype}")
    if default_float and (not array.size or array.dtype == numpy.float64):
        scalar = _first_scalar(plain)
        if scalar is None or type(scalar) is float:
            array = array.astype(get_default_dtype().numpy)
    return array


def _plain(data: Any) -> Any:
    if isinstance(data, Variable):
        return (
            data.data.tolist()
            if data.data.ndim == 0
            else type2backend[type(data.data)].to_numpy(data.data)
        )
    return [_plain(d) for d in data] if is_sequence(data) else data


def _first_scalar(data: Any) -> Any:
    """A Python float anywhere wins; else the first scalar; None where there is none."""
    first: Any = None
    stack = [data]
    while stack:
        item = stack.pop()
        if is_sequence(item):
            stack.extend(item)
        elif type(item) is float:
            return item
        elif first is None:
            first = item
    return first


def _odd(data: Any, depth: int = 0) -> Exception | None:
    """The error for the first element that is no number that a tensor holds."""
    if is_sequence(data):
        return next((e for e in (_odd(d, depth + 1) for d in data) if e is not None), None)
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        return ValueError(f"Overflow when unpacking long long: {data} does not fit int64")
    if isinstance(data, (bool, int, float, numpy.ndarray, numpy.generic)):
        return None
    if isinstance(data, str) and depth:
        return ValueError("too many dimensions 'str'")
    if isinstance(data, str):
        return TypeError("new(): invalid data type 'str'")
    return RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _ragged(data: list[Any]) -> Exception:
    """The error for sequences of unequal lengths."""
    level, dim = data, 0
    while level:
        dim += 1
        sizes = [len(d) if hasattr(d, "__len__") else None for d in level]
        for size in sizes[1:]:
            if (size is None) != (sizes[0] is None):
                return TypeError(f"expected sequences of equal depth at dim {dim}")
            if size != sizes[0]:
                return ValueError(
                    f"expected sequence of length {sizes[0]} at dim {dim} (got {size})"
                )
        level = [] if sizes[0] is None else [e for d in level for e in d]
    return ValueError("expected sequences of equal lengths")


def _supported(array: Any) -> None:
    if array.dtype not in from_numpy_dtype:
        names = ", ".join(t.name for t in DTYPES)
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            f"{names}."
        )


def as_tensor(data: Any, dtype: Any = None, device: Where = None) -> Tensor:
    """``data`` as a tensor, sharing memory where dtype and device already fit."""
    if isinstance(data, Variable):
        return data.to(dtype=dtype, device=device)  # type: ignore[attr-defined]
    if type(data) is numpy.ndarray:
        return from_numpy(data).to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray: numpy.ndarray[Any, Any]) -> Tensor:
    """A CPU tensor that shares the memory of ``ndarray``."""
    if not isinstance(ndarray, numpy.ndarray):  # type: ignore[redundant-expr]
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    _supported(ndarray)
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
        _supported(array)
        return wrap(array)
    return wrap(backend_of(Device("cuda")).xp.from_dlpack(ext_tensor))


# Filled -------------------------------------------------------------------------------------


def _filled(
    make: str, size: tuple[Any, ...], dtype: Any, device: Where, requires_grad: bool, *fill: Any
) -> Tensor:
    where, backend = _place(device)
    shape = sizes_of(size, "size")
    _not_negative(shape)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    with backend.on(where):
        return _finish(getattr(backend.xp, make)(shape, *fill, dtype=kind.numpy), requires_grad)


def _not_negative(shape: Sequence[int]) -> None:
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
        )


@also_named("size")
def zeros(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Zeros."""
    return _filled("zeros", size, dtype, device, requires_grad)


@also_named("size")
def ones(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Ones."""
    return _filled("ones", size, dtype, device, requires_grad)


@also_named("size")
def empty(
    *size: Any, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Memory as it is found: the values mean nothing."""
    return _filled("empty", size, dtype, device, requires_grad)


def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``fill_value`` everywhere, in the dtype it stands for unless one is named."""
    value: Any = fill_value.data.item() if isinstance(fill_value, Variable) else fill_value
    kind = scalar_dtype(value) if dtype is None else dtype
    return _filled("full", (tuple(size),), kind, device, requires_grad, value)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """The ``n`` by ``m`` (default ``n``) matrix with ones on the diagonal."""
    where, backend = _place(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {n if n < 0 else m}")
    with backend.on(where):
        return _finish(backend.xp.eye(n, n if m is None else m, dtype=kind.numpy), requires_grad)


# Ranges -------------------------------------------------------------------------------------


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
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if (by > 0 and first > last) or (by < 0 and first < last):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        whole = all(isinstance(v, (int, numpy.integer)) for v in numbers)
        kind = int64 if whole else get_default_dtype()
    else:
        kind = as_dtype(dtype)
    where, backend = _place(device)
    with backend.on(where):
        count = math.ceil((last - first) / by)
        base = backend.xp.arange(count, dtype="f8" if kind.is_floating_point else "i8")
        return _finish((base * by + first).astype(kind.numpy), requires_grad)


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
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    where, backend = _place(device)
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    with backend.on(where):
        return _finish(backend.xp.linspace(start, end, steps).astype(kind.numpy), requires_grad)


# Like another -------------------------------------------------------------------------------


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape, dtype and device of ``input``."""
    return input.new_zeros(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the shape, dtype and device of ``input``."""
    return input.new_ones(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised, of the shape, dtype and device of ``input``."""
    return input.new_empty(input.shape, dtype=dtype, device=device).requires_grad_(requires_grad)


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
