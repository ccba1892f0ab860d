"""Device memory: one pool for all arrays, what they hold of it, and running out of it.

CuPy asks the allocator for each array; it counts, and gives back a block that counts again when
the array is gone. That takes about a microsecond an array, and no lock: CPython switches threads
between function calls, not within ``counter.current += size``.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import cupy
from cupy.cuda import MemoryPointer, MemoryPool, UnownedMemory

from gpunn.backends.errors import OutOfMemoryError

_runtime = cupy.cuda.runtime
cupy_memory: Any = cupy.cuda.memory
_MEMORY_ALLOCATION = 2  # cudaErrorMemoryAllocation
_raw_allocator: Callable[[int], Any] = cupy_memory._malloc


class Counter:
    """A quantity that rises and falls: how much there is, was at most, and has come in all."""

    __slots__ = ("allocated", "current", "peak")

    def __init__(self) -> None:
        self.current = self.peak = self.allocated = 0

    def add(self, n: int) -> None:
        """``n`` more."""
        self.current += n
        self.allocated += n
        if self.current > self.peak:
            self.peak = self.current


class Usage:
    """What one device's memory is used for: arrays, and segments that the driver gave."""

    def __init__(self) -> None:
        self.allocated_bytes, self.allocation = Counter(), Counter()
        self.reserved_bytes, self.segment = Counter(), Counter()
        self.retries = self.failures = 0

    def counters(self) -> dict[str, Counter]:
        """The counters by PyTorch's names."""
        return {
            "allocated_bytes": self.allocated_bytes,
            "allocation": self.allocation,
            "reserved_bytes": self.reserved_bytes,
            "segment": self.segment,
        }


usage: defaultdict[int, Usage] = defaultdict(Usage)  # by device


class _Block:
    """Owns memory, and the pool that it is from; uncounts it when it dies."""

    __slots__ = ("bytes", "count", "owned", "size", "streams")

    def __init__(self, owned: Any, size: int, bytes: Counter, count: Counter) -> None:
        self.owned, self.size, self.bytes, self.count = owned, size, bytes, count
        self.streams: tuple[Any, ...] = ()  # that use it, beside the one it was allocated on
        bytes.add(size)
        count.add(1)

    def __del__(self) -> None:
        self.bytes.current -= self.size
        self.count.current -= 1
        if self.streams:
            _in_use.append(([_end_of(stream) for stream in self.streams], self.owned))


# Memory that nobody has any more, but whose streams may still work on it: an event at the end of
# each one's work.
_in_use: list[tuple[list[Any], Any]] = []


def _end_of(stream: Any) -> Any:
    with cupy.cuda.Device(stream.device_id if stream.device_id >= 0 else None):
        return stream.record(cupy.cuda.Event(disable_timing=True))


def _let_go() -> None:
    """Give back what no stream works on any more."""
    _in_use[:] = [(events, owned) for events, owned in _in_use if not all(e.done for e in events)]


def used_by(array: Any, stream: Any) -> None:
    """Give the memory out again only after the work that ``stream`` has when the array is freed."""
    block = getattr(array.data.mem, "_owner", None)
    if isinstance(block, _Block) and stream not in block.streams:
        block.streams = (*block.streams, stream)


def _counted(pointer: Any, owner: Any, bytes: Counter, count: Counter) -> Any:
    memory = pointer.mem
    block = _Block((owner, memory), memory.size, bytes, count)  # a tuple drops its last part first
    return MemoryPointer(UnownedMemory(memory.ptr, memory.size, block, memory.device_id), 0)


def _segment(size: int) -> Any:
    """Memory from the driver, for a pool to hand on in parts."""
    pointer = _raw_allocator(size)
    found = usage[pointer.mem.device_id]
    return _counted(pointer, None, found.reserved_bytes, found.segment)


def allocator(source: Callable[[int], Any], owner: object = None) -> Callable[[int], Any]:
    """``source``, a CuPy allocator, with its arrays counted, and running out told in full.

    ``owner`` lives as long as any of the arrays.
    """

    def allocate(size: int) -> Any:
        if _in_use:
            _let_go()
        try:
            pointer = source(size)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            pointer = None
        if pointer is None:
            pointer = _retried(source, size)
        if not size:
            return pointer
        found = usage[pointer.mem.device_id]
        return _counted(pointer, owner, found.allocated_bytes, found.allocation)

    return allocate


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, _runtime.CUDARuntimeError):
        return getattr(error, "status", None) == _MEMORY_ALLOCATION
    return isinstance(error, cupy_memory.OutOfMemoryError)


def _retried(source: Callable[[int], Any], size: int) -> Any:
    """Once more, without what the pool keeps. Raises OutOfMemoryError where that is no help."""
    found = usage[_runtime.getDevice()]
    found.retries += 1
    _let_go()
    pool.free_all_blocks()
    try:
        return source(size)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        found.failures += 1
    raise OutOfMemoryError(_told(size))


def _told(size: int) -> str:
    index = _runtime.getDevice()
    free, total = _runtime.memGetInfo()
    held = usage[index].allocated_bytes.current
    return (
        f"CUDA out of memory. Tried to allocate {readable(size)}. GPU {index} has a total capacity "
        f"of {readable(total)} of which {readable(free)} is free. Of the allocated memory "
        f"{readable(held)} is allocated by gpunn, and {readable(reserved(index) - held)} is "
        "reserved by gpunn but unallocated. Use a smaller batch, work under gpunn.no_grad() where "
        "no gradient is needed, or let go of tensors that are not needed any more"
    )


def readable(size: int) -> str:
    """Bytes as people write them: 1536 -> "1.50 KiB"."""
    amount, units = float(size), ["bytes", "KiB", "MiB", "GiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{size} bytes" if units[0] == "bytes" else f"{amount:.2f} {units[0]}"


def reserved(index: int) -> int:
    """Bytes that the driver has given; what arrays hold, where no pool keeps any."""
    found = usage[index]
    return max(found.reserved_bytes.current, found.allocated_bytes.current)


def peak_reserved(index: int) -> int:
    """The most that was reserved."""
    found = usage[index]
    return max(found.reserved_bytes.peak, found.allocated_bytes.peak)


class Pool:
    """Memory apart from all other; it goes back to the driver when neither this nor an array of
    it is left. CuPy's own pool would keep it."""

    def __init__(self) -> None:
        self._pool = MemoryPool(_segment)
        weakref.finalize(self, _free_blocks, self._pool).atexit = False

    def allocator(self) -> Callable[[int], Any]:
        """What makes CuPy's arrays of this memory."""
        return allocator(self._pool.malloc, self)


def _free_blocks(pool: Any) -> None:
    for index in list(usage):
        with cupy.cuda.Device(index):
            pool.free_all_blocks()


def empty_cache() -> None:
    """Give memory that no array uses back to the driver, on every device."""
    _free_blocks(pool)


def memory_info(index: int) -> tuple[int, int]:
    """The device's free and total memory in bytes, whoever uses it."""
    with cupy.cuda.Device(index):
        return _runtime.memGetInfo()


pool = MemoryPool(_segment)  # of all arrays that are no graph's own
_shared: Callable[[int], Any] = allocator(pool.malloc)


def shared() -> Callable[[int], Any]:
    """The allocator of arrays that are no graph's own."""
    return _shared


def install() -> None:
    """Allocate CuPy's arrays from the pool; where another allocator was chosen, from that."""
    global _shared
    local = cupy_memory._get_thread_local_allocator()
    cupy_memory._set_thread_local_allocator(None)  # of a `using_allocator` around the first use
    try:
        chosen = cupy.cuda.get_allocator()
        if chosen != cupy.get_default_memory_pool().malloc:
            _shared = allocator(chosen)
        cupy.cuda.set_allocator(_shared)
    finally:
        cupy_memory._set_thread_local_allocator(local)
