"""Launch a kernel: find its build, compile it once, hold every argument to its signature.

CuPy passes whatever it is given: a Python float as a double to a ``float`` parameter, a strided or
misaligned array as its first address, an empty grid as one block. Nothing of that passes here.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cupy
import numpy

from gpunn.backends import sources
from gpunn.backends.signature import Parameter, signatures
from gpunn.backends.sources import Build, SourceFile, builds

__all__ = ["WIDTHS", "Kernel", "Source", "builds", "ceil_div", "recorded", "width"]

# Elements in 16 bytes, the most that a thread loads or stores at once, of the floating dtypes.
WIDTHS = {"float32": 4, "float64": 2, "float16": 8, "bfloat16": 8}
_NULL = numpy.uint64(0)
_current_device: Callable[[], int] = cupy.cuda.runtime.getDevice
_record: list[str] | None = None


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def width(most: int, *arrays: Any) -> int:
    """``most`` where all arrays may be accessed by so many elements at a time, else 1."""
    for array in arrays:
        if array.data.ptr % (most * array.dtype.itemsize):
            return 1
    return most


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of the kernels launched inside, in order."""
    global _record
    before, _record = _record, []
    try:
        yield _record
    finally:
        _record = before


class Source(SourceFile):
    """A .cu file whose kernels can be launched: ``Source(...)(kernel, SCALAR=x.dtype)``."""

    def __init__(self, name: str, *some: Iterable[Build]) -> None:
        super().__init__(name, *some)
        self._found: dict[Any, Kernel] = {}

    def __call__(self, name: str, /, **macros: Any) -> Kernel:
        """The kernel ``name`` of the build with these macros, ready on the current device."""
        device = _current_device()
        key = (name, device, sources.replacements.get(name), *macros.items())
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._compiled(name, device, macros)
        return found

    def _compiled(self, name: str, device: int, macros: dict[str, Any]) -> Kernel:
        if name not in self.kernels:
            raise KeyError(f"{self.name} has no kernel {name!r}; it has: {', '.join(self.kernels)}")
        build = self.build(sources.definitions(macros))
        capability = int(cupy.cuda.Device(device).compute_capability)
        if capability < build.since:
            raise RuntimeError(
                f"{name}() with {dict(build.macros)} needs a device of compute capability "
                f"{build.since / 10}, but cuda:{device} has {capability / 10}"
            )
        path, text, listed = sources.folder() / self.name, self.text, self.kernels
        if name in sources.replacements:
            path, text = sources.replacements[name]
            listed = signatures(text)
        flags = (*sources.options(build.macros), f"-I{path.parent}")
        # The compiler's messages and the simulator's reports shall name the file.
        module = cupy.RawModule(code=f'#line 1 "{path.name}"\n{text}', options=flags)
        return Kernel(module.get_function(name), listed[name], dict(build.macros), device)


class Kernel:
    """A compiled kernel on one device, with its parameters."""

    def __init__(
        self, raw: Any, parameters: Sequence[Parameter], macros: dict[str, str], device: int
    ) -> None:
        self.name: str = raw.name
        self._raw, self._device = raw, device
        self._launch = raw.kernel
        self._shared = 48 * 1024  # what a launch may ask for; more has to be opted in
        self._parameters = parameters
        self._takes = [self._take(i, p, macros) for i, p in enumerate(parameters)]

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, shared: int = 0
    ) -> None:
        """Launch. ``grid`` and ``block`` have one to three extents; an empty grid does nothing.

        Raises TypeError or ValueError, before anything runs, for what the kernel cannot take.
        """
        if len(arguments) != len(self._takes):
            raise TypeError(
                f"{self.name}(): expected {len(self._takes)} arguments "
                f"({', '.join(f'{p} {p.name}' for p in self._parameters)}), got {len(arguments)}"
            )
        ready = tuple([take(a) for take, a in zip(self._takes, arguments, strict=True)])
        if 0 in grid:
            return
        if grid[0] >= 2**31 or max(grid[1:], default=0) > 65535:
            raise ValueError(
                f"{self.name}(): a grid of {grid} blocks is over the limits "
                "(2147483647, 65535, 65535); put the larger extent first"
            )
        if min(*grid, *block, shared + 1) < 1:  # CuPy would launch one block of one thread
            raise ValueError(
                f"{self.name}(): expected positive extents, got grid={grid}, block={block}, "
                f"shared={shared}"
            )
        if shared > self._shared:
            self._raw.max_dynamic_shared_size_bytes = self._shared = shared
        if _record is not None:
            _record.append(self.name)
        self._launch(grid, block, ready, shared)

    # What takes an argument of each kind -------------------------------------------------------

    def _take(self, i: int, parameter: Parameter, macros: dict[str, str]) -> Callable[[Any], Any]:
        what = f'{self.name}(): parameter {i + 1} "{parameter.name}" is {parameter}'
        element = parameter.element(macros)
        if parameter.stars:
            wide = int(macros.get("WIDTH", 1)) if parameter.type == "SCALAR" else 1
            return self._array(what, element, wide)
        if element is None:
            return self._struct(what)
        if element.kind in "iu":
            return self._integer(what, element)
        return self._number(what, element)

    def _array(self, what: str, element: Any, wide: int) -> Callable[[Any], Any]:
        device, alignment = self._device, wide * element.itemsize if element is not None else 1

        def take(value: Any) -> Any:
            if value is None:
                return _NULL
            if type(value) is not cupy.ndarray:
                raise TypeError(f"{what}, got {_called(value)}")
            if element is not None and value.dtype != element:
                raise TypeError(f"{what} ({element.name}), got {value.dtype.name} array")
            if not value._c_contiguous:
                raise ValueError(
                    f"{what}, got an array of shape {value.shape} with strides {value.strides}, "
                    "which is not contiguous; pass xp.ascontiguousarray(...)"
                )
            memory = value.data
            if memory.device_id != device and value.size:
                raise ValueError(
                    f"{what}, got an array on cuda:{memory.device_id} for a kernel on "
                    f"cuda:{device}; move one, or launch inside that device's context"
                )
            if memory.ptr % alignment:
                raise ValueError(
                    f"{what}, got an array at an address that is no multiple of {alignment} "
                    f"bytes for a build with WIDTH={wide}; choose it by width({wide}, ...)"
                )
            return value

        return take

    @staticmethod
    def _integer(what: str, element: Any) -> Callable[[Any], Any]:
        low, high = int(numpy.iinfo(element).min), int(numpy.iinfo(element).max)
        cast = element.type

        def take(value: Any) -> Any:
            if not isinstance(value, (int, numpy.integer)):
                raise TypeError(f"{what}, got {_called(value)}")
            if not low <= value <= high:
                raise ValueError(f"{what}, got {value}, which is outside [{low}, {high}]")
            return cast(value)

        return take

    @staticmethod
    def _number(what: str, element: Any) -> Callable[[Any], Any]:
        cast, boolean = element.type, element.kind == "b"

        def take(value: Any) -> Any:
            if not isinstance(value, (int, float, numpy.number, numpy.bool_)):
                raise TypeError(f"{what}, got {_called(value)}")
            if boolean and value not in (0, 1):
                raise ValueError(f"{what}, got {value}")
            return cast(value)

        return take

    @staticmethod
    def _struct(what: str) -> Callable[[Any], Any]:
        def take(value: Any) -> Any:
            if not isinstance(value, numpy.void):
                raise TypeError(f"{what}, a struct by value, got {_called(value)}")
            return value

        return take


def _called(value: Any) -> str:
    if isinstance(value, (numpy.ndarray, cupy.ndarray)):
        where = "" if isinstance(value, cupy.ndarray) else "NumPy "
        return f"{value.dtype.name} {where}array"
    return f"{type(value).__name__} {value!r}"
