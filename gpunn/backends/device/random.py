"""Random numbers by CUDA kernels."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

from typing import Any

import numpy

# random.cu's and dropout.cu's struct Stream: the key, and the counter of the first block.
_STREAM = numpy.dtype([("key", "<u8", 2), ("counter", "<u8", 4)])


def stream(seed: int, offset: int) -> Any:
    """What a kernel takes for the stream ``numpy.random.Philox(key=seed, counter=offset)``."""
    # NumPy counts up before it makes a block.
    start = (offset + 1) % 2**256
    return numpy.frombuffer(seed.to_bytes(16, "little") + start.to_bytes(32, "little"), _STREAM)[0]
