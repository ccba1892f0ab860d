"""CUDA under the name that PyTorch gives whatever accelerator there is."""

from gpunn.cuda import (
    current_device as current_device_index,
)
from gpunn.cuda import (
    current_stream,
    device_count,
    empty_cache,
    is_available,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
    set_stream,
    synchronize,
)
from gpunn.cuda import (
    set_device as set_device_index,
)
from gpunn.device import device as _Device

__all__ = [
    "current_accelerator",
    "current_device_index",
    "current_stream",
    "device_count",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def current_accelerator(check_available: bool = False) -> _Device | None:
    """``device("cuda")`` where CUDA can be used, else None, whether it is to be checked or not."""
    del check_available
    return _Device("cuda") if is_available() else None
