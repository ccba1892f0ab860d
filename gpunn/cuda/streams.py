"""Streams and events: which work waits for which, and how long it took.

Work of one stream is done in order; that of two streams in any, unless one waits for the other.
"""

from __future__ import annotations

from typing import Any

from gpunn.cuda.devices import Where, driver, index_of
from gpunn.device import device as Device


class Stream:
    """A queue of work on ``device``, independent of the default stream.

    A ``priority`` below 0 is served first. ``with gpunn.cuda.stream(s):`` sends work to ``s``.
    Memory belongs to the stream that was current when it was allocated: before another stream
    reads it, have that one wait (``wait_stream``), and before it is dropped, have its own stream
    wait for the reader.
    """

    def __init__(self, device: Where = None, priority: int = 0) -> None:
        self._index = index_of(device)
        self._handle = driver().new_stream(self._index, priority)

    @classmethod
    def _of(cls, handle: Any, index: int) -> Stream:
        """A stream that exists already."""
        stream = object.__new__(cls)
        stream._handle, stream._index = handle, index
        return stream

    @property
    def device(self) -> Device:
        """The device whose work it queues."""
        return Device("cuda", self._index)

    @property
    def cuda_stream(self) -> int:
        """CUDA's handle of the stream; 0 for the default stream."""
        return self._handle.ptr

    @property
    def priority(self) -> int:
        """The priority that CUDA gave it: 0, or below for one that is served first."""
        return self._handle.priority

    def query(self) -> bool:
        """Whether all its work is done."""
        return self._handle.done

    def synchronize(self) -> None:
        """Wait here until all its work is done.

        Raises IndexError if an operation on it met an index out of range.
        """
        driver().synchronize_stream(self._index, self._handle)

    def record_event(self, event: Event | None = None) -> Event:
        """Record ``event``, or a new one, after the work queued so far; returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let work queued from now on wait for ``event``; this thread does not wait."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Let work queued from now on wait for what ``stream`` has been given so far."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return NotImplemented
        return (self.cuda_stream, self._index) == (other.cuda_stream, other._index)

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self._index))

    def __repr__(self) -> str:
        return f"<gpunn.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream, to wait for and to measure time between.

    ``enable_timing``: ``elapsed_time`` may be asked. ``blocking``: ``synchronize`` lets the
    processor sleep, and does not spin. ``interprocess``: another process may wait for it.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if enable_timing and interprocess:
            raise ValueError("an interprocess event has no timing: pass enable_timing=False")
        self._options = enable_timing, blocking, interprocess
        self._handle: Any = None  # made by the first record, on the stream's device
        self._index = -1

    @property
    def device(self) -> Device | None:
        """The device of the stream that recorded it; None before."""
        return None if self._handle is None else Device("cuda", self._index)

    @property
    def cuda_event(self) -> int:
        """CUDA's handle of the event; 0 before it is recorded."""
        return 0 if self._handle is None else self._handle.ptr

    def record(self, stream: Stream | None = None) -> None:
        """Mark the end of what ``stream`` (the current one, if None) has been given so far."""
        stream = current_stream() if stream is None else stream
        if self._handle is None:
            self._index = stream._index
            self._handle = driver().new_event(self._index, *self._options)
        elif self._index != stream._index:
            raise RuntimeError(
                f"Event device {self._index} does not match recording stream's device "
                f"{stream._index}."
            )
        stream._handle.record(self._handle)

    def wait(self, stream: Stream | None = None) -> None:
        """Let ``stream`` (the current one, if None) wait for the event; this thread does not."""
        stream = current_stream() if stream is None else stream
        if self._handle is not None:
            stream._handle.wait_event(self._handle)

    def query(self) -> bool:
        """Whether the work before it is done; True before it is recorded."""
        return self._handle is None or self._handle.done

    def synchronize(self) -> None:
        """Wait here until the work before it is done."""
        if self._handle is not None:
            driver().synchronize_event(self._handle)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to ``end_event``, to about half a microsecond.

        Raises ValueError for events without timing, or not recorded; RuntimeError if the work
        before one of them is not done yet: synchronize first.
        """
        if not (self._options[0] and end_event._options[0]):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._handle is None or end_event._handle is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        if not (self.query() and end_event.query()):
            raise RuntimeError(
                "Both events must be completed before calculating elapsed time: call "
                "end_event.synchronize() first"
            )
        return driver().elapsed_time(self._handle, end_event._handle)

    def __repr__(self) -> str:
        if self._handle is None:
            return "<gpunn.cuda.Event uninitialized>"
        return f"<gpunn.cuda.Event {self.cuda_event:#x}>"


def current_stream(device: Where = None) -> Stream:
    """The stream that work on ``device`` is sent to in this thread."""
    index = index_of(device)
    return Stream._of(driver().current_stream(index), index)


def default_stream(device: Where = None) -> Stream:
    """The stream that is current where no other was chosen."""
    index = index_of(device)
    return Stream._of(driver().default_stream(), index)


def set_stream(stream: Stream | None) -> None:
    """Send work to ``stream`` from now on, and make its device current; ``stream()`` undoes it."""
    if stream is not None:
        driver().set_device(stream._index)
        driver().use_stream(stream._index, stream._handle)


class StreamContext:
    """Inside, work on the stream's device goes to ``stream``, and its device is current."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> Stream | None:
        if self.stream is not None:
            self._device = index_of(None)
            self._before = current_stream(self.stream.device)
            set_stream(self.stream)
        return self.stream

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            set_stream(self._before)
            driver().set_device(self._device)


def stream(stream: Stream | None) -> StreamContext:
    """``with gpunn.cuda.stream(s):`` sends work to ``s``; None changes nothing."""
    return StreamContext(stream)
