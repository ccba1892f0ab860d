"""What Python hands to a kernel, against the kernel's own parameters: CuPy checks neither.

CuPy copies each argument's bytes as they are, so that a Python float (8 bytes) for a ``float``
parameter is read as its low half, and a missing argument as whatever lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpunn.sim.syntax import Variable


def checked(function: Any, parameters_of: Callable[[int], tuple[str, list[Variable]]]) -> Any:
    """``cupy.cuda.function`` whose kernels check their arguments when they are launched."""

    original: Any = function.Function

    class Function(original):
        def __call__(self, grid: Any, block: Any, args: Any, *rest: Any, **options: Any) -> None:
            name, parameters = parameters_of(self.ptr)
            check(name, parameters, args)
            original.__call__(self, grid, block, args, *rest, **options)

    class Module(function.Module):
        def get_function(self, name: str) -> Any:
            return Function(self, name)

    return SimpleNamespace(Function=Function, Module=Module)


def check(name: str, parameters: Sequence[Variable], arguments: Sequence[Any]) -> None:
    """Raises TypeError for arguments that the kernel would misread."""
    if len(arguments) != len(parameters):
        raise TypeError(f"{name}: {len(arguments)} arguments for {len(parameters)} parameters")
    for i, (argument, parameter) in enumerate(zip(arguments, parameters, strict=True), 1):
        problem = _problem(argument, parameter)
        if problem:
            raise TypeError(
                f"{name}: argument {i} is {problem}\n  fix: pass a NumPy scalar of the parameter's "
                "type (numpy.float32(x), numpy.int64(n)), and arrays for pointers"
            )


def _problem(argument: Any, parameter: Variable) -> str:
    size, kind = parameter.size, parameter.type[0]
    its = f"its parameter has {size} bytes ({parameter.type})"
    if hasattr(argument, "__cuda_array_interface__"):
        whole = size > 8 and kind == "b"  # CuPy's CArray: pointer, size, shape, strides
        return "" if whole or (size == 8 and kind != "f") else f"an array, but {its}"
    if not isinstance(argument, (bool, int, float, complex, np.generic, np.ndarray)):
        return ""  # CuPy knows, or refuses
    value: Any = np.asarray(argument)
    what = f"{argument!r}, {value.nbytes} bytes ({value.dtype}), but {its}"
    if value.dtype.kind in "iu":  # of which the low bytes are read
        fits = -(1 << 8 * size - 1) <= int(value.item()) < 1 << 8 * size
        return "" if kind != "f" and value.nbytes >= size and fits else what
    wrong = value.dtype.kind in "fc" and kind in "us"
    return what if wrong or value.nbytes != size else ""
