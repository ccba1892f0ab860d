"""CUDA graphs: work that is captured once, and launched again as a whole.

A graph repeats the same kernels on the same memory. New input is copied into the tensors that it
reads, and results are found in those that it wrote. Numbers that Python computed, such as a
learning rate, are part of the graph.
"""

from __future__ import annotations

import gc
from typing import Any

from gpunn import random
from gpunn.cuda.devices import driver, synchronize
from gpunn.cuda.memory import empty_cache
from gpunn.cuda.streams import Stream, StreamContext
from gpunn.random import default_generator

_MODES = ("global", "thread_local", "relaxed")


def is_current_stream_capturing() -> bool:
    """Whether work is captured now, and not done."""
    return bool(driver().current_stream(driver().current_device()).is_capturing())


def graph_pool_handle() -> Any:
    """A pool of memory that several graphs may share, if they are replayed in capture's order."""
    driver()
    from gpunn.backends.device import memory

    return memory.Pool()


class CUDAGraph:
    """Captured work. ``with gpunn.cuda.graph(g):`` captures it, ``g.replay()`` does it."""

    def __init__(self) -> None:
        self._capture: Any = None
        self._blocks = 0  # of random numbers that a replay draws
        self._ready = False

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Capture the current stream's work, which must not be the default stream's.

        ``pool``: memory shared with other graphs, of ``graph_pool_handle()`` or ``other.pool()``.
        ``capture_error_mode`` stands in PyTorch's list; gpunn's captures are "relaxed", which lets
        memory be allocated meanwhile.
        """
        if capture_error_mode not in _MODES:
            raise RuntimeError(
                "Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, "
                f"got {capture_error_mode}"
            )
        if self._ready:
            raise RuntimeError("This CUDAGraph instance already owns a captured graph: reset() it")
        driver()
        from gpunn.backends.device import graphs

        capture: Any = graphs.Capture(pool)
        self._place = default_generator._seed, default_generator._offset
        capture.begin(*self._place)
        self._capture = capture
        random.captured = default_generator

    def capture_end(self) -> None:
        """End the capture; from here on work is done again. Raises what the capture was lost to."""
        if self._capture is None or self._ready:
            raise RuntimeError("capture_end() called, but this CUDAGraph is not capturing")
        random.captured = None
        seed, offset = self._place
        if default_generator._seed == seed:  # else the capture is lost, or has drawn nothing
            # Nothing was drawn yet: each replay takes its numbers off the stream.
            self._blocks = default_generator._offset - offset
            default_generator._offset = offset
        try:
            self._capture.end()
        except BaseException:
            self._capture = None
            raise
        self._ready = True

    def replay(self) -> None:
        """Do the captured work, on the current stream, with what its tensors hold now.

        Random numbers go on in the default stream, as if the work had been called once more.
        """
        if not self._ready:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        seed, offset = default_generator.reserve(self._blocks)
        from gpunn.backends.device import random as device_random

        self._capture.replay(device_random.place(seed, offset))

    def reset(self) -> None:
        """Forget the work, and let go of its memory; the graph may capture anew."""
        self._capture, self._ready = None, False

    def pool(self) -> Any:
        """The memory of this graph, for another to share."""
        if self._capture is None:
            raise RuntimeError("this CUDAGraph has captured nothing yet, and has no memory pool")
        return self._capture.pool


class graph:  # noqa: N801
    """``with gpunn.cuda.graph(g):`` captures the work inside in ``g``, on a stream of its own.

    Warm up first: a few steps on another stream, so that kernels are compiled and optimizers have
    their state. Inside, nothing may be copied to the host or wait for the device; results of
    operations have no values before the first ``g.replay()``.
    """

    default_capture_stream: Stream | None = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        if stream is None and graph.default_capture_stream is None:
            graph.default_capture_stream = Stream()
        self._context = StreamContext(stream or graph.default_capture_stream)
        self._graph, self._begin = cuda_graph, (pool, capture_error_mode)

    def __enter__(self) -> None:
        synchronize()
        gc.collect()
        empty_cache()
        self._context.__enter__()
        try:
            self._graph.capture_begin(*self._begin)
        except BaseException:
            self._context.__exit__()
            raise

    def __exit__(self, error: Any, *_: object) -> None:
        try:
            self._graph.capture_end()
        except Exception:
            if error is None:  # else the capture is lost to that
                raise
        finally:
            self._context.__exit__()
        if error is not None:
            self._graph.reset()
