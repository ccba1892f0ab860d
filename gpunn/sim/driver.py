"""The CUDA driver's modules and launches, as CuPy calls them."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_void_p
from typing import Any, TypeVar

from gpunn.sim.api import (
    INTS,
    POINTERS,
    SIZES,
    Code,
    Failure,
    api,
    copy_bytes,
    device,
    state,
)
from gpunn.sim.device import MAX_THREADS, Device
from gpunn.sim.instructions import prepare
from gpunn.sim.program import Program
from gpunn.sim.ptx import Module
from gpunn.sim.streams import enqueue
from gpunn.sim.syntax import PtxError, Variable

_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_MACHINE_CODE = (b"\x7fELF", b"\x50\xed\x55\xba")  # how a cubin and a fatbin begin


class _Module:
    """A module whose variables have their place in a device's memory."""

    def __init__(self, text: str, owner: Device) -> None:
        self.module, self.owner = Module(text), owner
        self.functions: dict[str, int] = {}
        owner.load(self.module)


class _Function:
    """A kernel on a device."""

    def __init__(self, program: Program, owner: Device) -> None:
        self.program, self.owner = program, owner


_Thing = TypeVar("_Thing", _Module, _Function)
_objects: list[Any] = [None]  # modules and functions; their handles are indices


def _handle(thing: Any) -> int:
    _objects.append(thing)
    return len(_objects) - 1


def _find(handle: int, kind: type[_Thing]) -> _Thing:
    thing = _objects[handle] if 0 < handle < len(_objects) else None
    if not isinstance(thing, kind):
        raise Failure(Code.INVALID_HANDLE, f"{handle:#x} is no {kind.__name__[1:].lower()}")
    return thing


def parameters_of(function: int) -> tuple[str, list[Variable]]:
    """A kernel's name and parameters."""
    kernel = _find(function, _Function).program.kernel
    return kernel.name, kernel.parameters


@api(POINTERS)
def cuCtxGetCurrent(context: Any) -> None:
    context[0] = 0x1000 + state.current


@api(c_void_p, POINTERS)
def cuStreamGetCtx(stream: int, context: Any) -> None:
    context[0] = 0x1000 + state.current


@api(POINTERS, c_void_p)
def cuModuleLoadData(module: Any, image: int) -> None:
    if ctypes.string_at(image, 4) in _MACHINE_CODE:
        raise PtxError("machine code was given, but the simulator runs PTX: compile for compute_XX")
    module[0] = _handle(_Module(ctypes.string_at(image).decode(), device()))


@api(POINTERS, c_void_p, c_char_p)
def cuModuleGetFunction(function: Any, module: int, name: bytes) -> None:
    loaded = _find(module, _Module)
    key = name.decode()
    if key not in loaded.module.kernels:
        raise Failure(Code.NOT_FOUND, f"named symbol not found: {key}")
    if key not in loaded.functions:
        made = _Function(prepare(loaded.module, key), loaded.owner)
        loaded.functions[key] = _handle(made)
    function[0] = loaded.functions[key]


@api(POINTERS, SIZES, c_void_p, c_char_p)
def cuModuleGetGlobal_v2(pointer: Any, size: Any, module: int, name: bytes) -> None:
    variable = _find(module, _Module).module.variables.get(name.decode())
    if variable is None:
        raise Failure(Code.NOT_FOUND, f"named symbol not found: {name.decode()}")
    pointer[0] = variable.offset
    if size:
        size[0] = variable.size


@api(INTS, c_int, c_void_p)
def cuFuncGetAttribute(value: Any, attribute: int, function: int) -> None:
    found = _find(function, _Function)
    kernel = found.program.kernel
    values = {
        0: min(MAX_THREADS, kernel.limits.get("maxntid", MAX_THREADS)),
        1: kernel.shared,
        3: kernel.local,
        4: 32,
        5: found.owner.arch,
        6: found.owner.arch,
        _MAX_DYNAMIC_SHARED: found.program.dynamic_limit,
    }
    value[0] = values.get(attribute, 0)


@api(c_void_p, c_int, c_int)
def cuFuncSetAttribute(function: int, attribute: int, value: int) -> None:
    found = _find(function, _Function)
    if attribute != _MAX_DYNAMIC_SHARED:
        return
    kernel = found.program.kernel
    limit = found.owner.shared_limit - kernel.shared
    if value > limit:
        raise Failure(
            Code.INVALID_VALUE,
            f"{kernel.name}: {value} bytes of dynamic shared memory asked for; sm_"
            f"{found.owner.arch} has {limit} beside the kernel's {kernel.shared} static bytes",
        )
    found.program.dynamic_limit = value


@api(INTS, c_void_p, c_int, c_size_t)
def cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Any, function: int, threads: int, dynamic: int
) -> None:
    blocks[0] = 2048 // max(threads, 32)


@api(INTS, INTS, c_void_p, c_void_p, c_size_t, c_int)
def cuOccupancyMaxPotentialBlockSize(
    grid: Any, block: Any, function: int, _: int, dynamic: int, limit: int
) -> None:
    most = _find(function, _Function).program.kernel.limits.get("maxntid", MAX_THREADS)
    block[0] = min(most, limit or MAX_THREADS)
    grid[0] = 2048 // block[0]


@api(c_void_p, *[c_uint] * 7, c_void_p, POINTERS, c_void_p)
def cuLaunchKernel(function: int, *rest: Any) -> None:
    gx, gy, gz, bx, by, bz, dynamic, stream, pointers, _ = rest
    found = _find(function, _Function)
    kernel = found.program.kernel
    if found.owner is not device():
        raise Failure(
            Code.INVALID_HANDLE,
            f"{kernel.name}: this kernel was loaded on another device than {state.current}",
        )
    arguments = _arguments(found.program, pointers)

    def work() -> None:
        found.owner.launch(found.program, (gx, gy, gz), (bx, by, bz), dynamic, arguments)

    enqueue(stream, work)


def _arguments(program: Program, pointers: Any) -> bytes:
    """The parameters' bytes, as they are now: a graph keeps them."""
    parameters = program.kernel.parameters
    end = parameters[-1].offset + parameters[-1].size if parameters else 0
    block = ctypes.create_string_buffer(max(end, 1))
    for parameter, pointer in zip(parameters, pointers or (), strict=False):
        copy_bytes(ctypes.addressof(block) + parameter.offset, pointer or 0, parameter.size)
    return block.raw[:end]
