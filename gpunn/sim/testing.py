"""For pytest: CUDA tests run on the GPU where there is one, and on the simulator elsewhere.

In a ``conftest.py``::

    pytest_plugins = ["gpunn.sim.testing"]

and each test that takes the fixture ``cuda`` gets CuPy on whatever there is.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest

import gpunn.sim


def ensure_cuda(**options: Any) -> str | None:
    """Have a CUDA device, a simulated one if need be; why there is none, where there is none.

    ``options`` are those of `gpunn.sim.install`, such as ``devices=2``.
    """
    if gpunn.sim.installed():
        return None
    if gpunn.sim.has_gpu():
        there = importlib.util.find_spec("cupy") is not None
        return None if there else "CuPy is not installed: no CUDA device for the tests"
    reason = gpunn.sim.problem()
    if reason is None:
        gpunn.sim.install(**options)
    return reason


@pytest.fixture(scope="session")
def cuda() -> Any:
    """CuPy, on a GPU or a simulated one; skips the test where it can have neither."""
    reason = ensure_cuda()
    if reason is not None:
        pytest.skip(reason)
    return importlib.import_module("cupy")
