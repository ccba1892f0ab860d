"""Asking for CUDA where it cannot be used names what is missing and the fix."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

import gpunn

CUPY = importlib.util.find_spec("cupy") is not None


pytestmark = pytest.mark.usefixtures("no_driver")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: gpunn.zeros(1, device="cuda"),
        lambda: gpunn.tensor([1.0], device="cuda:0"),
        lambda: gpunn.ones(2).cuda(),
        lambda: gpunn.ones(2).to("cuda"),
        lambda: gpunn.rand(2, device=gpunn.device("cuda", 0)),
        lambda: gpunn.cuda.current_device(),
        lambda: gpunn.cuda.synchronize(),
        lambda: gpunn.cuda.get_device_name(0),
        lambda: gpunn.cuda.set_device(0),
        lambda: gpunn.cuda.device(0),
        lambda: gpunn.cuda.Stream(),
        lambda: gpunn.cuda.current_stream(),
        lambda: gpunn.cuda.Event().record(),
        lambda: gpunn.cuda.mem_get_info(),
        lambda: gpunn.cuda.CUDAGraph().capture_begin(),
        lambda: gpunn.ones(2).pin_memory(),
    ],
)
def test_what_is_missing(ask: Any):
    reason = (
        r"CuPy .* found no usable CUDA driver \(.*\); install NVIDIA's driver, or use device='cpu'"
        if CUPY
        else r"CuPy is not installed; install it with: pip install 'gpunn\[cuda13\]' \(CUDA 13 "
    )
    with pytest.raises(RuntimeError, match=f"^CUDA is not available: {reason}"):
        ask()


def test_questions_have_answers():
    assert gpunn.cuda.is_available() is False
    assert gpunn.cuda.device_count() == 0
    assert gpunn.cuda.memory_allocated() == gpunn.cuda.max_memory_allocated() == 0
    assert gpunn.cuda.memory_reserved() == gpunn.cuda.max_memory_reserved() == 0
    assert gpunn.cuda.memory_stats() == {}
    assert not gpunn.cuda.is_bf16_supported()
    gpunn.cuda.reset_peak_memory_stats()
    gpunn.cuda.reset_accumulated_memory_stats()
    gpunn.cuda.empty_cache()
    assert gpunn.cuda.Event().query()
    assert not gpunn.ones(2).is_pinned()
    assert gpunn.cuda.manual_seed_all(3).initial_seed() == 3


def test_wrong_devices():
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        gpunn.cuda.synchronize("cpu")


def test_importing_loads_nothing_heavy():
    program = (
        "import sys, gpunn; gpunn.zeros(2, requires_grad=True).exp().sum().backward(); "
        "print([m for m in ('cupy', 'scipy', 'tqdm', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
