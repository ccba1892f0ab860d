"""CUDA devices: are there any, which is current, what they are, waiting for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from gpunn.backends import cuda_backend, cuda_problem
from gpunn.device import device as Device

Where = Device | str | int | None


def driver(index: int | None = None) -> Any:
    """The backend's view of the devices. Raises RuntimeError where CUDA cannot be used."""
    cuda_backend(index)
    from gpunn.backends.device import driver

    return driver


def index_of(device: Where) -> int:
    """The number of ``device``; None and "cuda" mean the current one."""
    where = Device("cuda" if device is None else device)
    if where.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {where}")
    found = driver(where.index)
    return found.current_device() if where.index is None else where.index


def is_available() -> bool:
    """Whether a CUDA device can be used: CuPy, a driver and a device are there."""
    return cuda_problem() is None


def device_count() -> int:
    """How many CUDA devices can be used."""
    return driver().device_count() if is_available() else 0


def current_device() -> int:
    """The index of the device that "cuda" means in this thread."""
    return index_of(None)


def set_device(device: Where) -> None:
    """Make "cuda" mean ``device`` in this thread; a negative number changes nothing."""
    if isinstance(device, int) and device < 0:
        return
    index = index_of(device)
    driver(index).set_device(index)


def get_device_name(device: Where = None) -> str:
    """The device's name, as its maker has it."""
    return get_device_properties(device).name


def get_device_capability(device: Where = None) -> tuple[int, int]:
    """The compute capability, (9, 0) for an H100."""
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether bfloat16 works: by the hardware from compute capability 8.0 on, below by float32."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


class DeviceProperties(NamedTuple):
    """What a device is; ``total_memory`` in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_multi_processor: int
    L2_cache_size: int  # bytes


def get_device_properties(device: Where = None) -> DeviceProperties:
    """Name, compute capability, memory and size of the device."""
    index = index_of(device)
    found = driver(index).properties(index)
    return DeviceProperties(
        name=found["name"].decode(),
        major=found["major"],
        minor=found["minor"],
        total_memory=found["totalGlobalMem"],
        multi_processor_count=found["multiProcessorCount"],
        warp_size=found["warpSize"],
        max_threads_per_multi_processor=found["maxThreadsPerMultiProcessor"],
        L2_cache_size=found["l2CacheSize"],
    )


def can_device_access_peer(device: Where, peer_device: Where) -> bool:
    """Whether ``device`` reaches the memory of ``peer_device`` without the host."""
    index, peer = index_of(device), index_of(peer_device)
    return driver().can_access_peer(index, peer)


def synchronize(device: Where = None) -> None:
    """Wait until all work on ``device`` is done.

    Raises IndexError if an operation on it met an index out of range since the last such point.
    """
    index = index_of(device)
    driver(index).synchronize(index)


class device:  # noqa: N801
    """Inside, "cuda" means this device; None or a negative number changes nothing."""

    def __init__(self, device: Where) -> None:
        nothing = device is None or (isinstance(device, int) and device < 0)
        self.index = -1 if nothing else index_of(device)

    def __enter__(self) -> None:
        if self.index >= 0:
            self._before = current_device()
            set_device(self.index)

    def __exit__(self, *_: object) -> None:
        if self.index >= 0:
            set_device(self._before)


class device_of(device):  # noqa: N801
    """Inside, "cuda" means the device of this tensor; nothing changes for one on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.device if obj.is_cuda else None)
