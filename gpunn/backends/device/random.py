"""Random numbers by CUDA kernels."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import math
from typing import Any

import numpy

from gpunn.backends.device.capturing import capturing
from gpunn.backends.launcher import Source, builds, ceil_div
from gpunn.backends.reference.random import KEPT_BITS, RandomPrimitives

RANDOM = Source(
    "random.cu", *(builds(SCALAR=(scalar,), BITS=(bits,)) for scalar, bits in KEPT_BITS.items())
)
# random.cu's and dropout.cu's struct Stream: the key, the counter of the first block, and where in
# device memory a key and a counter stand to which they are added.
_STREAM = numpy.dtype([("key", "<u8", 2), ("counter", "<u8", 4), ("base", "<u8")])


def stream(seed: int, offset: int) -> Any:
    """What a kernel takes for the stream ``numpy.random.Philox(key=seed, counter=offset)``."""
    base, capture = 0, capturing()
    if capture is None:
        words = place(seed, offset).tobytes()
    else:  # the numbers shall be new in each replay
        base, distance = capture.state(seed, offset)
        words = bytes(16) + distance.to_bytes(32, "little")
    return numpy.frombuffer(words + base.to_bytes(8, "little"), _STREAM)[0]


def place(seed: int, offset: int) -> Any:
    """A key and a counter, six words, for a place in the stream."""
    # NumPy counts up before it makes a block.
    start = (offset + 1) % 2**256
    return numpy.frombuffer(seed.to_bytes(16, "little") + start.to_bytes(32, "little"), "<u8")


class DeviceRandom(RandomPrimitives):
    """One kernel a draw, which writes the numbers and nothing else."""

    def random_words(self, seed: int, offset: int, n: int) -> Any:
        return self._drawn("random_words", seed, offset, (n,), self.xp.uint64)

    def uniform(self, seed: int, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
        return self._drawn("uniform", seed, offset, shape, dtype)

    def normal(self, seed: int, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """In float32, but for float64: within a unit in the last place of the reference."""
        return self._drawn("normal", seed, offset, shape, dtype)

    def integers(self, seed: int, offset: int, low: int, high: int, n: int) -> Any:
        args = high - low, low
        return self._drawn("random_integers", seed, offset, (n,), self.xp.int64, *args)

    def _drawn(
        self, name: str, seed: int, offset: int, shape: tuple[int, ...], dtype: Any, *args: Any
    ) -> Any:
        n, dtype = math.prod(shape), numpy.dtype(dtype)
        y = self.xp.empty(shape, dtype)
        scalar = dtype.name if dtype.name in KEPT_BITS else "float32"  # any: not what is written
        kernel = RANDOM(name, SCALAR=scalar, BITS=KEPT_BITS[scalar])
        blocks = ceil_div(self.random_blocks(n, dtype), 256)
        kernel((blocks,), (256,), y, n, stream(seed, offset), *args)
        return y
