"""Which lines of a program copy between host and device, or wait: noted while somebody asks.

CuPy copies to the host in one method, `ndarray.get`, and from it in `array` and `ndarray.set`;
these are wrapped while a list is open, and untouched otherwise. gpunn's own copies and waits that
do not go through them note themselves.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import linecache
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import cupy

_LIBRARIES = {"gpunn", "cupy", "cupyx", "cupy_backends", "numpy", "contextlib", "functools"}


class Transfer(NamedTuple):
    """One copy, or one wait, which moves 0 ``bytes``, and the line of the program it is due to.

    ``kind`` is "host to device", "device to host" or "synchronize"; ``blocking``: the program
    waited until all earlier work of the stream was done.
    """

    kind: str
    bytes: int
    blocking: bool
    file: str
    line: int

    @property
    def code(self) -> str:
        """The line itself, where its file can be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        size = f"{self.bytes} bytes" if self.bytes else "nothing"
        waits = ", waits" if self.blocking else ""
        return f"{self.file}:{self.line}: {self.kind}, {size}{waits}: {self.code}"


_open: list[list[Transfer]] = []
_copying = 0  # how deep in a copy that is noted


def note(kind: str, size: int, blocking: bool) -> None:
    """Add to the lists that are open; by whom is read from the stack."""
    if not _open or _copying or (not size and kind != "synchronize"):
        return
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == "gpunn.sim.host":  # what a GPU does by itself, and no copy there
            return
        if name.partition(".")[0] not in _LIBRARIES or name.startswith("gpunn.examples"):
            break
        frame = frame.f_back
    file, line = (frame.f_code.co_filename, frame.f_lineno) if frame else ("?", 0)
    for found in _open:
        found.append(Transfer(kind, size, blocking, file, line))


def begin(found: list[Transfer]) -> None:
    """Note transfers in ``found`` from now on."""
    if not _open:
        for (owner, name), wrapper in _WRAPPERS.items():
            setattr(owner, name, wrapper)
    _open.append(found)


def end(found: list[Transfer]) -> None:
    """Note no more in ``found``."""
    _open[:] = [other for other in _open if other is not found]
    if not _open:
        for (owner, name), original in _ORIGINALS.items():
            setattr(owner, name, original)


# What is wrapped ------------------------------------------------------------------------------


def _get(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get(self: Any, *args: Any, **options: Any) -> Any:
        global _copying
        note("device to host", self.nbytes, options.get("blocking", True))
        _copying += 1  # it waits for the stream: that is noted
        try:
            return original(self, *args, **options)
        finally:
            _copying -= 1

    return get


def _set(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def set(self: Any, *args: Any, **options: Any) -> Any:
        note("host to device", self.nbytes, False)
        return original(self, *args, **options)

    return set


def _array(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def array(data: Any, *args: Any, **options: Any) -> Any:
        made = original(data, *args, **options)
        if made.ndim and not _on_device(data):  # a single number is filled in by a kernel
            note("host to device", made.nbytes, options.get("blocking", False))
        return made

    return array


def _on_device(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_on_device(part) for part in data)
    return isinstance(data, cupy.ndarray) or hasattr(data, "__cuda_array_interface__")


def _synchronize(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def synchronize(self: Any) -> None:
        note("synchronize", 0, True)
        original(self)

    return synchronize


_WRAPPED: list[tuple[Any, str, Callable[..., Any]]] = [
    (cupy.ndarray, "get", _get),
    (cupy.ndarray, "set", _set),
    (cupy._core, "array", _array),
    (cupy.cuda.stream._BaseStream, "synchronize", _synchronize),
    (cupy.cuda.Event, "synchronize", _synchronize),
]
_ORIGINALS = {(owner, name): getattr(owner, name) for owner, name, _ in _WRAPPED}
_WRAPPERS = {(owner, name): wrap(getattr(owner, name)) for owner, name, wrap in _WRAPPED}
