"""The CUDA runtime's devices and memory, as CuPy calls them; streams are in `gpunn.sim.streams`."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_void_p
from typing import Any

import numpy as np

from gpunn.sim.api import (
    INTS,
    POINTERS,
    SIZES,
    Code,
    Failure,
    api,
    copy_bytes,
    device,
    devices,
    do_nothing,
)
from gpunn.sim.api import state as this_thread
from gpunn.sim.device import MAX_GRID, MAX_THREADS, Device
from gpunn.sim.memory import WRITTEN, BadPointer
from gpunn.sim.program import STATIC_SHARED
from gpunn.sim.report import Defect
from gpunn.sim.streams import Graph, capturing, enqueue, forbid, unsafe

_HOST, _DEVICE = 1, 2  # what a pointer is to memory of

# The devices.

do_nothing(("cudaGetLastError", "cudaPeekAtLastError", "cudaProfilerStart", "cudaProfilerStop"))


@api(INTS, names=("cudaDriverGetVersion", "cudaRuntimeGetVersion"))
def _version(version: Any) -> None:
    version[0] = 13000


@api(INTS)
def cudaGetDeviceCount(count: Any) -> None:
    count[0] = len(devices)


@api(INTS, names=("cudaGetDevice", "cuCtxGetDevice"))
def _current(number: Any) -> None:
    number[0] = this_thread.current


@api(c_int)
def cudaSetDevice(number: int) -> None:
    _numbered(number)
    this_thread.current = number


def _numbered(number: int) -> Device:
    if not 0 <= number < len(devices):
        raise Failure(Code.INVALID_DEVICE, f"device {number} of {len(devices)}: invalid ordinal")
    return devices[number]


@api(INTS, c_int, c_int)
def cudaDeviceGetAttribute(value: Any, attribute: int, number: int) -> None:
    simulated = _numbered(number)
    values = {
        1: MAX_THREADS,
        2: 1024,
        3: 1024,
        4: 64,  # threads of a block
        **dict(zip((5, 6, 7), MAX_GRID, strict=True)),
        8: STATIC_SHARED,
        9: 65536,
        10: 32,
        12: 65536,
        13: 1410000,
        16: 4,
        39: 2048,
        75: simulated.arch // 10,
        76: simulated.arch % 10,
        81: simulated.shared_limit + 1024,
        82: 65536,
        97: simulated.shared_limit,
        106: 32,
        115: 1,  # cudaMallocAsync
    }
    value[0] = values.get(attribute, 0)


@api(c_void_p, c_int)
def cudaGetDeviceProperties(properties: int, number: int) -> None:
    simulated, block = _numbered(number), bytearray(1008)
    name = f"gpunn.sim sm_{simulated.arch}".encode()
    block[: len(name)] = name
    memory = simulated.arena.size
    struct.pack_into("<QQiiQi", block, 288, memory, STATIC_SHARED, 65536, 32, 0, MAX_THREADS)
    struct.pack_into("<6i", block, 324, 1024, 1024, 64, *MAX_GRID)
    struct.pack_into("<Qii", block, 352, 65536, simulated.arch // 10, simulated.arch % 10)
    ctypes.memmove(properties, bytes(block), len(block))


@api(c_void_p, c_int, c_int)
def cudaDeviceGetPCIBusId(text: int, size: int, number: int) -> None:
    _numbered(number)
    ctypes.memmove(text, f"0000:{number + 1:02X}:00.0".encode() + b"\0", size)


@api(INTS, c_char_p)
def cudaDeviceGetByPCIBusId(number: Any, text: bytes) -> None:
    number[0] = devices.index(_numbered(int(text.split(b":")[1], 16) - 1))


@api(INTS, c_int, c_int)
def cudaDeviceCanAccessPeer(can: Any, number: int, peer: int) -> None:
    can[0] = 0


@api(SIZES, SIZES)
def cudaMemGetInfo(free: Any, total: Any) -> None:
    arena = device().arena
    free[0], total[0] = max(arena.size - arena.used, 0), arena.size


# Allocations.

_pinned: dict[int, Any] = {}  # address -> buffer


@api(POINTERS, c_size_t)
def cudaMalloc(pointer: Any, size: int) -> None:
    unsafe("cudaMalloc")
    pointer[0] = device().arena.allocate(size)


@api(c_void_p)
def cudaFree(pointer: int | None) -> None:
    unsafe("cudaFree")
    if pointer:
        (_owner(pointer) or device()).arena.free(pointer)


@api(POINTERS, c_size_t, c_uint)
def cudaMallocManaged(pointer: Any, size: int, flags: int) -> None:
    cudaMalloc(pointer, size)
    device().arena.fill(pointer[0], bytes(size))  # the host may write to it unseen


@api(POINTERS, c_size_t, c_void_p)
def cudaMallocAsync(pointer: Any, size: int, stream: int | None) -> None:
    _not_captured(stream)
    pointer[0] = device().arena.allocate(size)


@api(c_void_p, c_void_p)
def cudaFreeAsync(pointer: int, stream: int | None) -> None:
    _not_captured(stream)
    (_owner(pointer) or device()).arena.free(pointer)


def _not_captured(stream: int | None) -> None:
    forbid(
        Code.STREAM_CAPTURE_UNSUPPORTED,
        "a graph of gpunn.sim cannot allocate: use a cupy.cuda.MemoryPool while a stream captures",
        [capturing(stream)],
    )


@api(POINTERS, c_size_t, c_uint)
def cudaHostAlloc(pointer: Any, size: int, flags: int) -> None:
    unsafe("cudaHostAlloc")
    buffer = ctypes.create_string_buffer(max(size, 1))
    pointer[0] = address = ctypes.addressof(buffer)
    _pinned[address] = buffer


@api(c_void_p)
def cudaFreeHost(pointer: int) -> None:
    _pinned.pop(pointer, None)


@api(c_void_p, c_void_p)
def cudaPointerGetAttributes(attributes: int, pointer: int | None) -> None:
    address = pointer or 0
    owner = _owner(address)
    kind = _DEVICE if owner else _HOST if _pinned_buffer(address, 1) else 0
    number = devices.index(owner) if owner else 0
    ctypes.memmove(attributes, struct.pack("<iiQQ", kind, number, address, 0), 24)


def _owner(address: int) -> Device | None:
    """The device in whose memory an address is."""
    return next((d for d in devices if 0 <= address - d.arena.base < d.arena.span), None)


def _pinned_buffer(address: int, size: int) -> Any:
    for start, buffer in _pinned.items():
        if start <= address and address + size <= start + len(buffer):
            return buffer
    return None


# Copies and fills.


@api(c_void_p, c_void_p, c_size_t, c_int)
def cudaMemcpy(to: int, source: int, size: int, kind: int) -> None:
    unsafe("cudaMemcpy")
    enqueue(None, _copy(to, source, size))


@api(c_void_p, c_void_p, c_size_t, c_int, c_void_p)
def cudaMemcpyAsync(to: int, source: int, size: int, kind: int, stream: int | None) -> None:
    enqueue(stream, _copy(to, source, size, capturing(stream)))


@api(c_void_p, c_int, c_void_p, c_int, c_size_t)
def cudaMemcpyPeer(to: int, _: int, source: int, __: int, size: int) -> None:
    cudaMemcpy(to, source, size, 0)


@api(c_void_p, c_int, c_void_p, c_int, c_size_t, c_void_p)
def cudaMemcpyPeerAsync(
    to: int, _: int, source: int, __: int, size: int, stream: int | None
) -> None:
    cudaMemcpyAsync(to, source, size, 0, stream)


@api(c_void_p, c_int, c_size_t)
def cudaMemset(pointer: int, value: int, size: int) -> None:
    unsafe("cudaMemset")
    enqueue(None, lambda: _fill(pointer, value, size))


@api(c_void_p, c_int, c_size_t, c_void_p)
def cudaMemsetAsync(pointer: int, value: int, size: int, stream: int | None) -> None:
    enqueue(stream, lambda: _fill(pointer, value, size))


def _fill(pointer: int, value: int, size: int) -> None:
    if not size:
        return
    owner = _owner(pointer)
    if owner is None:
        raise BadPointer(f"a fill of {pointer:#x}, which is not device memory")
    owner.arena.states_of(pointer, size)[:] = WRITTEN
    ctypes.memset(pointer, value, size)


def _copy(to: int, source: int, size: int, graph: Graph | None = None) -> Callable[[], None]:
    """The work of a copy; host memory that a graph copies must still be there then: pinned."""
    keep: list[Any] = []
    for address in (to, source) if graph else ():
        if _owner(address) is None:
            buffer = _pinned_buffer(address, size)
            if buffer is None:
                forbid(
                    Code.STREAM_CAPTURE_UNSUPPORTED,
                    "a copy of pageable host memory cannot be captured: copy before the capture, "
                    "or use pinned memory (cupyx.empty_pinned)",
                    [graph],
                )
            keep.append(buffer)

    def work() -> None:
        for buffer in keep:
            if ctypes.addressof(buffer) not in _pinned:
                raise Defect("a graph copies pinned memory that was freed since its capture")
        if size:
            _copy_now(to, source, size)

    return work


def _copy_now(to: int, source: int, size: int) -> None:
    target, origin = _owner(to), _owner(source)
    states: Any = WRITTEN
    if origin is not None:
        states = origin.arena.states_of(source, size)
        if target is None:
            _refuse_unwritten(origin, source, states)
    if target is not None:
        target.arena.states_of(to, size)[:] = states
    copy_bytes(to, source, size)


def _refuse_unwritten(origin: Device, source: int, states: Any) -> None:
    if origin.settings.check and (states != WRITTEN).any():
        first = int(np.flatnonzero(states != WRITTEN)[0])
        raise Defect(
            "copy of uninitialised device memory to the host: "
            f"{origin.arena.describe(source + first)}"
            "\n  fix: write every element before the array is read (cupy.zeros for cupy.empty, "
            "or a kernel that covers it)"
        )
