"""Capturing the work of a stream in a CUDA graph, and what its replays need: memory that stays,
random numbers that go on, and index errors that are told.

Knows nothing of gpunn's random generators: their seeds and offsets are handed in.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy

from gpunn.backends.device import indices, memory
from gpunn.backends.device.capturing import active

_LEGACY, _PER_THREAD = 1, 2  # CUDA's handles of its default streams, beside 0


class _Numbers:
    """Numbers that a kernel reads from device memory, and what they were last."""

    def __init__(self, values: tuple[float, ...]) -> None:
        self.values = values
        self.array = constant(numpy.array(values, numpy.float64))


class Capture:
    """The work of the current stream, from ``begin`` to ``end``; then ``replay`` does it again.

    Arrays made meanwhile come from ``pool``, which nobody else takes memory from, so that replays
    find theirs as it was. Random numbers are drawn from a place in the stream that stands in device
    memory, and is counted on from replay to replay.
    """

    def __init__(self, pool: Any = None) -> None:
        self.pool = memory.Pool() if pool is None else pool
        self.graph: Any = None
        self.drawn = False
        self._rehearsals: list[Callable[[], None]] = []
        self.numbers: list[_Numbers] = []
        self._renewed = 0  # of these, how many belong to a rehearsal
        self.kept: list[Any] = []

    def begin(self, seed: int, offset: int) -> None:
        """Capture from now on; random draws are relative to ``offset`` in the stream of ``seed``.

        Raises RuntimeError on a default stream, and where this thread captures already.
        """
        stream = cupy.cuda.get_current_stream()
        if stream.ptr in (0, _LEGACY, _PER_THREAD):
            raise RuntimeError(
                "CUDA graphs must be captured on a non-default stream. (However, after capture, "
                "it's ok to replay them on the default stream.)"
            )
        if active.capture is not None:
            raise RuntimeError("a CUDA graph is being captured already; end that capture first")
        self._stream, self._seed, self._offset = stream, seed, offset
        self._record = indices.record_of(cupy.cuda.runtime.getDevice(), stream)
        self._reported_by, self._record.stream = self._record.stream, None  # until the end
        self._state = cupy.zeros(6, numpy.uint64)  # random.py has the words
        self._allocator = cupy.cuda.using_allocator(self.pool.allocator())
        self._allocator.__enter__()
        try:
            stream.begin_capture()  # relaxed, since the pool may have to grow
        except BaseException:
            self._allocator.__exit__(None, None, None)
            raise
        active.capture = self

    def end(self) -> None:
        """Make the graph. Raises what the capture was lost to."""
        active.capture = None
        self._allocator.__exit__(None, None, None)
        self._checks = self._record.stream is not None
        self._record.stream = self._reported_by
        self.graph = self._stream.end_capture()

    def state(self, seed: int, offset: int) -> tuple[int, int]:
        """Where the place in the random stream stands, and how far from there a draw begins.

        Raises RuntimeError for a draw from another stream.
        """
        if seed != self._seed or offset < self._offset:
            raise RuntimeError(
                "the random stream was seeded or set back while a CUDA graph captured draws from "
                "it; call manual_seed() before the capture, or before a replay"
            )
        self.drawn = True
        return self._state.data.ptr, offset - self._offset

    def replay(self, place: numpy.ndarray[Any, Any]) -> None:
        """Do the work again, on the current stream; random draws begin at ``place``."""
        self._rehearse()
        stream = cupy.cuda.get_current_stream()
        if self.drawn:
            self._state.set(place)
        self.graph.launch(stream)
        if self._checks:
            self._record.stream = stream.ptr

    def rehearse(self, function: Callable[[], None]) -> None:
        """Call ``function`` before each replay, to renew the numbers captured since the last one.

        Raises RuntimeError if there are none: what was captured would stay as it is.
        """
        if self._renewed == len(self.numbers):
            raise RuntimeError(
                "this optimizer's step cannot be captured in a CUDA graph: it has no kernel whose "
                "numbers a replay could renew (SGD, Adam, AdamW and RMSprop have)"
            )
        self._renewed = len(self.numbers)
        self._rehearsals.append(function)

    def _rehearse(self) -> None:
        """Have Python count and compute as for the captured work, and renew its numbers."""
        active.numbers = iter(self.numbers)
        try:
            for function in self._rehearsals:
                function()
        finally:
            active.numbers = None


def constant(array: numpy.ndarray[Any, Any]) -> Any:
    """A host array's values on the current device, never to change: they need no copy in a replay.

    Where a stream captures, they are copied now, on another stream, and live as long as the graph.
    """
    capture = active.capture
    if capture is None:
        return cupy.asarray(array)
    aside = cupy.cuda.Stream(non_blocking=True)
    with cupy.cuda.using_allocator(memory.shared()):
        aside.use()  # a `with` would not give back a stream that was chosen by use()
        try:
            made = cupy.asarray(array)
            aside.synchronize()
        finally:
            capture._stream.use()
    capture.kept.append(made)
    return made


def renewable(values: tuple[float, ...]) -> Any:
    """Where a stream captures: these numbers in device memory (float64), for `renew`; else None."""
    capture = active.capture
    if capture is None:
        return None
    capture.numbers.append(_Numbers(values))
    return capture.numbers[-1].array


def rehearsing() -> bool:
    """Whether a replay is prepared: numbers are renewed, and nothing is launched."""
    return active.numbers is not None


def renew(values: tuple[float, ...]) -> None:
    """Copy the next numbers of the graph, in the order of its capture, if they have changed."""
    assert active.numbers is not None  # rehearsing() was asked
    numbers = next(active.numbers)
    if numbers.values != values:
        numbers.values = values
        numbers.array.set(numpy.array(values, numpy.float64))
