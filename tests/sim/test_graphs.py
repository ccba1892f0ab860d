"""Streams that capture, and the CUDA graphs that come of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn.sim
from gpunn.sim.testing import ensure_cuda

reason = ensure_cuda()
if reason is not None or not gpunn.sim.installed():
    pytest.skip(reason or "CuPy uses the GPU here", allow_module_level=True)

import cupy  # noqa: E402
import cupyx  # noqa: E402

INCREMENT = cupy.RawKernel(
    'extern "C" __global__ void increment(const float* x, float* y) {\n'
    "  y[threadIdx.x] = x[threadIdx.x] + 1;\n}",
    "increment",
)


def capture(work: Callable[[], Any], **options: Any) -> Any:
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture(**options)
        work()
        return stream.end_capture()


def test_a_graph_does_its_work_at_each_launch_and_not_before():
    x, y, z = cupy.arange(8, dtype="f4"), cupy.zeros(8, "f4"), cupy.zeros(8, "f4")

    def work() -> None:
        INCREMENT((1,), (8,), (x, y))
        cupy.multiply(y, 2, out=z)

    graph = capture(work)
    assert not z.any()
    stream = cupy.cuda.Stream()
    graph.upload(stream)
    graph.launch(stream)
    np.testing.assert_array_equal(z.get(), (np.arange(8) + 1) * 2)
    x[...] = 3
    graph.launch()
    np.testing.assert_array_equal(z.get(), 8)


def test_copies_and_fills_are_captured():
    x, y, z = cupy.ones(4, "f4"), cupy.zeros(4, "f4"), cupy.ones(4, "f4")
    host, back = cupyx.empty_pinned(4, "f4"), cupyx.zeros_pinned(4, "f4")
    runtime = cupy.cuda.runtime
    copy = runtime.memcpyAsync

    def work() -> None:
        stream = cupy.cuda.get_current_stream()
        copy(x.data.ptr, host.ctypes.data, x.nbytes, runtime.memcpyHostToDevice, stream.ptr)
        y.data.copy_from_device_async(x.data, x.nbytes, stream)
        z.data.memset_async(0, z.nbytes, stream)
        copy(back.ctypes.data, x.data.ptr, x.nbytes, runtime.memcpyDeviceToHost, stream.ptr)

    graph = capture(work)
    for value in (5, 6):
        host[...] = value
        graph.launch()
        assert y.tolist() == [value] * 4
        assert back.tolist() == [value] * 4
        assert not z.any()


def test_scalar_arguments_are_kept_and_parallel_branches_join():
    x, y = cupy.zeros(4, "f4"), cupy.zeros(4, "f4")
    one, two = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    with one:
        one.begin_capture()
        x += 2
        fork = one.record()
        two.wait_event(fork)
        assert two.is_capturing()
        with two:
            cupy.add(x, 1, out=y)
        one.wait_event(two.record())
        y *= 10
        graph = one.end_capture()
    assert not two.is_capturing()
    graph.launch()
    graph.launch()
    assert (x.tolist(), y.tolist()) == ([4] * 4, [50] * 4)


def test_a_graph_within_a_graph_and_callbacks():
    x, seen = cupy.zeros(2, "f4"), []

    def work() -> None:
        cupy.add(x, 1, out=x)
        cupy.cuda.get_current_stream().launch_host_func(seen.append, "called")

    inner = capture(work)
    outer = capture(lambda: (inner.launch(), inner.launch()))
    outer.launch()
    assert x.tolist() == [2, 2]
    assert seen == ["called"] * 2


def test_memory_of_a_pool_survives_the_capture_and_freed_memory_is_reported():
    x, y = cupy.ones(4, "f4"), cupy.zeros(4, "f4")

    def work() -> None:
        cupy.multiply(x + 1, 3, out=y)  # the sum is freed before the graph is launched

    with pytest.raises(Exception, match=r"access to freed memory .*\n.*\n.*\n.*which was freed"):
        capture(work).launch()
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        graph = capture(work)
    graph.launch()
    assert y.tolist() == [6] * 4


def test_what_a_capture_cannot_keep_is_refused_and_ends_it():
    x = cupy.ones(4, "f4")
    runtime = cupy.cuda.runtime
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(runtime.CUDARuntimeError, match="cudaErrorStreamCaptureUnsupported: a"):
            stream.synchronize()
        with pytest.raises(Exception, match="CAPTURE_INVALIDATED"):
            x += 1
        with pytest.raises(runtime.CUDARuntimeError, match=r"Invalidated: the capture was lost"):
            stream.end_capture()
        stream.begin_capture()  # and again
        x += 1
        stream.end_capture().launch()
    assert x.tolist() == [2] * 4

    event, host = cupy.cuda.Event(), np.ones(4, "f4")
    copy = (x.data.ptr, host.ctypes.data, 16, runtime.memcpyHostToDevice, stream.ptr)
    cases: dict[str, Callable[[], Any]] = {
        "pageable host memory": lambda: runtime.memcpyAsync(*copy),
        "cudaMalloc while a stream captures": lambda: cupy.empty(3),
        "cudaDeviceSynchronize while a stream": runtime.deviceSynchronize,
        "an event of a capture cannot be": lambda: (event.record(), event.synchronize()),
    }
    for message, call in cases.items():
        with stream:
            stream.begin_capture(runtime.streamCaptureModeGlobal)
            with pytest.raises(Exception, match=message):
                call()
            with pytest.raises(runtime.CUDARuntimeError, match="CaptureInvalidated"):
                stream.end_capture()


def test_mismatched_captures():
    stream, other = cupy.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)
    x = cupy.ones(4, "f4")
    with pytest.raises(Exception, match="the stream does not capture"):
        stream.end_capture()
    with stream:
        stream.begin_capture()
        with pytest.raises(Exception, match="captures already"):
            stream.begin_capture()
        other.wait_event(stream.record())
        with other:
            x += 1
        with pytest.raises(Exception, match="CaptureUnjoined: another stream"):
            stream.end_capture()
        stream.begin_capture()
    with pytest.raises(Exception, match="CAPTURE_IMPLICIT: work on the default stream"):
        x += 1  # on the default stream, which waits for every blocking one
    with pytest.raises(Exception, match="Invalidated"):
        stream.end_capture()
    assert (x + 1).tolist() == [2] * 4
