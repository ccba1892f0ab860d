"""Fixtures for every test: ``device``, and a fresh random stream; Hypothesis' profile."""

from __future__ import annotations

import importlib
import os

import hypothesis
import pytest
from checks import devices

import gpunn
from gpunn.backends import Backend, cuda_backend
from gpunn.sim.testing import ensure_cuda

# As PyTorch's, convolutions on CUDA devices use TF32 unless told not to: too coarse to compare.
gpunn.backends.cuda.conv.allow_tf32 = False
# In CI the same examples every time; elsewhere new ones, which may find what nobody has yet.
hypothesis.settings.register_profile("gpunn", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("gpunn")


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> str:
    """Each device of this machine in turn."""
    return request.param


@pytest.fixture
def cuda() -> Backend:
    """The CUDA backend, on a GPU or a simulated one."""
    reason = ensure_cuda()
    if reason is not None:
        pytest.skip(reason)
    return cuda_backend()


@pytest.fixture(autouse=True)
def _fresh_stream() -> None:
    gpunn.manual_seed(0)


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU, or a simulated one, its driver fails as a missing one does."""
    if gpunn.cuda.is_available():
        runtime = importlib.import_module("gpunn.backends.device.backend").cupy.cuda.runtime

        def missing() -> int:
            raise RuntimeError("cudaErrorInsufficientDriver")

        monkeypatch.setattr(runtime, "getDeviceCount", missing)
