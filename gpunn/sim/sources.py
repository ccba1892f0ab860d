"""The CUDA text that was compiled: which lines are the user's own, and what they say."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Sequence

Line = tuple[str, int]

_texts: dict[str, dict[int, str]] = {}  # file name -> line number -> text
_LINE = re.compile(r'\s*#\s*(?:line\s+)?(\d+)(?:\s+"([^"]*)")?\s*$')
_KERNEL = re.compile(r"__global__[^;{]*?\b(\w+)\s*\(")
_BOUNDS = re.compile(r"__launch_bounds__\s*\([^)]*\)")


def add(text: str, name: str = "") -> str:
    """Remember a text; the file name that stands for it, made from its first kernel.

    Lines after ``#line 1 "file.cu"`` are that file's.
    """
    lines = dict(enumerate(text.split("\n"), 1))
    name = name or _new_name(text, lines)
    _texts[name] = lines
    file, offset = name, 0
    for number, line in lines.items():
        directive = _LINE.match(line)
        if directive:
            file = os.path.basename(directive[2]) if directive[2] else file
            offset = int(directive[1]) - number - 1
        elif offset or file != name:
            _texts.setdefault(file, {})[number + offset] = line
    places.cache_clear()
    return name


def _new_name(text: str, lines: dict[int, str]) -> str:
    entry, count = _KERNEL.search(_BOUNDS.sub("", text)), 1
    name = stem = entry[1] if entry else "kernel"
    while _texts.get(f"{name}.cu", lines) != lines:  # another kernel of the same name
        count += 1
        name = f"{stem}-{count}"
    return f"{name}.cu"


@functools.cache
def places(lines: Sequence[Line]) -> list[Line]:
    """Lines in the user's own code, inside out: one of CUDA's or CuPy's headers says little.

    Where none is, the outermost line.
    """
    named = [(os.path.basename(file), line) for file, line in lines]
    own = [os.path.basename(file) in _texts or _read(file) for file, _ in lines]
    return [p for p, mine in zip(named, own, strict=True) if mine] or named[-1:]


def place(lines: Sequence[Line]) -> Line:
    """The innermost of `places`."""
    return next(iter(places(lines)), ("", 0))


def quote(file: str, line: int) -> str:
    """The text of a source line, where it is known."""
    return _texts.get(file, {}).get(line, "").strip()


def _read(path: str) -> bool:
    """Remember a header of the user's; whether it is one."""
    real = os.path.realpath(path)
    if not os.path.isfile(real) or real.startswith(_others()):
        return False
    with open(real, encoding="utf-8", errors="replace") as file:
        _texts[os.path.basename(path)] = dict(enumerate(file.read().split("\n"), 1))
    return True


@functools.cache
def _others() -> tuple[str, ...]:
    """Where headers are that are not the user's."""
    folders = [os.environ.get("CUDA_PATH") or "/usr/local/cuda", "/usr/include"]
    for package in ("cupy", "nvidia"):
        spec = importlib.util.find_spec(package)
        folders += spec.submodule_search_locations or [] if spec else []
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)
