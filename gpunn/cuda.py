"""CUDA devices: are there any, which is current, waiting for them, their memory."""

from __future__ import annotations

import importlib
from typing import Any

from gpunn.backends import cuda_backend, cuda_problem
from gpunn.device import device as Device
from gpunn.random import initial_seed, manual_seed

__all__ = [
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "initial_seed",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "memory_allocated",
    "set_device",
    "synchronize",
]

manual_seed_all = manual_seed


def _driver(index: int | None = None) -> Any:
    cuda_backend(index)  # raises, with the reason, where CUDA cannot be used
    return importlib.import_module("gpunn.backends.device.backend")


def _index(device: Device | str | int | None) -> int:
    where = Device("cuda" if device is None else device)
    if where.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {where}")
    module = _driver(where.index)
    return module.current_device() if where.index is None else where.index


def is_available() -> bool:
    """Whether a CUDA device can be used: CuPy, a driver and a device are there."""
    return cuda_problem() is None


def device_count() -> int:
    """How many CUDA devices can be used."""
    return _driver().device_count() if is_available() else 0


def current_device() -> int:
    """The index of the device that "cuda" means."""
    return _index(None)


def set_device(device: Device | str | int) -> None:
    """Make "cuda" mean ``device``."""
    index = _index(device)
    _driver(index).set_device(index)


def get_device_name(device: Device | str | int | None = None) -> str:
    """The device's name, as its maker has it."""
    index = _index(device)
    return _driver(index).device_name(index)


def get_device_capability(device: Device | str | int | None = None) -> tuple[int, int]:
    """The compute capability, (9, 0) for an H100."""
    index = _index(device)
    return _driver(index).device_capability(index)


def synchronize(device: Device | str | int | None = None) -> None:
    """Wait until all work on ``device`` is done."""
    index = _index(device)
    _driver(index).synchronize(index)


def memory_allocated(device: Device | str | int | None = None) -> int:
    """Bytes of device memory that arrays hold."""
    return _driver().memory_allocated(_index(device)) if is_available() else 0


def empty_cache() -> None:
    """Give unused device memory back to the driver."""
    if is_available():
        _driver().empty_cache()


class device:  # noqa: N801
    """Inside, "cuda" means this device."""

    def __init__(self, device: Device | str | int) -> None:
        self.index = _index(device)

    def __enter__(self) -> None:
        self._before = current_device()
        set_device(self.index)

    def __exit__(self, *_: object) -> None:
        set_device(self._before)
