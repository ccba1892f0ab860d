"""What the launcher itself costs: a cached kernel found, its arguments checked, nothing run."""

from __future__ import annotations

import pytest

from gpunn.sim.testing import ensure_cuda


@pytest.mark.benchmark(group="launcher")
def test_launch_of_a_cached_kernel(benchmark, monkeypatch):
    reason = ensure_cuda()
    if reason is not None:
        pytest.skip(reason)
    import cupy

    import gpunn
    from gpunn.backends import sources

    gpunn.zeros(1, device="cuda")  # declares the sources
    scatter = sources.files["scatter.cu"]
    index, x, y = cupy.zeros(8, "i8"), cupy.zeros((8, 4), "f4"), cupy.zeros((8, 4), "f4")
    arguments = index, x, y, 8, 4, 1, 1, 32, 1
    kernel = scatter("index_add_parts", SCALAR=x.dtype)
    monkeypatch.setattr(kernel, "_launch", lambda *_: None)  # up to the driver's door
    benchmark(lambda: scatter("index_add_parts", SCALAR=x.dtype)((1,), (256,), *arguments))
