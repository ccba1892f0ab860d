"""Freed memory is kept for the next array: a training step frees what the next one needs again.

The C library would give large pieces back to the system at once, and the system clears each page
before it hands it out again, which costs a training step up to a third of its time.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 2**30  # bytes at most that are free at the end of the heap
_LARGE = 2**25  # bytes; larger arrays still come from the system, and go back to it: glibc's limit


def keep_freed() -> None:
    """Set glibc's two thresholds, unless the user has; other C libraries stay as they are."""
    user = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"
    if os.name != "posix" or any(name in os.environ for name in user):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _KEPT)
