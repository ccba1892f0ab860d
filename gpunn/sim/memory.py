"""Simulated memory: bytes, and beside each byte its state (free, allocated, written)."""

from __future__ import annotations

import bisect
import mmap
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np

from gpunn.sim.values import Array

FREE, ALLOCATED, WRITTEN, PENDING = 0, 1, 3, 7  # PENDING: a cp.async is on its way
FRESH = 0xCD  # what memory holds before it is written

SHARED_WINDOW, LOCAL_WINDOW, PARAM_WINDOW = 1 << 60, 2 << 60, 3 << 60  # generic addresses
_ALIGN, _GAP = 512, 512  # of each array; unallocated bytes between two arrays
_PAGE = mmap.PAGESIZE
_NORESERVE = 0x4000  # Linux's MAP_NORESERVE: address space costs nothing until it is touched


class Memory:
    """Bytes and their states, read and written as elements of 1, 2, 4, 8 or 16 bytes."""

    def __init__(self, data: Array, state: Array) -> None:
        self.data, self.state = data, state
        self._data, self._state = _views(data), _views(state)
        self.full = {n: np.frombuffer(bytes([WRITTEN]) * n, f"u{min(n, 8)}") for n in self._data}

    def load(self, element: Array, size: int) -> Array:
        """The elements as (lanes, 1), or (lanes, 2) words of 8 bytes for 16."""
        return self._data[size].take(element, axis=0)

    def store(self, element: Array, size: int, values: Array) -> None:
        """Write elements and mark them written."""
        self._data[size][element] = values
        self._state[size][element] = self.full[size]

    def view(self, dtype: Any) -> Array:
        """All of the memory as an array of ``dtype``."""
        return self.data.view(dtype)

    def written(self, element: Array, size: int) -> bool:
        """Whether every byte of the elements is written: one gather, for the common case."""
        return bool((self._state[size].take(element, axis=0) == self.full[size]).all())

    def states(self, element: Array, size: int) -> Array:
        """The states of the elements' bytes, (elements, size)."""
        return self._state[size].take(element, axis=0).view("u1").reshape(-1, size)


class BadPointer(ValueError):  # noqa: N818  # what it is
    """An address or a size that the device's memory does not have."""


def _views(data: Array) -> dict[int, Array]:
    views = {n: data.view(f"u{n}").reshape(-1, 1) for n in (1, 2, 4, 8)}
    return views | {16: data.view("u8").reshape(-1, 2)}


def scratch(size: int) -> Memory:
    """Memory of a batch: shared or local."""
    size = -(-size // 16) * 16 + 16
    return Memory(np.full(size, FRESH, "u1"), np.full(size, ALLOCATED, "u1"))


@dataclass(slots=True)
class Allocation:
    """One array of device memory."""

    start: int
    size: int
    label: str

    def describe(self, address: int) -> str:
        """Where an address lies in or beside the array."""
        offset = address - self.start
        if offset < 0:
            return f"{-offset} bytes before the start of {self}"
        if offset >= self.size:
            return f"{offset - self.size} bytes past the end of {self}"
        return f"at byte {offset} of {self}"

    def __str__(self) -> str:
        return f"{self.label} ({self.size} bytes)"


class Arena(Memory):
    """Device memory: allocations with gaps between them, whose addresses are reused late."""

    known: ClassVar[WeakSet[Arena]] = WeakSet()

    def __init__(self, size: int, name: str = "the device") -> None:
        self.size, self.name = size, name  # the size may change, within the span of addresses
        self.span = 2 * size + _ALIGN
        self.top, self.used, self.count = _ALIGN, 0, 0
        self.maps = [_reserve(self.span) for _ in range(4)]
        data, state, *owners = (np.frombuffer(m, "u1") for m in self.maps)
        super().__init__(data, state)
        self.known.add(self)
        self.owners = [o.view("u4") for o in owners]  # last writer and reader of each word
        self.base = int(data.ctypes.data)
        self.live: dict[int, Allocation] = {}
        self.starts: list[int] = []
        self.freed: deque[Allocation] = deque(maxlen=256)

    def resize(self, size: int) -> None:
        """Let the device have another number of bytes, up to what it began with."""
        if 2 * size > self.span:
            raise ValueError(f"{self.name} began with {self.span // 2} bytes: it cannot grow")
        self.size = size

    def allocate(self, size: int, label: str = "") -> int:
        """The address of new memory. Raises MemoryError when the device is full."""
        start = self._place(size + _GAP) if self.used + _taken(size) <= self.size else None
        if start is None:
            free = max(self.size - self.used, 0)
            raise MemoryError(f"{size} bytes asked for, {free} of {self.size} free on {self.name}")
        self.top = start + _taken(size + _GAP)
        self.used += _taken(size)
        self.count += 1
        self.data[start : start + size] = FRESH
        self.state[start : start + size] = ALLOCATED
        address = self.base + start
        self.live[address] = Allocation(address, size, label or f"array {self.count}{_caller()}")
        bisect.insort(self.starts, start)
        return address

    def fill(self, address: int, data: bytes) -> None:
        """Write bytes from the host."""
        start = address - self.base
        self.data[start : start + len(data)] = np.frombuffer(data, "u1")
        self.state[start : start + len(data)] = WRITTEN

    def _place(self, span: int) -> int | None:
        for begin in (self.top, _ALIGN):
            position = begin
            for start in self.starts[bisect.bisect_left(self.starts, begin) :]:
                if position + span <= start:
                    return position
                end = start + self.live[self.base + start].size + _GAP
                position = -(-end // _ALIGN) * _ALIGN
            if position + span <= self.span:
                return position
        return None

    def free(self, address: int) -> None:
        """Give memory back; whoever still uses it is told."""
        allocation = self.live.pop(address, None)
        if allocation is None:
            raise BadPointer(f"free of {address:#x}, which is not an allocation's start")
        start = address - self.base
        place = bisect.bisect_left(self.starts, start)
        del self.starts[place]
        self.used -= _taken(allocation.size)
        self.freed.append(allocation)
        self.state[start : start + allocation.size] = FREE
        # Pages with nothing else in them go back to the system.
        end = start + _taken(allocation.size + _GAP)
        first, last = start // _PAGE * _PAGE, -(-end // _PAGE) * _PAGE
        if place:
            before = self.live[self.base + self.starts[place - 1]]
            first = max(first, -(-(before.start - self.base + before.size) // _PAGE) * _PAGE)
        if place < len(self.starts):
            last = min(last, self.starts[place] // _PAGE * _PAGE)
        if last > first:
            for m in self.maps:
                m.madvise(mmap.MADV_DONTNEED, first, min(last, self.span) - first)

    def forget_owners(self) -> None:
        """Set all owners to zero, without touching their pages."""
        for m in self.maps[2:]:
            m.madvise(mmap.MADV_DONTNEED)

    def find(self, address: int) -> Allocation | None:
        """The allocation that holds an address, or the nearest within a gap of it."""
        near: Allocation | None = None
        for a in self.live.values():
            if a.start <= address < a.start + a.size:
                return a
            if a.start - _GAP <= address < a.start + a.size + _GAP:
                near = a
        return near

    def freed_at(self, address: int) -> Allocation | None:
        """What held an address lately, where nothing does now."""
        if self.find(address) is None:
            for a in reversed(self.freed):
                if a.start <= address < a.start + a.size:
                    return a
        return None

    def holder(self, address: int) -> Arena | None:
        """The device whose memory an address is in."""
        return next((a for a in self.known if 0 <= address - a.base < a.span), None)

    def describe(self, address: int) -> str:
        """An address in words."""
        allocation = self.find(address)
        if allocation is not None:
            return allocation.describe(address)
        allocation = self.freed_at(address)
        if allocation is not None:
            return f"{allocation.describe(address)}, which was freed"
        other = self.holder(address)
        if other not in (None, self):
            return f"{other.describe(address)}, on {other.name}"
        what = "a null pointer?" if 0 <= address < 4096 else "memory of the host?"
        return f"address {address & (1 << 64) - 1:#x}, in no array ({what})"

    def states_of(self, address: int, size: int) -> Array:
        """The states of an array's bytes. Raises ValueError if the range leaves its array."""
        start = address - self.base
        states = self.state[start : start + size]
        if len(states) < size or not states.all():
            raise BadPointer(
                f"a copy or fill of {size} bytes begins {self.describe(address)} and leaves it"
            )
        return states


def _taken(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _reserve(size: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    return mmap.mmap(-1, size, flags=flags)


def _caller() -> str:
    """Where the user's Python asked for the memory."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("gpunn", "cupy", "ctypes")):
            file = frame.f_code.co_filename.rsplit("/", 1)[-1]
            return f", made at {file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
