"""How C calls the simulated CUDA: ctypes callbacks that return error codes, with errors in words.

CUDA's functions return a number. What went wrong in words is kept, and given to whoever asks for
the error's text, so that CuPy's exception carries it.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import functools
import os
import threading
import traceback
from collections.abc import Callable
from ctypes import POINTER, c_int, c_size_t, c_void_p
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from gpunn.sim.memory import BadPointer
from gpunn.sim.patch import return_zero
from gpunn.sim.report import Defect
from gpunn.sim.syntax import PtxError

if TYPE_CHECKING:
    from gpunn.sim.device import Device

INTS, SIZES, POINTERS = POINTER(c_int), POINTER(c_size_t), POINTER(c_void_p)


class Code(IntEnum):
    """CUDA's error codes, under the driver's names."""

    SUCCESS = 0
    INVALID_VALUE = 1
    OUT_OF_MEMORY = 2
    INVALID_DEVICE = 101
    INVALID_PTX = 218
    INVALID_HANDLE = 400
    ILLEGAL_STATE = 401
    NOT_FOUND = 500
    LAUNCH_FAILED = 719
    NOT_SUPPORTED = 801
    STREAM_CAPTURE_UNSUPPORTED = 900
    STREAM_CAPTURE_INVALIDATED = 901
    STREAM_CAPTURE_MERGE = 902
    STREAM_CAPTURE_UNMATCHED = 903
    STREAM_CAPTURE_UNJOINED = 904
    STREAM_CAPTURE_IMPLICIT = 906
    CAPTURED_EVENT = 907
    UNKNOWN = 999


_RUNTIME_NAMES = {
    Code.SUCCESS: "cudaSuccess",
    Code.OUT_OF_MEMORY: "cudaErrorMemoryAllocation",
    Code.INVALID_HANDLE: "cudaErrorInvalidResourceHandle",
    Code.NOT_FOUND: "cudaErrorSymbolNotFound",
    Code.LAUNCH_FAILED: "cudaErrorLaunchFailure",
}


class Failure(Exception):  # noqa: N818  # a code to return, not what went wrong in Python
    """An error code, with its reason in words."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _State(threading.local):
    """What each thread has of its own."""

    current = 0  # its device
    message = "no error"


state = _State()
devices: list[Device] = []
table: dict[str, Any] = {}  # name -> callback
lock = threading.RLock()  # one call at a time; a callback of the user's may call again
_texts: list[Any] = []  # error texts that C code may still read


def device() -> Device:
    """This thread's device."""
    return devices[state.current]


def api(*arguments: Any, names: tuple[str, ...] = (), result: Any = c_int) -> Callable[[Any], Any]:
    """Register a callback under its own name, or ``names``; exceptions become error codes."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            try:
                with lock:
                    return function(*values) or Code.SUCCESS
            except BaseException as error:  # nothing may pass through C
                return _code(error)

        for name in names or (function.__name__,):
            table[name] = ctypes.CFUNCTYPE(result, *arguments)(call)
        return function

    return register


_CODES = (
    (Defect, Code.LAUNCH_FAILED),
    (PtxError, Code.INVALID_PTX),
    (MemoryError, Code.OUT_OF_MEMORY),
    (BadPointer, Code.INVALID_VALUE),
    (NotImplementedError, Code.NOT_SUPPORTED),
)


def _code(error: BaseException) -> int:
    state.message = str(error)
    if isinstance(error, Failure):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        # It cannot pass through C: raise it again when this callback has returned.
        threading.Timer(0.02, _thread.interrupt_main).start()
        state.message = "interrupted from the keyboard"
        return Code.UNKNOWN
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    state.message = "the simulator failed:\n" + "".join(traceback.format_exception(error))
    return Code.UNKNOWN


def refusal(name: str) -> Any:
    """A callback for a function that is not simulated: it says so."""

    def refuse() -> int:
        state.message = f"{name} is not simulated by gpunn.sim"
        return Code.NOT_SUPPORTED

    return ctypes.CFUNCTYPE(c_int)(refuse)


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


class _Span(ctypes.Structure):
    _fields_ = (("start", c_void_p), ("size", c_size_t))


def copy_bytes(to: int, source: int, size: int) -> None:
    """Copy memory of this process. Raises BadPointer where C would crash."""
    target, origin = _Span(to, size), _Span(source, size)
    # The system's own copy reports a bad address, where memmove is a segmentation fault.
    copied = _libc().process_vm_readv(
        *(os.getpid(), ctypes.byref(target), 1, ctypes.byref(origin), 1, ctypes.c_ulong(0))
    )
    if copied == -1 and ctypes.get_errno() != errno.EFAULT:  # not permitted here
        ctypes.memmove(to, source, size)
    elif ctypes.c_int(size).value != copied:
        raise BadPointer(
            f"a copy of {size} bytes from {source:#x} to {to:#x} leaves the memory of this process"
        )


def do_nothing(names: tuple[str, ...], *arguments: Any) -> None:
    """Register functions that have nothing to do."""

    def done(*_: Any) -> None:
        pass

    api(*arguments, names=names)(done)


# What asks for the words.


def _text(text: str) -> int:
    buffer = ctypes.create_string_buffer(text.encode())
    _texts.append(buffer)
    del _texts[:-64]
    return ctypes.addressof(buffer)


def _known(code: int) -> Code:
    return Code(code) if code in Code.__members__.values() else Code.UNKNOWN


@api(c_int, result=c_void_p)
def cudaGetErrorName(code: int) -> int:
    known = _known(code)
    words = known.name.title().replace("_", "")
    return _text(_RUNTIME_NAMES.get(known, f"cudaError{words}"))


@api(c_int, result=c_void_p)
def cudaGetErrorString(code: int) -> int:
    return _text(state.message if code else "no error")


@api(c_int, POINTERS)
def cuGetErrorName(code: int, text: Any) -> None:
    known = _known(code)
    text[0] = _text(f"CUDA_{'ERROR_' if known else ''}{known.name}")


@api(c_int, POINTERS)
def cuGetErrorString(code: int, text: Any) -> None:
    text[0] = _text(state.message)


class DriverLibrary:
    """What CuPy takes for libcuda.so.1."""

    def __init__(self) -> None:
        for name, callback in table.items():
            if name.startswith("cu") and not name.startswith("cuda"):
                setattr(self, name, callback)
        # CuPy may call these at exit, from C, when no Python is left.
        self.at_exit = ctypes.CFUNCTYPE(c_int)(return_zero())
        self.cuModuleUnload = self.cuCtxSetCurrent = self.at_exit
        self.cuDevicePrimaryCtxRelease_v2 = self.at_exit

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)
        setattr(self, name, refusal(name))
        return self.__dict__[name]
