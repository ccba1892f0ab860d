"""The CUDA runtime's and driver's documented functions, as CuPy calls them, on a simulated device.

Each is a ctypes callback that returns an error code. What went wrong in words is kept, and given to
whoever asks for the error's text, so that CuPy's exception carries it.
"""

from __future__ import annotations

import _thread
import ctypes
import struct
import threading
import traceback
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_void_p
from typing import Any

import numpy as np

from gpunn.sim.device import MAX_GRID, MAX_THREADS, Device
from gpunn.sim.instructions import prepare
from gpunn.sim.memory import WRITTEN
from gpunn.sim.patch import RETURN_ZERO
from gpunn.sim.program import STATIC_SHARED, Program
from gpunn.sim.ptx import Module, PtxError
from gpunn.sim.report import Defect

SUCCESS, INVALID, NO_MEMORY, BAD_PTX, NOT_FOUND, FAILED, UNSUPPORTED, UNKNOWN = (
    0,
    1,
    2,
    218,
    500,
    719,
    801,
    999,
)
_NAMES = {
    SUCCESS: "Success",
    INVALID: "InvalidValue",
    NO_MEMORY: "MemoryAllocation",
    BAD_PTX: "InvalidPtx",
    NOT_FOUND: "SymbolNotFound",
    FAILED: "LaunchFailure",
    UNSUPPORTED: "NotSupported",
    UNKNOWN: "Unknown",
}
# Compute capability -> shared memory that a block may opt in to, in bytes.
SHARED_LIMITS = {
    75: 65536,
    80: 166912,
    86: 101376,
    89: 101376,
    90: 232448,
    100: 232448,
    120: 101376,
}
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_INT, _SIZE, _POINTER = POINTER(c_int), POINTER(c_size_t), POINTER(c_void_p)

table: dict[str, Any] = {}  # name -> callback
_texts: list[Any] = []  # error texts that C code may still read


class _State:
    device: Device
    arch = 80
    message = ""
    handle = 0x1000
    objects: list[Any] = [None]  # noqa: RUF012  # modules and functions; their handles are indices
    host: dict[int, Any] = {}  # noqa: RUF012  # pinned memory


def use(device: Device, arch: int) -> None:
    """Simulate this device from now on."""
    _State.device, _State.arch = device, arch


def _api(*arguments: Any, names: tuple[str, ...] = (), result: Any = c_int) -> Callable[[Any], Any]:
    """Register a callback under its own name, or ``names``; exceptions become error codes."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            try:
                return function(*values) or SUCCESS
            except BaseException as error:  # nothing may pass through C
                return _code(error)

        for name in names or (function.__name__,):
            table[name] = ctypes.CFUNCTYPE(result, *arguments)(call)
        return function

    return register


def _code(error: BaseException) -> int:
    _State.message = str(error)
    if isinstance(error, KeyboardInterrupt):
        # It cannot pass through C: raise it again when this callback has returned.
        threading.Timer(0.02, _thread.interrupt_main).start()
        _State.message = "interrupted from the keyboard"
        return UNKNOWN
    if isinstance(error, Defect):
        return FAILED
    if isinstance(error, PtxError):
        return BAD_PTX
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, ValueError):
        return INVALID
    if isinstance(error, NotImplementedError):
        return UNSUPPORTED
    _State.message = "the simulator failed:\n" + "".join(traceback.format_exception(error))
    return UNKNOWN


def _text(text: str) -> int:
    buffer = ctypes.create_string_buffer(text.encode())
    _texts.append(buffer)
    del _texts[:-64]
    return ctypes.addressof(buffer)


def _handle(thing: Any) -> int:
    _State.objects.append(thing)
    return len(_State.objects) - 1


# Errors.


@_api(c_int, result=c_void_p)
def cudaGetErrorName(code: int) -> int:
    return _text("cudaError" * (code != SUCCESS) + _NAMES.get(code, "Unknown"))


@_api(c_int, result=c_void_p)
def cudaGetErrorString(code: int) -> int:
    return _text(_State.message if code else "no error")


@_api(c_int, _POINTER)
def cuGetErrorName(code: int, text: Any) -> None:
    text[0] = _text("CUDA_ERROR_" + _NAMES.get(code, "Unknown").upper())


@_api(c_int, _POINTER)
def cuGetErrorString(code: int, text: Any) -> None:
    text[0] = _text(_State.message or "no error")


# Functions that have nothing to do: there is one device, and all work is done when a call returns.


def _nothing(*_: Any) -> None:
    """All is done already."""


for _names, _arguments in (
    (("cudaGetLastError", "cudaPeekAtLastError", "cudaDeviceSynchronize", "cudaProfilerStart"), ()),
    (("cudaProfilerStop",), ()),
    (("cudaSetDevice", "cudaDeviceEnablePeerAccess"), (c_int,)),
    (
        (
            *("cudaStreamDestroy", "cudaStreamSynchronize", "cudaStreamQuery", "cudaEventQuery"),
            *("cudaEventSynchronize", "cudaEventDestroy"),
        ),
        (c_void_p,),
    ),
    (("cudaEventRecord",), (c_void_p, c_void_p)),
    (("cudaStreamWaitEvent",), (c_void_p, c_void_p, c_uint)),
):
    _api(*_arguments, names=_names)(_nothing)

# CuPy may call these at exit, from C, when no Python is left.
for _name in ("cuModuleUnload", "cuCtxSetCurrent", "cuDevicePrimaryCtxRelease_v2"):
    table[_name] = ctypes.CFUNCTYPE(c_int)(RETURN_ZERO)


# The device.


@_api(_INT, names=("cudaDriverGetVersion", "cudaRuntimeGetVersion"))
def _version(version: Any) -> None:
    version[0] = 13000


@_api(_INT, names=("cudaGetDevice", "cuCtxGetDevice"))
def _current(device: Any) -> None:
    device[0] = 0


@_api(_INT)
def cudaGetDeviceCount(count: Any) -> None:
    count[0] = 1


def _attributes() -> dict[int, int]:
    limit = SHARED_LIMITS[_State.arch]
    return {
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
        75: _State.arch // 10,
        76: _State.arch % 10,
        81: limit + 1024,
        82: 65536,
        97: limit,
        106: 32,
    }


@_api(_INT, c_int, c_int)
def cudaDeviceGetAttribute(value: Any, attribute: int, device: int) -> None:
    value[0] = _attributes().get(attribute, 0)


@_api(c_void_p, c_int)
def cudaGetDeviceProperties(properties: int, device: int) -> None:
    block = bytearray(1008)
    name = f"gpunn.sim sm_{_State.arch}".encode()
    block[: len(name)] = name
    struct.pack_into(
        "<QQiiQi", block, 288, _State.device.arena.size, STATIC_SHARED, 65536, 32, 0, MAX_THREADS
    )
    struct.pack_into("<6i", block, 324, 1024, 1024, 64, *MAX_GRID)
    struct.pack_into("<Qii", block, 352, 65536, _State.arch // 10, _State.arch % 10)
    ctypes.memmove(properties, bytes(block), len(block))


@_api(_INT, c_int, c_int)
def cudaDeviceCanAccessPeer(can: Any, device: int, peer: int) -> None:
    can[0] = 0


# Streams and events: all work is in order.


@_api(_POINTER, names=("cudaStreamCreate", "cudaEventCreate"))
def _create(handle: Any, *_: Any) -> None:
    _State.handle += 16
    handle[0] = _State.handle


_api(_POINTER, c_uint, names=("cudaStreamCreateWithFlags", "cudaEventCreateWithFlags"))(_create)
_api(_POINTER, c_uint, c_int, names=("cudaStreamCreateWithPriority",))(_create)


@_api(c_void_p, _INT)
def cudaStreamIsCapturing(stream: int, status: Any) -> None:
    status[0] = 0


@_api(POINTER(c_float), c_void_p, c_void_p)
def cudaEventElapsedTime(milliseconds: Any, start: int, end: int) -> None:
    milliseconds[0] = 0.001  # a simulation's times mean nothing


@_api(c_void_p, c_void_p, c_void_p)
def cudaLaunchHostFunc(stream: int, function: int, data: int) -> None:
    ctypes.CFUNCTYPE(None, c_void_p)(function)(data)


# Memory.


@_api(_POINTER, c_size_t)
def cudaMalloc(pointer: Any, size: int) -> None:
    pointer[0] = _State.device.arena.allocate(size)


@_api(c_void_p)
def cudaFree(pointer: int | None) -> None:
    if pointer:
        _State.device.arena.free(pointer)


@_api(_POINTER, c_size_t, c_uint)
def cudaHostAlloc(pointer: Any, size: int, flags: int) -> None:
    buffer = ctypes.create_string_buffer(size)
    pointer[0] = address = ctypes.addressof(buffer)
    _State.host[address] = buffer


@_api(c_void_p)
def cudaFreeHost(pointer: int) -> None:
    _State.host.pop(pointer, None)


@_api(_SIZE, _SIZE)
def cudaMemGetInfo(free: Any, total: Any) -> None:
    arena = _State.device.arena
    free[0], total[0] = arena.size - arena.used, arena.size


@_api(c_void_p, c_void_p)
def cudaPointerGetAttributes(attributes: int, pointer: int | None) -> None:
    inside = _State.device.arena.offset(pointer or 0, 0) is not None
    ctypes.memmove(attributes, struct.pack("<iiQQ", 2 if inside else 0, 0, pointer or 0, 0), 24)


@_api(c_void_p, c_void_p, c_size_t, c_int)
def cudaMemcpy(to: int, source: int, size: int, kind: int) -> None:
    if not size:
        return
    device = _State.device
    arena = device.arena
    target, origin = arena.offset(to, size), arena.offset(source, size)
    if origin is not None:
        states = arena.state[origin : origin + size]
        if target is not None:
            arena.state[target : target + size] = states
        elif device.settings.check and (states != WRITTEN).any():
            first = int(np.flatnonzero(states != WRITTEN)[0])
            raise Defect(
                f"copy of uninitialised device memory to the host: {arena.describe(source + first)}"
                "\n  fix: write every element before the array is read (cupy.zeros for cupy.empty, "
                "or a kernel that covers it)"
            )
    elif target is not None:
        arena.state[target : target + size] = WRITTEN
    ctypes.memmove(to, source, size)


@_api(c_void_p, c_void_p, c_size_t, c_int, c_void_p)
def cudaMemcpyAsync(to: int, source: int, size: int, kind: int, stream: int) -> None:
    cudaMemcpy(to, source, size, kind)


@_api(c_void_p, c_int, c_size_t)
def cudaMemset(pointer: int, value: int, size: int) -> None:
    start = _State.device.arena.offset(pointer, size)
    if start is None:
        raise ValueError(f"cudaMemset of {pointer:#x}, which is not device memory")
    _State.device.arena.state[start : start + size] = WRITTEN
    ctypes.memset(pointer, value, size)


@_api(c_void_p, c_int, c_size_t, c_void_p)
def cudaMemsetAsync(pointer: int, value: int, size: int, stream: int) -> None:
    cudaMemset(pointer, value, size)


# Modules and launches (the driver's side).


class _Loaded:
    """A module whose variables have their place in device memory."""

    def __init__(self, text: str) -> None:
        self.module = Module(text)
        self.programs: dict[str, int] = {}
        arena = _State.device.arena
        for variable in self.module.variables.values():
            if variable.space == "shared" or variable.dynamic:
                continue
            label = f"the {variable.space} variable {variable.name}"
            variable.offset = arena.allocate(variable.size, label)
            start = variable.offset - arena.base
            data = variable.data or bytes(variable.size)
            arena.data[start : start + variable.size] = np.frombuffer(data, "u1")
            arena.state[start : start + variable.size] = WRITTEN


@_api(_POINTER)
def cuCtxGetCurrent(context: Any) -> None:
    context[0] = 0x1000


@_api(c_void_p, _POINTER)
def cuStreamGetCtx(stream: int, context: Any) -> None:
    context[0] = 0x1000


@_api(_POINTER, c_void_p)
def cuModuleLoadData(module: Any, image: int) -> None:
    if (
        ctypes.string_at(image, 4) == b"\x7fELF"
        or ctypes.string_at(image, 4) == b"\x50\xed\x55\xba"
    ):
        raise PtxError("machine code was given, but the simulator runs PTX: compile for compute_XX")
    module[0] = _handle(_Loaded(ctypes.string_at(image).decode()))


@_api(_POINTER, c_void_p, c_char_p)
def cuModuleGetFunction(function: Any, module: int, name: bytes) -> int:
    loaded: _Loaded = _State.objects[module]
    key = name.decode()
    if key not in loaded.module.kernels:
        _State.message = f"named symbol not found: {key}"
        return NOT_FOUND
    if key not in loaded.programs:
        loaded.programs[key] = _handle(prepare(loaded.module, key))
    function[0] = loaded.programs[key]
    return SUCCESS


@_api(_POINTER, _SIZE, c_void_p, c_char_p)
def cuModuleGetGlobal_v2(pointer: Any, size: Any, module: int, name: bytes) -> int:
    variable = _State.objects[module].module.variables.get(name.decode())
    if variable is None:
        _State.message = f"named symbol not found: {name.decode()}"
        return NOT_FOUND
    pointer[0] = variable.offset
    if size:
        size[0] = variable.size
    return SUCCESS


@_api(_INT, c_int, c_void_p)
def cuFuncGetAttribute(value: Any, attribute: int, function: int) -> None:
    program: Program = _State.objects[function]
    kernel = program.kernel
    values = {
        0: min(MAX_THREADS, kernel.limits.get("maxntid", MAX_THREADS)),
        1: kernel.shared,
        3: kernel.local,
        4: 32,
        5: _State.arch,
        6: _State.arch,
        _MAX_DYNAMIC_SHARED: program.dynamic_limit,
    }
    value[0] = values.get(attribute, 0)


@_api(c_void_p, c_int, c_int)
def cuFuncSetAttribute(function: int, attribute: int, value: int) -> None:
    program: Program = _State.objects[function]
    if attribute != _MAX_DYNAMIC_SHARED:
        return
    limit = SHARED_LIMITS[_State.arch] - program.kernel.shared
    if value > limit:
        raise ValueError(
            f"{program.kernel.name}: {value} bytes of dynamic shared memory asked for; sm_"
            f"{_State.arch} has {limit} beside the kernel's {program.kernel.shared} static bytes"
        )
    program.dynamic_limit = value


@_api(_INT, c_void_p, c_int, c_size_t)
def cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Any, function: int, threads: int, dynamic: int
) -> None:
    blocks[0] = 2048 // max(threads, 32)


@_api(c_void_p, *[c_uint] * 7, c_void_p, _POINTER, c_void_p)
def cuLaunchKernel(function: int, *rest: Any) -> None:
    gx, gy, gz, bx, by, bz, dynamic, _, pointers, _ = rest
    program: Program = _State.objects[function]
    parameters = program.kernel.parameters
    end = parameters[-1].offset + parameters[-1].size if parameters else 0
    arguments = bytearray(end)
    for parameter, pointer in zip(parameters, pointers or (), strict=False):
        stop = parameter.offset + parameter.size
        arguments[parameter.offset : stop] = ctypes.string_at(pointer, parameter.size)
    _State.device.launch(
        program,
        (gx, gy, gz),
        (bx, by, bz),
        dynamic,
        bytes(arguments),
        SHARED_LIMITS[_State.arch],
    )


def refusal(name: str) -> Any:
    """A callback for a function that is not simulated: it says so."""

    def refuse() -> int:
        _State.message = f"{name} is not simulated by gpunn.sim"
        return UNSUPPORTED

    return ctypes.CFUNCTYPE(c_int)(refuse)


def architecture() -> int:
    """The compute capability, as 80."""
    return _State.arch


def last_message() -> str:
    """The text of the last error."""
    return _State.message


class DriverLibrary:
    """What CuPy takes for libcuda.so.1."""

    def __init__(self) -> None:
        for name, callback in table.items():
            if name.startswith("cu") and not name.startswith("cuda"):
                setattr(self, name, callback)
