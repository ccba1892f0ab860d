"""Streams, events, and CUDA graphs: work is done when it is asked for, unless its stream captures.

All streams run in one order, that of the calls. A stream that captures keeps its work instead, and
so do the streams that wait for its events; a graph launches that work again, in the same order.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from ctypes import POINTER, c_float, c_int, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass, field
from typing import Any

from gpunn.sim.api import INTS, POINTERS, Code, Failure, api, do_nothing, state

_NON_BLOCKING = 1  # a stream's flag: it does not wait for the default stream
_GLOBAL, _THREAD, _RELAXED = range(3)  # modes of capture: whose unsafe calls it forbids
_FIX = "; move the call out of the capture"


@dataclass(slots=True, eq=False)
class Graph:
    """Work that was captured, in the order of its calls."""

    origin: int
    mode: int
    thread: int = field(default_factory=threading.get_ident)
    nodes: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    ends: dict[int, int] = field(default_factory=dict[int, int])  # stream -> its work, not joined
    broken: str = ""


@dataclass(slots=True)
class Stream:
    """A stream: whether the default stream waits for it, and what it captures into."""

    device: int
    blocking: bool
    graph: Graph | None = None


@dataclass(slots=True)
class _Event:
    graph: Graph | None = None  # where it was recorded, if that was while capturing
    stream: int = 0
    count: int = 0


_handles = itertools.count(0x1000, 16)
_streams: dict[int, Stream] = {}
_events: dict[int, _Event] = {}
_graphs: dict[int, Graph] = {}


def capturing(stream: int | None) -> Graph | None:
    """What a stream captures into."""
    known = _streams.get(stream or 0)
    return known.graph if known else None


def enqueue(stream: int | None, work: Callable[[], None]) -> None:
    """Do the work of a stream, or keep it while the stream captures."""
    graph = capturing(stream)
    if graph is None:
        if (stream or 0) <= 1:  # the default stream waits for the blocking ones
            forbid(
                Code.STREAM_CAPTURE_IMPLICIT,
                "work on the default stream would wait for a stream that captures; capture on "
                "cupy.cuda.Stream(non_blocking=True), and do all work on it",
                [s.graph for s in _streams.values() if s.blocking],
            )
        work()
        return
    if graph.broken:
        raise Failure(Code.STREAM_CAPTURE_INVALIDATED, graph.broken)
    graph.nodes.append(work)
    graph.ends[stream or 0] = graph.ends.get(stream or 0, 0) + 1


def unsafe(name: str) -> None:
    """A call that waits, or that may: only a relaxed capture lets it pass."""
    here = threading.get_ident()
    forbid(
        Code.STREAM_CAPTURE_UNSUPPORTED,
        f"{name} while a stream captures, and not in the relaxed mode{_FIX}",
        [
            s.graph
            for s in _streams.values()
            if s.graph and (s.graph.mode == _GLOBAL or (s.graph.mode, s.graph.thread) == (1, here))
        ],
    )


def forbid(code: Code, reason: str, graphs: list[Graph | None]) -> None:
    """End these captures, where there are any, and say why."""
    found = [g for g in graphs if g is not None]
    for graph in found:
        graph.broken = graph.broken or reason
    if found:
        raise Failure(code, reason)


# Streams.


@api(POINTERS, c_uint, c_int, names=("cudaStreamCreateWithPriority",))
@api(POINTERS, c_uint, names=("cudaStreamCreateWithFlags",))
@api(POINTERS, names=("cudaStreamCreate",))
def _create_stream(handle: Any, flags: int = 0, priority: int = 0) -> None:
    handle[0] = number = next(_handles)
    _streams[number] = Stream(state.current, not flags & _NON_BLOCKING)


@api(c_void_p)
def cudaStreamDestroy(stream: int) -> None:
    _streams.pop(stream, None)


@api(c_void_p, POINTER(c_uint))
def cudaStreamGetFlags(stream: int | None, flags: Any) -> None:
    known = _streams.get(stream or 0)
    flags[0] = _NON_BLOCKING if known and not known.blocking else 0


@api(c_void_p, INTS)
def cudaStreamGetPriority(stream: int | None, priority: Any) -> None:
    priority[0] = 0


@api(c_void_p, names=("cudaStreamSynchronize", "cudaStreamQuery"))
def _wait_for_stream(stream: int | None) -> None:
    forbid(
        Code.STREAM_CAPTURE_UNSUPPORTED,
        f"a stream that captures cannot be waited for{_FIX}",
        [capturing(stream)],
    )


@api()
def cudaDeviceSynchronize() -> None:
    forbid(
        Code.STREAM_CAPTURE_UNSUPPORTED,
        f"cudaDeviceSynchronize while a stream captures{_FIX}",
        [s.graph for s in _streams.values()],
    )


@api(c_void_p, c_void_p, c_void_p)
def cudaLaunchHostFunc(stream: int | None, function: int, data: int | None) -> None:
    enqueue(stream, lambda: ctypes.CFUNCTYPE(None, c_void_p)(function)(data))


@api(c_void_p, c_void_p, c_void_p, c_uint)
def cudaStreamAddCallback(stream: int | None, function: int, data: int | None, flags: int) -> None:
    _wait_for_stream(stream)
    ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)(function)(stream, 0, data)


# Events.


@api(POINTERS, c_uint, names=("cudaEventCreateWithFlags",))
@api(POINTERS, names=("cudaEventCreate",))
def _create_event(handle: Any, flags: int = 0) -> None:
    handle[0] = number = next(_handles)
    _events[number] = _Event()


@api(c_void_p)
def cudaEventDestroy(event: int) -> None:
    _events.pop(event, None)


@api(c_void_p, c_void_p)
def cudaEventRecord(event: int, stream: int | None) -> None:
    graph = capturing(stream)
    count = graph.ends.get(stream or 0, 0) if graph else 0
    _events[event] = _Event(graph, stream or 0, count)


@api(c_void_p, c_void_p, c_uint)
def cudaStreamWaitEvent(stream: int | None, event: int, flags: int) -> None:
    recorded = _events.get(event, _Event())
    graph, mine = recorded.graph, capturing(stream)
    if graph is None or _streams[graph.origin].graph is not graph:  # its capture is over
        return
    if mine not in (None, graph):
        raise Failure(Code.STREAM_CAPTURE_MERGE, "two captures may not wait for each other")
    if (stream or 0) not in _streams:
        raise Failure(Code.STREAM_CAPTURE_IMPLICIT, "the default stream may not wait for a capture")
    _streams[stream or 0].graph = graph
    graph.ends.setdefault(stream or 0, 0)
    complete = graph.ends.get(recorded.stream) == recorded.count
    if complete and recorded.stream not in (stream, graph.origin):
        del graph.ends[recorded.stream]  # joined: nothing of it is left to wait for


@api(c_void_p, names=("cudaEventSynchronize", "cudaEventQuery"))
def _wait_for_event(event: int) -> None:
    graph = _events.get(event, _Event()).graph
    if graph is not None:
        forbid(Code.CAPTURED_EVENT, f"an event of a capture cannot be waited for{_FIX}", [graph])


@api(POINTER(c_float), c_void_p, c_void_p)
def cudaEventElapsedTime(milliseconds: Any, start: int, end: int) -> None:
    milliseconds[0] = 0.001  # a simulation's times mean nothing


# Capture and graphs.


@api(c_void_p, c_int)
def cudaStreamBeginCapture(stream: int | None, mode: int) -> None:
    known = _streams.get(stream or 0)
    if known is None:
        raise Failure(Code.STREAM_CAPTURE_UNSUPPORTED, "the default stream cannot capture")
    if known.graph is not None:
        raise Failure(Code.ILLEGAL_STATE, "the stream captures already")
    known.graph = Graph(stream or 0, mode, ends={stream or 0: 0})


@api(c_void_p, POINTERS)
def cudaStreamEndCapture(stream: int | None, handle: Any) -> None:
    graph = capturing(stream)
    if graph is None:
        raise Failure(Code.ILLEGAL_STATE, "the stream does not capture")
    if graph.origin != stream:
        raise Failure(Code.STREAM_CAPTURE_UNMATCHED, "another stream began this capture")
    for other in _streams.values():
        if other.graph is graph:
            other.graph = None
    handle[0] = 0
    if graph.broken:
        raise Failure(
            Code.STREAM_CAPTURE_INVALIDATED, f"the capture was lost to an error: {graph.broken}"
        )
    if len(graph.ends) > 1:
        raise Failure(
            Code.STREAM_CAPTURE_UNJOINED,
            "another stream that captured too was not joined: let it record an event, and let the "
            "first stream wait for it",
        )
    handle[0] = _keep(graph)


@api(c_void_p, INTS)
def cudaStreamIsCapturing(stream: int | None, status: Any) -> None:
    graph = capturing(stream)
    status[0] = 0 if graph is None else 2 if graph.broken else 1


@api(POINTERS, c_void_p, c_ulonglong)
def cudaGraphInstantiate(handle: Any, graph: int, flags: int) -> None:
    handle[0] = _keep(_find(graph))


@api(c_void_p, c_void_p)
def cudaGraphLaunch(graph: int, stream: int | None) -> None:
    for work in _find(graph).nodes:
        enqueue(stream, work)


@api(c_void_p, names=("cudaGraphDestroy", "cudaGraphExecDestroy"))
def _drop(graph: int) -> None:
    _graphs.pop(graph, None)


do_nothing(("cudaGraphUpload",), c_void_p, c_void_p)


def _find(graph: int) -> Graph:
    if graph not in _graphs:
        raise Failure(Code.INVALID_HANDLE, f"{graph:#x} is no graph")
    return _graphs[graph]


def _keep(graph: Graph) -> int:
    number = next(_handles)
    _graphs[number] = graph
    return number
