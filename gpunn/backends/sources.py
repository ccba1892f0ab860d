"""The CUDA sources: where they are, which builds of each may be launched, what stands in for them.

Knows files and macros; compiling and launching is the launcher's.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from gpunn.backends.signature import C_TYPES, Parameter, signatures

_PACKAGE = Path(__file__).parent.parent
Macros = tuple[tuple[str, str], ...]


@functools.cache
def folder() -> Path:
    """Where the .cu files are: in the installed package, or beside it in a checkout."""
    for place in (_PACKAGE / "kernels", _PACKAGE.parent / "kernels"):
        if any(place.glob("*.cu*")):
            return place
    raise FileNotFoundError(
        f"gpunn's CUDA sources are neither in {_PACKAGE / 'kernels'} nor in "
        f"{_PACKAGE.parent / 'kernels'}: the installation is broken; install gpunn again"
    )


def read(path: Path) -> str:
    """The text of a source. Raises ValueError that names the file where it is no UTF-8."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no CUDA source: it is not UTF-8 ({error})") from None


@functools.cache
def fingerprint() -> str:
    """A hash of all CUDA sources: CuPy's cache of compiled code looks at no included file."""
    digest = hashlib.sha256()
    for path in sorted(folder().glob("*.cu*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class Build(NamedTuple):
    """Macros that a source is compiled with, on devices of compute capability ``since`` and up."""

    macros: Macros
    since: int


def builds(since: int = 75, **choices: Sequence[Any]) -> list[Build]:
    """The builds with every combination of the ``choices`` for each macro."""
    names = tuple(choices)
    return [
        Build(definitions(dict(zip(names, values, strict=True))), since)
        for values in itertools.product(*choices.values())
    ]


def definitions(macros: dict[str, Any]) -> Macros:
    """Macros in order of their names, with C's spelling of every value.

    Numbers stay numbers and dtypes become C types; ``SCALAR`` brings ``ACCUM``, the type of sums.
    """
    written = {name: _spelled(value) for name, value in macros.items()}
    if "SCALAR" in macros:
        kind = _kind(macros["SCALAR"])
        floating = "double" if kind == "float64" else "float"
        written["ACCUM"] = floating if "float" in kind else C_TYPES["int64"]
    return tuple(sorted(written.items()))


def _spelled(value: Any) -> str:
    if isinstance(value, int):
        return str(int(value))
    kind = _kind(value)
    if kind not in C_TYPES:
        raise TypeError(
            f"a macro is an integer or one of the dtypes {', '.join(C_TYPES)}; got {value!r}"
        )
    return C_TYPES[kind]


def _kind(value: Any) -> str:
    return value if isinstance(value, str) else numpy.dtype(value).name


class SourceFile:
    """One .cu file: its kernels' parameters, and the builds that may be made of it."""

    def __init__(self, name: str, *some: Iterable[Build]) -> None:
        self.name = name
        self.builds = [build for group in some for build in group]
        files[name] = self

    @functools.cached_property
    def text(self) -> str:
        return read(folder() / self.name)

    @functools.cached_property
    def kernels(self) -> dict[str, tuple[Parameter, ...]]:
        return signatures(self.text)

    def build(self, macros: Macros) -> Build:
        """The build with these macros. Raises ValueError for one that was never proven."""
        for build in self.builds:
            if build.macros == macros:
                return build
        raise ValueError(
            f"{self.name} has no build with {_shown(macros)}; it has: "
            + "; ".join(_shown(build.macros) for build in self.builds)
        )


files: dict[str, SourceFile] = {}  # by name, as the backend's modules declare them


def options(macros: Macros) -> tuple[str, ...]:
    """What the compiler is told: the macros, the folder of .cuh files, the header of a type."""
    spelled = {value for _, value in macros}
    headers = {"__half": "cuda_fp16.h", "__nv_bfloat16": "cuda_bf16.h"}
    return (
        "-std=c++17",
        f"-I{folder()}",
        f"-DGPUNN_SOURCES={fingerprint()}",
        *(f"-D{name}={value}" for name, value in macros),
        *(f"--pre-include={file}" for name, file in headers.items() if name in spelled),
    )


def catalogue() -> dict[str, tuple[str, tuple[Parameter, ...]]]:
    """Each of gpunn's kernels by name: its file, and its parameters."""
    return {
        kernel: (path.name, parameters)
        for path in sorted(folder().glob("*.cu"))
        for kernel, parameters in signatures(read(path)).items()
    }


def _shown(macros: Macros) -> str:
    return ", ".join(f"{name}={value}" for name, value in macros) or "no macros"


# Replacements -------------------------------------------------------------------------------


class Replacement(NamedTuple):
    """A file that stands in for a kernel's own, as it was when it was named."""

    path: Path
    text: str


replacements: dict[str, Replacement] = {}  # by the kernel's name


class override:  # noqa: N801
    """Launch the kernel of that name from a file of yours, until ``restore()`` or the block's end.

    The parameters must have the types of the original's, in its order; their names are free.
    Raises KeyError for no kernel of gpunn's, TypeError where the parameters differ.
    """

    def __init__(self, kernel: str, path: str | Path) -> None:
        known = catalogue()
        if kernel not in known:
            raise KeyError(f"there is no kernel {kernel!r}; there are: {', '.join(sorted(known))}")
        ours = known[kernel][1]
        self.kernel, self.path = kernel, Path(path).resolve()
        text = read(self.path)
        theirs = signatures(text).get(kernel)
        if theirs is None:
            raise TypeError(
                f'{self.path.name} has no kernel {kernel!r}; declare it as extern "C" __global__ '
                f"void {kernel}({_listed(ours)})"
            )
        if [(p.type, p.stars) for p in theirs] != [(p.type, p.stars) for p in ours]:
            raise TypeError(
                f"{kernel}(): the parameters in {self.path.name} differ from gpunn's\n"
                f"  received: ({_listed(theirs)})\n  expected: ({_listed(ours)})"
            )
        self._before = replacements.get(kernel)
        replacements[kernel] = Replacement(self.path, text)

    def restore(self) -> None:
        """Launch again what was launched before."""
        if self._before is None:
            replacements.pop(self.kernel, None)
        else:
            replacements[self.kernel] = self._before

    def __enter__(self) -> override:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()


def _listed(parameters: tuple[Parameter, ...]) -> str:
    return ", ".join(f"{p} {p.name}" for p in parameters)
