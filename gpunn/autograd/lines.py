"""Which line of the program is running; the lines of gpunn itself are none."""

from __future__ import annotations

import linecache
import sys
import traceback
from typing import Any

_LIBRARIES = {"gpunn", "contextlib", "functools"}


def program_frame() -> Any:
    """The innermost frame of the program; None where there is none."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _LIBRARIES or name.startswith("gpunn.examples"):
            return frame
        frame = frame.f_back
    return None


def here() -> traceback.StackSummary:
    """The calls that lead to the program's line."""
    frames = traceback.walk_stack(program_frame())
    stack = traceback.StackSummary.extract(frames, lookup_lines=False)
    stack.reverse()
    return stack


def line_of(stack: traceback.StackSummary) -> str:
    """The innermost line: file, number and text."""
    last = stack[-1]
    text = linecache.getline(last.filename, last.lineno or 0).strip()
    return f"{last.filename}:{last.lineno}: {text}"
