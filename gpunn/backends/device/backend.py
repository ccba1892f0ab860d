"""CuPy on CUDA devices: kernels where there are some, else the reference's array code as it is.

Imported at the first use of a CUDA device, through ``gpunn.backends``.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import cupy
import numpy
from cupy._core import set_compute_type
from cupy._core._routines_linalg import COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_TF32

from gpunn.backends import cuda
from gpunn.backends.base import Backend
from gpunn.backends.device.normalization import DeviceNormalization
from gpunn.device import device

array_type: type = cupy.ndarray


class CudaBackend(DeviceNormalization, Backend):
    """Every primitive on the current CUDA device."""

    name: ClassVar[str] = "cuda"

    def device(self, array: Any) -> device:
        return device("cuda", array.device.id)

    def on(self, where: device) -> AbstractContextManager[Any]:
        return cupy.cuda.Device(where.index)

    def on_device_of(self, function: type, args: tuple[Any, ...]) -> AbstractContextManager[Any]:
        # 0-d CPU tensors among args count as numbers; the ops read them as such.
        arrays = [a.data for a in args if type(getattr(a, "data", None)) is cupy.ndarray]
        ids = list(dict.fromkeys(a.device.id for a in arrays))
        if len(ids) > 1:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:{ids[0]} and cuda:{ids[1]}! ({function.__name__.lower()}; move one with "
                f".to('cuda:{ids[0]}'))"
            )
        return cupy.cuda.Device(ids[0])

    def to_numpy(self, array: Any) -> numpy.ndarray[Any, Any]:
        return cupy.asnumpy(array)

    def from_numpy(self, array: numpy.ndarray[Any, Any]) -> Any:
        return cupy.asarray(array)

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def special(self, name: str) -> Any:
        import cupyx.scipy.special

        return getattr(cupyx.scipy.special, name)


backend = CudaBackend(cupy)


@cuda.matmul.follow
def _set_matmul_precision(precision: str) -> None:
    tf32 = precision == "tf32"
    set_compute_type(numpy.float32, COMPUTE_TYPE_TF32 if tf32 else COMPUTE_TYPE_DEFAULT)


def problem(index: int | None = None) -> str | None:
    """Why the device cannot be used; None where it can."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
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
    return cupy.cuda.runtime.getDeviceCount()


def current_device() -> int:
    """The index of the device that ``device("cuda")`` means."""
    return cupy.cuda.Device().id


def set_device(index: int) -> None:
    """Make ``device("cuda")`` mean ``cuda:index``."""
    cupy.cuda.Device(index).use()


def device_name(index: int) -> str:
    """The device's name, as "NVIDIA H100"."""
    return cupy.cuda.runtime.getDeviceProperties(index)["name"].decode()


def device_capability(index: int) -> tuple[int, int]:
    """The compute capability, as (9, 0)."""
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    return properties["major"], properties["minor"]


def synchronize(index: int) -> None:
    """Wait for all work on the device."""
    cupy.cuda.Device(index).synchronize()


def memory_allocated(index: int) -> int:
    """Bytes in arrays on the device."""
    with cupy.cuda.Device(index):
        return cupy.get_default_memory_pool().used_bytes()


def empty_cache() -> None:
    """Give memory that no array uses back to the driver."""
    cupy.get_default_memory_pool().free_all_blocks()
