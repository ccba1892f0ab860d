"""Redirects functions of a loaded shared library, in this process and not on disk."""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import struct
from collections.abc import Mapping
from typing import Any

_PAGE = mmap.PAGESIZE
_RETURN_ZERO = b"\x31\xc0\xc3"  # xor eax, eax; ret
_SYMBOL_TABLE, _FUNCTION = 2, 2  # ELF: the section's type, the symbol's type


def functions(path: str) -> dict[str, int]:
    """The functions in the symbol table of an ELF file: name -> offset from its base."""
    with open(path, "rb") as file:
        data = file.read()
    (start,), (count,) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<H", data, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + 64 * i) for i in range(count)]
    found: dict[str, int] = {}
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind != _SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for at in range(offset, offset + size, 24):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            if info & 15 == _FUNCTION and section:
                begin = names + name
                found[data[begin : data.index(b"\0", begin)].decode()] = value
    return found


def base_of(path: str) -> int:
    """Where a shared library is loaded."""
    real = os.path.realpath(path)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        starts = [int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(real)]
    if not starts:
        raise RuntimeError(f"gpunn.sim: {path} is not loaded in this process")
    return min(starts)


_patched: list[int] = []


def return_zero() -> int:
    """The address of code that returns 0, in a page that outlives the interpreter."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, none = ctypes.c_void_p, ctypes.c_void_p(None)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    page: int = libc.mmap(none, ctypes.c_size_t(_PAGE), 7, flags, -1, ctypes.c_long(0))
    ctypes.memmove(page, _RETURN_ZERO, len(_RETURN_ZERO))
    return page


def _write(address: int, code: bytes) -> None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    page = address & ~(_PAGE - 1)
    for protection in (7, 5):  # read, write and execute; then read and execute again
        if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(2 * _PAGE), protection):
            raise RuntimeError(
                f"gpunn.sim: this system forbids changing code ({os.strerror(ctypes.get_errno())})"
            )
        if protection == 7:
            ctypes.memmove(address, code, len(code))


def redirect(path: str, replacements: Mapping[str, Any]) -> list[str]:
    """Make functions of a loaded library jump to ctypes callbacks; the names that it has."""
    base, known = base_of(path), functions(path)
    names = [n for n in replacements if n in known]
    for name in names:
        target = ctypes.cast(replacements[name], ctypes.c_void_p).value or 0
        _write(base + known[name], b"\x48\xb8" + struct.pack("<Q", target) + b"\xff\xe0")
        _patched.append(base + known[name])
    return names


def _quieten() -> None:
    """At exit CuPy frees what is left, when no Python can run any more: let that return 0."""
    for address in _patched:
        _write(address, _RETURN_ZERO)


atexit.register(_quieten)
