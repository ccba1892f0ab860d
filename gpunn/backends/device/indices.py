"""Indices out of range on a CUDA device: found there, raised where the host waits for it anyhow.

A check is one small kernel and no synchronisation. What it finds it leaves in a record of its
stream. The operation itself goes on with some element that exists, so the device stays usable; the
record is read along with the next value that is copied to the host, or when the stream or the
device is waited for.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from typing import Any

import cupy
import numpy

from gpunn.backends.device import pinned
from gpunn.backends.device.transfers import note
from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.indices import IndexPrimitives

INDICES = Source("indices.cu", builds(INDEX=("int64", "int32", "uint8")))
_FRESH = numpy.array([2**64 - 1, 0, 0, 0, 0, 0, 0], numpy.uint64)  # indices.cu has the words
_CHECK, _SIGNED = 2, slice(3, None)

# What a number in a record stands for: the operation, the error's text, and its type.
_checks: dict[tuple[str, str, type[Exception]], int] = {}


class Record:
    """The record of one stream, on the device and, since it was last fetched, on the host."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.stream: int | None = None  # that has checks under way, not reported yet
        self.words, self.copy = cupy.asarray(_FRESH), pinned.copy(_FRESH)

    def fetch(self) -> None:
        """Copy the record to the host, on the current stream, without waiting."""
        note("device to host", self.copy.nbytes, False)
        self.words.data.copy_to_host_async(
            self.copy.ctypes.data, self.copy.nbytes, cupy.cuda.get_current_stream()
        )

    def report(self) -> None:
        """Raise what was fetched, and forget it."""
        self.stream = None
        found = int(self.copy[_CHECK])
        if not found:
            return
        self.words.set(_FRESH)
        cupy.cuda.get_current_stream().synchronize()
        value, position, low, high = self.copy[_SIGNED].view(numpy.int64).tolist()
        operation, text, error = next(key for key, number in _checks.items() if number == found)
        raise error(
            f"{text.format(value=value, low=low, high=high)} ({operation} on cuda:{self.index}, "
            f"element {position}; found there, and raised at the next synchronization)"
        )


_records: dict[tuple[int, int], Record] = {}  # by device and stream


def record_of(index: int, stream: Any) -> Record:
    """The record that checks on the stream write to."""
    found = _records.get((index, stream.ptr))
    if found is None:
        found = _records[index, stream.ptr] = Record(index)
    return found


class Reading:
    """``with Reading():`` around a copy to the host that waits: raises what the stream recorded."""

    def __enter__(self) -> None:
        self._fetched: list[Record] = []
        if _records:
            index, stream = cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr
            for record in list(_records.values()):  # threads may add some
                if record.stream == stream and record.index == index:
                    record.fetch()
                    self._fetched.append(record)

    def __exit__(self, error: Any, *_: object) -> None:
        if error is None:
            for record in self._fetched:
                record.report()


def report(index: int, stream: Any = None) -> None:
    """Raise what the stream, or any of the device, has recorded; it has been waited for."""
    for record in list(_records.values()):
        there = record.stream if stream is None else stream.ptr
        if record.stream is not None and record.index == index and record.stream == there:
            with cupy.cuda.Device(index):
                record.copy[:] = cupy.asnumpy(record.words)
                record.report()


class DeviceIndices(IndexPrimitives):
    """Checks without synchronisation."""

    def check_indices(
        self,
        operation: str,
        index: Any,
        low: int,
        high: int,
        text: str,
        error: type[Exception] = IndexError,
        ignored: int | None = None,
    ) -> None:
        # Where there is nothing to index, the operation has no element to go on with.
        if type(index) is numpy.ndarray or (low >= high and index.size):
            super().check_indices(operation, index, low, high, text, error, ignored)
            return
        if not index.size:
            return
        if index.dtype != numpy.int32:
            index = index.astype(numpy.int64, copy=False)
        self._check((operation, text, IndexError), index, low, high, ignored)

    def check_all(
        self, operation: str, right: Any, text: str, error: type[Exception] = RuntimeError
    ) -> None:
        if right.size:
            self._check((operation, text, error), right.view(numpy.uint8), 1, 2, None)

    def _check(self, key: Any, index: Any, low: int, high: int, ignored: int | None) -> None:
        number = _checks.setdefault(key, len(_checks) + 1)
        index = self.xp.ascontiguousarray(index)
        with self.beside(index):
            stream = cupy.cuda.get_current_stream()
            record = record_of(cupy.cuda.runtime.getDevice(), stream)
            record.stream = stream.ptr
            INDICES("index_check", INDEX=index.dtype)(
                (min(ceil_div(index.size, 1024), 256),),
                (256,),
                index,
                index.size,
                low,
                high,
                low if ignored is None else ignored,
                number,
                record.words,
            )

    def check_places(self, operation: str, x: Any, places: tuple[Any, ...]) -> None:
        for dim, index in enumerate(places):
            if hasattr(index, "dtype"):
                n, text = x.shape[dim], f"index {{value}} is out of bounds for dimension {dim} with"
                self.check_indices(operation, index, -n, n, f"{text} size {{high}}")
