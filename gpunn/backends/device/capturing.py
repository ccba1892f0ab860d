"""Which CUDA graph this thread captures, if any; what that is, is graphs.py's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpunn.backends.device.graphs import Capture


class _Active(threading.local):
    """What each thread has of its own."""

    capture: Capture | None = None
    numbers: Iterator[Any] | None = None  # of the graph whose replay is prepared


active = _Active()


def capturing() -> Capture | None:
    """What this thread captures now."""
    return active.capture


def refuse(what: str) -> None:
    """Raise RuntimeError if this thread captures, since ``what`` cannot be captured."""
    if active.capture is not None:
        raise RuntimeError(
            f"CUDA error: operation not permitted when stream is capturing: {what}; do it before "
            "the capture, or after a replay"
        )
