"""What a device may fail with, beside Python's own exceptions."""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """The device has no memory left for an array. What was asked for, held and free is told."""


OutOfMemoryError.__module__ = "gpunn"
