"""Arrays on CUDA devices: where they are, and their copies to and from the host and each other."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import cupy
import numpy

from gpunn.backends.device import graphs, memory, pinned
from gpunn.backends.device.capturing import capturing, refuse
from gpunn.backends.device.indices import Reading, report
from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.device import device

_NOTHING = nullcontext()
_current_device: Callable[[], int] = cupy.cuda.runtime.getDevice


class DeviceArray(ArrayPrimitives):
    """What the CUDA backend says of its arrays."""

    name: ClassVar[str] = "cuda"

    def device(self, array: Any) -> device:
        return device("cuda", array.data.device_id)

    def current(self) -> device:
        return device("cuda", cupy.cuda.runtime.getDevice())

    def on(self, where: device) -> AbstractContextManager[Any]:
        return cupy.cuda.Device(where.index)

    def beside(self, array: Any) -> AbstractContextManager[Any]:
        index = array.data.device_id
        return _NOTHING if index == _current_device() else cupy.cuda.Device(index)

    def on_device_of(self, function: type, args: tuple[Any, ...]) -> AbstractContextManager[Any]:
        # 0-d CPU tensors among args count as numbers; the ops read them as such.
        arrays = [a.data for a in args if type(getattr(a, "data", None)) is cupy.ndarray]
        ids = list(dict.fromkeys(a.data.device_id for a in arrays))
        if len(ids) > 1:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:{ids[0]} and cuda:{ids[1]}! ({function.__name__.lower()}; move one with "
                f".to('cuda:{ids[0]}'))"
            )
        return self.beside(arrays[0])

    def to_numpy(self, array: Any, non_blocking: bool = False) -> numpy.ndarray[Any, Any]:
        with self.beside(array):
            if non_blocking:
                return pinned.to_host(array)
            refuse("a copy to the host waits for the device")
            with Reading():
                return cupy.asnumpy(array)

    def from_numpy(self, array: numpy.ndarray[Any, Any], non_blocking: bool = False) -> Any:
        if non_blocking and pinned.is_pinned(array):
            return pinned.to_device(array)
        if array.ndim:  # a single number is filled in by a kernel
            refuse("a copy from host memory that is not pinned")
        return cupy.asarray(array)

    def pinned_copy(self, array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        return pinned.copy(array)

    def constant(self, array: numpy.ndarray[Any, Any]) -> Any:
        return graphs.constant(array)

    def from_other_device(self, array: Any) -> Any:
        # CuPy copies on the current device's stream: it has to wait for what made the array, and
        # what comes after on the array's own device for the copy.
        here = cupy.cuda.get_current_stream()
        with self.beside(array):
            there = cupy.cuda.get_current_stream()
            made = there.record(cupy.cuda.Event(disable_timing=True))
        here.wait_event(made)
        copy = array.copy()
        copied = here.record(cupy.cuda.Event(disable_timing=True))
        with self.beside(array):
            there.wait_event(copied)
        return copy

    def record_stream(self, array: Any, stream: Any) -> None:
        memory.used_by(array, stream)

    def capturing(self) -> bool:
        return capturing() is not None

    def before_replays(self, function: Callable[[], None]) -> None:
        capture = capturing()
        if capture is not None:
            capture.rehearse(function)

    def copy(self, array: Any) -> Any:
        with self.beside(array):
            return super().copy(array)

    def zeros_like(self, array: Any) -> Any:
        with self.beside(array):
            return super().zeros_like(array)

    def ones_like(self, array: Any) -> Any:
        with self.beside(array):
            return super().ones_like(array)

    def item(self, array: Any) -> Any:
        refuse("a number of a tensor's is copied to the host")
        with self.beside(array), Reading():
            return array.item()

    def synchronize(self) -> None:
        stream = cupy.cuda.get_current_stream()
        stream.synchronize()
        report(_current_device(), stream)
