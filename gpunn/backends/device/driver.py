"""The CUDA devices of this machine, their streams and events, in CuPy's terms.

What PyTorch's users see of them is ``gpunn.cuda``.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import cupy

from gpunn.backends.device import indices
from gpunn.backends.device.transfers import note

_runtime = cupy.cuda.runtime


def problem(index: int | None = None) -> str | None:
    """Why the device cannot be used; None where it can."""
    try:
        count = _runtime.getDeviceCount()
    except Exception as error:  # CuPy raises CUDARuntimeError or a loader's error of its own
        return (
            f"CuPy {cupy.__version__} found no usable CUDA driver ({error}); install NVIDIA's "
            "driver, or use device='cpu'"
        )
    if count == 0:
        return "the CUDA driver reports no device; use device='cpu'"
    if index is not None and index >= count:
        names = ", ".join(f"cuda:{i}" for i in range(count))
        return f"there is no device cuda:{index}; this machine has {names}"
    return None


def device_count() -> int:
    """How many CUDA devices there are."""
    return _runtime.getDeviceCount()


def current_device() -> int:
    """The index of the device that ``device("cuda")`` means."""
    return _runtime.getDevice()


def set_device(index: int) -> None:
    """Make ``device("cuda")`` mean ``cuda:index``."""
    _runtime.setDevice(index)


def on(index: int) -> AbstractContextManager[Any]:
    """Inside, ``cuda:index`` is the current device."""
    return cupy.cuda.Device(index)


def properties(index: int) -> dict[str, Any]:
    """What the driver says of the device, under CUDA's names."""
    return _runtime.getDeviceProperties(index)


def can_access_peer(index: int, peer: int) -> bool:
    """Whether kernels on one device may read the other's memory."""
    return bool(_runtime.deviceCanAccessPeer(index, peer))


def synchronize(index: int) -> None:
    """Wait for all work on the device."""
    note("synchronize", 0, True)
    cupy.cuda.Device(index).synchronize()
    indices.report(index)


def synchronize_stream(index: int, stream: Any) -> None:
    """Wait for all work on one stream of the device."""
    stream.synchronize()
    indices.report(index, stream)


def synchronize_event(event: Any) -> None:
    """Wait for the work before the event."""
    event.synchronize()


# Streams and events -------------------------------------------------------------------------


def new_stream(index: int, priority: int) -> Any:
    """A stream that does not wait for the default stream, nor that for it."""
    with cupy.cuda.Device(index):
        return cupy.cuda.Stream(non_blocking=True, priority=priority)


def current_stream(index: int) -> Any:
    """The stream that work on the device goes to."""
    return cupy.cuda.get_current_stream(index)


def default_stream() -> Any:
    """The stream that each device begins with."""
    return cupy.cuda.Stream.null


def use_stream(index: int, stream: Any) -> None:
    """Have work on the device go to ``stream``."""
    with cupy.cuda.Device(index):
        stream.use()


def new_event(index: int, timing: bool, blocking: bool, interprocess: bool) -> Any:
    """An event on the device."""
    with cupy.cuda.Device(index):
        return cupy.cuda.Event(block=blocking, disable_timing=not timing, interprocess=interprocess)


def elapsed_time(start: Any, end: Any) -> float:
    """Milliseconds between two events that have happened."""
    return cupy.cuda.get_elapsed_time(start, end)
