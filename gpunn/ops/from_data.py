"""Numbers, nested sequences of them and arrays as one array, of the dtype that PyTorch gives."""

from __future__ import annotations

from typing import Any

import numpy

from gpunn.autograd.variable import Variable, is_sequence
from gpunn.backends import type2backend
from gpunn.dtype import DTYPES, dtype, from_numpy_dtype, get_default_dtype
from gpunn.ops.filling import overflows


def host_array(data: Any, kind: dtype | None) -> numpy.ndarray[Any, Any]:
    """A new array of ``data``, which lies in host memory, of ``kind`` or of the dtype it has."""
    if not issubclass(data.__class__, (numpy.ndarray, numpy.generic)):
        data = _array_of(data, default_float=kind is None)
        if kind is not None and kind.kind == 1 and data.size:
            _check_whole(data, kind)
    with numpy.errstate(over="ignore"):
        array = numpy.array(data, dtype=None if kind is None else kind.numpy, order="C")
    check_supported(array)
    return array


def _check_whole(data: numpy.ndarray[Any, Any], kind: dtype) -> None:
    if overflows(data.min(), data.max(), kind):
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")


def _array_of(data: Any, default_float: bool) -> Any:
    """Nested sequences of numbers (and of tensors) as an array in PyTorch's dtype.

    Without ``default_float``, floats keep all their bits for the dtype that is asked for.
    """
    plain = _plain(data)
    try:
        array = numpy.array(plain)
    except ValueError:
        raise _ragged(data) from None
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
            if size is None and sizes[0] is not None:
                return TypeError("not a sequence")
            if size is not None and sizes[0] is None:
                kind = type(next(d for d in level if hasattr(d, "__len__"))).__name__
                if type(_first_scalar(data)) is float:
                    return TypeError(f"must be real number, not {kind}")
                return TypeError(f"'{kind}' object cannot be interpreted as an integer")
            if size != sizes[0]:
                return ValueError(
                    f"expected sequence of length {sizes[0]} at dim {dim} (got {size})"
                )
        level = [] if sizes[0] is None else [e for d in level for e in d]
    return ValueError("expected sequences of equal lengths")


def check_supported(array: Any) -> None:
    """Refuse an array of elements that no tensor holds."""
    if array.dtype not in from_numpy_dtype:
        names = ", ".join(t.name for t in DTYPES)
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype}. The only supported types are: "
            f"{names}."
        )
