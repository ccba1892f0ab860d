"""CuPy on CUDA devices: kernels where there are some, else the reference's array code as it is.

Imported at the first use of a CUDA device, through ``gpunn.backends``.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from typing import Any

import cupy
import numpy
from cupy._core import set_compute_type
from cupy._core._routines_linalg import COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_TF32

from gpunn.backends import cuda
from gpunn.backends.base import Backend
from gpunn.backends.device import memory
from gpunn.backends.device.array import DeviceArray
from gpunn.backends.device.convolution import DeviceConvolution
from gpunn.backends.device.depthwise import DeviceDepthwise
from gpunn.backends.device.dropout import DeviceDropout
from gpunn.backends.device.indices import DeviceIndices
from gpunn.backends.device.normalization import DeviceNormalization
from gpunn.backends.device.optimizer import DeviceOptimizer
from gpunn.backends.device.pooling import DevicePooling
from gpunn.backends.device.random import DeviceRandom
from gpunn.backends.device.scatter import DeviceScatter
from gpunn.backends.device.softmax import DeviceSoftmax

array_type: type = cupy.ndarray
memory.install()


class CudaBackend(
    DeviceDepthwise,
    DeviceConvolution,
    DeviceDropout,
    DeviceNormalization,
    DeviceOptimizer,
    DevicePooling,
    DeviceRandom,
    DeviceIndices,
    DeviceScatter,
    DeviceSoftmax,
    DeviceArray,
    Backend,
):
    """Every primitive on the current CUDA device."""

    def special(self, name: str) -> Any:
        import cupyx.scipy.special

        return getattr(cupyx.scipy.special, name)


backend = CudaBackend(cupy)


@cuda.matmul.follow
def _set_matmul_precision(precision: str) -> None:
    tf32 = precision == "tf32"
    set_compute_type(numpy.float32, COMPUTE_TYPE_TF32 if tf32 else COMPUTE_TYPE_DEFAULT)
