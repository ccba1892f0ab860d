"""Which code computes on which array: ``type2backend``, its single home.

``type2backend[type(x.data)]`` is the backend of a tensor. NumPy's stands ready; CuPy's is
imported when the first CUDA device or array is met, so that the CPU never pays for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.backends import cuda, cudnn, mps
from gpunn.backends.base import Backend
from gpunn.backends.cpu import CpuBackend

if TYPE_CHECKING:
    from gpunn.device import device

__all__ = [
    "Backend",
    "backend_of",
    "cuda",
    "cuda_backend",
    "cuda_problem",
    "cudnn",
    "is_pinned",
    "mps",
    "type2backend",
]


class _Table(dict[type, Backend]):
    def __missing__(self, array_type: type) -> Backend:
        stand_in: Backend | None = getattr(array_type, "gpunn_backend", None)
        if stand_in is not None:  # of what is no array yet; in the table it would slow the rest
            return stand_in
        if array_type.__module__.partition(".")[0] == "cupy":
            cuda_backend()
            if array_type in self:
                return self[array_type]
        raise TypeError(
            f"no backend computes on {array_type.__module__}.{array_type.__qualname__}: a tensor's "
            "data is a numpy.ndarray or a cupy.ndarray; convert it (gpunn.tensor(...), "
            "gpunn.from_numpy(...)), or add a Backend to gpunn.backends.type2backend"
        )


type2backend = _Table()
type2backend[numpy.ndarray] = CpuBackend(numpy)


def cuda_problem(index: int | None = None) -> str | None:
    """Why CUDA (or its device ``index``) cannot be used, and the fix; None where it can."""
    if importlib.util.find_spec("cupy") is None:
        return (
            "CuPy is not installed; install it with: pip install 'gpunn[cuda13]' "
            "(CUDA 13 drivers) or pip install 'gpunn[cuda12]'"
        )
    from gpunn.backends.device import driver

    return driver.problem(index)


def cuda_backend(index: int | None = None) -> Backend:
    """The CuPy backend. Raises RuntimeError that names what is missing where CUDA is unusable."""
    problem = cuda_problem(index)
    if problem is not None:
        raise RuntimeError(f"CUDA is not available: {problem}")
    from gpunn.backends.device import backend as module

    if module.array_type not in type2backend:
        type2backend[module.array_type] = module.backend
    return module.backend


def is_pinned(array: Any) -> bool:
    """Whether ``array`` lies in page-locked host memory."""
    if type(array) is not numpy.ndarray or array.base is None or "cupy" not in sys.modules:
        return False
    from gpunn.backends.device import pinned

    return pinned.is_pinned(array)


def backend_of(where: device) -> Backend:
    """The backend that computes on ``where``. Raises RuntimeError if there is no such device."""
    return type2backend[numpy.ndarray] if where.type == "cpu" else cuda_backend(where.index)
