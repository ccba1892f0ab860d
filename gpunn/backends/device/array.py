"""Arrays on CUDA devices: where they are, and their copies to and from the host and each other."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import cupy
import numpy

from gpunn.backends.device import pinned
from gpunn.backends.reference.array import ArrayPrimitives
from gpunn.device import device


class DeviceArray(ArrayPrimitives):
    """What the CUDA backend says of its arrays."""

    name: ClassVar[str] = "cuda"

    def device(self, array: Any) -> device:
        return device("cuda", array.data.device_id)

    def current(self) -> device:
        return device("cuda", cupy.cuda.runtime.getDevice())

    def on(self, where: device) -> AbstractContextManager[Any]:
        return cupy.cuda.Device(where.index)

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
        return cupy.cuda.Device(ids[0])

    def to_numpy(self, array: Any, non_blocking: bool = False) -> numpy.ndarray[Any, Any]:
        with cupy.cuda.Device(array.data.device_id):
            if non_blocking:
                return pinned.to_host(array)
            return cupy.asnumpy(array)

    def from_numpy(self, array: numpy.ndarray[Any, Any], non_blocking: bool = False) -> Any:
        if non_blocking and pinned.is_pinned(array):
            return pinned.to_device(array)
        return cupy.asarray(array)

    def pinned_copy(self, array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        return pinned.copy(array)

    def from_other_device(self, array: Any) -> Any:
        # CuPy copies on the current device's stream: it has to wait for what made the array, and
        # what comes after on the array's own device for the copy.
        there, here = cupy.cuda.get_current_stream(array.data.device_id), cupy.cuda.Device()
        with cupy.cuda.Device(array.data.device_id):
            made = there.record(cupy.cuda.Event(disable_timing=True))
        with here:
            stream = cupy.cuda.get_current_stream()
            stream.wait_event(made)
            copy = array.copy()
            copied = stream.record(cupy.cuda.Event(disable_timing=True))
        with cupy.cuda.Device(array.data.device_id):
            there.wait_event(copied)
        return copy

    def item(self, array: Any) -> Any:
        return array.item()

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()
