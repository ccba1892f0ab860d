"""A simulated CUDA device: the real CuPy, the real NVRTC and real .cu files, without a GPU.

    >>> import gpunn.sim
    >>> gpunn.sim.install()  # doctest: +SKIP

`docs/sim.md` says what is checked, what is not, and how to test kernels with it.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpunn.sim.device import Device

__all__ = ["ARCHS", "device", "has_gpu", "install", "installed", "problem"]

ARCHS = (75, 80, 86, 89, 90, 100, 120)
_MEMORY = 8 << 30  # bytes of device memory: address space, used as arrays need it

# What CuPy's own kernels do all the same. In the last block of a scan, threads beyond the end leave
# before a barrier, and the others read what those never wrote; the sums that result are never used.
_SCAN = ("uninitialised", "barrier")
EXEMPT = {"cupy_inclusive_batch_scan_kernel": _SCAN, "cupy_inclusive_scan_kernel": _SCAN}

_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation

_device: Device | None = None


def problem() -> str | None:
    """Why there can be no simulation here, and the fix; None where there can."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"gpunn.sim needs Linux on x86-64; this is {sys.platform} on {platform.machine()}"
    missing = [n for n in ("cupy", "nvidia.cu13") if not _found(n)]
    if missing:
        return (
            f"gpunn.sim needs CuPy and NVRTC ({' and '.join(missing)} not found); install them "
            "with: pip install 'gpunn[sim]'"
        )
    return None


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def has_gpu() -> bool:
    """Whether this machine has a CUDA driver and a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return (
        not driver.cuInit(0)
        and not driver.cuDeviceGetCount(ctypes.byref(count))
        and count.value > 0
    )


def installed() -> bool:
    """Whether a simulated device is in place."""
    return _device is not None


def device() -> Device:
    """The simulated device. Raises RuntimeError before `install`."""
    if _device is None:
        raise RuntimeError("no simulated device: call gpunn.sim.install() first")
    return _device


def install(
    *,
    arch: int = 80,
    check: bool = True,
    profile: bool = False,
    seed: int = 0,
    budget: int = 3_000_000,
    devices: int | None = None,
    memory: int = _MEMORY,
) -> Device:
    """Put a simulated device under CuPy, for the rest of this process.

    ``arch`` is its compute capability, and ``devices`` their number (1 unless told): these two
    cannot change later, the rest can, by a second call. ``check`` looks for races and for memory
    that nobody wrote (addresses and barriers are always checked), ``profile`` counts, ``seed``
    shuffles the order of blocks and warps, ``budget`` is the number of instructions after which a
    kernel is said to hang, ``memory`` the bytes of each device.

    Raises RuntimeError where there can be no simulation, and where CuPy uses a GPU already.
    """
    global _device
    if arch not in ARCHS:
        raise ValueError(f"arch must be one of {', '.join(map(str, ARCHS))}, but got {arch}")
    for name, value in {"budget": budget, "devices": devices, "memory": memory}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, but got {value}")
    reason = problem()
    if reason is not None:
        raise RuntimeError(reason)
    from gpunn.sim import api
    from gpunn.sim.device import Device as _Device
    from gpunn.sim.memory import Arena
    from gpunn.sim.program import Settings

    settings = Settings(check, profile, seed, budget, exempt=EXEMPT)
    if _device is not None:
        if arch != _device.arch or devices not in (None, len(api.devices)):
            raise RuntimeError(
                f"{len(api.devices)} simulated sm_{_device.arch} installed already: neither their "
                "number nor their architecture can change"
            )
        for each in api.devices:
            each.settings = settings
            each.arena.resize(memory)
        return _device
    if "cupy" in sys.modules and has_gpu():
        raise RuntimeError("CuPy may use a GPU already: call gpunn.sim.install() before cupy")
    os.environ.update(CUPY_COMPILE_WITH_PTX="1", CUPY_CACHE_IN_MEMORY="1", CUPY_ACCELERATORS="")
    # CuPy makes the folder of its cache at once, though with the above it will not write to it.
    os.environ.setdefault("CUPY_CACHE_DIR", tempfile.gettempdir())
    try:
        arenas = [Arena(memory, f"device {n}") for n in range(devices or 1)]
    except (OSError, OverflowError) as error:
        raise RuntimeError(
            f"this process has no room for addresses of {devices or 1} devices of {memory} "
            f"bytes ({error}): simulate fewer, or give them less memory"
        ) from error
    api.devices[:] = [_Device(arena, settings, arch) for arena in arenas]
    _redirect()
    _prepare_cupy()
    _device = api.devices[0]
    return _device


def _redirect() -> None:
    """Make the runtime inside CuPy, and the driver that it loads, the simulated ones."""
    from gpunn.sim import api, patch

    for module in ("runtime", "driver"):  # they fill the table
        importlib.import_module(f"gpunn.sim.{module}")
    library: Any = importlib.import_module("cupy_backends.cuda.api.runtime")
    names = [n for n in patch.functions(library.__file__) if re.match(r"cuda[A-Z]", n)]
    for name in names:
        if name not in api.table:
            api.table[name] = api.refusal(name)
    patch.redirect(library.__file__, {n: api.table[n] for n in names})
    simulated, real = api.DriverLibrary(), ctypes.CDLL

    def load(name: Any = None, *arguments: Any, **options: Any) -> Any:
        if str(name).startswith("libcuda.so"):
            return simulated
        return real(name, *arguments, **options)

    library = importlib.import_module("cupy_backends.cuda.api.driver")
    setattr(ctypes, "CDLL", load)  # noqa: B010
    try:
        library.ctxGetCurrent()  # CuPy looks its driver functions up at the first use
    finally:
        setattr(ctypes, "CDLL", real)  # noqa: B010


def _allocate(cuda: Any, size: int) -> Any:
    """Memory of its own for each array, where CuPy's pool would cut a large piece up."""
    try:
        try:
            return cuda.memory._malloc(size)
        except cuda.runtime.CUDARuntimeError:
            gc.collect()  # arrays in a circle of references
            return cuda.memory._malloc(size)
    except cuda.runtime.CUDARuntimeError as error:
        if error.status != _OUT_OF_MEMORY:
            raise
        free, total = cuda.runtime.memGetInfo()
        raise cuda.memory.OutOfMemoryError(size, total - free, total) from error


def _temporary_folder() -> str:
    """A folder that goes when this process ends, not when one forked from it does.

    Where an earlier process was killed, its folder goes now.
    """
    for old in Path(tempfile.gettempdir()).glob("gpunn-sim-*-*"):
        if not Path("/proc", old.name.split("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix=f"gpunn-sim-{owner}-")

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _prepare_cupy() -> None:
    """PTX with line numbers, an allocation for each array, and NumPy for what cannot run."""
    from gpunn.sim import arguments, driver, host, sources

    cupy: Any = importlib.import_module("cupy")
    compiler: Any = importlib.import_module("cupy.cuda.compiler")
    core: Any = importlib.import_module("cupy._core")
    compiler._use_ptx = True
    core.set_routine_accelerators([])
    core.set_reduction_accelerators([])
    cupy.cuda.set_allocator(functools.partial(_allocate, cupy.cuda))
    program: Any = compiler._NVRTCProgram
    begin: Any = program.__init__
    compile_: Any = program.compile

    def named(self: Any, source: Any, name: str = "", *rest: Any, **options: Any) -> None:
        text = source.decode() if isinstance(source, bytes) else source
        begin(self, source, sources.add(text), *rest, **options)

    headers = _temporary_folder()
    once = ("-pch", f"-pch-dir={headers}", "-pch-messages=false")

    def with_lines(self: Any, options: tuple[str, ...] = (), log_stream: Any = None) -> Any:
        # What CuPy's own kernels include is read once: half of their compilation.
        own = self.src.startswith("#include <cupy/") and os.path.isdir(headers)
        return compile_(self, (*options, *once * own, "-lineinfo"), log_stream)

    program.__init__, program.compile = named, with_lines
    compiler.function = arguments.checked(compiler.function, driver.parameters_of)
    host.serve(cupy)
