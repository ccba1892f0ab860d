"""What a kernel's CUDA source says of its parameters; knows C's types, and nothing of CuPy."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy

# C's name of each element type; CUDA's own two for the 16-bit ones.
C_TYPES = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float16": "__half",
    "bfloat16": "__nv_bfloat16",
    "float32": "float",
    "float64": "double",
}
_NAMES = {c: name for name, c in C_TYPES.items()} | {"unsigned": "uint32", "size_t": "uint64"}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)',
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: ``type`` as written, without qualifiers, and how many ``*`` follow it."""

    name: str
    type: str
    stars: int

    def element(self, macros: dict[str, str]) -> numpy.dtype[numpy.generic] | None:
        """The dtype of the value, or of what the pointer points to; None for a struct or void."""
        if self.stars > 1:
            return numpy.dtype(numpy.uint64)
        name = _NAMES.get(macros.get(self.type, self.type))
        return None if name is None else element_type(name)

    def __str__(self) -> str:
        return f"{self.type}{'*' * self.stars}"


def element_type(name: str) -> numpy.dtype[numpy.generic]:
    """The dtype of that name. bfloat16 is ml_dtypes', loaded when it is asked for."""
    if name == "bfloat16":
        import ml_dtypes

        return numpy.dtype(ml_dtypes.bfloat16)
    return numpy.dtype(name)


def signatures(source: str) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each ``extern "C"`` kernel in a CUDA source, by the kernel's name."""
    return {
        name: tuple(_parameter(text) for text in listed.split(",") if text.strip())
        for name, listed in _KERNEL.findall(_COMMENT.sub(" ", source))
    }


def _parameter(text: str) -> Parameter:
    words = re.sub(r"\b(const|volatile|__restrict__|__grid_constant__|struct)\b", " ", text)
    *type_words, name = words.replace("*", " ").split()
    return Parameter(name, " ".join(type_words), words.count("*"))
