"""Page-locked host memory, which a device reads and writes while the program goes on."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from collections import deque
from typing import Any

import cupy
import numpy

from gpunn.backends.device.capturing import capturing, refuse
from gpunn.backends.device.transfers import note

_runtime = cupy.cuda.runtime
_copy = _runtime.memcpyAsync

# Copies under way: an event after each, and the host array, whose memory must live until then.
_under_way: deque[tuple[Any, numpy.ndarray[Any, Any]]] = deque()


def empty(shape: tuple[int, ...], dtype: Any) -> numpy.ndarray[Any, Any]:
    """A page-locked array without values."""
    count = math.prod(shape)
    if not count:
        return numpy.empty(shape, dtype)
    memory = cupy.cuda.alloc_pinned_memory(count * dtype.itemsize)
    return numpy.frombuffer(memory, dtype, count).reshape(shape)


def copy(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """``array`` in page-locked memory."""
    output = empty(array.shape, array.dtype)
    output[...] = array
    return output


def is_pinned(array: numpy.ndarray[Any, Any]) -> bool:
    """Whether the memory is page-locked, and CuPy's."""
    owner: Any = array
    while isinstance(owner, numpy.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return isinstance(owner, cupy.cuda.PinnedMemoryPointer)


def to_device(array: numpy.ndarray[Any, Any]) -> Any:
    """A copy on the current device, under way when this returns."""
    if not array.flags.c_contiguous:
        refuse("a copy from host memory that is not contiguous")
        array = copy(array)
    output = cupy.empty(array.shape, array.dtype)
    if output.size:
        stream = cupy.cuda.get_current_stream()
        note("host to device", array.nbytes, False)
        # CuPy's own copy would be refused while a graph captures; CUDA does not refuse it.
        kind = _runtime.memcpyHostToDevice
        _copy(output.data.ptr, array.ctypes.data, array.nbytes, kind, stream.ptr)
        _watch(stream, array)
    return output


def to_host(array: Any) -> numpy.ndarray[Any, Any]:
    """A page-locked copy, under way when this returns: synchronize before it is read."""
    output = empty(array.shape, array.dtype)
    if output.size:
        stream = cupy.cuda.get_current_stream()
        note("device to host", array.nbytes, False)
        source = cupy.ascontiguousarray(array)
        kind = _runtime.memcpyDeviceToHost
        _copy(output.ctypes.data, source.data.ptr, output.nbytes, kind, stream.ptr)
        _watch(stream, output)
    return output


def _watch(stream: Any, array: numpy.ndarray[Any, Any]) -> None:
    capture = capturing()
    if capture is not None:  # each replay copies
        capture.kept.append(array)
        return
    while _under_way and _under_way[0][0].done:
        _under_way.popleft()
    _under_way.append((stream.record(cupy.cuda.Event(disable_timing=True)), array))
