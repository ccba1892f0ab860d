"""The simulator is tested with CuPy as it is: without the allocator that gpunn gives it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator

import pytest

import gpunn.sim
from gpunn.sim.testing import ensure_cuda


@pytest.fixture(autouse=True)
def _own_allocator() -> Iterator[None]:
    if ensure_cuda() is not None:
        yield
        return
    cuda = importlib.import_module("cupy").cuda
    before = cuda.get_allocator()
    cuda.set_allocator(functools.partial(gpunn.sim._allocate, cuda))
    yield
    cuda.set_allocator(before)
